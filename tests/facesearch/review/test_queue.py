"""Faces no human has decided about: the order in which to ask, and the effect of an answer."""

import pytest
from deciding import confirm, dismiss
from fake_model import save_photo
from gallery_rows import select

from facesearch.errors import FaceError, PhotoError, Refused
from facesearch.review.groups import UnnamedFace
from facesearch.review.queue import Proposal, Waiting, joined, most_informative_first

ADA, GRACE, HEDY, MARY = 10, 20, 30, 40


def one(called, *, n_faces=1, unknown=0.0, **people):
    """Return faces that wait, with these proposals."""
    faces = tuple(
        UnnamedFace(called, k, (0, 0, 1, 1), 0.9, "", (0, 0, 1, 1)) for k in range(1, n_faces + 1)
    )
    proposals = [Proposal(*of) for of in sorted(people.items(), key=lambda of: -of[1])]
    return Waiting(faces, (), None, tuple(proposals), unknown)


def in_order(waiting):
    return [one.faces[0].photo for one in most_informative_first(waiting)]


def test_doubtful_faces_come_first_then_large_groups_then_nearly_sure_faces():
    waiting = [
        one("sure", Ada=0.97, unknown=0.03),
        one("stranger", unknown=0.95),
        one("pair", unknown=0.999, n_faces=2),
        one("crowd", unknown=0.99, n_faces=9),
        one("nearly sure", Ada=0.91, unknown=0.09),
        one("known or not", Ada=0.55, unknown=0.45),
        one("one of three", Ada=0.4, Eve=0.35, unknown=0.25),
        one("perhaps", Ada=0.2, unknown=0.8),
        one("a pair in doubt", Ada=0.5, unknown=0.5, n_faces=2),
    ]
    expected = [
        *("one of three", "a pair in doubt", "known or not", "perhaps"),
        *("crowd", "pair"),
        *("nearly sure", "stranger", "sure"),
    ]
    assert in_order(waiting) == in_order(waiting[::-1]) == expected


def test_the_proposals_of_a_group_are_the_mean_of_its_faces():
    faces = [one("a", Ada=0.6, Eve=0.02, unknown=0.38), one("b", Ada=0.2, unknown=0.8)]
    group = joined(faces, 7)
    assert (group.group, [face.photo for face in group.faces]) == (7, ["a", "b"])
    assert group.proposals == (Proposal("Ada", 0.4), Proposal("Eve", 0.01))
    assert group.unknown_probability == pytest.approx(0.59)
    assert joined(faces[:1], 7).group is None


def test_improbable_proposals_are_not_asked_about():
    assert one("a", Ada=0.5, Eve=0.1, Bea=0.09).n_askable == 2
    assert one("b", Bea=0.09).n_askable == 0


@pytest.fixture
def photos(shoot):
    """Ada in four photos, Grace in two, once with Ada; Hedy alone and once with Ada."""
    return [
        *(shoot((ADA, 1)), shoot((ADA, 2)), shoot((GRACE, 1)), shoot((GRACE, 2), (ADA, 3))),
        *(shoot((HEDY, 1)), shoot((HEDY, 2), (ADA, 4))),
    ]


@pytest.fixture
def ada_known(fake_gallery, shoot):
    """A gallery that knows Ada, from another photo."""
    list(fake_gallery.enroll([("Ada", shoot((ADA, 9)))]))
    return fake_gallery


def places(waiting):
    """Return the photo names and face numbers of each that waits."""
    return [{(f.photo.rsplit("/", 1)[-1], f.number) for f in one.faces} for one in waiting]


def of(waiting, photo, number=1):
    """Return the one that waits with that face."""
    (found,) = [w for w in waiting if (photo.name, number) in places([w])[0]]
    return found


def test_every_undecided_face_waits_once(ada_known, photos, shoot):
    review = ada_known.review.queue([*photos, shoot((ADA, 9))])
    waiting = review.waiting
    assert sorted(len(found.faces) for found in waiting) == [1, 1, 1, 1, 2, 2]
    assert len(set().union(*places(waiting))) == 8
    assert of(waiting, photos[0]).proposals[0].person == "Ada"
    assert of(waiting, photos[2]).group == of(waiting, photos[3]).group is not None
    assert review.unnamed == ada_known.review.cluster([*photos, shoot((ADA, 9))])
    assert list(waiting) == list(most_informative_first(waiting))


def test_proposals_change_after_every_answer(ada_known, photos):
    waiting = ada_known.review.queue(photos).waiting
    found, other = of(waiting, photos[0]), of(waiting, photos[1])
    decision = ada_known.review.name_waiting(found, "Ada")
    assert decision.summary == "said that a face is Ada"
    assert ada_known.review.still_waiting(found) is None
    assert ada_known.review.still_waiting(other).proposals[0].person == "Ada"

    ada_known.review.reject(other.faces, "Ada")
    assert "Ada" not in [p.person for p in ada_known.review.still_waiting(other).proposals]
    ada_known.history.undo()
    ada_known.history.undo(decision.id)
    assert ada_known.review.still_waiting(found).proposals[0].person == "Ada"


def test_one_answer_decides_about_a_whole_group(fake_gallery, photos):
    waiting = fake_gallery.review.queue(photos).waiting
    group = of(waiting, photos[2])
    assert fake_gallery.review.name_waiting(group, "Grace").summary == "said that 2 faces are Grace"
    assert len(fake_gallery.people.faces_of("Grace")) == 2
    assert fake_gallery.review.still_waiting(group) is None
    decision = fake_gallery.review.dismiss(of(waiting, photos[4]).faces, "stranger")
    assert decision.summary == "said that 2 faces are a stranger's"
    assert places(fake_gallery.review.queue(photos).waiting) == places([of(waiting, photos[0])])


def test_a_dismissed_face_is_in_no_group_and_never_waits_again(
    fake_gallery, photos, shoot, make_gallery
):
    before = fake_gallery.review.queue(photos)
    ada = of(before.waiting, photos[0])
    strangers = fake_gallery.review.dismiss(ada.faces[:3], "stranger")
    nothing = fake_gallery.review.dismiss(ada.faces[3:], "no face")
    for gallery in (fake_gallery, make_gallery()):
        again = gallery.review.queue([*photos, shoot((ADA, 7))])
        assert again.unnamed.dismissed == 4
        assert [len(group.faces) for group in again.unnamed.groups] == [2, 2]
        assert len(of(again.waiting, shoot((ADA, 7))).faces) == 1
        assert not set().union(*places(again.waiting)) & places([ada])[0]
    assert select(fake_gallery, "SELECT * FROM template") == []
    assert fake_gallery.review.still_waiting(ada) is None

    fake_gallery.history.undo(nothing.id)
    fake_gallery.history.undo(strangers.id)
    assert fake_gallery.review.still_waiting(ada).faces == ada.faces
    assert places(fake_gallery.review.queue(photos).waiting) == places(before.waiting)


def test_naming_a_group_leaves_out_faces_dismissed_as_strangers(fake_gallery, photos):
    unnamed = fake_gallery.review.cluster(photos)
    ada = of(fake_gallery.review.queue(photos).waiting, photos[0])
    fake_gallery.review.dismiss(ada.faces[:1], "stranger")
    (group,) = [group for group in unnamed.groups if len(group.faces) == 4]
    decision = fake_gallery.review.name_group(group, "Ada")
    assert decision.changed["face"] == 3
    assert decision.left_out == ((ada.faces[0].photo, "a human said that a face is a stranger's"),)


def test_a_face_decided_meanwhile_is_refused_and_nothing_changes(ada_known, photos):
    waiting = ada_known.review.queue(photos).waiting
    named, dismissed = of(waiting, photos[0]), of(waiting, photos[1])
    confirm(ada_known, photos[0], "Eve", new=True)
    dismiss(ada_known, photos[1], "no face")
    before = ada_known.history.list()
    for found, why in ((named, "enrolled as Eve"), (dismissed, "taken for a face is none")):
        assert ada_known.review.still_waiting(found) is None
        for decide in (
            lambda found: ada_known.review.name_waiting(found, "Ada"),
            lambda found: ada_known.review.reject(found.faces, "Ada"),
            lambda found: ada_known.review.dismiss(found.faces, "stranger"),
        ):
            with pytest.raises(Refused, match=f"decided meanwhile: .*{why}"):
                decide(found)
    assert ada_known.history.list() == before


def test_an_answer_decides_only_the_undecided_faces_of_a_group(fake_gallery, photos, monkeypatch):
    monkeypatch.setattr("facesearch.review.queue.REPROPOSED_FACES", 2)
    ada = of(fake_gallery.review.queue(photos).waiting, photos[0])
    confirm(fake_gallery, photos[0], "Ada", new=True)
    left = fake_gallery.review.still_waiting(ada)
    assert len(left.faces) == 3
    assert (left.group, len(left.seen)) == (ada.group, 3)
    assert left.proposals[0].person == "Ada"
    named = fake_gallery.review.name_waiting(ada, "Ada")
    assert named.summary == "said that 3 faces are Ada"
    with pytest.raises(
        Refused, match=r"^that was decided meanwhile: this face is enrolled as Ada$"
    ):
        fake_gallery.review.name_waiting(ada, "Ada")
    fake_gallery.history.undo(named.id)
    decision = fake_gallery.review.reject(ada.faces, "Ada")
    assert decision.summary == "said that 3 faces are not Ada"
    assert fake_gallery.review.reject(ada.faces, "Ada").id is None
    assert fake_gallery.review.still_waiting(ada).proposals == ()
    assert len(fake_gallery.people.faces_of("Ada")) == 1


def test_a_photo_that_changed_since_it_was_shown_is_refused(ada_known, photos):
    found = of(ada_known.review.queue(photos).waiting, photos[0])
    save_photo(photos[0], (HEDY, 5))
    with pytest.raises(PhotoError, match="the file has changed since"):
        ada_known.review.name_waiting(found, "Ada")
    photos[0].unlink()
    with pytest.raises(PhotoError):
        ada_known.review.name_waiting(found, "Ada")
    assert len(ada_known.people.faces_of("Ada")) == 1


def test_a_face_that_is_not_found_again_is_not_named(ada_known, photos, monkeypatch):
    found = of(ada_known.review.queue(photos).waiting, photos[0])
    monkeypatch.setattr(type(ada_known.model.detector), "detect", lambda *_: [])
    with pytest.raises(FaceError, match="not found again"):
        ada_known.review.name_waiting(found, "Ada")


def test_a_merged_name_stands_for_the_person_it_became(ada_known, photos, shoot):
    list(ada_known.enroll([("Countess", shoot((ADA, 8)))]))
    ada_known.people.merge(["Countess"], "Ada")
    found = of(ada_known.review.queue(photos).waiting, photos[0])
    assert ada_known.review.name_waiting(found, "Countess").summary == "said that a face is Ada"


def test_forget_deletes_every_place_decided_to_be_that_persons(ada_known, photos, home):
    found = of(ada_known.review.queue(photos).waiting, photos[0])
    ada_known.review.name_waiting(found, "Ada")
    dismiss(ada_known, photos[0], "stranger")
    hedy = of(ada_known.review.queue(photos).waiting, photos[4])
    ada_known.review.dismiss(hedy.faces, "stranger")
    ada_known.forget("Ada")
    assert len(select(ada_known, "SELECT * FROM dismissal")) == 2  # Hedy's, a human's word
    left = b"".join(file.read_bytes() for file in home.rglob("*") if file.is_file())
    assert found.faces[0].content_hash.encode() not in left
    assert photos[0].name.encode() not in left
