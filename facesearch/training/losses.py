"""The losses that networks are trained to minimize.

contrastive               Hadsell, Chopra and LeCun (2006), with Koch's label: mated pairs are 1
regularized_cross_entropy Koch, Zemel and Salakhutdinov (2015), section 3.2
margin_softmax            CosFace: Wang et al. (2018), equation 4
episode_matching          the softmax over a support set of Vinyals et al. (2016), with the head's
                          logits as the attention; every picture is both probe and reference

Each returns a scalar tensor, the mean over its terms.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

IGNORED = -1e9  # the logit of a picture to ignore; a softmax over -inf alone has no gradient


def contrastive(a: Tensor, b: Tensor, mated: Tensor, margin: float) -> Tensor:
    """Return the mean of y * d^2 + (1 - y) * max(0, margin - d)^2, d = |a - b|.

    `a` and `b` (n, dim) are embeddings, `mated` (n,) bool is y.
    """
    squares = (a - b).square().sum(1)
    # the square root has no finite slope at 0, which pairs of equal embeddings would hit
    gaps = F.relu(margin - squares.clamp_min(1e-12).sqrt())
    return torch.where(mated, squares, gaps.square()).mean()


def regularized_cross_entropy(
    logits: Tensor, mated: Tensor, shares: Tensor, penalties: Mapping[nn.Parameter, float]
) -> Tensor:
    """Return the weighted cross-entropy of pairs plus penalty * |w|^2 for each parameter.

    `logits`, `mated` (bool) and `shares` (the weights, adding up to 1) have one shape. The paper
    gives each layer a penalty of its own, between 0 and 0.1.
    """
    each = F.binary_cross_entropy_with_logits(logits, mated.to(logits.dtype), reduction="none")
    loss = (shares * each).sum()
    for parameter, penalty in penalties.items():
        loss = loss + penalty * parameter.square().sum()
    return loss


def balanced_cross_entropy(logits: Tensor, mated: Tensor, counted: Tensor) -> Tensor:
    """Return the cross-entropy of pairs, with equal weight on mated and on non-mated pairs.

    `logits`, `mated` and `counted` have one shape; pairs that are not `counted` are ignored. If
    there is no pair of a kind, its half of the mean is 0.
    """
    mates = mean(F.softplus(-logits[mated & counted]))
    others = mean(F.softplus(logits[~mated & counted]))
    return (mates + others) / 2


def margin_softmax(
    embeddings: Tensor, centers: Tensor, classes: Tensor, *, scale: float, margin: float
) -> Tensor:
    """Return the cross-entropy of the logits scale * (cosine - margin at the right class).

    `embeddings` (n, dim) have unit length, `centers` (classes, dim) any length; `classes` (n,).
    0 if there are no embeddings.
    """
    cosines = embeddings @ F.normalize(centers).T  # (n, classes)
    right = F.one_hot(classes, len(centers)).to(cosines.dtype)
    return mean(F.cross_entropy(scale * (cosines - margin * right), classes, reduction="none"))


def episode_matching(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the mean of -log p(mate) over all mated pairs of each episode.

    `logits` (episodes, n, n) are the head's logits of all pairs, `classes` (episodes, n). p(mate)
    is the softmax of the mate's logit among itself and all pictures of other classes, which are
    weighted as if each class had one picture: a one-shot trial with as many ways as the episode has
    classes. 0 for an episode that has no mates or a single class.
    """
    same, distinct = mates(classes)  # (episodes, n, n)
    pictures_per_class = same.sum(2, keepdim=True).to(logits.dtype)
    others = torch.logsumexp(
        (logits - pictures_per_class.transpose(1, 2).log()).masked_fill(same, IGNORED), 2, True
    )
    losses = F.softplus(others - logits)  # -log(e^mate / (e^mate + sum of the others))
    return mean(losses[same & distinct])


def mates(classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return which pairs (episodes, n, n) are of one class, and which are of two pictures.

    `classes` (episodes, n).
    """
    same = classes.unsqueeze(2) == classes.unsqueeze(1)
    distinct = ~torch.eye(classes.shape[1], dtype=torch.bool, device=classes.device)
    return same, distinct.expand_as(same)


def mean(losses: Tensor) -> Tensor:
    """Return the mean of `losses` (n,); 0 with a gradient of 0 if there are none."""
    return losses.sum() / max(len(losses), 1)
