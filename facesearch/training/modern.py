"""The recipe `modern`: a residual branch and a head, trained together by three losses.

Classes are told apart by a margin softmax, one-shot episodes are matched by the head, and pairs are
classified by the head.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from facesearch.training.augment import Distortion
from facesearch.training.data import TrainingSet
from facesearch.training.episodes import Episodes
from facesearch.training.losses import (
    balanced_cross_entropy,
    contrastive,
    episode_matching,
    margin_softmax,
    mates,
)
from facesearch.training.network import L1Head, ResidualBranch, SiameseNetwork
from facesearch.training.recipe import Batch, Lesson, Recipe

ELASTIC_DISTORTION = Distortion(
    rotation_degrees=15,
    shear_x=0.3,
    shear_y=0.1,
    scale=0.2,
    shift=0.05,
    elastic=0.06,
    probability=0.8,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Modern(Recipe):
    """A residual branch with a learned head.

    facesearch train omniglot.npz.xz --recipe modern --out omniglot

    The settings were chosen on the ten evaluation alphabets of Omniglot that are in no trial, see
    docs/decisions/0008-the-training-recipes.md.
    """

    name: ClassVar[str] = "modern"
    side_px: int = 56
    steps: int = 6_000
    rate: float = 2e-3
    weight_decay: float = 5e-2
    ema: float = 0.998
    evaluate_every: int = 250
    patience: int = 10
    trunks: int = 2
    stem: int = 32
    widths: tuple[int, ...] = (48, 96, 168)  # of each trunk
    depths: tuple[int, ...] = (2, 2, 2)
    dim: int = 128  # of each trunk
    code: int = 2048  # size of the code that the head compares
    dropout: float = 0.2
    episodes: int = 4
    ways: int = 16
    shots: int = 4
    scale: float = 24.0  # of the margin softmax
    margin: float = 0.25
    class_weight: float = 1.0
    matching_weight: float = 1.0
    pair_weight: float = 0.5
    contrastive_weight: float = 0.0  # not part of the recipe; the ablation tries it
    contrastive_margin: float = 1.0  # embeddings are at most 2 apart
    distortion: Distortion = ELASTIC_DISTORTION
    quarter_turns: bool = True  # each quarter turn of a drawing is another class
    spliced: float = 0.5  # share of the episodes whose classes are joined from halves of two

    def lesson(self, data: TrainingSet) -> "ModernLesson":
        return ModernLesson(self, data)


class ModernLesson(Lesson):
    """Minimizes the weighted sum of the classes', the episodes' and the pairs' losses."""

    def __init__(self, recipe: Modern, data: TrainingSet) -> None:
        torch.manual_seed(recipe.seed)
        branch = ResidualBranch(
            trunks=recipe.trunks,
            side_px=recipe.side_px,
            channels=data.pictures.shape[1],
            stem=recipe.stem,
            widths=recipe.widths,
            depths=recipe.depths,
            dim=recipe.dim,
            dropout=recipe.dropout,
        )
        super().__init__(SiameseNetwork(branch, L1Head(branch.dim, recipe.code, recipe.trunks)))
        self._recipe = recipe
        self._episodes = Episodes(
            data,
            episodes=recipe.episodes,
            ways=recipe.ways,
            shots=recipe.shots,
            turns=4 if data.drawn and recipe.quarter_turns else 1,
            seed=recipe.seed,
            spliced=recipe.spliced if data.drawn else 0.0,
        )
        n_classes = len(data.groups) * self._episodes.turns
        shape = (recipe.trunks, n_classes, recipe.dim)
        self.centers = nn.Parameter(torch.randn(shape) * recipe.dim**-0.5)
        self.log_sharpness = nn.Parameter(torch.zeros(()))  # log of 1 / the matching's temperature

    def batch(self, step: int) -> Batch:
        return self._episodes.batch(step, self._recipe.distortion)

    def loss(self, embeddings: Tensor, classes: Tensor) -> Tensor:
        recipe, head = self._recipe, self.network.head
        episodes = embeddings.view(*classes.shape, -1)
        distances = head.part_distances(episodes, episodes)  # (trunks, episodes, n, n)
        same, distinct = mates(classes)
        flat = classes.flatten()
        real = flat >= 0
        logits = head.bias - distances.sum(0)
        total = recipe.pair_weight * balanced_cross_entropy(logits, same, distinct)
        # a loss for each trunk: by one loss over both they would learn the same features
        for part, centers, distance in zip(
            embeddings.chunk(recipe.trunks, 1), self.centers, distances, strict=True
        ):
            total = total + recipe.class_weight * margin_softmax(
                F.normalize(part[real]),
                centers,
                flat[real],
                scale=recipe.scale,
                margin=recipe.margin,
            )
            logits = -distance * recipe.trunks * self.log_sharpness.exp()
            total = total + recipe.matching_weight * episode_matching(logits, classes)
        if recipe.contrastive_weight:
            a, b = torch.triu_indices(classes.shape[1], classes.shape[1], 1)
            total = total + recipe.contrastive_weight * contrastive(
                episodes[:, a].flatten(0, 1),
                episodes[:, b].flatten(0, 1),
                same[:, a, b].flatten(),
                recipe.contrastive_margin,
            )
        return total
