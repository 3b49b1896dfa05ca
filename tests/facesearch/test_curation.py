"""Curation: every decision does what it says, obeys those before it, and can be undone."""

import shutil
import tempfile
from functools import partial

import pytest
from deciding import confirm, decide, dismiss, reject
from fake_model import FakeModel, save_photo
from gallery_rows import execute, select, store_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facesearch.errors import FaceError, FacesearchError, PhotoError, Refused, UnknownPerson
from facesearch.gallery import Gallery, enrolling, import_gallery
from facesearch.gallery.faces import VERDICTS

ADA, GRACE, HEDY, MARY, STRANGER = 10, 20, 30, 35, 40
PEOPLE = {"Ada": ADA, "Grace": GRACE, "Hedy": HEDY}
TABLES = (
    *("person", "photo", "face", "template"),
    *("not_same", "rejection", "not_same_photo", "dismissal"),
)


def rows(gallery):
    """Return every row of every table that a decision may change, as undoing has to restore it."""
    return {table: select(gallery, f"SELECT * FROM {table} ORDER BY 1") for table in TABLES}


def who(gallery, photo):
    (seen,) = gallery.identify([photo])
    return [face.person for face in seen.faces]


def candidates(gallery, photo, face=0):
    (seen,) = gallery.identify([photo])
    return [candidate.person for candidate in seen.faces[face].candidates]


def photos_of(gallery):
    return {person.name: person.photos for person in gallery.people.all()}


def assert_undone(gallery, before, decision):
    """Undoing gives back every row, and undoing that the rows as they were decided."""
    after = rows(gallery)
    undoing = gallery.history.undo(decision.id)
    assert undoing.undoes == decision.id
    assert rows(gallery) == before
    assert gallery.upkeep.check() == []
    gallery.history.undo(undoing.id)
    assert rows(gallery) == after
    assert gallery.upkeep.check() == []


@pytest.fixture
def trio(fake_gallery, shoot):
    """A gallery of Ada, Grace and Hedy, two pictures each, enrolled at different times."""
    pairs = [(name, shoot((number, k))) for name, number in PEOPLE.items() for k in (1, 2)]
    assert all(done.status == "enrolled" for done in fake_gallery.enroll(pairs))
    execute(fake_gallery, "UPDATE person SET created_at = '2020-01-0' || id || 'T00:00:00+00:00'")
    return fake_gallery


# Merge


def test_merge_took_no_third_person_with_it_immich_6374(trio, shoot):
    before, hedy = rows(trio), trio.people.faces_of("Hedy")
    decision = trio.people.merge(["Grace"], "Ada")
    assert decision.summary == "merged Grace into Ada (2 faces)"
    assert decision.changed == {"face": 2, "person": 1}
    assert photos_of(trio) == {"Ada": 4, "Hedy": 2}
    assert trio.people.faces_of("Hedy") == hedy
    assert [who(trio, shoot((n, 9))) for n in PEOPLE.values()] == [["Ada"], ["Ada"], ["Hedy"]]
    assert_undone(trio, before, decision)


def test_a_merge_undone_gives_back_the_people_that_were_named_and_dated(trio, shoot):
    before = trio.people.all()
    answers = list(trio.identify([shoot((n, 9)) for n in PEOPLE.values()]))
    trio.people.merge(["Grace", "Hedy", "Grace"], "Ada")
    assert photos_of(trio) == {"Ada": 6}
    trio.history.undo()
    assert trio.people.all() == before
    assert list(trio.identify([shoot((n, 9)) for n in PEOPLE.values()])) == answers


def test_another_program_with_the_gallery_open_sees_a_merge_and_its_undoing_at_once(
    trio, make_gallery, shoot
):
    other = make_gallery()
    probes = [shoot((n, 9)) for n in (*PEOPLE.values(), STRANGER)]
    for change in (
        lambda: trio.people.merge(["Grace"], "Ada"),
        lambda: trio.people.move([shoot((HEDY, 1))], "Hedy", "Ada"),
        trio.history.undo,
        trio.history.undo,
    ):
        list(other.identify(probes))
        change()
        fresh = make_gallery()
        assert list(other.identify(probes)) == list(fresh.identify(probes))
        assert list(trio.identify(probes)) == list(fresh.identify(probes))
        assert other.upkeep.check() == []


def test_merge_takes_what_was_said_of_the_people_along(trio, shoot):
    trio.people.not_same("Grace", "Hedy")
    photo = shoot((STRANGER, 1))
    reject(trio, photo, "Grace")
    before = rows(trio)
    decision = trio.people.merge(["Grace"], "Ada")
    assert "Ada" not in candidates(trio, photo)
    with pytest.raises(Refused, match="Ada and Hedy are two people"):
        trio.people.merge(["Hedy"], "Ada")
    assert_undone(trio, before, decision)


def test_two_of_whom_a_human_said_that_they_are_two_are_not_merged(trio):
    said = trio.people.not_same("Hedy", "Ada")
    before = rows(trio)
    for dry_run in (True, False):
        with pytest.raises(
            Refused, match=rf"Ada and Hedy are two people.* decision {said.id}; undo"
        ):
            trio.people.merge(["Grace", "Hedy"], "Ada", dry_run=dry_run)
    assert rows(trio) == before
    trio.history.undo(said.id)
    trio.people.merge(["Grace", "Hedy"], "Ada")
    assert photos_of(trio) == {"Ada": 6}


def test_a_face_that_was_rejected_as_one_keeps_them_from_being_merged(trio, shoot):
    said = reject(trio, shoot((ADA, 1)), "Grace")
    with pytest.raises(Refused, match=f"rejected as the other.* decision {said.id}; undo"):
        trio.people.merge(["Grace"], "Ada")
    assert photos_of(trio) == {"Ada": 2, "Grace": 2, "Hedy": 2}


def test_a_merge_that_is_only_tried_changes_nothing_but_says_what_it_would(trio):
    before, history = rows(trio), trio.history.list()
    tried = trio.people.merge(["Grace"], "Ada", dry_run=True)
    assert (tried.id, tried.changed) == (None, {"face": 2, "person": 1})
    assert (rows(trio), trio.history.list()) == (before, history)


def test_a_person_is_not_merged_with_themselves_alone(trio):
    with pytest.raises(Refused, match="nobody else"):
        trio.people.merge(["Ada", " Ada "], "Ada")


# Split and move


def test_a_split_makes_a_new_person_of_some_photos(trio, shoot):
    before = rows(trio)
    decision = trio.people.split("Ada", [shoot((ADA, 2))], "Augusta")
    assert decision.summary == "split 1 face off Ada as Augusta"
    assert photos_of(trio) == {"Ada": 1, "Augusta": 1, "Grace": 2, "Hedy": 2}
    assert who(trio, shoot((ADA, 2))) == ["Augusta"]
    assert_undone(trio, before, decision)


def test_naming_one_of_two_does_not_rename_the_other_photoprism_3292(trio, shoot):
    trio.people.split("Ada", [shoot((ADA, 2))], "Augusta")
    trio.people.rename("Augusta", "Byron")
    assert who(trio, shoot((ADA, 1))) == ["Ada"]
    assert who(trio, shoot((ADA, 2))) == ["Byron"]


def test_a_split_that_leaves_nothing_is_refused(trio, shoot):
    with pytest.raises(Refused, match="rename them instead"):
        trio.people.split("Ada", [shoot((ADA, 1)), shoot((ADA, 2))], "Augusta")
    with pytest.raises(Refused, match="called Grace already"):
        trio.people.split("Ada", [shoot((ADA, 1))], "Grace")
    assert photos_of(trio) == {"Ada": 2, "Grace": 2, "Hedy": 2}


def test_a_split_keeps_two_apart_until_somebody_merges_them_on_purpose(trio, shoot):
    trio.people.split("Ada", [shoot((ADA, 2))], "Augusta")
    assert len(rows(trio)["not_same"]) == 1
    before = rows(trio)
    decision = trio.people.merge(["Augusta"], "Ada")
    assert rows(trio)["not_same"] == []
    assert_undone(trio, before, decision)


def test_what_was_split_and_said_to_be_two_is_not_merged(trio, shoot):
    trio.people.split("Ada", [shoot((ADA, 2))], "Augusta")
    said = trio.people.not_same("Ada", "Augusta")
    assert said.id is not None
    assert len(rows(trio)["not_same"]) == 1
    with pytest.raises(Refused, match=f"decision {said.id};"):
        trio.people.merge(["Augusta"], "Ada")


def test_a_photo_is_moved_to_who_it_shows(trio, shoot):
    before = rows(trio)
    decision = trio.people.move([shoot((ADA, 1)), shoot((ADA, 1))], "Ada", "Grace")
    assert decision.summary == "moved 1 face from Ada to Grace"
    assert photos_of(trio) == {"Ada": 1, "Grace": 3, "Hedy": 2}
    assert who(trio, shoot((ADA, 1))) == ["Grace"]
    assert_undone(trio, before, decision)


def test_moving_a_photo_takes_back_that_it_was_rejected_as_theirs(trio, shoot):
    reject(trio, shoot((ADA, 1)), "Grace")
    before = rows(trio)
    decision = trio.people.move([shoot((ADA, 1))], "Ada", "Grace")
    assert rows(trio)["rejection"] == []
    assert_undone(trio, before, decision)


def test_a_person_whose_last_face_goes_keeps_name_and_rejections(trio, shoot):
    reject(trio, shoot((STRANGER, 1)), "Ada")
    before = rows(trio)
    decision = trio.people.move([shoot((ADA, k)) for k in (1, 2)], "Ada", "Grace")
    assert photos_of(trio) == {"Ada": 0, "Grace": 4, "Hedy": 2}
    assert len(rows(trio)["rejection"]) == 1
    assert_undone(trio, before, decision)


def test_photos_are_known_by_their_bytes_or_by_where_they_were(trio, shoot, tmp_path):
    elsewhere = shutil.copy(shoot((ADA, 1)), tmp_path / "copy of ada.png")
    trio.people.move([elsewhere], "Ada", "Grace")
    shoot((HEDY, 1)).unlink()
    trio.people.move([tmp_path / "photos" / "30-1_0.png"], "Hedy", "Grace")
    assert photos_of(trio) == {"Ada": 1, "Grace": 4, "Hedy": 1}
    with pytest.raises(FaceError, match="Ada is not enrolled from"):
        trio.people.move([shoot((ADA, 2)), shoot((GRACE, 1))], "Ada", "Hedy")
    hashed = trio.people.faces_of("Hedy")[0][1].content_hash
    trio.people.move([hashed], "Hedy", "Grace")
    trio.history.undo()
    with pytest.raises(FaceError, match="no photo was named"):
        trio.people.split("Ada", [], "Augusta")
    assert photos_of(trio) == {"Ada": 1, "Grace": 4, "Hedy": 1}


def test_a_photo_that_is_gone_is_known_by_any_way_to_where_it_was(trio, shoot, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    for k, folder in ((1, tmp_path / "link"), (2, tmp_path / "photos" / ".." / "photos")):
        shoot((HEDY, k)).unlink()
        trio.people.move([folder / f"30-{k}_0.png"], "Hedy", "Grace")
    assert photos_of(trio) == {"Ada": 2, "Grace": 4, "Hedy": 0}


def test_same_name_different_content_is_noticed_deepface_1061(trio, shoot):
    """Another picture lies where Ada's was: she is not moved by pointing at it."""
    hashed, photo = trio.people.faces_of("Ada")[0][1].content_hash, shoot((ADA, 1))
    save_photo(photo, (STRANGER, 1))
    with pytest.raises(FaceError, match=f"is not the picture that Ada .* its hash, {hashed}"):
        trio.people.move([photo], "Ada", "Grace")
    trio.people.move([hashed], "Ada", "Grace")
    assert photos_of(trio) == {"Ada": 1, "Grace": 3, "Hedy": 2}


# Faces by themselves


def face_of(gallery, name, place=0):
    return gallery.people.faces_of(name)[place][1]


def test_of_two_faces_on_one_photo_only_the_one_that_is_meant_is_split_off(trio, shoot):
    photo = shoot((ADA, 5), (ADA, 6))
    for number in (1, 2):
        confirm(trio, photo, "Ada", number)
    before, meant = rows(trio), face_of(trio, "Ada", 3)
    photo.unlink()
    decision = trio.people.split("Ada", [meant], "Augusta")
    assert [face.id for _, face in trio.people.faces_of("Augusta")] == [meant.id]
    assert photos_of(trio)["Ada"] == 3
    assert_undone(trio, before, decision)
    assert [face.id for _, face in trio.people.faces_of("Augusta")] == [meant.id]
    with pytest.raises(FaceError, match="this face is not enrolled as Ada"):
        trio.people.move([meant], "Ada", "Grace")


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
    assert photos_of(trio)["Ada"] == 0
    assert_undone(trio, before, decision)
    (again,) = trio.enroll([("Ada", shoot((ADA, 1)))])
    assert again.status == "skipped"
    with pytest.raises(FaceError, match="not enrolled as Ada"):
        trio.faces.reject(meant[:1], "Ada")


def test_faces_are_given_to_who_bears_the_name_or_to_somebody_new(trio):
    trio.people.give([face_of(trio, "Ada")], "Ada", "Grace")
    trio.people.give([face_of(trio, "Hedy")], "Hedy", " Mary ")
    assert photos_of(trio) == {"Ada": 1, "Grace": 3, "Hedy": 1, "Mary": 1}
    with pytest.raises(Refused, match="rename them instead"):
        trio.people.give([face_of(trio, "Ada")], "Ada", "Augusta")


def test_a_face_that_is_taken_out_may_come_back_since_nobody_said_whose_it_is_not(trio, shoot):
    before, meant = rows(trio), face_of(trio, "Ada")
    decision = trio.people.take_out([meant], "Ada")
    assert decision.summary == "took 1 face of Ada out"
    assert photos_of(trio)["Ada"] == 1
    assert rows(trio)["rejection"] == []
    assert_undone(trio, before, decision)
    with pytest.raises(FaceError, match="not enrolled as Ada"):
        trio.people.take_out([meant], "Ada")
    (again,) = trio.enroll([("Ada", shoot((ADA, 1)))])
    assert again.status == "enrolled"


def test_whose_last_face_is_taken_out_stays_with_name_and_history(trio):
    trio.people.take_out([face for _, face in trio.people.faces_of("Ada")], "Ada")
    assert photos_of(trio)["Ada"] == 0
    assert trio.history.list("Ada", 1)[0].summary == "took 2 faces of Ada out"


def test_faces_that_were_looked_at_are_confirmed_as_one_decision(trio):
    before = rows(trio)
    decision = trio.faces.confirm([face for _, face in trio.people.faces_of("Ada")], "Ada")
    assert decision.summary == "said that a face is Ada; said that a face is Ada"
    assert len(trio.history.list("Ada")) == 2  # and the enrollment
    assert_undone(trio, before, decision)
    with pytest.raises(FaceError, match="not enrolled as Ada"):
        trio.faces.confirm([face_of(trio, "Ada"), face_of(trio, "Grace")], "Ada")


# Confirm and reject


def test_a_face_is_rejected_though_its_photo_is_gone(trio, shoot):
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


def test_who_is_rejected_is_no_candidate_for_that_face_any_more(trio, shoot):
    photo, before = shoot((ADA, 9)), rows(trio)
    assert who(trio, photo) == ["Ada"]
    decision = reject(trio, photo, "Ada")
    assert decision.photo == str(photo)
    assert who(trio, photo) == [None]
    assert sorted(candidates(trio, photo)) == ["Grace", "Hedy"]
    assert who(trio, shoot((ADA, 8))) == ["Ada"]
    assert_undone(trio, before, decision)


def test_what_is_left_of_the_probabilities_is_shared_by_who_is_not_rejected(trio, shoot):
    reject(trio, shoot((ADA, 9)), "Ada")
    ((face,),) = (photo.faces for photo in trio.identify([shoot((ADA, 9))]))
    shares = [candidate.probability for candidate in face.candidates]
    assert sum(shares) + face.unknown_probability == pytest.approx(1)


def test_who_is_rejected_may_be_another_face_of_the_photo_and_the_face_somebody_else(trio, shoot):
    photo = shoot((ADA, 9), (GRACE, 9))
    reject(trio, photo, "Ada", 2)
    reject(trio, photo, "Ada", 2)
    assert len(rows(trio)["rejection"]) == 1
    assert who(trio, photo) == ["Ada", "Grace"]
    reject(trio, photo, "Grace", 2)
    assert who(trio, photo) == ["Ada", None]


def test_rejecting_a_face_sticks_photoprism_3654(trio, make_gallery, shoot, home, fake_model):
    """Through another enrollment of the same photos, a copy, and another program."""
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


def test_enrolling_takes_another_face_than_the_rejected_one(trio, shoot):
    group = shoot((ADA, 5), (ADA, 6))
    reject(trio, group, "Ada", 1)
    (done,) = trio.enroll([("Ada", group)])
    assert done.status == "enrolled"
    assert trio.people.faces_of("Ada")[-1][1].box[0] > 50


def test_who_lost_their_last_face_by_a_rejection_is_not_enrolled_from_it_again(trio, shoot):
    list(trio.enroll([("Mary", shoot((MARY, 1)))]))
    reject(trio, shoot((MARY, 1)), "Mary")
    assert photos_of(trio)["Mary"] == 0
    (again,) = trio.enroll([("Mary", shoot((MARY, 1)))])
    assert again.status == "skipped"


def test_who_is_confirmed_is_enrolled_and_named_whatever_the_machine_thinks(trio, shoot):
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


def test_confirming_takes_back_a_rejection_and_a_wrong_name(trio, shoot):
    photo = shoot((ADA, 1))
    reject(trio, photo, "Grace")
    before = rows(trio)
    decision = confirm(trio, photo, "Grace")
    assert decision.summary == "said that a face is Grace and not Ada"
    assert who(trio, photo) == ["Grace"]
    assert rows(trio)["rejection"] == []
    assert len(rows(trio)["face"]) == 6
    assert_undone(trio, before, decision)


# Nobody to be named


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        ("stranger", "said that a face is a stranger's"),
        ("no face", "said that what was taken for a face is none"),
    ],
)
def test_a_face_that_is_dismissed_has_no_name_by_a_human(trio, shoot, verdict, told):
    photo, before = shoot((ADA, 9), (GRACE, 9)), rows(trio)
    decision = dismiss(trio, photo, verdict, 1)
    assert (decision.summary, decision.kind, decision.photo) == (told, "dismiss", str(photo))
    assert decision.changed == {"dismissal": 1}
    (seen,) = trio.identify([photo])
    one, other = seen.faces
    assert (one.person, one.dismissed_as, one.decided_by) == (None, verdict, "human")
    assert (one.unknown_probability, one.candidates) == (1.0, ())
    assert (other.person, other.dismissed_as, other.decided_by) == ("Grace", None, "machine")
    assert dismiss(trio, photo, verdict, 1).id is None
    assert_undone(trio, before, decision)


def test_who_is_dismissed_takes_no_name_from_another_face_of_the_photo(trio, shoot):
    photo = shoot((ADA, 1), (ADA, 9))
    reject(trio, shoot((ADA, 1)), "Ada")
    assert who(trio, photo) != ["Ada", "Ada"]
    dismiss(trio, photo, "stranger", 1)
    assert who(trio, photo) == [None, "Ada"]
    trio.history.undo()
    dismiss(trio, photo, "stranger", 2)
    assert who(trio, photo) == ["Ada", None]


def test_an_enrolled_face_that_is_dismissed_is_taken_out_and_comes_back(trio, shoot):
    photo, before = shoot((ADA, 1)), rows(trio)
    decision = dismiss(trio, photo, "no face")
    assert decision.summary == "said that what was taken for a face is none and took it out"
    assert photos_of(trio)["Ada"] == 1
    assert trio.history.list("Ada")[0].id == decision.id
    assert_undone(trio, before, decision)


def test_the_last_word_on_a_face_counts(trio, shoot):
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


def test_nobody_is_enrolled_from_where_a_human_said_that_nobody_is(trio, shoot):
    photo = shoot((MARY, 1))
    dismiss(trio, photo, "stranger")
    (done,) = trio.enroll([("Mary", photo)])
    assert (done.status, "a human said" in done.remark) == ("skipped", True)
    group = shoot((MARY, 2), (ADA, 9))
    dismiss(trio, group, "no face", 1)
    (done,) = trio.enroll([("Ada", group)])
    assert done.status == "enrolled"
    assert trio.people.faces_of("Ada")[-1][1].box[0] > 50


def test_a_dismissal_and_an_enrolled_face_never_come_back_to_one_place(trio, shoot):
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


def test_a_face_can_be_dismissed_as_two_things_only(trio, shoot):
    with pytest.raises(ValueError, match="dismissed as stranger or no face"):
        dismiss(trio, shoot((STRANGER, 1)), "dog")
    assert rows(trio)["dismissal"] == []


def test_a_dismissal_outlives_an_export(trio, shoot, tmp_path, fake_model):
    photo = shoot((ADA, 9))
    dismiss(trio, photo, "stranger")
    trio.upkeep.export(tmp_path / "copy.db")
    with import_gallery(tmp_path / "copy.db", tmp_path / "new.db", fake_model) as copy:
        assert who(copy, photo) == [None]
        copy.history.undo()
        assert who(copy, photo) == ["Ada"]


def test_confirming_a_face_that_was_enrolled_is_a_decision_once(trio, shoot):
    photo, before = shoot((ADA, 1)), rows(trio)
    decision = confirm(trio, photo, "Ada")
    assert decision.summary == "said that a face is Ada"
    assert confirm(trio, photo, "Ada").id is None
    assert_undone(trio, before, decision)
    trio.history.undo()
    trio.history.undo(confirm(trio, photo, "Ada").id)
    trio.people.move([photo], "Ada", "Grace")
    assert confirm(trio, photo, "Grace").id is not None


def test_saying_what_is_known_already_is_no_decision(trio, shoot):
    confirm(trio, shoot((ADA, 1)), "Ada")
    history = trio.history.list()
    for said in (
        confirm(trio, shoot((ADA, 1)), "Ada"),
        trio.people.rename("Ada", " Ada "),
    ):
        assert (said.id, said.changed) == (None, {})
    assert trio.history.list() == history
    trio.people.not_same("Ada", "Grace")
    assert trio.people.not_same("Grace", "Ada").id is None
    with pytest.raises(Refused, match="one person in this gallery"):
        trio.people.not_same("Ada", "Ada")


def test_somebody_new_is_confirmed_only_if_that_is_meant(trio, shoot):
    photo, before = shoot((ADA, 9), (MARY, 1)), rows(trio)
    with pytest.raises(UnknownPerson):
        confirm(trio, photo, "Mary", 2)
    decision = confirm(trio, photo, "Mary", 2, new=True)
    assert who(trio, shoot((MARY, 9))) == ["Mary"]
    assert_undone(trio, before, decision)


def test_a_face_of_several_has_to_be_named_by_its_number(trio, shoot, tmp_path):
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


def test_a_name_that_is_nearly_right_is_told(trio, shoot):
    trio.people.rename("Ada", "Adá Lovelace")
    with pytest.raises(UnknownPerson, match=r"nobody called ada lovelace .*; is it Adá Lovelace\?"):
        confirm(trio, shoot((ADA, 9)), "ada lovelace")
    with pytest.raises(UnknownPerson, match=r"enrolled in [^;]*$"):
        trio.people.faces_of("Mallory")


# Undo


def test_undoing_goes_back_step_by_step_and_skips_what_is_undone(trio):
    trio.people.merge(["Grace"], "Ada")
    trio.people.rename("Ada", "Augusta")
    trio.people.rename("Hedy", "Lamarr")
    for expected in (["Augusta", "Hedy"], ["Ada", "Hedy"], ["Ada", "Grace", "Hedy"]):
        trio.history.undo()
        assert list(photos_of(trio)) == expected
    trio.history.undo()  # the enrollment
    assert all(not found for found in rows(trio).values())
    with pytest.raises(Refused, match="nothing to undo"):
        trio.history.undo()
    assert trio.upkeep.check() == []


def test_what_was_redone_counts_as_done_and_can_be_undone_again(trio):
    merge = trio.people.merge(["Grace"], "Ada")
    undoing = trio.history.undo()
    trio.history.undo(undoing.id)
    assert [d.undone_by is None for d in trio.history.list(limit=3)] == [True, False, True]
    assert trio.history.undo().undoes == merge.id
    assert photos_of(trio) == {"Ada": 2, "Grace": 2, "Hedy": 2}


def test_an_enrollment_undone_leaves_no_face_and_can_be_redone(trio, shoot):
    before = rows(trio)
    list(trio.enroll([("Mary", shoot((MARY, 1)))]))
    (decision,) = trio.history.list(limit=1)
    assert (decision.summary, decision.photo) == ("enrolled 1 face of Mary", str(shoot((MARY, 1))))
    assert who(trio, shoot((MARY, 9))) == ["Mary"]
    assert_undone(trio, before, decision)
    assert who(trio, shoot((MARY, 9))) == ["Mary"]


def test_what_was_changed_since_names_the_decision_to_undo_before(trio, shoot):
    merge = trio.people.merge(["Grace"], "Ada")
    move = trio.people.move([shoot((GRACE, 1))], "Ada", "Hedy")
    before = rows(trio)
    with pytest.raises(Refused, match=rf"{merge.id} cannot .* before {move.id} is.*moved 1 face"):
        trio.history.undo(merge.id)
    assert rows(trio) == before
    trio.history.undo(move.id)
    trio.history.undo(merge.id)
    with pytest.raises(Refused, match="undone already"):
        trio.history.undo(merge.id)
    assert photos_of(trio) == {"Ada": 2, "Grace": 2, "Hedy": 2}


def test_a_name_that_is_taken_meanwhile_is_not_given_back(trio):
    merge = trio.people.merge(["Grace"], "Ada")
    trio.people.rename("Hedy", "Grace")
    before = rows(trio)
    with pytest.raises(Refused, match="somebody else is called Grace now; rename them first"):
        trio.history.undo(merge.id)
    assert rows(trio) == before
    trio.people.rename("Grace", "Lamarr")
    trio.history.undo(merge.id)
    assert list(photos_of(trio)) == ["Ada", "Grace", "Lamarr"]


def test_somebody_with_faces_from_later_does_not_vanish_with_the_split_that_made_them(trio, shoot):
    split = trio.people.split("Ada", [shoot((ADA, 2))], "Augusta")
    list(trio.enroll([("Augusta", shoot((MARY, 3)))]))
    (enrolled,) = trio.history.list(limit=1)
    with pytest.raises(Refused, match=f"before {enrolled.id} is"):
        trio.history.undo(split.id)
    assert photos_of(trio)["Augusta"] == 2


def test_a_face_that_is_somebody_elses_by_now_does_not_come_back(trio, shoot):
    photo = shoot((ADA, 1))
    rejected = reject(trio, photo, "Ada")
    confirmed = confirm(trio, photo, "Grace")
    with pytest.raises(Refused, match=f"before {confirmed.id} is"):
        trio.history.undo(rejected.id)
    group = shoot((ADA, 5), (GRACE, 5))
    confirm(trio, group, "Ada", 1)
    confirm(trio, group, "Grace", 2)
    rejected = reject(trio, group, "Ada", 1)
    confirmed = confirm(trio, group, "Hedy", 1)
    with pytest.raises(Refused, match=f"before {confirmed.id} is"):
        trio.history.undo(rejected.id)
    assert trio.upkeep.check() == []


def test_a_face_that_was_rejected_meanwhile_does_not_come_back(trio, shoot):
    list(trio.enroll([("Ada", shoot((ADA, 3)))]))
    undoing = trio.history.undo()
    rejected = reject(trio, shoot((ADA, 3)), "Ada")
    with pytest.raises(Refused, match=f"before {rejected.id} is"):
        trio.history.undo(undoing.id)
    trio.history.undo(rejected.id)
    list(trio.enroll([("Ada", shoot((ADA, 3)))]))
    (enrolled,) = trio.history.list(limit=1)
    rejecting_again = trio.history.list(limit=2)[1]
    with pytest.raises(Refused, match=f"before {enrolled.id} is"):
        trio.history.undo(rejecting_again.id)


def test_two_faces_of_one_photo_come_and_go_on_their_own(trio, shoot):
    group = shoot((ADA, 5), (GRACE, 5))
    first = confirm(trio, group, "Ada", 1)
    second = confirm(trio, group, "Grace", 2)
    trio.history.undo(first.id)
    assert trio.upkeep.check() == []
    undoing = trio.history.list(limit=1)[0]
    third = trio.history.undo(second.id)
    with pytest.raises(Refused, match=f"before {third.id} is"):
        trio.history.undo(undoing.id)
    trio.history.undo(third.id)
    trio.history.undo(undoing.id)
    assert photos_of(trio) == {"Ada": 3, "Grace": 3, "Hedy": 2}
    assert trio.upkeep.check() == []


def test_forgetting_and_what_never_was_cannot_be_undone(trio):
    trio.forget("Ada")
    (forgotten,) = trio.history.list(limit=1)
    assert forgotten.summary == "forgot somebody"
    with pytest.raises(Refused, match="forgetting cannot be undone"):
        trio.history.undo(forgotten.id)
    with pytest.raises(Refused, match="there is no decision 999"):
        trio.history.undo(999)


def test_pictures_that_are_not_the_same_are_remembered(trio):
    before = rows(trio)
    decision = trio.duplicates.not_same_photos([("b", "a"), ("a", "b"), ("c", "d")])
    assert decision.summary == "said of 2 pairs of photos that they are not one picture"
    assert trio.duplicates.different_photos() == {frozenset("ab"), frozenset("cd")}
    assert trio.duplicates.not_same_photos([("a", "b")]).id is None
    with pytest.raises(Refused, match="the same as itself"):
        trio.duplicates.not_same_photos([("a", "a")])
    assert_undone(trio, before, decision)


# History


def test_history_tells_newest_first_what_was_decided_about_whom(trio, shoot):
    reject(trio, shoot((STRANGER, 1)), "Grace")
    trio.people.merge(["Grace"], "Ada")
    trio.people.rename("Hedy", "Lamarr")
    trio.history.undo()
    newest = trio.history.list(limit=4)
    assert [(d.kind, d.undone_by, d.undoes) for d in newest] == [
        ("undo", None, newest[1].id),
        ("rename", newest[0].id, None),
        ("merge", None, None),
        ("reject", None, None),
    ]
    assert newest[0].summary == f"undid {newest[1].id}: renamed Hedy to Lamarr"
    assert [d.kind for d in trio.history.list("Hedy")][:2] == ["undo", "rename"]
    of_ada = [d.kind for d in trio.history.list("Ada")]
    assert of_ada == ["merge", "reject", "enroll"], "Grace's are Ada's now"


def test_history_of_somebody_who_was_merged_says_into_whom(trio):
    merge = trio.people.merge(["Grace"], "Hedy")
    trio.people.merge(["Hedy"], "Ada")
    trio.people.rename("Ada", "Augusta")
    for verb in (trio.history.list, trio.forget, trio.people.faces_of):
        with pytest.raises(UnknownPerson, match=f"Grace was merged into Augusta in .* {merge.id}$"):
            verb("Grace")
    with pytest.raises(UnknownPerson, match=r"enrolled in [^:]*$"):
        trio.history.list("Ada")


# What was decided at once


@pytest.fixture
def batch(fake_gallery, shoot, monkeypatch):
    """A gallery of six people, enrolled in one run that was stored in many transactions."""
    monkeypatch.setattr(enrolling, "COMMIT_PHOTOS", 1)
    names = ["Ada", "Ada", "Bea", "Cleo", "Dora", "Emmy", "Fay"]
    pairs = [(name, shoot((10 * ord(name[0]), k))) for k, name in enumerate(names)]
    assert all(done.status == "enrolled" for done in fake_gallery.enroll(pairs))
    return fake_gallery


def test_photos_enrolled_at_once_are_one_line_and_one_undo(batch, shoot):
    list(batch.enroll([("Bea", shoot((660, 9)))]))
    later, run = batch.history.list()
    assert (run.id, run.summary, run.changed) == (
        1,
        "enrolled 7 faces of Ada, Bea and 4 others",
        {"face": 7, "template": 7},
    )
    assert later.summary == "enrolled 1 face of Bea"
    assert [d.id for d in batch.history.list("Fay")] == [1]
    batch.history.undo()
    assert photos_of(batch)["Bea"] == 1
    before = rows(batch)
    undoing = batch.history.undo()
    assert all(not found for found in rows(batch).values())
    told = [(d.id, d.summary, d.undoes, d.undone_by) for d in batch.history.list(limit=1)]
    assert told == [(undoing.id, "undid 1: " + run.summary, 1, None)]
    assert batch.history.list()[-1].undone_by == undoing.id
    assert batch.upkeep.check() == []
    again = batch.history.undo(undoing.id)
    assert again.summary == f"undid {undoing.id}: undid 1: {run.summary}"
    assert rows(batch) == before
    assert batch.history.undo().undoes == 1


def test_what_was_decided_while_photos_were_enrolled_can_be_undone_in_its_turn(
    fake_gallery, make_gallery, shoot, monkeypatch
):
    """Otherwise neither could be undone before the other."""
    monkeypatch.setattr(enrolling, "COMMIT_PHOTOS", 1)
    other = make_gallery()
    photos = [("Ada", shoot((ADA, k))) for k in (1, 2)]
    enrollment = fake_gallery.enroll([*photos, ("Augusta", shoot((MARY, 1)))])
    next(enrollment), next(enrollment)
    states = [rows(other)]
    split = other.people.split("Ada", [photos[1][1]], "Augusta")
    states.append(rows(other))
    assert [done.status for done in enrollment] == ["enrolled"]
    last, *_ = other.history.list()
    with pytest.raises(Refused, match=f"^{split.id} cannot .* before {last.id} is"):
        other.history.undo(split.id)
    while states:
        other.history.undo()
        assert rows(other) == states.pop()
    other.history.undo()
    assert other.people.all() == []


def test_history_tells_who_was_enrolled_not_who_has_the_face_by_now(batch, shoot):
    batch.people.merge(["Bea"], "Ada")
    batch.people.move([shoot((670, 3))], "Cleo", "Dora")
    assert batch.history.list()[-1].summary == "enrolled 7 faces of Ada, Bea and 4 others"


def test_any_number_of_a_run_means_all_of_it(batch):
    assert batch.history.undo(4).undoes == 1
    assert batch.people.all() == []
    with pytest.raises(Refused, match=r"^1 is undone already, by 8$"):
        batch.history.undo(7)


def test_a_run_of_which_something_was_changed_since_names_what_to_undo_before(batch, shoot):
    move = batch.people.move([shoot((680, 4)), shoot((690, 5))][:1], "Dora", "Ada")
    before = rows(batch)
    with pytest.raises(Refused, match=rf"^1 cannot .* before {move.id} is.*moved 1 face"):
        batch.history.undo(1)
    assert rows(batch) == before


@pytest.mark.parametrize("undone", [False, True])
@pytest.mark.parametrize("name", ["Ada", "Cleo"])
def test_what_is_left_of_a_run_when_somebody_of_it_is_forgotten_is_undone_as_before(
    batch, name, undone
):
    if undone:
        undoing = batch.history.undo()
    batch.forget(name)
    left = {"Ada": 2, "Bea": 1, "Cleo": 1, "Dora": 1, "Emmy": 1, "Fay": 1}
    del left[name]
    assert name not in batch.history.list()[-1].summary
    if undone:
        assert batch.history.list()[-1].undone_by is not None
        assert batch.people.all() == []
        batch.history.undo(undoing.id)
    assert photos_of(batch) == left
    assert batch.history.undo(1).summary.startswith("undid 1: enrolled")
    assert batch.people.all() == []
    assert batch.upkeep.check() == []


def test_who_was_forgotten_with_a_face_of_somebody_elses_run_does_not_keep_it_from_undoing(
    batch, shoot
):
    list(batch.enroll([("Zoe", shoot((ADA, 1)))]))
    batch.people.move([shoot((670, 3))], "Cleo", "Zoe")
    batch.forget("Zoe")
    batch.history.undo()
    assert photos_of(batch) == {"Cleo": 0}


def test_several_merges_are_one_decision(trio, shoot):
    list(trio.enroll([("Mary", shoot((MARY, 1)))]))
    before = rows(trio)
    groups = [(["Grace"], "Ada"), (["Mary"], "Hedy")]
    tried = trio.people.merge_all(groups, dry_run=True)
    assert (tried.id, tried.changed, rows(trio)) == (None, {"face": 3, "person": 2}, before)
    decision = trio.people.merge_all(groups)
    assert decision.summary == "merged Grace into Ada (2 faces); merged Mary into Hedy (1 face)"
    assert photos_of(trio) == {"Ada": 4, "Hedy": 3}
    assert [d.kind for d in trio.history.list()] == ["merge", "enroll", "enroll"]
    assert_undone(trio, before, decision)
    trio.history.undo()
    trio.history.undo()
    assert photos_of(trio) == {"Ada": 2, "Grace": 2, "Hedy": 2}


def test_merges_that_follow_from_each_other_are_undone_in_reverse(trio):
    before = rows(trio)
    assert_undone(trio, before, trio.people.merge_all([(["Grace"], "Ada"), (["Ada"], "Hedy")]))


def test_of_several_merges_one_that_is_refused_leaves_all_as_it_was(trio):
    trio.people.not_same("Ada", "Hedy")
    before, history = rows(trio), trio.history.list()
    with pytest.raises(Refused, match="Ada and Hedy are two people"):
        trio.people.merge_all([(["Grace"], "Ada"), (["Hedy"], "Ada")])
    with pytest.raises(Refused, match="nobody to merge"):
        trio.people.merge_all([])
    assert (rows(trio), trio.history.list()) == (before, history)


def test_of_several_merges_those_of_others_can_be_undone_after_one_is_forgotten(trio, shoot):
    list(trio.enroll([("Mary", shoot((MARY, 1)))]))
    decision = trio.people.merge_all([(["Grace"], "Ada"), (["Mary"], "Hedy")])
    trio.forget("Ada")
    assert trio.history.undo(decision.id).summary.endswith(": merged Mary into Hedy (1 face)")
    assert photos_of(trio) == {"Hedy": 2, "Mary": 1}
    assert trio.upkeep.check() == []


# Enrolling somebody who was merged


def test_who_was_merged_is_enrolled_as_who_they_are(trio, shoot):
    """The folder of photos is still called Grace; the human's word is that she is Ada."""
    merge = trio.people.merge(["Grace"], "Ada")
    again, new, newer = trio.enroll([("Grace", shoot((GRACE, k))) for k in (1, 3, 4)])
    assert (again.person, again.status) == ("Ada", "already")
    remark = f"Grace was merged into Ada in decision {merge.id}"
    assert (new.person, new.status, new.remark) == ("Ada", "enrolled", remark)
    assert (newer.person, newer.remark) == ("Ada", None)
    assert photos_of(trio) == {"Ada": 6, "Hedy": 2}
    trio.history.undo()
    undoing = trio.history.undo(merge.id)
    (done,) = trio.enroll([("Grace", shoot((GRACE, 3)))])
    assert (done.person, done.remark) == ("Grace", None)
    trio.history.undo()
    trio.history.undo(undoing.id)
    (done,) = trio.enroll([("Grace", shoot((GRACE, 3)))])
    assert done.person == "Ada"


def test_who_was_merged_and_whose_heir_is_gone_is_enrolled_anew(trio, shoot):
    trio.people.merge(["Grace"], "Ada")
    trio.forget("Ada")
    (done,) = trio.enroll([("Grace", shoot((GRACE, 3)))])
    assert (done.person, done.status) == ("Grace", "enrolled")


def test_who_was_split_off_and_not_after_all_is_enrolled_anew(trio, shoot):
    split = trio.people.split("Ada", [shoot((ADA, 2))], "Augusta")
    merge = trio.people.merge(["Augusta"], "Ada")
    trio.history.undo(merge.id)
    trio.history.undo(split.id)
    (done,) = trio.enroll([("Augusta", shoot((MARY, 3)))])
    assert (done.person, done.remark) == ("Augusta", None)


# Laws


PHOTOS = [((ADA, 1),), ((GRACE, 1),), ((HEDY, 1), (ADA, 3)), ((STRANGER, 1), (GRACE, 3))]
names = st.sampled_from(["Ada", "Grace", "Hedy", "Mary"])
a_photo, numbers = st.integers(0, len(PHOTOS) - 1), st.sampled_from([None, 1, 2])
verbs = st.one_of(
    st.tuples(st.just("merge"), st.lists(names, min_size=1, max_size=3), names),
    st.tuples(st.just("split"), names, st.lists(a_photo, min_size=1, max_size=2), names),
    st.tuples(st.just("move"), st.lists(a_photo, min_size=1, max_size=2), names, names),
    st.tuples(st.just("confirm"), a_photo, names, numbers),
    st.tuples(st.just("reject"), a_photo, names, numbers),
    st.tuples(st.just("dismiss"), a_photo, st.sampled_from(VERDICTS), numbers),
    st.tuples(st.just("not_same"), names, names),
    st.tuples(st.just("rename"), names, names),
    st.tuples(
        st.just("merge_all"), st.lists(st.tuples(st.lists(names, min_size=1), names), max_size=2)
    ),
    st.tuples(st.just("take_out"), st.lists(a_photo, min_size=1, max_size=2), names),
    st.tuples(st.sampled_from(["confirm_faces", "reject_faces"]), names),
    st.tuples(st.just("enroll"), names, st.lists(a_photo, min_size=1, max_size=3)),
    st.tuples(st.just("undo"), st.integers(1, 12)),
)


def all_faces(gallery, name):
    return [face for _, face in gallery.people.faces_of(name)]


def act(gallery, photos, verb, *arguments):
    """Do one thing; return whether it was done."""
    paths = {
        "split": lambda name, some, new: (name, [photos[p] for p in some], new),
        "move": lambda some, name, to: ([photos[p] for p in some], name, to),
        "take_out": lambda some, name: ([photos[p] for p in some], name),
        "confirm_faces": lambda name: (all_faces(gallery, name), name),
        "reject_faces": lambda name: (all_faces(gallery, name)[1:], name),
        "confirm": lambda photo, *rest: (photos[photo], *rest),
        "reject": lambda photo, *rest: (photos[photo], *rest),
        "dismiss": lambda photo, *rest: (photos[photo], *rest),
    }
    if verb == "enroll":
        name, some = arguments
        results = list(gallery.enroll((name, photos[photo]) for photo in some))
        return any(result.status == "enrolled" for result in results)
    try:
        arguments = paths.get(verb, lambda *same: same)(*arguments)
        return decide(gallery, verb, *arguments).id is not None
    except FacesearchError:
        return False


@pytest.fixture(scope="module")
def five_photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("laws")
    photos = [save_photo(folder / f"{k}.png", *faces) for k, faces in enumerate(PHOTOS)]
    with Gallery(folder / "gallery.db", FakeModel()) as gallery:
        pairs = [("Ada", photos[0]), ("Grace", photos[1]), ("Hedy", photos[2])]
        list(gallery.enroll(pairs))
    return folder, photos


@pytest.mark.slow
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(todo=st.lists(verbs, min_size=1, max_size=8))
def test_whatever_was_decided_undone_in_reverse_gives_the_gallery_that_was(todo, five_photos):
    folder, photos = five_photos
    with tempfile.TemporaryDirectory() as copy:
        shutil.copy(folder / "gallery.db", copy)
        with Gallery(copy, FakeModel()) as gallery, Gallery(copy, FakeModel()) as other:
            answers, states = list(gallery.identify(photos)), [rows(gallery)]
            done = []
            for verb in todo:
                before = rows(gallery)
                if act(gallery, photos, *verb):
                    done.append(gallery.history.list(limit=1)[0].id)
                    states.append(rows(gallery))
                else:
                    assert rows(gallery) == before
                assert store_of(gallery).problems() == []
            list(other.identify(photos))
            redo = []
            for decision in reversed(done):
                assert rows(gallery) == states.pop()
                redo.append(gallery.history.undo(decision).id)
            assert rows(gallery) == states.pop()
            assert list(gallery.identify(photos)) == answers
            assert list(other.identify(photos)) == answers
            assert gallery.upkeep.check() == []
            assert sorted(redo) == redo
