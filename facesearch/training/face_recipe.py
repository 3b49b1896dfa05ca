"""The recipe `face`: a second trunk that tells people apart otherwise than the first does.

It learns people by a margin softmax, and is held to what it knew at the start, which comes from
millions of faces: nine thousand people are too few to learn faces from, and enough to learn what
tells look-alikes apart. Chosen on held-out people: docs/decisions/0015-two-codes-a-face.md.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from facesearch.embedding import Encoder
from facesearch.engine import engine_for_many, make_engine
from facesearch.openset import Cohort
from facesearch.shipped import model_folder
from facesearch.training.augment import Mirroring
from facesearch.training.calibration import COHORT_WEIGHT, Searches, open_set_rates
from facesearch.training.export import crops_by_part
from facesearch.training.face_network import CODE, SIDE_PX, FaceBranch, both, start_branch
from facesearch.training.losses import margin_softmax
from facesearch.training.network import L1Head, SiameseNetwork
from facesearch.training.recipes import Batch, Episodes, Lesson, Recipe, TrainingSet
from facesearch.training.validation import embed
from facesearch.vectors import unit

# While it is trained a model has no cohort: small galleries lean on zero.
LEANING = Cohort(np.zeros(2 * CODE, np.float32), 0.0, 1.0, COHORT_WEIGHT, 1.0)
MIRRORED = Mirroring()
KEPT = 6  # of the second trunk's blocks: as they are they cost no backward pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Face(Recipe):
    """Adam on the upper half of the second trunk; the lower half and SFace stay as they are.

    facesearch train FACES --recipe face --out twin
    """

    name: ClassVar[str] = "face"
    validated_by: ClassVar[str] = "people found at 1 % FPIR"
    side_px: int = SIDE_PX
    steps: int = 400
    rate: float = 6e-5
    weight_decay: float = 1e-2
    ema: float = 0.99
    evaluate_every: int = 100
    patience: int = 6
    start: str = "sface"  # name or folder of the model whose weights it begins with
    people: int = 64  # in a batch
    photos: int = 2  # of each
    scale: float = 32.0  # of the margin softmax
    margin: float = 0.2
    held: float = 3.0  # how strongly to the code at the start
    distortion: Mirroring = MIRRORED

    def lesson(self, data: TrainingSet) -> "FaceLesson":
        return FaceLesson(self, data)


class FaceLesson(Lesson):
    """People to tell apart by whole templates, and codes that may not go far from the start's."""

    def __init__(self, recipe: Face, data: TrainingSet) -> None:
        torch.manual_seed(recipe.seed)
        folder = model_folder(recipe.start)
        branch = start_branch(folder)
        super().__init__(SiameseNetwork(branch, L1Head(branch.dim, 4 * branch.dim)))
        for part in (branch.second.stem, *[*branch.second.blocks][:KEPT]):
            part.requires_grad_(False)
        self._recipe = recipe
        self._episodes = Episodes(
            data,
            episodes=1,
            ways=recipe.people,
            shots=recipe.photos,
            turns=1,
            seed=recipe.seed,
            even=True,
        )
        # by the engine, in a third of the time that torch takes for SFace
        self._encoder = Encoder(make_engine(engine_for_many(), folder / "branch.onnx"))
        self._first = first_codes(self._encoder, data)
        second, self._held_to = start_codes(branch.second.eval(), data)
        templates = F.normalize(both(self._first, second))
        self._centre = templates.mean(0)
        self.centres = nn.Parameter(means(templates - self._centre, data))
        self._rows = torch.zeros(0, dtype=torch.long)  # those of the batch
        self._judged: list[Tensor] = []  # the first codes of the validation, always the same

    def batch(self, step: int) -> Batch:
        batch = self._episodes.batch(step, self._recipe.distortion)
        self._rows = batch.rows
        return batch

    def loss(self, embeddings: Tensor, classes: Tensor) -> Tensor:
        first, held_to, centre = (
            of_all.to(embeddings.device)
            for of_all in (self._first[self._rows], self._held_to[self._rows], self._centre)
        )
        told_apart = margin_softmax(
            F.normalize(F.normalize(both(first, embeddings)) - centre),
            self.centres,
            classes.flatten(),
            scale=self._recipe.scale,
            margin=self._recipe.margin,
        )
        alike = (F.normalize(embeddings) * held_to).sum(1)
        return told_apart + self._recipe.held * (1 - alike).mean()

    def validate(self, network: SiameseNetwork, validation: TrainingSet) -> float:
        """Return the share of the searches that find their person at FPIR: mean over the sets."""
        branch = network.branch
        assert isinstance(branch, FaceBranch)  # for the type checker
        if not self._judged:
            self._judged = [first_codes(self._encoder, validation)]
        codes = both(self._judged[0], embed(branch.second, validation).cpu())
        templates = unit(codes.numpy())
        sets = validation.groups[validation.classes]
        found = []
        for one in np.unique(sets):
            mine = templates[sets == one]
            searches = Searches(validation.classes[sets == one], mine, mine)
            found.append(open_set_rates(searches, LEANING).tpir)
        return float(np.mean(found))


def first_codes(encoder: Encoder, data: TrainingSet) -> Tensor:
    """Return the first codes (n, CODE), unit, of all pictures of `data`."""
    codes = [encoder.embed(crops)[:, :CODE] for crops in crops_by_part(data.pictures)]
    return F.normalize(torch.from_numpy(np.concatenate(codes)))


def start_codes(trunk: nn.Module, data: TrainingSet) -> tuple[Tensor, Tensor]:
    """Return the codes (n, CODE) of all pictures of `data`, and what training is to hold them to.

    That is unit: the codes of picture and mirror image averaged.
    """
    codes = embed(trunk, data).cpu()
    mirrored = embed(trunk, replace(data, pictures=data.pictures.flip(3))).cpu()
    return codes, F.normalize(F.normalize(codes) + F.normalize(mirrored))


def means(templates: Tensor, data: TrainingSet) -> Tensor:
    """Return the direction (people, dim) of each person: that of their templates' sum."""
    sums = torch.zeros(len(data.groups), templates.shape[1])
    return F.normalize(sums.index_add_(0, torch.from_numpy(data.classes), templates))
