"""Photos whose own files do not last are copied beside the gallery, and go with the people."""

import pytest
from deciding import confirm

from facesearch.errors import GalleryError
from facesearch.photo import read_photo


def confirmed(gallery, photo, name, number=None):
    """Say who is in a photo as the page does; return the path of its copy."""
    kept = gallery.faces.keep_photo(photo, read_photo(photo).picture)
    confirm(gallery, kept, name, number, new=True)
    return kept


def test_a_copy_outlasts_the_photo_and_is_the_path_of_the_face(fake_gallery, shoot, home):
    photo = shoot((1, 1))
    data = photo.read_bytes()
    kept = confirmed(fake_gallery, photo, "Ann")
    photo.unlink()
    ((path, face),) = fake_gallery.people.faces_of("Ann")
    assert path == str(kept)
    assert kept.parent == home / "gallery.db-photos"
    assert kept.read_bytes() == data
    assert fake_gallery.faces.get(face.id)[0] == path
    assert kept.parent.stat().st_mode & 0o77 == 0


def test_forgetting_deletes_only_the_copies_of_photos_that_show_the_person(fake_gallery, shoot):
    ann, both, bea = shoot((1, 1)), shoot((1, 2), (2, 1)), shoot((2, 2))
    of_ann = confirmed(fake_gallery, ann, "Ann")
    of_both = confirmed(fake_gallery, both, "Ann", 1)
    confirmed(fake_gallery, both, "Bea", 2)
    of_bea = confirmed(fake_gallery, bea, "Bea")
    assert fake_gallery.forget("Ann")["copies of photos"] == 2
    assert not of_ann.exists()
    assert not of_both.exists()  # it shows Ann too
    assert of_bea.exists()
    assert len(fake_gallery.people.faces_of("Bea")) == 2


def test_forgetting_deletes_the_copies_that_an_undone_decision_left(fake_gallery, shoot):
    confirmed(fake_gallery, shoot((2, 1)), "Bea")
    left = confirmed(fake_gallery, shoot((1, 1)), "Ann")
    fake_gallery.history.undo()
    assert left.exists()  # for the undo of the undo
    fake_gallery.forget("Bea")
    assert not left.exists()


def test_copies_that_a_killed_forgetting_left_are_deleted_at_the_next_opening(
    make_gallery, shoot, monkeypatch
):
    gallery = make_gallery()
    kept = confirmed(gallery, shoot((1, 1)), "Ann")
    with monkeypatch.context() as killed:
        killed.setattr(gallery.upkeep, "erase", dict)
        gallery.forget("Ann")
    gallery.close()
    assert kept.exists()
    make_gallery()
    assert not kept.exists()


def test_a_copy_that_another_programs_forgetting_deleted_is_made_again(fake_gallery, shoot):
    photo = shoot((1, 1))
    kept = confirmed(fake_gallery, photo, "Ann")
    kept.unlink()
    assert fake_gallery.faces.keep_photo(photo, read_photo(photo).picture) == kept
    assert kept.exists()


def test_a_photo_that_the_gallery_knows_is_not_copied(fake_gallery, shoot, tmp_path, home):
    own, dropped = shoot((1, 1)), tmp_path / "dropped.png"
    list(fake_gallery.enroll([("Ann", own)]))
    dropped.write_bytes(own.read_bytes())
    assert fake_gallery.faces.keep_photo(dropped, read_photo(own).picture) == own
    assert not (home / "gallery.db-photos").exists()


def test_copies_that_were_moved_with_the_gallery_are_found(make_gallery, shoot, home, tmp_path):
    gallery = make_gallery()
    kept = confirmed(gallery, shoot((1, 1)), "Ann")
    gallery.close()
    home.rename(tmp_path / "moved")
    moved = make_gallery(tmp_path / "moved" / "gallery.db")
    ((_, face),) = moved.people.faces_of("Ann")
    assert moved.faces.get(face.id)[0] == str(tmp_path / "moved" / "gallery.db-photos" / kept.name)


def test_a_photo_that_changed_meanwhile_is_not_copied(fake_gallery, shoot, home):
    with pytest.raises(GalleryError, match="changed"):
        fake_gallery.faces.keep_photo(shoot((1, 1)), read_photo(shoot((1, 2))).picture)
    assert not list((home / "gallery.db-photos").iterdir())


def test_the_face_of_an_unknown_id_is_none(fake_gallery):
    assert fake_gallery.faces.get(7) is None
