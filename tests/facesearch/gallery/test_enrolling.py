"""Enrolling photos: what is stored, skipped and reported."""

import tempfile
from pathlib import Path

import pytest
from deciding import dismiss, reject
from fake_model import save_photo
from gallery_steps import ADA, GRACE, MARY, STRANGER, enroll, photo_counts, statuses, who
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facesearch.gallery import Gallery, enrolling


def test_enrolling_the_same_photo_twice_adds_nothing(trio, shoot, tmp_path):
    before = trio.upkeep.info()
    copied = tmp_path / "copy.png"
    copied.write_bytes(shoot((ADA, 1)).read_bytes())
    assert statuses(enroll(trio, ("Ada", shoot((ADA, 1))), ("Ada", copied))) == ["already"] * 2
    assert trio.upkeep.info() == before


def test_the_same_photo_twice_in_one_run_adds_one_template(fake_gallery, shoot, monkeypatch):
    monkeypatch.setattr(enrolling, "COMMIT_PHOTOS", 2)
    photos = [("Ada", shoot((ADA, 1)))] * 3 + [("Ada", shoot((ADA, 2)))]
    expected = ["enrolled", "already", "already", "enrolled"]
    assert statuses(enroll(fake_gallery, *photos)) == expected
    assert fake_gallery.upkeep.info()["template"] == 2


def test_a_group_photo_gives_a_person_one_face_even_if_the_choice_changes(
    fake_gallery, shoot, monkeypatch
):
    monkeypatch.setattr(enrolling, "COMMIT_PHOTOS", 1)
    group, portrait = shoot((GRACE, 3), (ADA, 3)), shoot((ADA, 1))
    monkeypatch.setattr("facesearch.face_choice.LARGEST_BY", 1.0)  # chooses Grace's face
    photos = [("Ada", path) for path in (group, portrait, portrait, group)]
    done = statuses(enroll(fake_gallery, *photos))
    assert done == ["enrolled", "enrolled", "already", "already"]
    assert fake_gallery.upkeep.info()["face"] == 2


def test_the_same_bytes_under_another_name_are_skipped_and_rename_nobody_photoprism_3292(
    trio, shoot
):
    (enrollment,) = enroll(trio, ("Somebody else", shoot((ADA, 1))))
    assert enrollment.status == "skipped"
    assert "enrolled as Ada" in enrollment.remark
    assert [person.name for person in trio.people.all()] == ["Ada", "Grace", "Hedy"]


def test_a_group_photo_can_be_enrolled_for_each_person_in_it(trio, shoot):
    group = shoot((ADA, 5), (GRACE, 5))
    done = enroll(trio, ("Ada", group), ("Grace", group), ("Ada", group))
    assert statuses(done) == ["enrolled", "enrolled", "already"]
    assert who(trio, group) == ["Ada", "Grace"]
    assert trio.upkeep.info()["photo"] == 7
    boxes = {name: trio.people.faces_of(name)[-1][1].box for name in ("Ada", "Grace")}
    assert boxes["Ada"][0] < boxes["Grace"][0]


def test_enrolling_reports_enrolled_people_who_look_alike(trio, shoot):
    (enrollment,) = enroll(trio, ("Augusta", shoot((ADA, 7))))
    assert [name for name, _ in enrollment.look_alikes] == ["Ada"]
    (enrollment,) = enroll(trio, ("Mary", shoot((STRANGER, 1))))
    assert enrollment.look_alikes == ()


def test_an_unusable_photo_does_not_stop_the_run_omoide_29(fake_gallery, shoot, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    done = enroll(
        fake_gallery,
        ("Ada", tmp_path / "broken.png"),
        ("Ada", shoot(None)),
        ("Ada", tmp_path / "missing.png"),
        ("Ada", shoot((ADA, 1))),
    )
    assert statuses(done) == ["unreadable", "skipped", "unreadable", "enrolled"]
    assert all(enrollment.remark for enrollment in done[:3])


def test_an_enrollment_is_reported_only_once_it_is_stored(
    fake_gallery, make_gallery, shoot, monkeypatch
):
    monkeypatch.setattr(enrolling, "COMMIT_PHOTOS", 2)
    photos = [("Ada", shoot((ADA, k))) for k in range(1, 6)]
    other = make_gallery()
    for n, enrollment in enumerate(fake_gallery.enroll(photos), 1):
        assert enrollment.status == "enrolled"
        assert other.upkeep.info()["template"] >= n


@pytest.mark.slow
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.permutations([(person, k) for person in range(1, 9) for k in (1, 2)]))
def test_the_order_of_enrollment_does_not_change_the_answers(order, fake_model, tmp_path):
    with (
        tempfile.TemporaryDirectory(dir=tmp_path) as folder,
        Gallery(folder, fake_model) as gallery,
    ):
        photos = Path(folder)
        for person, k in order:
            enroll(gallery, (f"P{person}", save_photo(photos / f"{person}-{k}.png", (person, k))))
        probes = [save_photo(photos / f"{p}.png", (p, 9)) for p in range(1, 12)]
        found = [who(gallery, probe)[0] for probe in probes]
    assert found == [f"P{p}" for p in range(1, 9)] + [None] * 3


def test_the_number_of_workers_does_not_change_the_results(make_gallery, home, shoot):
    photos = [(f"P{p}", shoot((p, k))) for p in range(1, 9) for k in (1, 2)]
    alone, together = make_gallery(home / "a.db"), make_gallery(home / "b.db")
    assert enroll(alone, *photos) == list(together.enroll(photos, workers=3))
    probes = [shoot((p, 9)) for p in range(1, 12)]
    assert list(alone.identify(probes)) == list(together.identify(probes, workers=3))


# Rejected and dismissed faces


def test_enrolling_chooses_a_face_that_was_not_rejected(trio, shoot):
    group = shoot((ADA, 5), (ADA, 6))
    reject(trio, group, "Ada", 1)
    (done,) = trio.enroll([("Ada", group)])
    assert done.status == "enrolled"
    assert trio.people.faces_of("Ada")[-1][1].box[0] > 50


def test_a_person_is_not_enrolled_again_from_their_rejected_last_face(trio, shoot):
    list(trio.enroll([("Mary", shoot((MARY, 1)))]))
    reject(trio, shoot((MARY, 1)), "Mary")
    assert photo_counts(trio)["Mary"] == 0
    (again,) = trio.enroll([("Mary", shoot((MARY, 1)))])
    assert again.status == "skipped"


def test_a_dismissed_face_is_not_enrolled(trio, shoot):
    photo = shoot((MARY, 1))
    dismiss(trio, photo, "stranger")
    (done,) = trio.enroll([("Mary", photo)])
    assert (done.status, "a human said" in done.remark) == ("skipped", True)
    group = shoot((MARY, 2), (ADA, 9))
    dismiss(trio, group, "no face", 1)
    (done,) = trio.enroll([("Ada", group)])
    assert done.status == "enrolled"
    assert trio.people.faces_of("Ada")[-1][1].box[0] > 50


# People who were merged


def test_photos_of_a_merged_person_are_enrolled_under_the_name_that_was_kept(trio, shoot):
    """The folder is still called Grace, but a human decided that she is Ada."""
    merge = trio.people.merge(["Grace"], "Ada")
    again, new, newer = trio.enroll([("Grace", shoot((GRACE, k))) for k in (1, 3, 4)])
    assert (again.person, again.status) == ("Ada", "already")
    remark = f"Grace was merged into Ada in decision {merge.id}"
    assert (new.person, new.status, new.remark) == ("Ada", "enrolled", remark)
    assert (newer.person, newer.remark) == ("Ada", None)
    assert photo_counts(trio) == {"Ada": 6, "Hedy": 2}
    trio.history.undo()
    undoing = trio.history.undo(merge.id)
    (done,) = trio.enroll([("Grace", shoot((GRACE, 3)))])
    assert (done.person, done.remark) == ("Grace", None)
    trio.history.undo()
    trio.history.undo(undoing.id)
    (done,) = trio.enroll([("Grace", shoot((GRACE, 3)))])
    assert done.person == "Ada"


def test_a_merged_person_is_enrolled_as_new_once_the_other_was_forgotten(trio, shoot):
    trio.people.merge(["Grace"], "Ada")
    trio.forget("Ada")
    (done,) = trio.enroll([("Grace", shoot((GRACE, 3)))])
    assert (done.person, done.status) == ("Grace", "enrolled")


def test_a_person_whose_split_was_undone_is_enrolled_as_new(trio, shoot):
    split = trio.people.split("Ada", [shoot((ADA, 2))], "Augusta")
    merge = trio.people.merge(["Augusta"], "Ada")
    trio.history.undo(merge.id)
    trio.history.undo(split.id)
    (done,) = trio.enroll([("Augusta", shoot((MARY, 3)))])
    assert (done.person, done.remark) == ("Augusta", None)
