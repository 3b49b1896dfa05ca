"""Identifying and searching: enrolled people are named, strangers are not."""

import numpy as np
import pytest
from fake_model import FakeModel, embedding
from gallery_rows import forget_rows
from gallery_steps import ADA, GRACE, HEDY, STRANGER, enroll, who

from facesearch.gallery.live_index import View
from facesearch.head import L1SigmoidHead


def test_an_empty_gallery_says_unknown(fake_gallery, shoot):
    (photo,) = fake_gallery.identify([shoot((ADA, 1))])
    (face,) = photo.faces
    assert (face.person, face.unknown_probability, face.candidates) == (None, 1.0, ())
    assert fake_gallery.search(shoot((ADA, 1)))[0][1] == []
    assert fake_gallery.upkeep.check() == []


def test_a_gallery_of_one_person_names_them_and_nobody_else(fake_gallery, shoot):
    enroll(fake_gallery, ("Ada", shoot((ADA, 1))))
    assert who(fake_gallery, shoot((ADA, 9))) == ["Ada"]
    assert who(fake_gallery, shoot((STRANGER, 9))) == [None]


def test_enrolled_people_are_named_and_a_stranger_is_not(trio, shoot):
    group = shoot((HEDY, 9), (STRANGER, 9), (ADA, 9), None, (GRACE, 9))
    assert who(trio, group) == ["Hedy", None, "Ada", "Grace"]


def test_a_person_with_two_names_gets_both_as_alternatives_and_neither_as_the_answer(trio, shoot):
    enroll(trio, ("Augusta", shoot((ADA, 1), salt=1)), ("Augusta", shoot((ADA, 2), salt=1)))
    (photo,) = trio.identify([shoot((ADA, 9))])
    assert photo.faces[0].person is None
    assert sorted(photo.faces[0].alternatives) == ["Ada", "Augusta"]
    assert who(trio, shoot((GRACE, 9))) == ["Grace"]


def test_a_person_with_a_hundred_templates_does_not_hide_the_runner_up(trio, shoot):
    enroll(trio, *(("Ada", shoot((ADA, k))) for k in range(10, 110)))
    (photo,) = trio.identify([shoot((ADA, 9))])
    assert photo.faces[0].person == "Ada"
    assert len(photo.faces[0].candidates) == 3


def test_a_head_with_its_own_order_finds_people_whom_the_cosine_ranks_far_behind(
    make_gallery, shoot
):
    weights = np.zeros(FakeModel().dim, np.float32)
    weights[:8] = 1  # only 8 of 64 count, so this head's order differs much from the cosine's
    head = L1SigmoidHead(None, weights, 1.0, 1.0, exponent=1.0, follows_cosine=False)
    gallery = make_gallery(model=FakeModel(head=head))
    enroll(gallery, *((f"{person:02}", shoot((person, 1))) for person in range(45)))
    templates = np.stack([embedding(person, 1) for person in range(45)])
    far = 0
    for person in range(50, 60):
        probe = embedding(person, 1)
        first = int(head.llr(probe, templates).argmax())
        far += int((templates @ probe > templates[first] @ probe).sum()) >= 10
        (photo,) = gallery.identify([shoot((person, 1))])
        assert photo.faces[0].candidates[0].person == f"{first:02}"
    assert far  # the head's first is not among the cosine's first ten


def test_a_group_photo_names_each_person_once_compreface_1310(trio, shoot):
    named = who(trio, shoot((ADA, 7), (ADA, 8), (ADA, 9)))
    assert sorted(named, key=str) == ["Ada", None, None]


def test_an_enrolled_photo_keeps_the_name_a_human_gave_even_if_the_machine_disagrees(trio, shoot):
    odd = shoot((STRANGER, 1))  # enrolled as Ada, but looks like a stranger
    enroll(trio, ("Ada", odd))
    (photo,) = trio.identify([odd])
    assert (photo.faces[0].person, photo.faces[0].decided_by) == ("Ada", "human")


def test_an_enrolled_photo_may_be_deleted_from_the_disk_deepface_1102(trio, shoot):
    for k in (1, 2):
        shoot((ADA, k)).unlink()
    assert who(trio, shoot((ADA, 9))) == ["Ada"]
    assert trio.upkeep.check() == []


def test_forgetting_a_person_while_a_photo_is_being_identified_causes_no_error(
    trio, make_gallery, shoot, monkeypatch
):
    other = make_gallery()
    candidates = View.candidates

    def forgotten_meanwhile(*arguments):
        found = candidates(*arguments)
        forget_rows(other, "Ada")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(View, "candidates", forgotten_meanwhile)
        assert who(trio, shoot((ADA, 9))) == ["Ada"]  # as the gallery was when identifying began
    assert who(trio, shoot((ADA, 9))) == [None]


@pytest.mark.parametrize("rate", [0.0, 1.0, -1, 2])
def test_rates_outside_zero_to_one_are_refused(trio, shoot, rate):
    for option in ("fpir", "prior"):
        with pytest.raises(ValueError, match="between 0 and 1"):
            who(trio, shoot((ADA, 9)), **{option: rate})


def test_search_returns_the_nearest_faces_and_their_photos(trio, shoot):
    ((_, nearest),) = trio.search(shoot((ADA, 1), salt=1), k=3)
    assert [n.person for n in nearest[:2]] == ["Ada", "Ada"]
    assert nearest[0].photo == str(shoot((ADA, 1)))
    assert nearest[0].score == pytest.approx(1, abs=1e-3)
    assert len(trio.search(shoot((ADA, 9)), k=50)[0][1]) == 6
    assert trio.search(shoot(None)) == []
