import math

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra train")

from facesearch.training.losses import (  # noqa: E402
    balanced_cross_entropy,
    contrastive,
    episode_matching,
    margin_softmax,
    regularized_cross_entropy,
)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_contrastive_of_angles_agrees_with_values_computed_by_hand():
    # 60 degrees apart: distance 1; 180 degrees apart: distance 2
    a = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    b = torch.tensor([[0.5, math.sqrt(0.75)], [0.5, math.sqrt(0.75)], [-1.0, 0.0]])
    mated = torch.tensor([True, False, False])
    # mated: 1^2; not mated at 1 with margin 1.5: 0.5^2; at 2: beyond the margin
    assert contrastive(a, b, mated, 1.5).item() == pytest.approx((1 + 0.25 + 0) / 3)


def test_contrastive_agrees_with_a_plain_loop():
    torch.manual_seed(0)
    a, b, mated = torch.randn(20, 5), torch.randn(20, 5), torch.rand(20) < 0.5
    total = 0.0
    for x, y, same in zip(a.tolist(), b.tolist(), mated.tolist(), strict=True):
        d = math.dist(x, y)
        total += d**2 if same else max(0.0, 3 - d) ** 2
    assert contrastive(a, b, mated, 3).item() == pytest.approx(total / 20, rel=1e-5)


def test_contrastive_of_two_equal_embeddings_has_a_finite_gradient():
    a = torch.ones(2, 3, requires_grad=True)
    contrastive(a, torch.ones(2, 3), torch.tensor([True, False]), 1.0).backward()
    assert torch.isfinite(a.grad).all()


def test_the_papers_cross_entropy_agrees_with_a_plain_loop():
    logits, mated = torch.tensor([0.5, -2.0, 3.0]), torch.tensor([True, False, False])
    shares = torch.tensor([0.5, 0.2, 0.3])
    weights = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    total = 0.0
    for logit, same, share in zip(*(x.tolist() for x in (logits, mated, shares)), strict=True):
        p = sigmoid(logit)
        total -= share * math.log(p if same else 1 - p)
    loss = regularized_cross_entropy(logits, mated, shares, {weights: 0.1})
    assert loss.item() == pytest.approx(total + 0.1 * (1 + 4), rel=1e-6)


def test_balanced_cross_entropy_weights_few_mates_as_much_as_many_others():
    logits = torch.tensor([[9.0, 1.0, -1.0], [1.0, 9.0, 2.0], [-1.0, 2.0, 9.0]])
    mated = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]]).bool()
    two = ~torch.eye(3, dtype=torch.bool)
    mates = [-math.log(sigmoid(1.0))] * 2
    others = [-math.log(1 - sigmoid(x)) for x in (-1.0, 2.0, -1.0, 2.0)]
    expected = (sum(mates) / 2 + sum(others) / 4) / 2
    assert balanced_cross_entropy(logits, mated, two).item() == pytest.approx(expected, rel=1e-6)


def test_margin_softmax_agrees_with_a_plain_loop():
    torch.manual_seed(2)
    embeddings = torch.nn.functional.normalize(torch.randn(6, 4))
    centers, classes = torch.randn(3, 4), torch.tensor([0, 1, 2, 2, 1, 0])
    total = 0.0
    for row, right in zip(embeddings, classes.tolist(), strict=True):
        logits = []
        for place, center in enumerate(centers):
            cosine = (row @ center / center.norm()).item()
            logits.append(10 * (cosine - (0.3 if place == right else 0.0)))
        total -= logits[right] - math.log(sum(map(math.exp, logits)))
    loss = margin_softmax(embeddings, centers, classes, scale=10, margin=0.3)
    assert loss.item() == pytest.approx(total / 6, rel=1e-5)


def test_episode_matching_agrees_with_a_plain_loop():
    torch.manual_seed(3)
    logits = torch.randn(2, 7, 7)
    classes = torch.tensor([[0, 0, 1, 1, 1, 2, 2], [5, 4, 5, 4, 3, 3, 3]])
    losses = []
    for episode in range(2):
        of = classes[episode].tolist()
        for probe in range(7):
            # each other class counts as one picture, whose exponent is the mean of its pictures'
            rest = 0.0
            for other in set(of) - {of[probe]}:
                mine = [logits[episode, probe, i].item() for i in range(7) if of[i] == other]
                rest += sum(map(math.exp, mine)) / len(mine)
            for mate in range(7):
                if mate != probe and of[mate] == of[probe]:
                    right = math.exp(logits[episode, probe, mate].item())
                    losses.append(-math.log(right / (right + rest)))
    expected = sum(losses) / len(losses)
    assert episode_matching(logits, classes).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("classes", [[0, 1, 2], [0, 0, 0]], ids=["no mates", "one class"])
def test_an_episode_without_mates_or_of_one_class_has_a_finite_loss_and_gradient(classes):
    logits = torch.randn(1, 3, 3, requires_grad=True)
    same = torch.tensor(classes)[None, :, None] == torch.tensor(classes)[None, None]
    two = ~torch.eye(3, dtype=torch.bool)[None]
    loss = episode_matching(logits, torch.tensor([classes]))
    loss = loss + balanced_cross_entropy(logits, same, two)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
