from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.dedupe_people import grouping
from facesearch.openset import Cohort, Strangers
from facesearch.review import clusters
from facesearch.review.clusters import average_linkage, group_faces, keep_identities, needed_z
from facesearch.vectors import unit

DIM = 32
COHORT = Cohort(np.full(DIM, 0.02, np.float32), 0.0, DIM**-0.5, 10.0, 0.99)
STRANGERS = Strangers(0, COHORT.mean, COHORT.score_mean, COHORT.score_std)


def faces_of(photos, variation=0.6, seed=0):
    """Return unit rows, so many photos of each person, and the person of each row."""
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(len(photos)), photos)
    own = unit(rng.normal(size=(len(photos), DIM)))[people]
    noise = unit(rng.normal(size=(len(people), DIM)))
    return unit((own + variation * noise).astype(np.float32)), people


def as_sets(groups):
    return {frozenset(group) for group in groups}


def grouped(ids, faces, photos=None):
    """Return the groups if strangers are as the cohort says."""
    photos = np.arange(len(ids)) if photos is None else photos
    return group_faces(np.asarray(ids), faces, np.asarray(photos), COHORT)


def one_pair_after_the_other(centered, photos):
    """Return the groups of rows by the definition of average linkage."""
    n = len(centered)
    groups = [
        ([[row]], True) for row in range(n)
    ]  # its parts whose joins count, whether all joins count

    def rows(group):
        return [row for part in group[0] for row in part]

    while True:
        nearest = None
        for i, j in combinations(range(len(groups)), 2):
            a, b = rows(groups[i]), rows(groups[j])
            if {photos[row] for row in a} & {photos[row] for row in b}:
                continue
            score = (centered[a].astype(float) @ centered[b].T.astype(float)).mean()
            if nearest is None or score > nearest[0]:
                nearest = score, i, j
        if nearest is None:
            break
        score, i, j = nearest
        a, b = groups[i], groups[j]
        z = (score - STRANGERS.score_mean) / STRANGERS.score_std
        if z < clusters.LEAST_Z:
            break
        enough = z >= needed_z(*(np.array([len(rows(x))]) for x in (a, b)), n)[0]
        del groups[j], groups[i]
        if a[1] and b[1] and enough:
            groups.append(([rows(a) + rows(b)], True))
        else:
            groups.append((a[0] + b[0], False))
    return [part for parts, _ in groups for part in parts]


# Groups


@pytest.mark.parametrize("variation", [0.6, 1.0, 1.3], ids=["well apart", "near", "overlapping"])
@pytest.mark.parametrize("on_photos", [99, 12], ids=["one a photo", "three a photo"])
@pytest.mark.parametrize("seed", range(6))
def test_groups_are_those_of_average_linkage_one_pair_after_the_other(variation, on_photos, seed):
    faces, _ = faces_of([1, 2, 3, 5, 8, 13, 1, 1, 4], variation, seed)
    photos = np.random.default_rng(seed).permutation(len(faces)) % on_photos
    centered = STRANGERS.centered(faces)
    expected = one_pair_after_the_other(centered, photos.tolist())
    assert len(expected) not in (1, len(faces))
    ours = average_linkage(centered, photos, STRANGERS)
    rows = np.arange(len(faces))
    assert as_sets(rows[ours == o].tolist() for o in np.unique(ours)) == as_sets(expected)


def test_faces_joined_below_the_needed_score_come_into_no_group_later(monkeypatch):
    """Two faces are nearest to each other, but not near enough, and then to a large group."""
    monkeypatch.setattr(clusters, "STRANGERS_AS_ALIKE", 1e-5)  # two faces need a cosine of .84
    axes = np.eye(DIM, dtype=np.float32)
    large = unit(axes[0] + 0.3 * axes[3:11])  # .92 alike
    sides = np.stack([axes[1], 0.535 * axes[1] + 0.845 * axes[2]])
    two = unit(0.68 * axes[0] + 0.733 * sides)  # .75 alike, .65 to the others
    labels = average_linkage(np.vstack([large, two]), np.arange(10), STRANGERS)
    assert labels.tolist() == [0] * 8 + [8, 9]
    near_the_large_one = average_linkage(np.vstack([large, two[:1]]), np.arange(9), STRANGERS)
    assert near_the_large_one.tolist() == [0] * 9


@pytest.mark.parametrize("seed", range(4))
def test_two_faces_in_one_photo_are_never_in_one_group_immich_12921(seed):
    faces, _ = faces_of([12, 9], variation=0.6, seed=seed)
    photos = np.arange(len(faces)) // 3  # as if each photo showed one person three times
    groups = grouped(np.arange(len(faces)), faces, photos)
    for group in groups:
        assert len(set(photos[list(group)])) == len(group)
    assert len(groups) < 9  # six, had the nearest of all been joined first


def test_a_face_joins_the_next_nearest_if_the_nearest_is_in_its_photo():
    twins, _ = faces_of([2], variation=0.6)
    other = unit(twins[0] + 0.3 * faces_of([1], seed=5)[0][0])
    faces = np.vstack([twins, other])
    assert as_sets(grouped([0, 1, 2], faces)) == {frozenset({0, 1, 2})}
    nearer = int((twins @ other).argmax())
    assert as_sets(grouped([0, 1, 2], faces, [7, 7, 8])) == {
        frozenset({nearer, 2}),
        frozenset({1 - nearer}),
    }


def test_many_look_alikes_in_one_photo_do_not_hide_a_face_in_another():
    faces, _ = faces_of([30], variation=0.6)
    away = unit(faces[0] + 0.4 * faces_of([1], seed=5)[0])
    photos = [1] * 30 + [2]
    groups = grouped(np.arange(31), np.vstack([faces, away]), photos)
    assert sorted(map(len, groups)) == [1] * 29 + [2]


def test_each_person_is_a_group_and_the_largest_group_comes_first():
    faces, people = faces_of([2, 5, 1, 3], variation=0.3)
    ids = 100 + np.arange(len(faces))
    groups = grouped(ids, faces)
    assert as_sets(groups) == as_sets(ids[people == p].tolist() for p in range(4))
    assert [len(group) for group in groups] == [5, 3, 2, 1]


@pytest.mark.parametrize("changed", ["copy", "mirrored"])
def test_nearly_identical_faces_of_a_collage_are_one_person_photoprism_5811(changed):
    """Their cosine is 0.96 or 0.91; the neighbor in the photo has 0.8."""
    axes = np.eye(DIM, dtype=np.float32)
    face, neighbor = axes[0], 0.8 * axes[0] + 0.6 * axes[1]
    alike = {"copy": 0.96, "mirrored": 0.91}[changed]
    again = alike * axes[0] + (1 - alike**2) ** 0.5 * axes[2]
    faces = np.stack([face, neighbor, again])
    assert as_sets(grouped([4, 5, 6], faces, [7, 7, 7])) == {frozenset({4, 6}), frozenset({5})}


def test_groups_of_equal_size_are_ordered_by_their_lowest_id():
    faces, _ = faces_of([2, 2, 2], variation=0.2)
    ids = np.array([7, 30, 2, 90, 5, 50])
    assert [min(g) for g in grouped(ids, faces)] == [2, 5, 7]


def test_the_most_typical_face_of_a_group_comes_first():
    faces, _ = faces_of([3], variation=0.1)
    middle = unit(faces.sum(0))
    ids = np.array([3, 1, 2, 9])
    groups = grouped(ids, np.vstack([faces, middle]))
    assert len(groups) == 1
    assert groups[0][0] == 9


@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_faces_does_not_matter_even_with_copies(seed):
    faces, _ = faces_of([1, 2, 4, 6, 3], variation=1.0)
    faces = np.vstack([faces, faces[:6], faces[:3]])  # the same photo twice and three times
    ids = np.arange(len(faces))
    order = np.random.default_rng(seed).permutation(len(faces))
    assert grouped(ids[order], faces[order]) == grouped(ids, faces)


def test_one_face_between_two_people_does_not_join_them_nextcloud_recognize_475():
    faces, people = faces_of([6, 6], variation=0.3)
    between = unit(faces[people == 0].sum(0) + faces[people == 1].sum(0))
    groups = grouped(np.arange(13), np.vstack([faces, between]))
    assert not any({0, 6} <= set(group) for group in groups)


def test_more_faces_need_higher_scores_and_larger_groups_lower_ones():
    def z(a, b, n):
        return needed_z(np.array([a]), np.array([b]), n)[0]

    assert z(1, 1, 2) == clusters.LEAST_Z
    assert z(1, 1, 100_000) > z(1, 1, 10_000) > clusters.LEAST_Z
    assert z(1, 1, 10_000) > z(1, 3, 10_000) == z(3, 1, 10_000) > z(5, 3, 10_000)
    assert z(1000, 1000, 10_000) == pytest.approx(clusters.LEAST_Z, abs=0.01)


def test_no_face_makes_no_group_and_one_face_makes_one():
    faces, _ = faces_of([1])
    assert grouped(np.zeros(0, np.int64), faces[:0]) == []
    assert grouped(np.array([4]), faces) == [(4,)]


def test_equal_faces_are_one_group():
    faces, _ = faces_of([1])
    groups = grouped(np.arange(50), np.repeat(faces, 50, axis=0))
    assert as_sets(groups) == {frozenset(range(50))}


def test_groups_whose_nearest_form_a_ring_are_joined(monkeypatch):
    import facesearch_indexes.faiss_index as faiss_index

    class Ring(faiss_index.FaissIndex):
        """The nearest of three groups form a ring, as rounding can make them."""

        def search(self, rows, k):
            found = super().search(rows, k)
            if len(self) == 3 and len(rows) == 3:
                found.ids[:] = [[0, 1], [1, 2], [2, 0]]
                found.scores[:] = 1
            return found

    monkeypatch.setattr(faiss_index, "FaissIndex", Ring)
    faces, _ = faces_of([1])
    assert len(grouped(np.arange(3), np.repeat(faces, 3, axis=0))) == 1


# Identity


def test_a_group_keeps_its_id_when_photos_are_added():
    before = {1: 10, 2: 10, 3: 11}
    assert keep_identities([(3, 4, 5), (1, 2, 6), (7,)], before, next_id=12) == [11, 10, 12]


def test_joined_groups_keep_the_id_of_the_larger_part_then_the_oldest():
    assert keep_identities([(1, 2, 3)], {1: 5, 2: 9, 3: 9}, next_id=20) == [9]
    assert keep_identities([(1, 2)], {1: 9, 2: 5}, next_id=20) == [5]


def test_the_larger_part_of_a_divided_group_keeps_the_id():
    assert keep_identities([(1,), (2, 3)], {1: 5, 2: 5, 3: 5}, next_id=20) == [20, 5]


faces_to_groups = st.dictionaries(st.integers(0, 30), st.integers(0, 8), max_size=31)


@given(before=faces_to_groups, after=faces_to_groups)
def test_ids_are_never_shared_and_never_reused(before, after):
    groups = [[f for f in after if after[f] == g] for g in sorted(set(after.values()))]
    ids = keep_identities(groups, before, next_id=9)
    assert len(set(ids)) == len(ids)
    for group, one in zip(groups, ids, strict=True):
        shares = any(before.get(face) == one for face in group)
        assert shares if one < 9 else not shares


@given(before=faces_to_groups, new=st.sets(st.integers(31, 60)), data=st.data())
def test_every_group_keeps_its_id_if_faces_are_only_added(before, new, data):
    kept = {g: [f for f in before if before[f] == g] for g in sorted(set(before.values()))}
    groups = [list(faces) for faces in kept.values()]
    for face in sorted(new):
        data.draw(st.sampled_from([*groups, []])).append(face)
    assert keep_identities(groups, before, next_id=9) == list(kept)


def test_groups_found_again_with_more_photos_keep_their_ids():
    faces, people = faces_of([4, 6, 5], variation=0.3)
    first = np.flatnonzero(np.arange(len(faces)) % 3 > 0)
    groups = grouped(first, faces[first])
    ids = keep_identities(groups, {}, next_id=0)
    before = {face: number for group, number in zip(groups, ids, strict=True) for face in group}
    later = grouped(np.arange(len(faces)), faces)
    for group, number in zip(later, keep_identities(later, before, next_id=3), strict=True):
        assert {before[face] for face in group if face in before} == {number}
        assert len({int(people[face]) for face in group}) == 1


# The figures of the benchmark


@given(cases=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=12))
def test_the_benchmarks_figures_equal_those_counted_face_by_face(cases):
    labels, people = (np.array(x, np.int64) for x in zip(*cases, strict=True))
    n = range(len(cases))
    precision = np.mean(
        [np.mean([people[j] == people[i] for j in n if labels[j] == labels[i]]) for i in n]
    )
    recall = np.mean(
        [np.mean([labels[j] == labels[i] for j in n if people[j] == people[i]]) for i in n]
    )
    said = {(i, j) for i, j in combinations(n, 2) if labels[i] == labels[j]}
    true = {(i, j) for i, j in combinations(n, 2) if people[i] == people[j]}
    wrong = sum(len(set(people[labels == g])) - 1 for g in set(labels.tolist()))
    figures = grouping(labels, people)
    assert figures["bcubed_f"] == pytest.approx(2 * precision * recall / (precision + recall))
    assert figures["pairwise_f"] == pytest.approx(
        2 * len(said & true) / max(len(said) + len(true), 1)
    )
    assert figures["wrong_merges"] == wrong
