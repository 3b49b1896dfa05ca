"""What a recipe of `facesearch train` provides: its settings, its batches and its loss.

A batch depends on nothing but the seed and the number of the step, so that an interrupted run
continues exactly as if it had not been interrupted.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from facesearch.training.data import TrainingSet
from facesearch.training.network import SiameseNetwork
from facesearch.training.validation import one_shot_accuracy


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Distorted pictures; two of them are mates if they have one class in one episode."""

    pictures: Tensor  # (episodes * n, channels, side, side) float
    classes: Tensor  # (episodes, n) long; below 0: a spliced class, which only this episode has
    rows: Tensor  # (episodes * n,) long: the rows of the pictures in the data set


class Lesson(nn.Module):
    """A network, the other parameters that are trained with it, and the loss."""

    def __init__(self, network: SiameseNetwork) -> None:
        super().__init__()
        self.network = network

    def batch(self, step: int) -> Batch:
        """Return the batch of that step."""
        raise NotImplementedError

    def loss(self, embeddings: Tensor, classes: Tensor) -> Tensor:
        """Return the loss, a scalar, of a batch's `embeddings` (episodes * n, dim) of `classes`."""
        raise NotImplementedError

    def validate(self, network: SiameseNetwork, validation: TrainingSet) -> float:
        """Return how good `network` is, from 0 to 1: the share of one-shot trials it gets right."""
        return one_shot_accuracy(network, validation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The settings that every recipe has; each recipe adds its values and settings of its own."""

    name: ClassVar[str]
    validated_by: ClassVar[str] = "one-shot accuracy"  # what a validation measures, in words
    side_px: int
    seed: int = 0
    steps: int
    rate: float  # the highest learning rate of Adam
    weight_decay: float
    ema: float  # share of the averaged weights that is kept at each step
    evaluate_every: int  # steps
    patience: int  # stop after this many evaluations without a gain

    def lesson(self, data: TrainingSet) -> Lesson:
        """Return the lesson on `data`, initialized from the seed."""
        raise NotImplementedError
