"""The recipe `koch`: the network, pairs, distortions and loss of Koch et al. (2015)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from facesearch.training.augment import Distortion
from facesearch.training.data import TrainingSet
from facesearch.training.episodes import Episodes
from facesearch.training.losses import mates, regularized_cross_entropy
from facesearch.training.network import KochBranch, L1Head, SiameseNetwork
from facesearch.training.recipe import Batch, Lesson, Recipe

PAPERS_DISTORTION = Distortion()  # whose defaults are the paper's


@dataclass(frozen=True, slots=True, kw_only=True)
class Koch(Recipe):
    """Koch, Zemel and Salakhutdinov (2015), but with Adam instead of momentum.

    facesearch train omniglot.npz.xz --recipe koch --out koch

    The paper draws pairs, half of them mated. Here all pairs of a batch of pictures are compared,
    weighted to the same shares, so that the branch, nearly all of the work, runs once per picture
    instead of twice per pair.
    """

    name: ClassVar[str] = "koch"
    side_px: int = 105
    steps: int = 4_000
    rate: float = 3e-4
    weight_decay: float = 0.0  # the loss has the paper's penalty instead
    ema: float = 0.99
    evaluate_every: int = 100
    patience: int = 20  # as in the paper
    episodes: int = 4
    ways: int = 4
    shots: int = 4
    penalty: float = 1e-5  # on the squared weights; the paper searched 0 to 0.1 for each layer
    paper_start: bool = False  # initialize by the paper's wide normal distributions, not PyTorch's
    distortion: Distortion = PAPERS_DISTORTION

    def lesson(self, data: TrainingSet) -> "KochLesson":
        return KochLesson(self, data)


class KochLesson(Lesson):
    """Minimizes the cross-entropy of the head's probability over pairs."""

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
        return regularized_cross_entropy(logits, mated, shares, self._penalties)


def papers_pairs(classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return which pairs (n, n) of a batch are mated, and the weight of each pair.

    `classes` (episodes, m), n = episodes * m. The weights add up to 1: half is on mates, a quarter
    on non-mated pairs within an episode and a quarter on pairs across episodes. A picture paired
    with itself has no weight.
    """
    flat = classes.flatten()
    episode = torch.arange(len(flat), device=flat.device) // classes.shape[1]
    near = episode.unsqueeze(1) == episode
    same, distinct = (pairs[0] for pairs in mates(flat.unsqueeze(0)))
    mated = near & same
    shares = torch.zeros(mated.shape, device=flat.device)
    for kind, share in ((mated & distinct, 0.5), (near & ~mated, 0.25), (~near, 0.25)):
        shares += share * kind / kind.sum().clamp_min(1)
    return mated, shares / shares.sum()
