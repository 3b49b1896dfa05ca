"""What is trained, on which batches, towards which loss: the recipes of `facesearch train`.

koch     the network, pairs, distortions and loss of Koch, Zemel and Salakhutdinov (2015)
modern   a residual branch with classes to tell apart and one-shot episodes to win, and a head that
         is trained with it

A batch is a function of the seed and the number of the step alone, so that a run that was
interrupted goes on as if it had not been.
"""

import hashlib
import math
from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from facesearch.evaluation.pictures import rows_by_class
from facesearch.training.augment import Distortion, Mirroring
from facesearch.training.losses import (
    balanced_cross_entropy,
    contrastive,
    episode_matching,
    margin_softmax,
    mates,
    regularised_cross_entropy,
)
from facesearch.training.network import KochBranch, L1Head, ResidualBranch, SiameseNetwork
from facesearch.training.validation import one_shot_accuracy

Ids = NDArray[np.int64]
Halves = tuple[list[int], list[int], list[int]]  # an episode's left rows, right rows, classes

PAPERS_DISTORTION = Distortion()
ELASTIC_DISTORTION = Distortion(
    rotation_degrees=15,
    shear_x=0.3,
    shear_y=0.1,
    scale=0.2,
    shift=0.05,
    elastic=0.06,
    probability=0.8,
)
SCRIPT_DISTORTION = Distortion(  # of all characters of a made-up script alike
    rotation_degrees=45,
    shear_x=0.3,
    shear_y=0.3,
    scale=0.25,
    shift=0.0,
    elastic=0.1,
    probability=1.0,
)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """Pictures in memory as networks take them, and what is known of them."""

    pictures: Tensor  # (n, channels, side, side) uint8; drawings: ink high, paper 0
    classes: Ids  # (n,)
    groups: Ids  # (classes,) the alphabet, say, of each class: its classes are easily mistaken
    drawn: bool  # strokes on paper: a quarter turn of it is another character

    def digest(self) -> str:
        """Return what tells this data set from others: 16 hex digits."""
        digest = hashlib.sha256(str((self.pictures.shape, self.drawn)).encode())
        for array in (self.pictures.numpy(), self.classes, self.groups):
            digest.update(array.tobytes())
        return digest.hexdigest()[:16]

    def only(self, rows: Ids) -> "TrainingSet":
        """Return the same with these pictures alone."""
        return replace(
            self, pictures=self.pictures[torch.from_numpy(rows)], classes=self.classes[rows]
        )

    def take(self, rows: Ids) -> Tensor:
        """Return pictures (len(rows), channels, side, side), float, from 0 to 1."""
        return self.pictures[torch.from_numpy(rows)].float() / 255


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Distorted pictures, and who is whose mate: those of one class in one episode."""

    pictures: Tensor  # (episodes * n, channels, side, side) float
    classes: Tensor  # (episodes, n) long; below 0: made up, by splicing, and of this episode alone
    rows: Tensor  # (episodes * n,) long: the pictures' places in the data set, before distortion


class Lesson(nn.Module):
    """A network, what else is trained with it, and the loss."""

    def __init__(self, network: SiameseNetwork) -> None:
        super().__init__()
        self.network = network

    def batch(self, step: int) -> Batch:
        """Return the batch of that step."""
        raise NotImplementedError

    def loss(self, embeddings: Tensor, classes: Tensor) -> Tensor:
        """Return the loss of a batch's `embeddings` (episodes * n, dim) of `classes`."""
        raise NotImplementedError

    def validate(self, network: SiameseNetwork, validation: TrainingSet) -> float:
        """Return how good `network` is, from 0 to 1: the share of one-shot trials it gets right."""
        return one_shot_accuracy(network, validation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What every recipe says; `Koch` and `Modern` add the values and the rest."""

    name: ClassVar[str]
    validated_by: ClassVar[str] = "one-shot accuracy"  # what a validation measures, in words
    side_px: int
    seed: int = 0
    steps: int
    rate: float  # of Adam, at its highest
    weight_decay: float
    ema: float  # share of the average that stays at each step
    evaluate_every: int  # steps
    patience: int  # evaluations without a gain, then it stops

    def lesson(self, data: TrainingSet) -> Lesson:
        """Return the lesson on `data`, freshly initialised from the seed."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """What a batch is made of, by number."""

    rows: Ids  # (episodes, n) of the pictures
    beside: Ids  # (episodes, n) of those that give the right halves; the same if not spliced
    classes: Ids  # (episodes, n); below 0: made up
    turned: Ids  # (episodes,) quarter turns


class Episodes:
    """Batches of a data set: each episode has classes of one group, several pictures of each.

    A share `spliced` of the episodes has made-up classes: left halves of some beside right halves
    of others, all bent in one way. `even`: every group as often, however many classes it has.
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
        """Return what the batch of that step is made of.

        A class with fewer pictures than `shots` gives what it has, never one twice, and further
        classes fill the rest; an episode whose group is too small is filled from other groups. Half
        of the ways or more have mates, as far as there are such classes.
        """
        random = np.random.default_rng((self._seed, step))
        rows, beside, classes = [], [], []
        for group in random.choice(len(self._groups), self.episodes, p=self._share):
            inside = random.permutation(self._groups[group])
            outside = random.permutation(np.setdiff1d(np.arange(len(self._rows)), inside))
            order = np.concatenate([inside, outside])
            lefts, rights, of = self._plain(order, random)
            if self._spliced and random.random() < self._spliced:
                lefts, rights, of = self._splice(order, random) or (lefts, rights, of)
            rows.append(lefts)
            beside.append(rights)
            classes.append(of)
        turned = random.integers(self.turns, size=self.episodes)
        return Draw(np.array(rows), np.array(beside), np.array(classes), turned)

    def _plain(self, order: Ids, random: np.random.Generator) -> Halves:
        """Return an episode's rows, twice, and their classes, the first of `order` first."""
        several = order[self._has_mates[order]][: -(-self.ways // 2)]
        rows: list[int] = []
        classes: list[int] = []
        for one in dict.fromkeys([*several.tolist(), *order.tolist()]):
            mine = random.permutation(self._rows[one])[: self.shots].tolist()
            rows += mine
            classes += [one] * len(mine)
            if len(rows) >= self.size:
                break
        return rows[: self.size], rows[: self.size], classes[: self.size]

    def _splice(self, order: Ids, random: np.random.Generator) -> Halves | None:
        """Return rows of left and of right halves and the numbers of the made-up classes.

        Each of a few left classes stands beside each of a few right ones, so that a made-up class
        differs from some of the others in one half alone. None if too few classes have `shots`
        pictures.
        """
        n_left = math.isqrt(self.ways)
        n_right = -(-self.ways // n_left)
        whole = [self._rows[one] for one in order if len(self._rows[one]) >= self.shots]
        if len(whole) < n_left + n_right or self.size < self.ways * self.shots:
            return None
        pairs = list(product(whole[:n_left], whole[n_left : n_left + n_right]))[: self.ways]
        lefts, rights = (
            [int(row) for pair in pairs for row in random.permutation(pair[half])[: self.shots]]
            for half in (0, 1)
        )
        return lefts, rights, np.repeat(-1 - np.arange(self.ways), self.shots).tolist()

    def batch(self, step: int, distortion: Distortion | Mirroring) -> Batch:
        """Return the batch of that step; a class turned by quarters is a class of its own."""
        draw = self.draw(step)
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + step)
        middle = self._data.pictures.shape[-1] // 2
        pictures = []
        for rows, beside, classes, turn in zip(
            draw.rows, draw.beside, draw.classes, draw.turned, strict=True
        ):
            some = self._data.take(rows)
            if classes[0] < 0:
                some[..., middle:] = self._data.take(beside)[..., middle:]
                some = SCRIPT_DISTORTION.apply(some, generator, alike=True)
            pictures.append(torch.rot90(some, int(turn), (2, 3)))
        turned = draw.classes * self.turns + draw.turned[:, None]
        return Batch(
            distortion.apply(torch.cat(pictures), generator),
            torch.from_numpy(np.where(draw.classes < 0, draw.classes, turned)),
            torch.from_numpy(draw.rows.flatten()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Koch(Recipe):
    """Koch, Zemel and Salakhutdinov (2015), with Adam in place of momentum.

    facesearch train omniglot.npz.xz --recipe koch --out koch

    The paper draws pairs, half of them mated; here a batch of pictures gives all its pairs, weighed
    alike, so that the branch, nearly all of the work, runs once a picture and not twice a pair.
    """

    name: ClassVar[str] = "koch"
    side_px: int = 105
    steps: int = 4_000
    rate: float = 3e-4
    weight_decay: float = 0.0  # the paper's penalty is in the loss
    ema: float = 0.99
    evaluate_every: int = 100
    patience: int = 20  # as the paper
    episodes: int = 4
    ways: int = 4
    shots: int = 4
    penalty: float = 1e-5  # of the squares of the weights; the paper searched 0 to 0.1 a layer
    paper_start: bool = False  # the paper's wide normal distributions; else PyTorch's own
    distortion: Distortion = PAPERS_DISTORTION

    def lesson(self, data: TrainingSet) -> "KochLesson":
        return KochLesson(self, data)


class KochLesson(Lesson):
    """The cross-entropy of the head's probability over pairs."""

    def __init__(self, recipe: Koch, data: TrainingSet) -> None:
        torch.manual_seed(recipe.seed)
        branch = KochBranch(data.pictures.shape[1])
        if recipe.paper_start:
            branch.initialise_as_paper(torch.Generator().manual_seed(recipe.seed))
        super().__init__(SiameseNetwork(branch, L1Head(branch.dim)))
        self._recipe = recipe
        self._penalties = {p: recipe.penalty for p in self.network.parameters() if p.ndim > 1}
        self._episodes = Episodes(
            data,
            episodes=recipe.episodes,
            ways=recipe.ways,
            shots=recipe.shots,
            turns=1,
            seed=recipe.seed,
        )

    def batch(self, step: int) -> Batch:
        return self._episodes.batch(step, self._recipe.distortion)

    def loss(self, embeddings: Tensor, classes: Tensor) -> Tensor:
        logits = self.network.head.all_pairs(embeddings, embeddings)  # (n, n)
        mated, shares = papers_pairs(classes)
        return regularised_cross_entropy(logits, mated, shares, self._penalties)


def papers_pairs(classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return which pairs (n, n) of a batch are mated, and how much each counts.

    `classes` (episodes, m), n = episodes * m. Half of all weight lies on mates; of the rest half on
    pairs of one episode, half on pairs of two. A picture with itself counts nothing.
    """
    flat = classes.flatten()
    episode = torch.arange(len(flat), device=flat.device) // classes.shape[1]
    near = episode.unsqueeze(1) == episode
    same, two = (pairs[0] for pairs in mates(flat.unsqueeze(0)))
    mated = near & same
    shares = torch.zeros(mated.shape, device=flat.device)
    for kind, share in ((mated & two, 0.5), (near & ~mated, 0.25), (~near, 0.25)):
        shares += share * kind / kind.sum().clamp_min(1)
    return mated, shares / shares.sum()


@dataclass(frozen=True, slots=True, kw_only=True)
class Modern(Recipe):
    """A residual branch; classes told apart by margin, episodes matched by the head.

    facesearch train omniglot.npz.xz --recipe modern --out omniglot

    Chosen on the ten evaluation alphabets of Omniglot that are in no trial:
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
    code: int = 2048  # numbers that the head compares
    dropout: float = 0.2
    episodes: int = 4
    ways: int = 16
    shots: int = 4
    scale: float = 24.0  # of the margin softmax
    margin: float = 0.25
    class_weight: float = 1.0
    matching_weight: float = 1.0
    pair_weight: float = 0.5
    contrastive_weight: float = 0.0  # in the recipe it has no part; the ablation tries it
    contrastive_margin: float = 1.0  # of embeddings that are at most 2 apart
    distortion: Distortion = ELASTIC_DISTORTION
    quarter_turns: bool = True  # a drawing turned by a quarter is of another class
    spliced: float = 0.5  # share of the episodes whose classes are put together from halves of two

    def lesson(self, data: TrainingSet) -> "ModernLesson":
        return ModernLesson(self, data)


class ModernLesson(Lesson):
    """Classes to tell apart, episodes to match, pairs to judge, in one sum."""

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
        self.centres = nn.Parameter(torch.randn(shape) * recipe.dim**-0.5)
        self.log_sharpness = nn.Parameter(torch.zeros(()))  # of the matching's softmax

    def batch(self, step: int) -> Batch:
        return self._episodes.batch(step, self._recipe.distortion)

    def loss(self, embeddings: Tensor, classes: Tensor) -> Tensor:
        recipe, head = self._recipe, self.network.head
        episodes = embeddings.view(*classes.shape, -1)
        distances = head.part_distances(episodes, episodes)  # (trunks, episodes, n, n)
        same, two = mates(classes)
        flat = classes.flatten()
        real = flat >= 0
        total = recipe.pair_weight * balanced_cross_entropy(head.bias - distances.sum(0), same, two)
        # each trunk learns by itself: together they would learn one way of seeing
        for part, centres, distance in zip(
            embeddings.chunk(recipe.trunks, 1), self.centres, distances, strict=True
        ):
            total = total + recipe.class_weight * margin_softmax(
                F.normalize(part[real]),
                centres,
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


RECIPES: dict[str, type[Koch] | type[Modern]] = {"koch": Koch, "modern": Modern}


def make_recipe(name: str, *, seed: int = 0, steps: int | None = None) -> Recipe:
    """Return the recipe of that name, one of RECIPES; `steps` if not the recipe's own."""
    recipe: Recipe = RECIPES[name](seed=seed)
    return recipe if steps is None else replace(recipe, steps=steps)
