"""Naming the faces of one photo from their candidates."""

from types import SimpleNamespace

import numpy as np
import pytest
from fake_model import FakeDetector, kept_picture
from hypothesis import given
from hypothesis import strategies as st

from facesearch.detection import Face
from facesearch.head import L1SigmoidHead, rotation_code
from facesearch.identification import Seen, Verdicts, name_faces
from facesearch.openset import Evidence, Strangers
from facesearch.vectors import unit

DIM = 64
NAMES = {1: "Ann", 2: "Bea", 3: "Cid"}
PEOPLE = {
    number: unit(np.random.default_rng(number).normal(size=DIM)).astype(np.float32)
    for number in NAMES
}
STRANGERS = Strangers(people=3, center=np.zeros(DIM, np.float32), score_mean=0.0, score_std=0.1)


class FakeModel(SimpleNamespace):
    """The parts of a model that `name_faces` uses; more views have the embedding `again`."""

    def embed(self, crops):
        self.looked_again.append(len(crops))
        return np.stack([self.again] * len(crops))


def model(again=PEOPLE[1]):
    code = rotation_code(DIM, 32, seed=0)
    weights = np.full(code.shape[1], 0.1, np.float32)
    rows = unit(np.random.default_rng(9).normal(size=(300, DIM)).astype(np.float32))
    unit_distance = float((np.abs(rows @ code) @ weights).mean())
    return FakeModel(
        head=L1SigmoidHead(code, weights, 0.0, unit_distance),
        evidence=Evidence(offset=-6.4, slope=2.5, bend=0.15, low=-3.0, high=9.3),
        again=again,
        detector=FakeDetector(),
        looked_again=[],
        manifest={"kind": "face"},
    )


def like(person: int, cosine: float, seed: int = 0) -> np.ndarray:
    """Return a probe (DIM,) at this cosine to a person and orthogonal to the others."""
    others = np.stack(list(PEOPLE.values()))
    noise = np.random.default_rng(100 + seed).normal(size=DIM)
    noise -= others.T @ np.linalg.lstsq(others.T, noise, rcond=None)[0]
    return (cosine * PEOPLE[person] + np.sqrt(1 - cosine**2) * unit(noise)).astype(np.float32)


def named(probes, candidates=None, fake=None, decided=None, fpir=0.01, strangers=STRANGERS):
    faces = [
        Face((10.0 * i, 0.0, 10.0 * i + 8, 9.0), np.zeros((5, 2), np.float32), 0.9)
        for i in range(len(probes))
    ]
    crops = np.zeros((len(probes), 112, 112, 3), np.uint8)
    seen = Seen(kept_picture("0" * 64).picture, faces, crops, np.stack(probes))
    return name_faces(
        seen,
        candidates or [PEOPLE] * len(probes),
        NAMES,
        strangers,
        fake or model(),
        fpir=fpir,
        prior=0.5,
        verdicts=Verdicts(named=decided or {}),
    )


def test_a_face_like_an_enrolled_person_gets_the_name_and_another_is_unknown():
    ann, nobody = named([like(1, 0.8), like(2, 0.05)])
    assert (ann.person, ann.decided_by) == ("Ann", "machine")
    assert ann.probability > 0.99
    assert nobody.person is None
    assert nobody.unknown_probability > 0.9
    assert ann.box == (0.0, 0.0, 8.0, 9.0)


def test_each_name_is_given_once_in_a_photo_compreface_1310():
    faces = named([like(1, 0.6, 1), like(1, 0.9, 2), like(1, 0.7, 3), like(1, 0.5, 4)])
    assert [face.person for face in faces] == [None, "Ann", None, None]


def test_the_second_face_of_a_collage_is_no_sure_stranger_photoprism_5811():
    shown, again = named([like(1, 0.9), like(1, 0.7)])
    (alone,) = named([like(1, 0.7)])
    assert (shown.person, again.person, again.also_like.person) == ("Ann", None, "Ann")
    # the rule of one name a photo is no evidence: the figures are those of the face alone
    assert again.also_like.probability == again.probability == alone.probability > 0.9
    assert again.unknown_probability == alone.unknown_probability
    assert again.probably is None


def test_a_face_like_somebody_a_human_named_in_the_photo_says_so():
    decided, other = named([like(3, 0.1), like(1, 0.95)], decided={0: "Ann"})
    assert decided.also_like is None
    assert (other.person, other.also_like.person) == (None, "Ann")


def test_a_face_likelier_known_than_not_is_probably_them_below_the_limit():
    (face,) = named([like(1, 0.5)], fpir=0.0000001, fake=model(again=like(1, 0.5)))
    assert (face.person, face.also_like) == (None, None)
    assert face.probably == face.candidates[0]
    assert face.probably.probability > face.unknown_probability


def test_a_face_that_loses_its_first_choice_gets_its_second():
    both = unit(0.72 * PEOPLE[1] + 0.62 * PEOPLE[2]).astype(np.float32)
    faces = named([both, like(1, 0.95)])
    assert [face.person for face in faces] == ["Bea", "Ann"]


def test_twins_get_both_names_as_alternatives_and_no_coin_toss_immich_12921():
    both = unit(PEOPLE[1] + PEOPLE[2]).astype(np.float32)
    (face,) = named([both])
    assert face.person is None
    assert sorted(face.alternatives) == ["Ann", "Bea"]
    assert face.margin < 1.1
    assert sum(c.probability for c in face.candidates[:2]) > 0.95


def test_a_humans_decision_outranks_the_machine_and_reserves_the_name():
    decided, other = named([like(3, 0.1), like(1, 0.95)], decided={0: "Ann"})
    assert (decided.person, decided.probability, decided.decided_by) == ("Ann", 1.0, "human")
    assert other.person is None


def test_evidence_too_weak_for_the_requested_rate_gives_no_name():
    same = model(again=like(1, 0.34))
    (strict,) = named([like(1, 0.34)], fpir=0.0001, fake=same)
    (loose,) = named([like(1, 0.34)], fpir=0.2, fake=same)
    assert (strict.person, loose.person) == (None, "Ann")
    assert strict.candidates[0].person == "Ann"
    assert strict.probability == pytest.approx(loose.probability, abs=1e-6)


def test_a_larger_gallery_makes_the_same_face_less_probable_deepface_1523():
    large = Strangers(20_000, STRANGERS.center, 0.0, 0.1)
    same = model(again=like(1, 0.45))
    (small,) = named([like(1, 0.45)], fake=same)
    (many,) = named([like(1, 0.45)], fake=same, strangers=large)
    assert small.person == "Ann"
    assert many.person is None
    assert many.probability < small.probability


def test_only_faces_near_the_threshold_get_more_views_which_can_change_the_result():
    limit = STRANGERS.threshold(0.01) / 10
    fake = model(again=like(1, 0.0, seed=7))
    sure, open_, hopeless = named([like(1, 0.9), like(2, limit - 0.03), like(3, 0.1)], fake=fake)
    assert fake.looked_again == [1] * 3  # one face, from three more views
    assert (sure.person, open_.person, hopeless.person) == ("Ann", None, None)
    seen_better = model(again=PEOPLE[2])
    assert named([like(2, limit - 0.03)], fake=seen_better)[0].person == "Bea"


def test_a_face_without_candidates_is_unknown():
    (face,) = named([like(1, 0.9)], candidates=[{}])
    assert (face.person, face.probability, face.unknown_probability) == (None, 0.0, 1.0)
    assert face.candidates == ()
    assert face.margin == float("inf")


def test_people_the_index_did_not_propose_are_not_candidates():
    (face, other) = named(
        [like(1, 0.9), like(2, 0.9)], candidates=[{1: PEOPLE[1]}, {2: PEOPLE[2], 3: PEOPLE[3]}]
    )
    assert [c.person for c in face.candidates] == ["Ann"]
    assert {c.person for c in other.candidates} == {"Bea", "Cid"}
    assert (face.person, other.person) == ("Ann", "Bea")


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(1, 3), st.floats(-0.2, 0.99)), min_size=1, max_size=5))
def test_names_are_given_once_and_probabilities_sum_to_one(wanted):
    faces = named([like(person, cosine, i) for i, (person, cosine) in enumerate(wanted)])
    given_names = [face.person for face in faces if face.person]
    assert len(given_names) == len(set(given_names))
    for face in faces:
        assert 0 <= face.probability <= 1
        total = sum(c.probability for c in face.candidates) + face.unknown_probability
        assert total == pytest.approx(1, abs=1e-4)
        llrs = [c.llr for c in face.candidates]
        assert llrs == sorted(llrs, reverse=True)
