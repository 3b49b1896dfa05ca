import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra train")

from facesearch.training.augment import Distortion  # noqa: E402
from facesearch.training.losses import mates  # noqa: E402
from facesearch.training.recipes import (  # noqa: E402
    Episodes,
    Koch,
    Modern,
    TrainingSet,
    make_recipe,
    papers_pairs,
)


def numbered(counts, groups=None, side=8):
    """A data set whose pictures show their own row's number: `counts` pictures of each class."""
    n = sum(counts)
    pictures = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).repeat(1, 1, side, side)
    classes = np.repeat(np.arange(len(counts)), counts)
    return TrainingSet(pictures, classes, np.array(groups or [0] * len(counts)), drawn=True)


def episodes_of(data, **options):
    settings = {"episodes": 3, "ways": 4, "shots": 2, "turns": 4, "seed": 0} | options
    return Episodes(data, **settings)


def test_an_episode_has_several_pictures_of_classes_of_one_group():
    data = numbered([5] * 12, groups=[0] * 6 + [1] * 6)
    for step in range(20):
        rows, classes, turned = episodes_of(data).draw(step)
        assert rows.shape == classes.shape == (3, 8)
        assert (data.classes[rows] == classes).all()
        assert set(turned.tolist()) <= {0, 1, 2, 3}
        for some, of in zip(rows, classes, strict=True):
            assert len(set(some.tolist())) == 8  # never one picture twice
            assert np.unique(of, return_counts=True)[1].tolist() == [2] * 4
            assert len(set(data.groups[of].tolist())) == 1


def test_a_group_that_is_too_small_is_filled_from_others():
    data = numbered([5, 5, 5, 5, 5], groups=[0, 0, 1, 1, 1])
    for step in range(10):
        _, classes, _ = episodes_of(data, episodes=1).draw(step)
        assert len(set(classes[0].tolist())) == 4


def test_a_class_with_one_picture_serves_as_different_only():
    data = numbered([1, 4, 4])
    seen = set()
    for step in range(30):
        _, classes, _ = episodes_of(data, ways=3).draw(step)
        for episode in torch.from_numpy(classes):
            same, two = mates(episode[None])
            one = episode == 0
            assert not (same & two)[0][one].any()
            seen |= set(episode.tolist())
    assert seen == {0, 1, 2}


def test_many_classes_with_one_picture_leave_room_for_mates():
    data = numbered([1] * 200 + [2] * 5)
    for step in range(5):
        _, classes, _ = episodes_of(data, ways=8).draw(step)
        for episode in classes:
            counts = np.unique(episode, return_counts=True)[1]
            assert (counts == 2).sum() >= 4


def test_a_data_set_is_told_from_others_by_its_digest():
    first, same = numbered([3, 3]), numbered([3, 3])
    assert first.digest() == same.digest()
    same.pictures[0, 0, 0, 0] += 1
    assert first.digest() != same.digest()
    assert first.digest() != numbered([2, 4]).digest()
    assert first.digest() != numbered([3, 3], groups=[0, 1]).digest()


def test_a_data_set_smaller_than_an_episode_gives_smaller_episodes():
    rows, _, _ = episodes_of(numbered([2, 2]), ways=16, shots=4).draw(0)
    assert sorted(rows[0].tolist()) == [0, 1, 2, 3]


def test_a_batch_depends_on_seed_and_step_alone():
    data, distortion = numbered([6] * 8), Distortion(elastic=0.1)
    first = episodes_of(data).batch(7, distortion)
    fresh = episodes_of(data)
    fresh.batch(3, distortion)
    assert torch.equal(first.pictures, fresh.batch(7, distortion).pictures)
    assert not torch.equal(first.pictures, fresh.batch(8, distortion).pictures)
    other = episodes_of(data, seed=1).batch(7, distortion)
    assert not torch.equal(first.pictures, other.pictures)


def test_a_quarter_turn_makes_another_class_and_turns_the_picture():
    data = numbered([4] * 4)
    data.pictures[:, :, :, 0] = 255  # an edge on the left
    still = Distortion(probability=0.0)
    edges = {0: (..., 0), 1: (..., -1, slice(None)), 2: (..., -1), 3: (..., 0, slice(None))}
    seen = set()
    for step in range(12):
        batch = episodes_of(data, episodes=1).batch(step, still)
        (turn,) = {int(c) % 4 for c in batch.classes[0]}
        assert torch.allclose(batch.pictures[edges[turn]], torch.tensor(1.0))
        seen.add(turn)
    assert seen == {0, 1, 2, 3}


def test_pairs_weigh_half_mated_and_a_picture_with_itself_counts_nothing():
    classes = torch.tensor([[0, 0, 0, 1, 1, 2], [3, 3, 4, 4, 5, 6]])
    mated, shares = papers_pairs(classes)
    flat = classes.flatten().tolist()
    total = {"mated": 0.0, "near": 0.0, "far": 0.0}
    for i in range(12):
        assert shares[i, i] == 0
        for j in range(12):
            assert mated[i, j].item() == (flat[i] == flat[j])
            kind = "mated" if flat[i] == flat[j] else "near" if i // 6 == j // 6 else "far"
            total[kind] += shares[i, j].item()
    assert total == pytest.approx({"mated": 0.5, "near": 0.25, "far": 0.25})


def test_pairs_of_one_episode_alone_weigh_one_in_all():
    _, shares = papers_pairs(torch.tensor([[0, 0, 1]]))
    assert shares.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("name", ["koch", "modern"])
def test_a_recipe_learns_to_tell_two_shapes_apart(name):
    side = {"koch": 105, "modern": 32}[name]
    torch.manual_seed(0)
    pictures = torch.zeros(12, 1, side, side, dtype=torch.uint8)
    for row in range(12):
        at = side // 3 + row % 3
        if row < 6:
            pictures[row, :, at : at + 5] = 255  # a line across
        else:
            pictures[row, :, :, at : at + 5] = 255  # a line down
    data = TrainingSet(pictures, np.repeat([0, 1], 6), np.array([0, 0]), drawn=False)
    small = {"episodes": 1, "ways": 2, "shots": 2}
    if name == "koch":
        recipe = Koch(**small)
    else:
        recipe = Modern(**small, side_px=32, stem=4, widths=(8,), depths=(1,), dim=16, code=64)
    lesson = recipe.lesson(data)
    adam = torch.optim.Adam(lesson.parameters(), lr=1e-3)
    losses = []
    for step in range(8):
        batch = lesson.batch(step)
        loss = lesson.loss(lesson.network.branch(batch.pictures), batch.classes)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])


def test_one_seed_initialises_one_network():
    data = numbered([4] * 4, side=32)
    small = {"side_px": 32, "stem": 4, "widths": (8,), "depths": (1,), "dim": 16, "code": 64}
    a, b, c = (Modern(seed=seed, **small).lesson(data) for seed in (1, 1, 2))
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(p, q)
    assert not torch.equal(a.network.branch.stem.weight, c.network.branch.stem.weight)


def test_a_recipe_is_made_by_name_with_other_steps_if_asked():
    assert make_recipe("koch", seed=3, steps=10) == Koch(seed=3, steps=10)
    assert make_recipe("modern").steps == Modern().steps
