"""Faces: confirming, rejecting and dismissing them."""

from functools import partial

import pytest
from deciding import confirm, dismiss, reject
from gallery_rows import store_of
from gallery_steps import (
    ADA,
    GRACE,
    MARY,
    STRANGER,
    assert_undone,
    candidates,
    face_of,
    photo_counts,
    rows,
    who,
)

from facesearch.errors import FaceError, PhotoError, Refused, UnknownPerson
from facesearch.gallery import import_gallery

# Several faces in one decision


def test_faces_are_rejected_without_their_photos_as_one_decision(trio, shoot):
    meant = [face for _, face in trio.people.faces_of("Ada")]
    shoot((ADA, 1)).unlink()
    before = rows(trio)
    decision = trio.faces.reject(meant, "Ada")
    assert decision.summary.startswith("said that a face is not Ada and took it out; said")
    assert decision.photo == str(shoot((ADA, 1)))
    for face in meant:
        (rejection,) = store_of(trio).verdicts.of_photo(face.content_hash).rejections
        assert (rejection.box, rejection.person_id) == (face.box, face.person_id)
    assert photo_counts(trio)["Ada"] == 0
    assert_undone(trio, before, decision)
    (again,) = trio.enroll([("Ada", shoot((ADA, 1)))])
    assert again.status == "skipped"
    with pytest.raises(FaceError, match="not enrolled as Ada"):
        trio.faces.reject(meant[:1], "Ada")


def test_several_faces_are_confirmed_as_one_decision(trio):
    before = rows(trio)
    decision = trio.faces.confirm([face for _, face in trio.people.faces_of("Ada")], "Ada")
    assert decision.summary == "said that a face is Ada; said that a face is Ada"
    assert len(trio.history.list("Ada")) == 2  # and the enrollment
    assert_undone(trio, before, decision)
    with pytest.raises(FaceError, match="not enrolled as Ada"):
        trio.faces.confirm([face_of(trio, "Ada"), face_of(trio, "Grace")], "Ada")


# Reject


def test_of_several_faces_those_not_yet_confirmed_are_stored(trio, shoot):
    known, new = shoot((ADA, 1)), shoot((ADA, 8))
    confirm(trio, known, "Ada")
    decision = trio.faces.confirm([trio.faces.look_at(known), trio.faces.look_at(new)], "Ada")
    assert decision.id is not None
    assert str(new) in [path for path, _ in trio.people.faces_of("Ada")]
    again = trio.faces.confirm([trio.faces.look_at(known), trio.faces.look_at(new)], "Ada")
    assert again.id is None


def test_a_face_is_rejected_even_if_its_photo_is_gone(trio, shoot):
    photo = shoot((ADA, 1))
    photo.unlink()
    before = rows(trio)
    for missing, name in ((photo.parent / "other.png", "Ada"), (photo, "Grace")):
        with pytest.raises(PhotoError):
            reject(trio, missing, name)
    decision = reject(trio, photo, "Ada")
    assert (decision.summary[-15:], decision.photo) == ("and took it out", str(photo))
    assert_undone(trio, before, decision)
    assert who(trio, shoot((ADA, 1))) == [None]
    (again,) = trio.enroll([("Ada", photo)])
    assert again.status == "skipped"


def test_a_rejected_person_is_no_longer_a_candidate_for_that_face(trio, shoot):
    photo, before = shoot((ADA, 9)), rows(trio)
    assert who(trio, photo) == ["Ada"]
    decision = reject(trio, photo, "Ada")
    assert decision.photo == str(photo)
    assert who(trio, photo) == [None]
    assert sorted(candidates(trio, photo)) == ["Grace", "Hedy"]
    assert who(trio, shoot((ADA, 8))) == ["Ada"]
    assert_undone(trio, before, decision)


def test_probabilities_still_sum_to_one_after_a_rejection(trio, shoot):
    reject(trio, shoot((ADA, 9)), "Ada")
    ((face,),) = (photo.faces for photo in trio.identify([shoot((ADA, 9))]))
    shares = [candidate.probability for candidate in face.candidates]
    assert sum(shares) + face.unknown_probability == pytest.approx(1)


def test_a_rejection_concerns_one_face_and_one_person(trio, shoot):
    photo = shoot((ADA, 9), (GRACE, 9))
    reject(trio, photo, "Ada", 2)
    reject(trio, photo, "Ada", 2)
    assert len(rows(trio)["rejection"]) == 1
    assert who(trio, photo) == ["Ada", "Grace"]
    reject(trio, photo, "Grace", 2)
    assert who(trio, photo) == ["Ada", None]


def test_a_rejection_is_permanent_photoprism_3654(trio, make_gallery, shoot, home, fake_model):
    """It survives enrolling the photo again, another program, and an export."""
    photo = shoot((ADA, 1))
    before = rows(trio)
    decision = reject(trio, photo, "Ada")
    assert decision.summary == "said that a face is not Ada and took it out"
    assert_undone(trio, before, decision)
    (again,) = trio.enroll([("Ada", photo)])
    assert (again.status, again.remark) == ("skipped", "a human said that this face is not them")
    trio.upkeep.export(home / "export.db")
    with import_gallery(home / "export.db", home / "other", fake_model) as copy:
        for gallery in (trio, make_gallery(), copy):
            assert who(gallery, photo) == [None]
            assert "Ada" not in candidates(gallery, photo)


# Confirm


def test_a_confirmed_face_is_enrolled_and_named_even_if_the_machine_disagrees(trio, shoot):
    photo, before = shoot((STRANGER, 1), (ADA, 9)), rows(trio)
    decision = confirm(trio, photo, "Grace", 1)
    assert decision.changed == {"photo": 1, "face": 1, "template": 1}
    (seen,) = trio.identify([photo])
    assert [(f.person, f.decided_by) for f in seen.faces] == [
        ("Grace", "human"),
        ("Ada", "machine"),
    ]
    assert trio.people.faces_of("Grace")[-1][0] == str(photo)
    assert_undone(trio, before, decision)


def test_confirming_a_face_removes_a_rejection_and_a_wrong_name(trio, shoot):
    photo = shoot((ADA, 1))
    reject(trio, photo, "Grace")
    before = rows(trio)
    decision = confirm(trio, photo, "Grace")
    assert decision.summary == "said that a face is Grace and not Ada"
    assert who(trio, photo) == ["Grace"]
    assert rows(trio)["rejection"] == []
    assert len(rows(trio)["face"]) == 6
    assert_undone(trio, before, decision)


def test_confirming_an_enrolled_face_is_a_decision_only_the_first_time(trio, shoot):
    photo, before = shoot((ADA, 1)), rows(trio)
    decision = confirm(trio, photo, "Ada")
    assert decision.summary == "said that a face is Ada"
    assert confirm(trio, photo, "Ada").id is None
    assert_undone(trio, before, decision)
    trio.history.undo()
    trio.history.undo(confirm(trio, photo, "Ada").id)
    trio.people.move([photo], "Ada", "Grace")
    assert confirm(trio, photo, "Grace").id is not None


def test_a_new_person_is_confirmed_only_when_new_people_are_allowed(trio, shoot):
    photo, before = shoot((ADA, 9), (MARY, 1)), rows(trio)
    with pytest.raises(UnknownPerson):
        confirm(trio, photo, "Mary", 2)
    decision = confirm(trio, photo, "Mary", 2, new=True)
    assert who(trio, shoot((MARY, 9))) == ["Mary"]
    assert_undone(trio, before, decision)


def test_a_photo_of_several_faces_needs_the_number_of_a_face(trio, shoot, tmp_path):
    group = shoot((ADA, 9), (GRACE, 9))
    for verb in (partial(confirm, trio), partial(reject, trio)):
        with pytest.raises(FaceError, match="shows 2 faces: say which one, from 1 to 2"):
            verb(group, "Ada")
        with pytest.raises(FaceError, match="2 faces, so there is no face 3"):
            verb(group, "Ada", 3)
        with pytest.raises(FaceError, match="no face found"):
            verb(shoot(None), "Ada")
        with pytest.raises(PhotoError):
            verb(tmp_path / "missing.png", "Ada")


# Dismiss


@pytest.mark.parametrize(
    ("verdict", "summary"),
    [
        ("stranger", "said that a face is a stranger's"),
        ("no face", "said that what was taken for a face is none"),
    ],
)
def test_a_dismissed_face_is_unknown_by_a_humans_decision(trio, shoot, verdict, summary):
    photo, before = shoot((ADA, 9), (GRACE, 9)), rows(trio)
    decision = dismiss(trio, photo, verdict, 1)
    assert (decision.summary, decision.kind, decision.photo) == (summary, "dismiss", str(photo))
    assert decision.changed == {"dismissal": 1}
    (seen,) = trio.identify([photo])
    one, other = seen.faces
    assert (one.person, one.dismissed_as, one.decided_by) == (None, verdict, "human")
    assert (one.unknown_probability, one.candidates) == (1.0, ())
    assert (other.person, other.dismissed_as, other.decided_by) == ("Grace", None, "machine")
    assert dismiss(trio, photo, verdict, 1).id is None
    assert_undone(trio, before, decision)


def test_a_dismissed_face_takes_no_name_from_another_face_in_the_photo(trio, shoot):
    photo = shoot((ADA, 1), (ADA, 9))
    reject(trio, shoot((ADA, 1)), "Ada")
    assert who(trio, photo) != ["Ada", "Ada"]
    dismiss(trio, photo, "stranger", 1)
    assert who(trio, photo) == [None, "Ada"]
    trio.history.undo()
    dismiss(trio, photo, "stranger", 2)
    assert who(trio, photo) == ["Ada", None]


def test_dismissing_an_enrolled_face_takes_it_out_until_that_is_undone(trio, shoot):
    photo, before = shoot((ADA, 1)), rows(trio)
    decision = dismiss(trio, photo, "no face")
    assert decision.summary == "said that what was taken for a face is none and took it out"
    assert photo_counts(trio)["Ada"] == 1
    assert trio.history.list("Ada")[0].id == decision.id
    assert_undone(trio, before, decision)


def test_the_latest_decision_about_a_face_counts(trio, shoot):
    photo = shoot((STRANGER, 1))
    dismiss(trio, photo, "stranger")
    before = rows(trio)
    other = dismiss(trio, photo, "no face")
    assert [row[-1] for row in rows(trio)["dismissal"]] == ["no face"]
    assert_undone(trio, before, other)
    trio.history.undo(trio.history.list()[0].id)
    confirmed = confirm(trio, photo, "Ada")
    assert (who(trio, photo), rows(trio)["dismissal"]) == (["Ada"], [])
    assert_undone(trio, before, confirmed)


def test_undoing_never_restores_an_enrolled_face_where_a_dismissal_is_or_the_reverse(trio, shoot):
    photo = shoot((ADA, 1))
    rejected = reject(trio, photo, "Ada")
    dismissed = dismiss(trio, photo, "stranger")
    with pytest.raises(Refused, match=f"cannot be undone before {dismissed.id} is"):
        trio.history.undo(rejected.id)
    undoing = trio.history.undo(dismissed.id)
    confirmed = confirm(trio, photo, "Grace")
    with pytest.raises(Refused, match=f"cannot be undone before {confirmed.id} is"):
        trio.history.undo(undoing.id)
    trio.history.undo(confirmed.id)
    again = dismiss(trio, photo, "no face")
    with pytest.raises(Refused, match=f"cannot be undone before {again.id} is"):
        trio.history.undo(undoing.id)
    assert trio.upkeep.check() == []


def test_a_face_is_dismissed_only_as_a_stranger_or_as_no_face(trio, shoot):
    with pytest.raises(ValueError, match="dismissed as stranger or no face"):
        dismiss(trio, shoot((STRANGER, 1)), "dog")
    assert rows(trio)["dismissal"] == []


def test_a_dismissal_survives_export_and_import(trio, shoot, tmp_path, fake_model):
    photo = shoot((ADA, 9))
    dismiss(trio, photo, "stranger")
    trio.upkeep.export(tmp_path / "copy.db")
    with import_gallery(tmp_path / "copy.db", tmp_path / "new.db", fake_model) as copy:
        assert who(copy, photo) == [None]
        copy.history.undo()
        assert who(copy, photo) == ["Ada"]
