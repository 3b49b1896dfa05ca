import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra train")

from facesearch.training.augment import Distortion  # noqa: E402
from facesearch.training.data import TrainingSet  # noqa: E402
from facesearch.training.episodes import Episodes  # noqa: E402
from facesearch.training.koch import Koch, papers_pairs  # noqa: E402
from facesearch.training.losses import mates  # noqa: E402
from facesearch.training.modern import Modern  # noqa: E402
from facesearch.training.train_pictures import make_recipe  # noqa: E402


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
        draw = episodes_of(data).draw(step)
        assert draw.rows.shape == draw.classes.shape == (3, 8)
        assert (draw.rows == draw.right_rows).all()
        assert (data.classes[draw.rows] == draw.classes).all()
        assert set(draw.quarter_turns.tolist()) <= {0, 1, 2, 3}
        for some, of in zip(draw.rows, draw.classes, strict=True):
            assert len(set(some.tolist())) == 8  # never one picture twice
            assert np.unique(of, return_counts=True)[1].tolist() == [2] * 4
            assert len(set(data.groups[of].tolist())) == 1


def test_groups_are_drawn_in_proportion_to_their_classes_or_evenly():
    data = numbered([2] * 40, groups=[0] * 36 + [1] * 4)

    def share(**options):
        draws = [episodes_of(data, ways=2, **options).draw(step) for step in range(200)]
        return np.mean([data.groups[draw.classes[:, 0]] for draw in draws])

    assert share() == pytest.approx(0.1, abs=0.05)
    assert share(even=True) == pytest.approx(0.5, abs=0.07)


def test_a_group_that_is_too_small_is_filled_from_others():
    data = numbered([5, 5, 5, 5, 5], groups=[0, 0, 1, 1, 1])
    for step in range(10):
        classes = episodes_of(data, episodes=1).draw(step).classes
        assert len(set(classes[0].tolist())) == 4


def test_a_class_with_one_picture_has_no_mates():
    data = numbered([1, 4, 4])
    seen = set()
    for step in range(30):
        classes = episodes_of(data, ways=3).draw(step).classes
        for episode in torch.from_numpy(classes):
            same, two = mates(episode[None])
            one = episode == 0
            assert not (same & two)[0][one].any()
            seen |= set(episode.tolist())
    assert seen == {0, 1, 2}


def test_many_classes_with_one_picture_leave_room_for_mates():
    data = numbered([1] * 200 + [2] * 5)
    for step in range(5):
        classes = episodes_of(data, ways=8).draw(step).classes
        for episode in classes:
            counts = np.unique(episode, return_counts=True)[1]
            assert (counts == 2).sum() >= 4


def test_different_data_sets_have_different_digests():
    first, same = numbered([3, 3]), numbered([3, 3])
    assert first.digest() == same.digest()
    same.pictures[0, 0, 0, 0] += 1
    assert first.digest() != same.digest()
    assert first.digest() != numbered([2, 4]).digest()
    assert first.digest() != numbered([3, 3], groups=[0, 1]).digest()


def test_a_data_set_smaller_than_an_episode_gives_smaller_episodes():
    draw = episodes_of(numbered([2, 2]), ways=16, shots=4).draw(0)
    assert sorted(draw.rows[0].tolist()) == [0, 1, 2, 3]


def test_a_batch_depends_on_seed_and_step_only():
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


def test_spliced_classes_have_the_left_half_of_one_class_and_the_right_half_of_another(
    monkeypatch,
):
    still = Distortion(probability=0.0)
    monkeypatch.setattr("facesearch.training.episodes.SCRIPT_DISTORTION", still)
    data = numbered([5] * 12)
    episodes = episodes_of(data, episodes=2, ways=6, shots=3, turns=1, spliced=1.0)
    for step in range(10):
        batch = episodes.batch(step, still)
        numbers = (batch.pictures * 255).round().long()[:, 0, 0]  # (n, side)
        assert (batch.classes < 0).all()
        for episode, of in zip(numbers.view(2, 18, 8), batch.classes.tolist(), strict=True):
            halves = {}
            for row, made_up in zip(episode.tolist(), of, strict=True):
                left, right = row[:4], row[4:]
                assert len(set(left)) == len(set(right)) == 1
                halves.setdefault(made_up, []).append((left[0], right[0]))
            parents = {
                made_up: ({left // 5 for left, _ in some}, {right // 5 for _, right in some})
                for made_up, some in halves.items()
            }
            assert len(halves) == len({str(both) for both in parents.values()}) == 6
            for made_up, (left, right) in parents.items():
                assert len(left) == len(right) == 1
                assert left != right
                assert len(dict(halves[made_up])) == 3  # no half twice in one class
            assert len({str(left) for left, _ in parents.values()}) == 2  # each is seen thrice
            assert len({str(right) for _, right in parents.values()}) == 3


def test_spliced_pictures_of_an_episode_are_distorted_alike_and_those_of_another_differently():
    data = numbered([5] * 12, side=16)
    data.pictures[:] = 0
    data.pictures[:, :, 4:12, 7:9] = 255  # one stroke down the middle, the same in all
    still = Distortion(probability=0.0)
    episodes = episodes_of(data, episodes=2, ways=4, shots=2, turns=1, spliced=1.0)
    first, second = episodes.batch(0, still).pictures.view(2, 8, 16, 16)
    for script in (first, second):
        assert all(torch.equal(script[0], picture) for picture in script)
    assert not torch.allclose(first[0], second[0], atol=0.1)
    assert not torch.allclose(first[0], data.take(np.array([0]))[0, 0], atol=0.1)


def test_a_share_of_the_episodes_is_spliced_and_the_others_stay_the_same():
    data = numbered([5] * 12)
    some, none = episodes_of(data, ways=4, spliced=0.5), episodes_of(data, ways=4)
    spliced = 0
    for step in range(100):
        made_up = (some.draw(step).classes < 0).all(1)
        assert ((some.draw(step).classes < 0).any(1) == made_up).all()
        assert (none.draw(step).classes >= 0).all()
        spliced += made_up.sum()
    assert 110 < spliced < 190  # of 300


def test_classes_with_too_few_pictures_are_not_spliced():
    draw = episodes_of(numbered([1] * 12), spliced=1.0).draw(0)
    assert (draw.classes >= 0).all()
    draw = episodes_of(numbered([2, 2, 2]), ways=4, spliced=1.0).draw(0)
    assert (draw.classes >= 0).all()


def test_spliced_classes_take_part_in_the_matching_but_not_in_the_softmax():
    small = {"side_px": 32, "stem": 4, "widths": (8,), "depths": (1,), "dim": 16, "code": 64}
    recipe = Modern(**small, episodes=1, ways=4, shots=2, spliced=1.0)
    lesson = recipe.lesson(numbered([4] * 8, side=32))
    batch = lesson.batch(0)
    assert (batch.classes < 0).all()
    lesson.loss(lesson.network.branch(batch.pictures), batch.classes).backward()
    assert lesson.centers.grad is None or not lesson.centers.grad.any()
    assert lesson.network.branch.trunks[0].stem.weight.grad.abs().sum() > 0


def test_the_contrastive_loss_is_added_for_all_pairs_of_an_episode():
    small = {"side_px": 32, "stem": 4, "widths": (8,), "depths": (1,), "dim": 16, "code": 64}
    data = numbered([4] * 8, side=32)
    without, with_it = (
        Modern(**small, episodes=2, ways=3, shots=2, contrastive_weight=weight).lesson(data)
        for weight in (0.0, 0.5)
    )
    batch = without.batch(0)
    embeddings = torch.nn.functional.normalize(torch.randn(12, 32))
    total, n = 0.0, 0
    for rows, of in zip(embeddings.view(2, 6, 32), batch.classes.tolist(), strict=True):
        for i, j in itertools.combinations(range(6), 2):
            gap = float((rows[i] - rows[j]).norm())
            total += gap**2 if of[i] == of[j] else max(0.0, 1 - gap) ** 2
            n += 1
    added = with_it.loss(embeddings, batch.classes) - without.loss(embeddings, batch.classes)
    assert added.item() == pytest.approx(0.5 * total / n, rel=1e-3)


def test_mated_pairs_have_half_of_the_weight_and_a_picture_with_itself_none():
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


def test_the_weights_of_a_single_episode_add_up_to_1():
    _, shares = papers_pairs(torch.tensor([[0, 0, 1]]))
    assert shares.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("name", ["koch", "modern"])
def test_a_recipe_learns_to_distinguish_two_shapes(name):
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
    if name == "koch":  # its 38 million weights between features and sigmoids take most of the time
        lesson.network.branch.embedding.requires_grad_(False)
    adam = torch.optim.Adam([p for p in lesson.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for step in range({"koch": 4, "modern": 8}[name]):
        batch = lesson.batch(step)
        loss = lesson.loss(lesson.network.branch(batch.pictures), batch.classes)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert np.mean(losses[-2:]) < 0.95 * np.mean(losses[:2])


def test_each_trunk_has_a_classification_loss_of_its_own():
    small = {"side_px": 32, "stem": 4, "widths": (8,), "depths": (1,), "dim": 16, "code": 64}
    alone = {"matching_weight": 0.0, "pair_weight": 0.0, "spliced": 0.0}
    lesson = Modern(**small, **alone, episodes=1, ways=4, shots=2).lesson(
        numbered([4] * 4, side=32)
    )
    batch = lesson.batch(0)
    first, second = (trunk(batch.pictures) for trunk in lesson.network.branch.trunks)
    whole = torch.nn.functional.normalize(torch.cat([first, second], 1))
    loss = lesson.loss(whole, batch.classes)
    expected = 0.0
    for part, centers in zip((first, second), lesson.centers, strict=True):
        cosines = torch.nn.functional.normalize(part) @ torch.nn.functional.normalize(centers).T
        for row, of in zip(cosines, batch.classes.flatten(), strict=True):
            row = row.clone()
            row[of] -= 0.25
            expected -= torch.log_softmax(24 * row, 0)[of].item() / 8
    assert loss.item() == pytest.approx(expected, rel=1e-3)


def test_the_seed_decides_the_initial_network():
    data = numbered([4] * 4, side=32)
    small = {"side_px": 32, "stem": 4, "widths": (8,), "depths": (1,), "dim": 16, "code": 64}
    a, b, c = (Modern(seed=seed, **small).lesson(data) for seed in (1, 1, 2))
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(p, q)
    assert not torch.equal(
        a.network.branch.trunks[0].stem.weight, c.network.branch.trunks[0].stem.weight
    )


def test_a_recipe_is_made_by_name_with_other_steps_if_given():
    assert make_recipe("koch", seed=3, steps=10) == Koch(seed=3, steps=10)
    assert make_recipe("modern").steps == Modern().steps
