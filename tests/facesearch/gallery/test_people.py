"""People: listing, renaming, merging and splitting them, and moving their photos."""

import shutil

import pytest
from deciding import confirm, reject
from fake_model import save_photo
from gallery_rows import store_of
from gallery_steps import (
    ADA,
    GRACE,
    HEDY,
    MARY,
    PEOPLE,
    STRANGER,
    assert_undone,
    candidates,
    enroll,
    face_of,
    folded_slowly,
    photo_counts,
    rows,
    who,
)

from facesearch.errors import FaceError, GalleryError, NamedTwice, Refused, UnknownPerson


def test_find_returns_a_page_of_the_people_that_all_lists(trio, shoot):
    more = ["Émile", "emil", "Emilia", "Zoë", "zoe", "Adam"]
    enroll(trio, *((name, shoot((50 + 10 * k, k))) for k, name in enumerate(more)))
    trio.people.rename("Grace", "Ådne")
    with store_of(trio).transaction():
        store_of(trio).people.add("Nobody's face")
    for searched in ("", "em", "ÉMIL", "zo\u0308e", " a d", "x"):
        every = [p for p in trio.people.all() if folded_slowly(searched) in folded_slowly(p.name)]
        for start, most in ((0, 2), (1, 3), (0, 60), (20, 5)):
            found, n_found = trio.people.find(searched, start, most)
            assert (found, n_found) == (every[start : start + most], len(every))
    for person in trio.people.all():
        faces = trio.people.faces_of(person.name)
        cover = faces[0][1].id if faces else None
        assert person.cover == trio.people.cover(person.name) == cover
    assert trio.people.cover("Who is not there") is None


# Rename


def test_a_renamed_person_is_found_under_the_new_name_until_that_is_undone(trio, shoot):
    trio.people.rename(" Ada ", "Ada Lovelace")
    assert who(trio, shoot((ADA, 9))) == ["Ada Lovelace"]
    with pytest.raises(UnknownPerson):
        trio.people.rename("Ada", "Countess")
    trio.history.undo()
    assert who(trio, shoot((ADA, 9))) == ["Ada"]


def test_a_person_cannot_be_given_the_name_of_another(trio):
    with pytest.raises(GalleryError, match="already"):
        trio.people.rename("Ada", "Grace")
    trio.people.rename("Ada", "Ada")
    assert [person.name for person in trio.people.all()] == ["Ada", "Grace", "Hedy"]


def test_renaming_forgetting_or_showing_an_unknown_person_is_refused(trio):
    for ask in (trio.forget, trio.people.faces_of, lambda name: trio.people.rename(name, "X")):
        with pytest.raises(UnknownPerson, match="Mallory"):
            ask("Mallory")


# Merge


def test_a_merge_affects_no_third_person_immich_6374(trio, shoot):
    before, hedy = rows(trio), trio.people.faces_of("Hedy")
    decision = trio.people.merge(["Grace"], "Ada")
    assert decision.summary == "merged Grace into Ada (2 faces)"
    assert decision.changed == {"face": 2, "person": 1}
    assert photo_counts(trio) == {"Ada": 4, "Hedy": 2}
    assert trio.people.faces_of("Hedy") == hedy
    assert [who(trio, shoot((n, 9))) for n in PEOPLE.values()] == [["Ada"], ["Ada"], ["Hedy"]]
    assert_undone(trio, before, decision)


def test_undoing_a_merge_restores_people_with_their_names_and_dates(trio, shoot):
    before = trio.people.all()
    answers = list(trio.identify([shoot((n, 9)) for n in PEOPLE.values()]))
    trio.people.merge(["Grace", "Hedy", "Grace"], "Ada")
    assert photo_counts(trio) == {"Ada": 6}
    trio.history.undo()
    assert trio.people.all() == before
    assert list(trio.identify([shoot((n, 9)) for n in PEOPLE.values()])) == answers


def test_another_program_with_the_gallery_open_sees_a_merge_and_its_undoing(
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


def test_a_merge_keeps_what_humans_said_about_both_people(trio, shoot):
    trio.people.not_same("Grace", "Hedy")
    photo = shoot((STRANGER, 1))
    reject(trio, photo, "Grace")
    before = rows(trio)
    decision = trio.people.merge(["Grace"], "Ada")
    assert "Ada" not in candidates(trio, photo)
    with pytest.raises(Refused, match="Ada and Hedy are two people"):
        trio.people.merge(["Hedy"], "Ada")
    assert_undone(trio, before, decision)


def test_people_a_human_called_two_are_not_merged(trio):
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
    assert photo_counts(trio) == {"Ada": 6}


def test_a_face_of_one_person_rejected_as_the_other_prevents_their_merge(trio, shoot):
    said = reject(trio, shoot((ADA, 1)), "Grace")
    with pytest.raises(Refused, match=f"rejected as the other.* decision {said.id}; undo"):
        trio.people.merge(["Grace"], "Ada")
    assert photo_counts(trio) == {"Ada": 2, "Grace": 2, "Hedy": 2}


def test_a_dry_run_of_a_merge_reports_its_changes_and_makes_none(trio):
    before, history = rows(trio), trio.history.list()
    tried = trio.people.merge(["Grace"], "Ada", dry_run=True)
    assert (tried.id, tried.changed) == (None, {"face": 2, "person": 1})
    assert (rows(trio), trio.history.list()) == (before, history)


def test_a_person_is_not_merged_with_themselves(trio):
    with pytest.raises(Refused, match="nobody else"):
        trio.people.merge(["Ada", " Ada "], "Ada")


def test_several_merges_are_one_decision(trio, shoot):
    list(trio.enroll([("Mary", shoot((MARY, 1)))]))
    before = rows(trio)
    groups = [(["Grace"], "Ada"), (["Mary"], "Hedy")]
    tried = trio.people.merge_all(groups, dry_run=True)
    assert (tried.id, tried.changed, rows(trio)) == (None, {"face": 3, "person": 2}, before)
    decision = trio.people.merge_all(groups)
    assert decision.summary == "merged Grace into Ada (2 faces); merged Mary into Hedy (1 face)"
    assert photo_counts(trio) == {"Ada": 4, "Hedy": 3}
    assert [d.kind for d in trio.history.list()] == ["merge", "enroll", "enroll"]
    assert_undone(trio, before, decision)
    trio.history.undo()
    trio.history.undo()
    assert photo_counts(trio) == {"Ada": 2, "Grace": 2, "Hedy": 2}


def test_merges_that_depend_on_each_other_are_undone_in_reverse(trio):
    before = rows(trio)
    assert_undone(trio, before, trio.people.merge_all([(["Grace"], "Ada"), (["Ada"], "Hedy")]))


def test_if_one_of_several_merges_is_refused_none_is_made(trio):
    trio.people.not_same("Ada", "Hedy")
    before, history = rows(trio), trio.history.list()
    with pytest.raises(Refused, match="Ada and Hedy are two people"):
        trio.people.merge_all([(["Grace"], "Ada"), (["Hedy"], "Ada")])
    with pytest.raises(Refused, match="nobody to merge"):
        trio.people.merge_all([])
    assert (rows(trio), trio.history.list()) == (before, history)


def test_after_a_person_is_forgotten_the_other_merges_of_a_decision_can_be_undone(trio, shoot):
    list(trio.enroll([("Mary", shoot((MARY, 1)))]))
    decision = trio.people.merge_all([(["Grace"], "Ada"), (["Mary"], "Hedy")])
    trio.forget("Ada")
    assert trio.history.undo(decision.id).summary.endswith(": merged Mary into Hedy (1 face)")
    assert photo_counts(trio) == {"Hedy": 2, "Mary": 1}
    assert trio.upkeep.check() == []


# Split and move


def test_a_split_makes_a_new_person_of_some_photos(trio, shoot):
    before = rows(trio)
    decision = trio.people.split("Ada", [shoot((ADA, 2))], "Augusta")
    assert decision.summary == "split 1 face off Ada as Augusta"
    assert photo_counts(trio) == {"Ada": 1, "Augusta": 1, "Grace": 2, "Hedy": 2}
    assert who(trio, shoot((ADA, 2))) == ["Augusta"]
    assert_undone(trio, before, decision)


def test_renaming_a_person_who_was_split_off_does_not_rename_the_other_photoprism_3292(trio, shoot):
    trio.people.split("Ada", [shoot((ADA, 2))], "Augusta")
    trio.people.rename("Augusta", "Byron")
    assert who(trio, shoot((ADA, 1))) == ["Ada"]
    assert who(trio, shoot((ADA, 2))) == ["Byron"]


def test_a_split_that_leaves_no_face_or_takes_a_used_name_is_refused(trio, shoot):
    with pytest.raises(Refused, match="rename them instead"):
        trio.people.split("Ada", [shoot((ADA, 1)), shoot((ADA, 2))], "Augusta")
    with pytest.raises(Refused, match="called Grace already"):
        trio.people.split("Ada", [shoot((ADA, 1))], "Grace")
    assert photo_counts(trio) == {"Ada": 2, "Grace": 2, "Hedy": 2}


def test_a_split_keeps_two_people_apart_until_a_human_merges_them(trio, shoot):
    trio.people.split("Ada", [shoot((ADA, 2))], "Augusta")
    assert len(rows(trio)["not_same"]) == 1
    before = rows(trio)
    decision = trio.people.merge(["Augusta"], "Ada")
    assert rows(trio)["not_same"] == []
    assert_undone(trio, before, decision)


def test_people_who_were_split_and_called_two_are_not_merged(trio, shoot):
    trio.people.split("Ada", [shoot((ADA, 2))], "Augusta")
    said = trio.people.not_same("Ada", "Augusta")
    assert said.id is not None
    assert len(rows(trio)["not_same"]) == 1
    with pytest.raises(Refused, match=f"decision {said.id};"):
        trio.people.merge(["Augusta"], "Ada")


def test_a_photo_is_moved_from_one_person_to_another(trio, shoot):
    before = rows(trio)
    decision = trio.people.move([shoot((ADA, 1)), shoot((ADA, 1))], "Ada", "Grace")
    assert decision.summary == "moved 1 face from Ada to Grace"
    assert photo_counts(trio) == {"Ada": 1, "Grace": 3, "Hedy": 2}
    assert who(trio, shoot((ADA, 1))) == ["Grace"]
    assert_undone(trio, before, decision)


def test_moving_a_photo_to_a_person_removes_its_rejection_as_theirs(trio, shoot):
    reject(trio, shoot((ADA, 1)), "Grace")
    before = rows(trio)
    decision = trio.people.move([shoot((ADA, 1))], "Ada", "Grace")
    assert rows(trio)["rejection"] == []
    assert_undone(trio, before, decision)


def test_a_person_without_faces_keeps_their_name_and_rejections(trio, shoot):
    reject(trio, shoot((STRANGER, 1)), "Ada")
    before = rows(trio)
    decision = trio.people.move([shoot((ADA, k)) for k in (1, 2)], "Ada", "Grace")
    assert photo_counts(trio) == {"Ada": 0, "Grace": 4, "Hedy": 2}
    assert len(rows(trio)["rejection"]) == 1
    assert_undone(trio, before, decision)


# Which photos and faces are meant


def test_photos_are_recognized_by_their_bytes_path_or_hash(trio, shoot, tmp_path):
    elsewhere = shutil.copy(shoot((ADA, 1)), tmp_path / "copy of ada.png")
    trio.people.move([elsewhere], "Ada", "Grace")
    shoot((HEDY, 1)).unlink()
    trio.people.move([tmp_path / "photos" / "30-1_0.png"], "Hedy", "Grace")
    assert photo_counts(trio) == {"Ada": 1, "Grace": 4, "Hedy": 1}
    with pytest.raises(FaceError, match="Ada is not enrolled from"):
        trio.people.move([shoot((ADA, 2)), shoot((GRACE, 1))], "Ada", "Hedy")
    hashed = trio.people.faces_of("Hedy")[0][1].content_hash
    trio.people.move([hashed], "Hedy", "Grace")
    trio.history.undo()
    with pytest.raises(FaceError, match="no photo was named"):
        trio.people.split("Ada", [], "Augusta")
    assert photo_counts(trio) == {"Ada": 1, "Grace": 4, "Hedy": 1}


def test_a_deleted_photo_is_recognized_by_any_path_to_its_place(trio, shoot, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    for k, folder in ((1, tmp_path / "link"), (2, tmp_path / "photos" / ".." / "photos")):
        shoot((HEDY, k)).unlink()
        trio.people.move([folder / f"30-{k}_0.png"], "Hedy", "Grace")
    assert photo_counts(trio) == {"Ada": 2, "Grace": 4, "Hedy": 0}


def test_a_different_picture_at_an_enrolled_path_is_noticed_deepface_1061(trio, shoot):
    """A different picture replaced Ada's file, so its path does not mean her photo."""
    hashed, photo = trio.people.faces_of("Ada")[0][1].content_hash, shoot((ADA, 1))
    save_photo(photo, (STRANGER, 1))
    with pytest.raises(FaceError, match=f"is not the picture that Ada .* its hash, {hashed}"):
        trio.people.move([photo], "Ada", "Grace")
    trio.people.move([hashed], "Ada", "Grace")
    assert photo_counts(trio) == {"Ada": 1, "Grace": 3, "Hedy": 2}


def test_only_the_chosen_one_of_two_faces_in_a_photo_is_split_off(trio, shoot):
    photo = shoot((ADA, 5), (ADA, 6))
    for number in (1, 2):
        confirm(trio, photo, "Ada", number, same_person_twice=True)
    before, meant = rows(trio), face_of(trio, "Ada", 3)
    photo.unlink()
    decision = trio.people.split("Ada", [meant], "Augusta")
    assert [face.id for _, face in trio.people.faces_of("Augusta")] == [meant.id]
    assert photo_counts(trio)["Ada"] == 3
    assert_undone(trio, before, decision)
    assert [face.id for _, face in trio.people.faces_of("Augusta")] == [meant.id]
    with pytest.raises(FaceError, match="this face is not enrolled as Ada"):
        trio.people.move([meant], "Ada", "Grace")


def test_faces_are_given_to_the_person_of_that_name_or_to_a_new_person(trio):
    trio.people.give([face_of(trio, "Ada")], "Ada", "Grace")
    trio.people.give([face_of(trio, "Hedy")], "Hedy", " Mary ")
    assert photo_counts(trio) == {"Ada": 1, "Grace": 3, "Hedy": 1, "Mary": 1}
    with pytest.raises(Refused, match="rename them instead"):
        trio.people.give([face_of(trio, "Ada")], "Ada", "Augusta")


def test_a_face_that_was_taken_out_can_be_enrolled_again(trio, shoot):
    before, meant = rows(trio), face_of(trio, "Ada")
    decision = trio.people.take_out([meant], "Ada")
    assert decision.summary == "took 1 face of Ada out"
    assert photo_counts(trio)["Ada"] == 1
    assert rows(trio)["rejection"] == []
    assert_undone(trio, before, decision)
    with pytest.raises(FaceError, match="not enrolled as Ada"):
        trio.people.take_out([meant], "Ada")
    (again,) = trio.enroll([("Ada", shoot((ADA, 1)))])
    assert again.status == "enrolled"


def test_a_person_whose_last_face_is_taken_out_keeps_their_name_and_history(trio):
    trio.people.take_out([face for _, face in trio.people.faces_of("Ada")], "Ada")
    assert photo_counts(trio)["Ada"] == 0
    assert trio.history.list("Ada", 1)[0].summary == "took 2 faces of Ada out"


# Not the same


def test_repeating_what_the_gallery_knows_is_not_a_decision(trio, shoot):
    confirm(trio, shoot((ADA, 1)), "Ada")
    history = trio.history.list()
    for decision in (
        confirm(trio, shoot((ADA, 1)), "Ada"),
        trio.people.rename("Ada", " Ada "),
    ):
        assert (decision.id, decision.changed) == (None, {})
    assert trio.history.list() == history
    trio.people.not_same("Ada", "Grace")
    assert trio.people.not_same("Grace", "Ada").id is None
    with pytest.raises(Refused, match="one person in this gallery"):
        trio.people.not_same("Ada", "Ada")


@pytest.fixture
def couple(fake_gallery, shoot):
    """Return a gallery with a photo whose faces were confirmed as Ada and Addy, and the photo."""
    photo = shoot((ADA, 1), (STRANGER, 1))
    confirm(fake_gallery, photo, "Ada", 1, new=True)
    confirm(fake_gallery, photo, "Addy", 2, new=True)
    return fake_gallery, photo


@pytest.mark.parametrize(
    "verb",
    [
        lambda gallery, photo, **how: gallery.people.merge(["Addy"], "Ada", **how),
        lambda gallery, photo, **how: gallery.people.move([photo], "Addy", "Ada", **how),
        lambda gallery, photo, **how: gallery.people.give([photo], "Addy", "Ada", **how),
        lambda gallery, photo, **how: gallery.faces.confirm(
            [gallery.faces.look_at(photo, 2)], "Ada", **how
        ),
    ],
    ids=["merge", "move", "give", "confirm"],
)
def test_no_verb_names_two_faces_of_a_photo_alike_unless_said_compreface_1310(couple, verb):
    gallery, photo = couple
    before = rows(gallery)
    with pytest.raises(NamedTwice, match="would show Ada twice"):
        verb(gallery, photo)
    assert rows(gallery) == before
    decision = verb(gallery, photo, same_person_twice=True)  # it is a mirror
    assert who(gallery, photo) == ["Ada", "Ada"]
    assert gallery.upkeep.check() == []
    assert_undone(gallery, before, decision)


def test_an_undo_brings_no_name_back_that_another_face_of_the_photo_took(fake_gallery, shoot):
    photo, other = shoot((ADA, 1), (STRANGER, 1)), shoot((ADA, 2))
    confirm(fake_gallery, photo, "Ada", 1, new=True)
    confirm(fake_gallery, other, "Ada")
    split = fake_gallery.people.split("Ada", [photo], "Bea")
    confirm(fake_gallery, photo, "Ada", 2)
    with pytest.raises(NamedTwice):
        fake_gallery.history.undo(split.id)
    assert who(fake_gallery, photo) == ["Bea", "Ada"]


def test_check_finds_a_name_given_twice_in_a_photo(couple):
    gallery, _ = couple
    with store_of(gallery).transaction():
        store_of(gallery).journal().update("face", 2, person_id=1)
    (problem,) = gallery.upkeep.check()
    assert problem.startswith("1 name(s) given twice in a photo")
