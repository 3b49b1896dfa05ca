"""What a network is trained to make small.

contrastive               Hadsell, Chopra and LeCun (2006), with Koch's label: mated pairs are 1
regularised_cross_entropy Koch, Zemel and Salakhutdinov (2015), section 3.2
margin_softmax            CosFace: Wang et al. (2018), equation 4
episode_matching          the softmax over a support set of Vinyals et al. (2016), with the head's
                          logits as the attention; every picture is probe and reference

All return the mean over what they sum, a scalar tensor.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

NOBODY = -1e9  # a logit that counts nothing; with -inf alone a softmax has no gradient


def contrastive(a: Tensor, b: Tensor, mated: Tensor, margin: float) -> Tensor:
    """Return the mean of y * d^2 + (1 - y) * max(0, margin - d)^2, d = |a - b|.

    `a`, `b` (n, dim) embeddings, `mated` (n,) bool is y.
    """
    squares = (a - b).square().sum(1)
    # the square root has no slope at 0: pairs of equal embeddings stay finite
    gaps = F.relu(margin - squares.clamp_min(1e-12).sqrt())
    return torch.where(mated, squares, gaps.square()).mean()


def regularised_cross_entropy(
    logits: Tensor, mated: Tensor, shares: Tensor, penalties: Mapping[nn.Parameter, float]
) -> Tensor:
    """Return the cross-entropies of pairs, weighed, plus penalty * |w|^2 for each parameter.

    `logits`, `mated` (bool), `shares` (adding up to 1) have one shape. The paper gives each layer a
    penalty of its own, between 0 and 0.1.
    """
    each = F.binary_cross_entropy_with_logits(logits, mated.to(logits.dtype), reduction="none")
    loss = (shares * each).sum()
    for parameter, penalty in penalties.items():
        loss = loss + penalty * parameter.square().sum()
    return loss


def balanced_cross_entropy(logits: Tensor, mated: Tensor, counted: Tensor) -> Tensor:
    """Return the mean of the cross-entropies of mated and of non-mated pairs, each its own mean.

    `logits`, `mated`, `counted` have one shape; only pairs that are `counted` take part. A kind
    that is not there counts 0.
    """
    mates = mean(F.softplus(-logits[mated & counted]))
    others = mean(F.softplus(logits[~mated & counted]))
    return (mates + others) / 2


def margin_softmax(
    embeddings: Tensor, centres: Tensor, classes: Tensor, *, scale: float, margin: float
) -> Tensor:
    """Return the cross-entropy of scale * (cosine - margin at the right class).

    `embeddings` (n, dim) of unit length, `centres` (classes, dim) of any length, `classes` (n,).
    0 for no embeddings at all.
    """
    cosines = embeddings @ F.normalize(centres).T  # (n, classes)
    right = F.one_hot(classes, len(centres)).to(cosines.dtype)
    return mean(F.cross_entropy(scale * (cosines - margin * right), classes, reduction="none"))


def episode_matching(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the mean of -log p(mate) over all pairs of mates of an episode.

    `logits` (episodes, n, n) are the head's for each picture with each, `classes` (episodes, n).
    p(mate) is the softmax of the mate's logit among itself and all pictures of other classes, these
    weighed as if each class had one: a one-shot trial of as many ways as the episode has classes.
    0 for an episode without mates, or of one class.
    """
    same, two = mates(classes)  # (episodes, n, n)
    pictures_per_class = same.sum(2, keepdim=True).to(logits.dtype)
    others = torch.logsumexp(
        (logits - pictures_per_class.transpose(1, 2).log()).masked_fill(same, NOBODY), 2, True
    )
    losses = F.softplus(others - logits)  # -log(e^mate / (e^mate + sum of the others))
    return mean(losses[same & two])


def mates(classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return which pairs (episodes, n, n) are of one class, and which are two pictures at all.

    `classes` (episodes, n).
    """
    same = classes.unsqueeze(2) == classes.unsqueeze(1)
    two = ~torch.eye(classes.shape[1], dtype=torch.bool, device=classes.device)
    return same, two.expand_as(same)


def mean(losses: Tensor) -> Tensor:
    """Return the mean of `losses` (n,); 0 where there are none, with a gradient of 0."""
    return losses.sum() / max(len(losses), 1)
