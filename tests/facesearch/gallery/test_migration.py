"""Migrating a gallery to another model keeps people and decisions and computes new templates.

Faces are made up (fake_model.py); the other model permutes the numbers of an embedding.
"""

import numpy as np
import pytest
from deciding import confirm, dismiss, reject
from fake_model import OTHER, OtherModel
from gallery_rows import store_of

from facesearch.errors import EmbeddingMismatch, GalleryError, Refused
from facesearch.gallery.migration import migrate_gallery, photos_to_see

ADA, GRACE, STRANGER = 10, 20, 40


@pytest.fixture
def duo(make_gallery, shoot):
    """A gallery of Ada and Grace, two pictures each."""
    gallery = make_gallery()
    pairs = [(n, shoot((k, i))) for n, k in (("Ada", ADA), ("Grace", GRACE)) for i in (1, 2)]
    assert [e.status for e in gallery.enroll(pairs)] == ["enrolled"] * 4
    return gallery


def who(gallery, photo):
    (seen,) = gallery.identify([photo])
    return [face.person for face in seen.faces]


def test_everyone_is_found_with_the_other_model_and_after_migrating_back(
    duo, make_gallery, shoot, fake_model
):
    before = store_of(duo).templates.all()
    assert photos_to_see(duo.path, OTHER) == 4
    migration = migrate_gallery(duo.path, OTHER)
    assert (migration.former, migration.templates, migration.left_out) == ("fake", 4, ())
    migrated = make_gallery(model=OTHER, create=False)
    assert who(migrated, shoot((ADA, 9), (STRANGER, 9), (GRACE, 9))) == ["Ada", None, "Grace"]
    assert migrated.upkeep.check() == []
    assert migrated.upkeep.info()["model"] == "other"
    with pytest.raises(EmbeddingMismatch, match="facesearch gallery migrate"):
        make_gallery(create=False)
    migrate_gallery(duo.path, fake_model)
    for mine, theirs in zip(before, store_of(make_gallery()).templates.all(), strict=True):
        assert np.array_equal(mine, theirs)


def test_migrating_to_the_same_model_does_nothing(duo, fake_model):
    assert migrate_gallery(duo.path, fake_model).templates == 0


def test_human_decisions_hold_with_the_other_model(duo, make_gallery, shoot):
    group = shoot((STRANGER, 1), (GRACE, 3))
    confirm(duo, group, "Ada", 1)
    reject(duo, group, "Grace", 2)
    migrate_gallery(duo.path, OTHER)
    migrated = make_gallery(model=OTHER, create=False)
    (photo,) = migrated.identify([group])
    assert [(f.person, f.decided_by) for f in photo.faces] == [("Ada", "human"), (None, "machine")]


def test_a_decision_made_before_the_migration_can_be_undone_after_it(duo, make_gallery, shoot):
    confirmed = confirm(duo, shoot((STRANGER, 1)), "Ada", 1)
    undone = duo.history.undo(confirmed.id)  # deletes the face and its template
    migrate_gallery(duo.path, OTHER)
    migrated = make_gallery(model=OTHER, create=False)
    assert who(migrated, shoot((STRANGER, 2))) == [None]
    migrated.history.undo(undone.id)
    assert who(migrated, shoot((STRANGER, 1))) == ["Ada"]
    assert migrated.upkeep.check() == []


def test_a_dismissal_survives_the_migration_until_it_is_undone(duo, make_gallery, shoot):
    dismissed = dismiss(duo, shoot((ADA, 1)), "stranger")
    taken_out = duo.people.take_out([shoot((GRACE, 1))], "Grace")
    dismiss(duo, shoot((GRACE, 1)), "no face")
    migrate_gallery(duo.path, OTHER)
    migrated = make_gallery(model=OTHER, create=False)
    photos = [shoot((ADA, 1)), shoot((GRACE, 1))]
    verdicts = [photo.faces[0].dismissed_as for photo in migrated.identify(photos)]
    assert verdicts == ["stranger", "no face"]
    with pytest.raises(Refused, match="came later"):
        migrated.history.undo(taken_out.id)
    for decision in (dismissed.id, None, taken_out.id):
        migrated.history.undo(decision)
    assert [face.decided_by for p in migrated.identify(photos) for face in p.faces] == ["human"] * 2
    assert migrated.upkeep.info()["template"] == 4
    assert migrated.upkeep.check() == []


def test_undoing_a_decision_whose_photo_is_gone_needs_its_model(
    duo, make_gallery, shoot, fake_model
):
    photo = shoot((STRANGER, 1))
    undone = duo.history.undo(confirm(duo, photo, "Ada", 1).id)
    photo.unlink()
    migrate_gallery(duo.path, OTHER)
    with pytest.raises(EmbeddingMismatch, match="migrated to the model other"):
        make_gallery(model=OTHER, create=False).history.undo(undone.id)
    migrate_gallery(duo.path, fake_model)
    back = make_gallery()
    back.history.undo(undone.id)
    assert back.upkeep.check() == []


def test_faces_whose_photos_are_gone_prevent_the_migration(duo, shoot, make_gallery):
    shoot((ADA, 2)).unlink()
    with pytest.raises(Refused, match=r"1 face cannot be seen again \(Ada: .*nothing was changed"):
        migrate_gallery(duo.path, OTHER)
    assert who(make_gallery(), shoot((ADA, 9))) == ["Ada"]


def test_a_photo_file_that_has_changed_is_not_used(duo, shoot):
    shoot((ADA, 2)).write_bytes(shoot((STRANGER, 2)).read_bytes())
    with pytest.raises(Refused, match="the file has changed since"):
        migrate_gallery(duo.path, OTHER)


def test_a_path_that_held_two_enrolled_photos_is_not_used_for_the_first(duo, shoot, make_gallery):
    file = shoot((ADA, 3), name="same.png")
    list(duo.enroll([("Ada", file)]))
    file.write_bytes(shoot((STRANGER, 1)).read_bytes())
    list(duo.enroll([("Hedy", file)]))
    for _ in range(2):  # the second attempt reads the first one's cache
        with pytest.raises(Refused, match=r"1 face cannot be seen again \(Ada: "):
            migrate_gallery(duo.path, OTHER)


def test_left_out_faces_come_back_with_their_photo(duo, shoot, make_gallery, fake_model):
    photo = shoot((ADA, 2))
    data = photo.read_bytes()
    photo.unlink()
    migration = migrate_gallery(duo.path, OTHER, leave_out=True)
    assert (migration.templates, [(f.person, f.photo) for f in migration.left_out]) == (
        3,
        [("Ada", str(photo))],
    )
    migrated = make_gallery(model=OTHER, create=False)
    assert who(migrated, shoot((ADA, 9))) == ["Ada"]
    assert migrated.upkeep.check() == []
    (last,) = migrated.history.list(limit=1)
    assert last.summary == "left out 1 face of Ada, which other did not find"
    assert last.kind == "leave-out"
    with pytest.raises(EmbeddingMismatch):
        migrated.history.undo(last.id)
    photo.write_bytes(data)
    migrate_gallery(duo.path, fake_model)
    make_gallery().history.undo(last.id)
    assert make_gallery().upkeep.info()["template"] == 4


def test_forgetting_a_person_also_deletes_their_left_out_faces(duo, shoot, make_gallery):
    for name in ((ADA, 2), (GRACE, 2)):
        shoot(name).unlink()
    migrate_gallery(duo.path, OTHER, leave_out=True)
    migrated = make_gallery(model=OTHER, create=False)
    migrated.forget("Ada")
    migrated.close()
    for file in duo.path.parent.rglob("*"):
        assert not file.is_file() or b"Ada" not in file.read_bytes()
    reopened = make_gallery(model=OTHER, create=False)
    assert reopened.history.list("Grace", 1)[0].summary.startswith("left out 1 face of Grace")


def test_an_interrupted_migration_changes_nothing_and_resumes_where_it_stopped(
    duo, shoot, make_gallery
):
    def interrupt():
        raise KeyboardInterrupt

    OtherModel.looks = 0
    with pytest.raises(KeyboardInterrupt):
        migrate_gallery(duo.path, OTHER, advance=interrupt)
    assert who(make_gallery(), shoot((ADA, 9))) == ["Ada"]
    migrate_gallery(duo.path, OTHER, workers=2)
    assert OtherModel.looks == 4 * 2  # each photo once, from two views
    assert not list(make_gallery(model=OTHER).upkeep.index_folder.glob("*"))


def test_people_enrolled_during_the_migration_are_migrated_too(duo, shoot, make_gallery):
    late = iter([("Hedy", shoot((STRANGER, 1)))])
    migrate_gallery(duo.path, OTHER, advance=lambda: list(duo.enroll(late)))
    assert who(make_gallery(model=OTHER, create=False), shoot((STRANGER, 9))) == ["Hedy"]


def test_a_gallery_opened_before_the_migration_refuses_to_answer(duo, shoot):
    assert who(duo, shoot((ADA, 9))) == ["Ada"]
    migrate_gallery(duo.path, OTHER)
    with pytest.raises(EmbeddingMismatch):
        who(duo, shoot((ADA, 9)))
    with pytest.raises(EmbeddingMismatch):
        list(duo.enroll([("Hedy", shoot((STRANGER, 1)))]))
    with pytest.raises(EmbeddingMismatch):
        confirm(duo, shoot((STRANGER, 1)), "Ada", 1)


def test_migrating_a_missing_gallery_does_not_create_it(home):
    with pytest.raises(GalleryError, match="there is no gallery"):
        migrate_gallery(home / "none.db", OTHER)


def test_a_model_that_finds_no_face_is_refused_and_changes_nothing(duo):
    class Blind:
        def detect(self, photo):
            return []

    blind = OtherModel(name="blind", fingerprint="b11d000000000000", detector=Blind())
    with pytest.raises(Refused, match=r"4 faces cannot be seen again .* and 1 more"):
        migrate_gallery(duo.path, blind)
    assert duo.upkeep.check() == []
