"""The map keeps who is next to whom, and strays are faces that look like another person."""

import numpy as np
import pytest

from facesearch.face_map import EnrolledFaces, neighbors, places, principal, strays
from facesearch.vectors import unit


def made(n_people, each, seed=0, dim=40, spread=0.4):
    """Return people (n,) and templates (n, dim) that lie around a point of each."""
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(n_people), each)
    rows = rng.normal(size=(n_people, dim))[people] + spread * rng.normal(size=(len(people), dim))
    return people, unit(rows.astype(np.float32))


def share_beside_their_own(at, people):
    far = ((at[:, None] - at[None]) ** 2).sum(2)
    np.fill_diagonal(far, np.inf)
    return (people[far.argmin(1)] == people).mean()


def enrolled(people, rows):
    n = len(people)
    return EnrolledFaces(np.arange(100, 100 + n), people, rows, n, len(np.unique(people)))


class CosineModel:
    """Takes templates for one person's from a cosine of 0.5."""

    def compare(self, probe, references):
        return 20 * (references @ probe - 0.5)


def test_faces_lie_beside_their_persons_even_if_two_components_do_not_put_them_there():
    people, rows = made(60, 4)
    at = places(rows)
    assert at.shape == (240, 2)
    assert (at.min(), at.max()) == (0, 1)
    assert share_beside_their_own(at, people) > 0.97
    plain = principal(unit(rows - rows.mean(0)), np.random.default_rng(0))
    assert share_beside_their_own(plain, people) < 0.5


def test_the_same_faces_give_the_same_map():
    _, rows = made(20, 3)
    assert (places(rows) == places(rows)).all()


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
def test_a_few_faces_and_equal_ones_have_places(n):
    for rows in (made(n, 1)[1], unit(np.ones((n, 40), np.float32))):
        at = places(rows)
        assert at.shape == (n, 2)
        assert np.isfinite(at).all()
        assert len(np.unique(at, axis=0)) == n


def test_principal_components_are_those_of_the_covariance():
    _, rows = made(30, 3)
    rows = rows - rows.mean(0)
    found = principal(rows, np.random.default_rng(1))
    values, axes = np.linalg.eigh(rows.T @ rows)
    for side in (0, 1):
        exact = rows @ axes[:, -1 - side]
        assert abs(np.corrcoef(found[:, side], exact)[0, 1]) > 0.9
    assert values[-1] > values[0]


def test_neighbors_are_the_most_similar_rows_and_never_the_row_itself():
    _, rows = made(150, 4)  # more than are compared at a time
    a, b, weights = neighbors(rows)
    likeness = rows @ rows.T
    np.fill_diagonal(likeness, -np.inf)
    for place in range(0, len(rows), 50):
        expected = set(np.argsort(-likeness[place])[:10].tolist())
        assert set(b[a == place].tolist()) == expected
        mine = weights[a == place]
        assert mine.max() == 1
        assert b[a == place][mine.argmax()] == likeness[place].argmax()


def test_a_face_under_another_name_is_a_stray_with_both_probabilities():
    people, rows = made(30, 4)
    people[[5, 70]] = [9, 2]  # their own are 1 and 17
    found = strays(enrolled(people, rows), CosineModel())
    assert {(s.face, s.person, s.nearer) for s in found} == {(105, 9, 1), (170, 2, 17)}
    for stray in found:
        assert stray.probability < 0.5 < stray.nearer_probability


def test_strays_are_judged_by_their_persons_other_faces_and_listed_worst_first():
    def rows(*numbers):
        return unit(np.array(numbers, np.float32))

    # 0 has two unlike faces, of which the second is much like 1; 2 the same, and more like 3
    faces = rows(
        (1, 0, 0, 0, 0, 0, 0),
        (0, 1, 0, 0, 0, 0, 0),
        (0, 0.6, 0.8, 0, 0, 0, 0),
        (0, 0, 0, 1, 0, 0, 0),
        (0, 0, 0, 0, 1, 0, 0),
        (0, 0, 0, 0, 1, 0, 0.1),
    )
    found = strays(enrolled(np.array([0, 0, 1, 2, 2, 3]), faces), CosineModel())
    assert [(stray.face, stray.nearer) for stray in found] == [(104, 3), (101, 1)]
    # unlike faces that are like nobody else
    faces = rows((1, 0), (0, 1), (-1, -1))
    assert strays(enrolled(np.array([0, 0, 1]), faces), CosineModel()) == []
    # more like somebody else, but like enough to their own
    faces = rows((1, 0, 0), (0.8, 0.6, 0), (0.8, 0.6, 0.45))
    assert strays(enrolled(np.array([0, 0, 1]), faces), CosineModel()) == []


def test_no_stray_in_a_person_of_one_face_or_alone_or_consistent():
    people, rows = made(30, 4)
    assert strays(enrolled(people, rows), CosineModel()) == []
    assert strays(enrolled(np.arange(120), rows), CosineModel()) == []
    assert strays(enrolled(np.zeros(120, int), rows), CosineModel()) == []
    none = np.zeros((0, 40), np.float32)
    assert strays(enrolled(np.zeros(0, int), none), CosineModel()) == []


def test_a_large_gallery_is_shown_by_all_faces_of_every_kth_person(make_gallery, shoot):
    gallery = make_gallery()
    pairs = [(f"P{person}", shoot((person, k))) for person in range(9) for k in (1, 2)]
    assert all(e.status == "enrolled" for e in gallery.enroll(pairs))
    everything = gallery.faces.sample(100)
    assert (len(everything.faces), everything.n_faces, everything.n_people) == (18, 18, 9)
    assert np.linalg.norm(everything.rows, axis=1) == pytest.approx(1, abs=1e-3)
    for face, person in zip(everything.faces, everything.people, strict=True):
        assert gallery.faces.get(int(face))[1].person_id == person

    some = gallery.faces.sample(7)
    people, counts = np.unique(some.people, return_counts=True)
    assert (len(people), set(counts)) == (3, {2})
    assert people.min() < 4 < people.max()  # not the first ones
    assert (some.n_faces, some.n_people) == (18, 9)
    assert len(gallery.faces.sample(1).faces) == 1  # one person has more than that
