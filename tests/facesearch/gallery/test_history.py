"""The history: what it lists, and what can be undone."""

import pytest
from deciding import confirm, reject
from gallery_steps import ADA, GRACE, MARY, STRANGER, assert_undone, photo_counts, rows, who

from facesearch.errors import Refused, UnknownPerson
from facesearch.gallery import enrolling

# Undo


def test_undo_goes_back_step_by_step_and_skips_undone_decisions(trio):
    trio.people.merge(["Grace"], "Ada")
    trio.people.rename("Ada", "Augusta")
    trio.people.rename("Hedy", "Lamarr")
    for expected in (["Augusta", "Hedy"], ["Ada", "Hedy"], ["Ada", "Grace", "Hedy"]):
        trio.history.undo()
        assert list(photo_counts(trio)) == expected
    trio.history.undo()  # the enrollment
    assert all(not found for found in rows(trio).values())
    with pytest.raises(Refused, match="nothing to undo"):
        trio.history.undo()
    assert trio.upkeep.check() == []


def test_a_redone_decision_can_be_undone_again(trio):
    merge = trio.people.merge(["Grace"], "Ada")
    undoing = trio.history.undo()
    trio.history.undo(undoing.id)
    assert [d.undone_by is None for d in trio.history.list(limit=3)] == [True, False, True]
    assert trio.history.undo().undoes == merge.id
    assert photo_counts(trio) == {"Ada": 2, "Grace": 2, "Hedy": 2}


def test_undoing_an_enrollment_leaves_no_face_and_can_be_undone(trio, shoot):
    before = rows(trio)
    list(trio.enroll([("Mary", shoot((MARY, 1)))]))
    (decision,) = trio.history.list(limit=1)
    assert (decision.summary, decision.photo) == ("enrolled 1 face of Mary", str(shoot((MARY, 1))))
    assert who(trio, shoot((MARY, 9))) == ["Mary"]
    assert_undone(trio, before, decision)
    assert who(trio, shoot((MARY, 9))) == ["Mary"]


def test_undoing_a_changed_decision_names_the_decision_to_undo_first(trio, shoot):
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
    assert photo_counts(trio) == {"Ada": 2, "Grace": 2, "Hedy": 2}


def test_undo_does_not_restore_a_name_that_another_person_has_now(trio):
    merge = trio.people.merge(["Grace"], "Ada")
    trio.people.rename("Hedy", "Grace")
    before = rows(trio)
    with pytest.raises(Refused, match="somebody else is called Grace now; rename them first"):
        trio.history.undo(merge.id)
    assert rows(trio) == before
    trio.people.rename("Grace", "Lamarr")
    trio.history.undo(merge.id)
    assert list(photo_counts(trio)) == ["Ada", "Grace", "Lamarr"]


def test_a_split_is_not_undone_once_the_new_person_has_other_faces(trio, shoot):
    split = trio.people.split("Ada", [shoot((ADA, 2))], "Augusta")
    list(trio.enroll([("Augusta", shoot((MARY, 3)))]))
    (enrolled,) = trio.history.list(limit=1)
    with pytest.raises(Refused, match=f"before {enrolled.id} is"):
        trio.history.undo(split.id)
    assert photo_counts(trio)["Augusta"] == 2


def test_undo_does_not_restore_a_face_that_is_now_another_persons(trio, shoot):
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


def test_undo_does_not_restore_a_face_that_was_rejected_since(trio, shoot):
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


def test_two_faces_in_one_photo_are_undone_and_redone_separately(trio, shoot):
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
    assert photo_counts(trio) == {"Ada": 3, "Grace": 3, "Hedy": 2}
    assert trio.upkeep.check() == []


def test_forgetting_and_unknown_decisions_cannot_be_undone(trio):
    trio.forget("Ada")
    (forgotten,) = trio.history.list(limit=1)
    assert forgotten.summary == "forgot somebody"
    with pytest.raises(Refused, match="forgetting cannot be undone"):
        trio.history.undo(forgotten.id)
    with pytest.raises(Refused, match="there is no decision 999"):
        trio.history.undo(999)


# The list of decisions


def test_history_lists_decisions_newest_first_for_all_people_or_one(trio, shoot):
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


def test_asking_for_a_merged_person_names_the_person_they_were_merged_into(trio):
    merge = trio.people.merge(["Grace"], "Hedy")
    trio.people.merge(["Hedy"], "Ada")
    trio.people.rename("Ada", "Augusta")
    for verb in (trio.history.list, trio.forget, trio.people.faces_of):
        with pytest.raises(UnknownPerson, match=f"Grace was merged into Augusta in .* {merge.id}$"):
            verb("Grace")
    with pytest.raises(UnknownPerson, match=r"enrolled in [^:]*$"):
        trio.history.list("Ada")


# Photos enrolled in one run


@pytest.fixture
def batch(fake_gallery, shoot, monkeypatch):
    """A gallery of six people, enrolled in one run of many transactions."""
    monkeypatch.setattr(enrolling, "COMMIT_PHOTOS", 1)
    names = ["Ada", "Ada", "Bea", "Cleo", "Dora", "Emmy", "Fay"]
    pairs = [(name, shoot((10 * ord(name[0]), k))) for k, name in enumerate(names)]
    assert all(done.status == "enrolled" for done in fake_gallery.enroll(pairs))
    return fake_gallery


def test_photos_enrolled_in_one_run_are_one_entry_and_one_undo(batch, shoot):
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
    assert photo_counts(batch)["Bea"] == 1
    before = rows(batch)
    undoing = batch.history.undo()
    assert all(not found for found in rows(batch).values())
    entries = [(d.id, d.summary, d.undoes, d.undone_by) for d in batch.history.list(limit=1)]
    assert entries == [(undoing.id, "undid 1: " + run.summary, 1, None)]
    assert batch.history.list()[-1].undone_by == undoing.id
    assert batch.upkeep.check() == []
    again = batch.history.undo(undoing.id)
    assert again.summary == f"redid 1: {run.summary}"
    assert rows(batch) == before
    assert batch.history.undo().undoes == 1


def test_a_decision_made_during_an_enrollment_can_be_undone_in_its_turn(
    fake_gallery, make_gallery, shoot, monkeypatch
):
    """If the whole run were one entry, neither it nor the split could be undone first."""
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


def test_history_names_who_was_enrolled_not_who_has_the_face_now(batch, shoot):
    batch.people.merge(["Bea"], "Ada")
    batch.people.move([shoot((670, 3))], "Cleo", "Dora")
    assert batch.history.list()[-1].summary == "enrolled 7 faces of Ada, Bea and 4 others"


def test_the_number_of_any_decision_of_a_run_undoes_the_whole_run(batch):
    assert batch.history.undo(4).undoes == 1
    assert batch.people.all() == []
    with pytest.raises(Refused, match=r"^1 is undone already, by 8$"):
        batch.history.undo(7)


def test_undoing_a_run_that_was_changed_since_names_the_decision_to_undo_first(batch, shoot):
    move = batch.people.move([shoot((680, 4)), shoot((690, 5))][:1], "Dora", "Ada")
    before = rows(batch)
    with pytest.raises(Refused, match=rf"^1 cannot .* before {move.id} is.*moved 1 face"):
        batch.history.undo(1)
    assert rows(batch) == before


@pytest.mark.parametrize("undone", [False, True])
@pytest.mark.parametrize("name", ["Ada", "Cleo"])
def test_the_rest_of_a_run_can_be_undone_after_one_of_its_people_is_forgotten(batch, name, undone):
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
    assert photo_counts(batch) == left
    assert batch.history.undo(1).summary.startswith("undid 1: enrolled")
    assert batch.people.all() == []
    assert batch.upkeep.check() == []


def test_a_run_can_be_undone_after_a_person_who_was_given_one_of_its_faces_is_forgotten(
    batch, shoot
):
    list(batch.enroll([("Zoe", shoot((ADA, 1)))]))
    batch.people.move([shoot((670, 3))], "Cleo", "Zoe")
    batch.forget("Zoe")
    batch.history.undo()
    assert photo_counts(batch) == {"Cleo": 0}
