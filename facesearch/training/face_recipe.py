"""The recipe `face`: a second trunk that distinguishes people whom the first confuses.

It is trained on people by a margin softmax and kept close to its start, which was trained on
millions of faces: nine thousand people are too few to learn faces from, but enough to learn what
distinguishes look-alikes. Settings were chosen on held-out people, see
docs/decisions/0015-two-codes-a-face.md.
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
from facesearch.training.calibration import COHORT_WEIGHT
from facesearch.training.data import TrainingSet
from facesearch.training.episodes import Episodes
from facesearch.training.export import crops_by_part
from facesearch.training.face_network import CODE, SIDE_PX, FaceBranch, join_codes, start_branch
from facesearch.training.losses import margin_softmax
from facesearch.training.network import L1Head, SiameseNetwork
from facesearch.training.recipe import Batch, Lesson, Recipe
from facesearch.training.searches import Searches, open_set_rates
from facesearch.training.validation import embed
from facesearch.vectors import unit

# Stands in for the cohort that a model does not have before it is calibrated.
ZERO_COHORT = Cohort(np.zeros(2 * CODE, np.float32), 0.0, 1.0, COHORT_WEIGHT, 1.0)
MIRRORED = Mirroring()
FROZEN_BLOCKS = 6  # the first blocks of the second trunk: they need no backward pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Face(Recipe):
    """Adam on the upper half of the second trunk; its lower half and SFace stay unchanged.

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
    start: str = "sface"  # name or folder of the model whose weights it starts from
    people: int = 64  # in a batch
    photos: int = 2  # of each person
    scale: float = 32.0  # of the margin softmax
    margin: float = 0.2
    held: float = 3.0  # weight of the distance from the codes at the start
    distortion: Mirroring = MIRRORED

    def lesson(self, data: TrainingSet) -> "FaceLesson":
        return FaceLesson(self, data)


class FaceLesson(Lesson):
    """Minimizes the margin softmax of templates plus the distance of codes from the start's."""

    def __init__(self, recipe: Face, data: TrainingSet) -> None:
        torch.manual_seed(recipe.seed)
        folder = model_folder(recipe.start)
        branch = start_branch(folder)
        super().__init__(SiameseNetwork(branch, L1Head(branch.dim, 4 * branch.dim)))
        for part in (branch.second.stem, *[*branch.second.blocks][:FROZEN_BLOCKS]):
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
        # the engine runs SFace in a third of torch's time
        self._encoder = Encoder(make_engine(engine_for_many(), folder / "branch.onnx"))
        self._first = first_codes(self._encoder, data)
        second, self._start = start_codes(branch.second.eval(), data)
        templates = F.normalize(join_codes(self._first, second))
        self._mean = templates.mean(0)
        self.centers = nn.Parameter(mean_directions(templates - self._mean, data))
        self._rows = torch.zeros(0, dtype=torch.long)  # of the current batch
        self._validation_first: Tensor | None = None  # first codes of the validation, once computed

    def batch(self, step: int) -> Batch:
        batch = self._episodes.batch(step, self._recipe.distortion)
        self._rows = batch.rows
        return batch

    def loss(self, embeddings: Tensor, classes: Tensor) -> Tensor:
        first, start, mean = (
            tensor.to(embeddings.device)
            for tensor in (self._first[self._rows], self._start[self._rows], self._mean)
        )
        classification = margin_softmax(
            F.normalize(F.normalize(join_codes(first, embeddings)) - mean),
            self.centers,
            classes.flatten(),
            scale=self._recipe.scale,
            margin=self._recipe.margin,
        )
        cosines = (F.normalize(embeddings) * start).sum(1)
        return classification + self._recipe.held * (1 - cosines).mean()

    def validate(self, network: SiameseNetwork, validation: TrainingSet) -> float:
        """Return the TPIR of searches at FPIR, the mean over the sets of `validation`."""
        branch = network.branch
        assert isinstance(branch, FaceBranch)  # for the type checker
        if self._validation_first is None:
            self._validation_first = first_codes(self._encoder, validation)
        codes = join_codes(self._validation_first, embed(branch.second, validation).cpu())
        templates = unit(codes.numpy())
        sets = validation.groups[validation.classes]
        tpirs = []
        for number in np.unique(sets):
            inside = sets == number
            searches = Searches(validation.classes[inside], templates[inside], templates[inside])
            tpirs.append(open_set_rates(searches, ZERO_COHORT).tpir)
        return float(np.mean(tpirs))


def first_codes(encoder: Encoder, data: TrainingSet) -> Tensor:
    """Return the first codes (n, CODE), of length 1, of all pictures of `data`."""
    codes = [encoder.embed(crops)[:, :CODE] for crops in crops_by_part(data.pictures)]
    return F.normalize(torch.from_numpy(np.concatenate(codes)))


def start_codes(trunk: nn.Module, data: TrainingSet) -> tuple[Tensor, Tensor]:
    """Return the codes (n, CODE) of all pictures of `data`, and the codes to keep close to.

    The latter have length 1: the mean direction of the codes of a picture and its mirror image.
    """
    codes = embed(trunk, data).cpu()
    mirrored = embed(trunk, replace(data, pictures=data.pictures.flip(3))).cpu()
    return codes, F.normalize(F.normalize(codes) + F.normalize(mirrored))


def mean_directions(templates: Tensor, data: TrainingSet) -> Tensor:
    """Return the direction (people, dim) of the sum of each person's templates."""
    sums = torch.zeros(len(data.groups), templates.shape[1])
    return F.normalize(sums.index_add_(0, torch.from_numpy(data.classes), templates))
