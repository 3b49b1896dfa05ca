"""The pictures that a network is trained on or validated with, in memory."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """Pictures in the form that networks take, each of one class, each class of one group."""

    pictures: Tensor  # (n, channels, side, side) uint8; drawings: ink high, paper 0
    classes: Ids  # (n,)
    groups: Ids  # (classes,) such as the alphabet of a character: its classes are easily confused
    drawn: bool  # strokes on paper: a quarter turn makes another character

    def digest(self) -> str:
        """Return 16 hex digits that identify the content of this data set."""
        digest = hashlib.sha256(str((self.pictures.shape, self.drawn)).encode())
        for array in (self.pictures.numpy(), self.classes, self.groups):
            digest.update(array.tobytes())
        return digest.hexdigest()[:16]

    def only(self, rows: Ids) -> "TrainingSet":
        """Return the data set with only these pictures; classes and groups keep their numbers."""
        return replace(
            self, pictures=self.pictures[torch.from_numpy(rows)], classes=self.classes[rows]
        )

    def take(self, rows: Ids) -> Tensor:
        """Return the pictures (len(rows), channels, side, side) as float, from 0 to 1."""
        return self.pictures[torch.from_numpy(rows)].float() / 255
