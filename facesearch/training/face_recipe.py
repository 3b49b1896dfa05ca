"""The recipe `face`: a second trunk that tells people apart otherwise than the first does.

It learns people by a margin softmax, and is held to what it knew at the start, which comes from
millions of faces: nine thousand people are too few to learn faces from, and enough to learn what
tells look-alikes apart. Chosen on held-out people: docs/decisions/0015-two-codes-a-face.md.
"""

import copy
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from facesearch.evaluation.pictures import rows_by_class
from facesearch.model import model_folder
from facesearch.openset import Cohort, evenly
from facesearch.training.augment import FaceDistortion
from facesearch.training.calibration import COHORT_WEIGHT, Searches, open_set_rates
from facesearch.training.face_network import CODE, SIDE_PX, WEIGHT, FaceBranch, start_branch
from facesearch.training.judging import embed, narrow
from facesearch.training.losses import margin_softmax
from facesearch.training.network import L1Head, SiameseNetwork
from facesearch.training.recipes import Batch, Episodes, Lesson, Recipe, TrainingSet
from facesearch.vectors import Floats, unit

MEASURED = 1024  # pictures that tell mean and spread of the second code at the start
# While it is trained a model has no cohort: small galleries lean on zero.
LEANING = Cohort(np.zeros(2 * CODE, np.float32), 0.0, 1.0, COHORT_WEIGHT, 1.0)
PHOTOS_DISTORTION = FaceDistortion()
CENTRE_LENGTH = 0.1  # of a person's centre at first: so short, Adam turns it ten times as fast


@dataclass(frozen=True, slots=True, kw_only=True)
class Face(Recipe):
    """Adam on the second trunk alone; SFace beside it stays as it is.

    facesearch train FACES --recipe face --out twin
    """

    name: ClassVar[str] = "face"
    validated_by: ClassVar[str] = "people found at 1 % FPIR"
    side_px: int = SIDE_PX
    steps: int = 600
    rate: float = 3e-4
    weight_decay: float = 1e-2
    ema: float = 0.99
    evaluate_every: int = 150
    patience: int = 6
    start: str = "sface"  # name or folder of the model whose weights it begins with
    people: int = 64  # in a batch
    photos: int = 2  # of each
    scale: float = 32.0  # of the margin softmax
    margin: float = 0.3
    held: float = 15.0  # how strongly to the code at the start
    share: float = 0.5  # of the way from the start's weights to the trained ones that it goes
    distortion: FaceDistortion = PHOTOS_DISTORTION

    def lesson(self, data: TrainingSet) -> "FaceLesson":
        return FaceLesson(self, data)


class FaceLesson(Lesson):
    """People to tell apart, and codes that may not go far from those at the start."""

    def __init__(self, recipe: Face, data: TrainingSet) -> None:
        torch.manual_seed(recipe.seed)
        branch = start_branch(model_folder(recipe.start))
        super().__init__(SiameseNetwork(branch, L1Head(branch.dim, 4 * branch.dim)))
        self._recipe, self._data = recipe, data
        self._episodes = Episodes(
            data, episodes=1, ways=recipe.people, shots=recipe.photos, turns=1, seed=recipe.seed
        )
        if not branch.second.measured:
            branch.second.measure(data.take(evenly(len(data.classes), MEASURED)))
        start = copy.deepcopy(branch.second).eval().requires_grad_(False)
        # in lists, so that they are no part of what is trained and stored
        self._start: list[nn.Module] = [start]
        self._first_codes: list[Floats] = []
        self._held_to = torch.zeros(0, CODE)  # what the pictures of the batch gave at the start
        self.centres = nn.Parameter(CENTRE_LENGTH * mean_codes(start, data, recipe.photos))

    def batch(self, step: int) -> Batch:
        rows = self._episodes.draw(step).rows[0]
        (start,) = self._start
        pictures = self._data.take(rows).to(next(start.parameters()).device)
        self._held_to = mirrored_codes(start, pictures)
        return self._episodes.batch(step, self._recipe.distortion)

    def loss(self, embeddings: Tensor, classes: Tensor) -> Tensor:
        told_apart = margin_softmax(
            embeddings,
            self.centres,
            classes.flatten(),
            scale=self._recipe.scale,
            margin=self._recipe.margin,
        )
        alike = (embeddings * self._held_to.to(embeddings.device)).sum(1)
        return told_apart + self._recipe.held * (1 - alike).mean()

    def validate(self, network: SiameseNetwork, validation: TrainingSet) -> float:
        """Return the share of the searches that find their person at FPIR: mean over the sets."""
        branch = network.branch
        assert isinstance(branch, FaceBranch)  # for the type checker
        if not self._first_codes:  # the same at every validation
            self._first_codes = [unit(embed(branch.first, validation).cpu().numpy())]
        codes = (*self._first_codes, WEIGHT * unit(embed(branch.second, validation).cpu().numpy()))
        templates = unit(np.concatenate(codes, 1))
        sets = validation.groups[validation.classes]
        found = []
        for one in np.unique(sets):
            mine = templates[sets == one]
            searches = Searches(validation.classes[sets == one], mine, mine)
            found.append(open_set_rates(searches, LEANING).tpir)
        return float(np.mean(found))


def mean_codes(trunk: nn.Module, data: TrainingSet, photos: int) -> Tensor:
    """Return the code (people, CODE) of each person: of their first `photos`, averaged, unit."""
    mine = [rows[:photos] for rows in rows_by_class(data.classes, len(data.groups))]
    rows = np.concatenate(mine)
    codes = F.normalize(embed(trunk, data.only(rows)))
    means = torch.zeros(len(data.groups), CODE)
    return F.normalize(means.index_add_(0, torch.from_numpy(data.classes[rows]), codes))


@torch.no_grad()
def mirrored_codes(trunk: nn.Module, pictures: Tensor) -> Tensor:
    """Return the unit codes (n, CODE) of pictures and their mirror images, averaged."""
    with narrow(pictures.device):
        both = trunk(pictures) + trunk(pictures.flip(3))
    return F.normalize(both.float())
