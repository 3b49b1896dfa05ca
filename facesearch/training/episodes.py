"""A training set -> batches of episodes: a few classes of one group, several pictures of each."""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch

from facesearch.evaluation.pictures import rows_by_class
from facesearch.training.augment import Distortion, Mirroring
from facesearch.training.data import Ids, TrainingSet
from facesearch.training.recipe import Batch

Halves = tuple[list[int], list[int], list[int]]  # an episode's left rows, right rows, classes

SCRIPT_DISTORTION = Distortion(  # applied alike to all spliced characters of an episode
    rotation_degrees=45,
    shear_x=0.3,
    shear_y=0.3,
    scale=0.25,
    shift=0.0,
    elastic=0.1,
    probability=1.0,
)


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """The rows and classes that make up a batch."""

    rows: Ids  # (episodes, n) of the pictures, or of their left halves
    right_rows: Ids  # (episodes, n) of the right halves; equal to `rows` if not spliced
    classes: Ids  # (episodes, n); below 0: spliced
    quarter_turns: Ids  # (episodes,) 0 to 3


class Episodes:
    """Draws the batches of a data set: `ways` classes an episode, `shots` pictures a class.

    A share `spliced` of the episodes has spliced classes: left halves of some classes joined to
    right halves of others, all distorted alike. With `even` every group is drawn equally often,
    otherwise in proportion to its number of classes.
    """

    def __init__(
        self,
        data: TrainingSet,
        *,
        episodes: int,
        ways: int,
        shots: int,
        turns: int,
        seed: int,
        spliced: float = 0.0,
        even: bool = False,
    ) -> None:
        self._data, self._seed, self._spliced = data, seed, spliced
        self.episodes, self.ways, self.shots, self.turns = episodes, ways, shots, turns
        self._rows = rows_by_class(data.classes, len(data.groups))
        self._has_mates = np.array([len(rows) > 1 for rows in self._rows])
        self._groups = [np.flatnonzero(data.groups == g) for g in np.unique(data.groups)]
        sizes = [1 if even else len(group) for group in self._groups]
        self._share = np.array(sizes) / sum(sizes)
        self.size = min(ways * shots, sum(min(shots, len(rows)) for rows in self._rows))

    def draw(self, step: int) -> Draw:
        """Return the rows and classes of the batch of that step.

        A class with fewer than `shots` pictures gives all it has, each once, and more classes fill
        the rest; an episode whose group is too small is filled from other groups. At least half of
        the ways have mates, as long as there are enough such classes.
        """
        random = np.random.default_rng((self._seed, step))
        rows, right_rows, classes = [], [], []
        for group in random.choice(len(self._groups), self.episodes, p=self._share):
            inside = random.permutation(self._groups[group])
            outside = random.permutation(np.setdiff1d(np.arange(len(self._rows)), inside))
            order = np.concatenate([inside, outside])
            lefts, rights, labels = self._plain(order, random)
            if self._spliced and random.random() < self._spliced:
                lefts, rights, labels = self._splice(order, random) or (lefts, rights, labels)
            rows.append(lefts)
            right_rows.append(rights)
            classes.append(labels)
        turns = random.integers(self.turns, size=self.episodes)
        return Draw(np.array(rows), np.array(right_rows), np.array(classes), turns)

    def _plain(self, order: Ids, random: np.random.Generator) -> Halves:
        """Return an episode's rows, twice, as both halves, and its classes, in that `order`."""
        with_mates = order[self._has_mates[order]][: -(-self.ways // 2)]
        rows: list[int] = []
        classes: list[int] = []
        for number in dict.fromkeys([*with_mates.tolist(), *order.tolist()]):
            chosen = random.permutation(self._rows[number])[: self.shots].tolist()
            rows += chosen
            classes += [number] * len(chosen)
            if len(rows) >= self.size:
                break
        return rows[: self.size], rows[: self.size], classes[: self.size]

    def _splice(self, order: Ids, random: np.random.Generator) -> Halves | None:
        """Return the rows of left halves, of right halves, and the numbers of the spliced classes.

        Each of a few left classes is joined to each of a few right classes, so that some spliced
        classes differ in one half only. None if too few classes have `shots` pictures.
        """
        n_left = math.isqrt(self.ways)
        n_right = -(-self.ways // n_left)
        full = [self._rows[number] for number in order if len(self._rows[number]) >= self.shots]
        if len(full) < n_left + n_right or self.size < self.ways * self.shots:
            return None
        pairs = list(product(full[:n_left], full[n_left : n_left + n_right]))[: self.ways]
        lefts, rights = (
            [int(row) for pair in pairs for row in random.permutation(pair[half])[: self.shots]]
            for half in (0, 1)
        )
        return lefts, rights, np.repeat(-1 - np.arange(self.ways), self.shots).tolist()

    def batch(self, step: int, distortion: Distortion | Mirroring) -> Batch:
        """Return the batch of that step; each quarter turn of a class is a class of its own."""
        draw = self.draw(step)
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + step)
        middle = self._data.pictures.shape[-1] // 2
        pictures = []
        for rows, right_rows, classes, turn in zip(
            draw.rows, draw.right_rows, draw.classes, draw.quarter_turns, strict=True
        ):
            episode = self._data.take(rows)
            if classes[0] < 0:
                episode[..., middle:] = self._data.take(right_rows)[..., middle:]
                episode = SCRIPT_DISTORTION.apply(episode, generator, alike=True)
            pictures.append(torch.rot90(episode, int(turn), (2, 3)))
        turned = draw.classes * self.turns + draw.quarter_turns[:, None]
        return Batch(
            distortion.apply(torch.cat(pictures), generator),
            torch.from_numpy(np.where(draw.classes < 0, draw.classes, turned)),
            torch.from_numpy(draw.rows.flatten()),
        )
