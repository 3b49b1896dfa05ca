"""Forgetting somebody while other things lie in the gallery's folders, or cannot be deleted."""

from pathlib import Path

import pytest
from gallery_rows import store_of
from gallery_steps import ADA

from facesearch.errors import GalleryError
from facesearch.storage.run_folders import PREFIX

NAME = b"Ada Lovelace"


@pytest.fixture
def ada(fake_gallery, shoot, home):
    """A gallery with one person more, a thumbnail of hers, and a copy of a photo of hers."""
    list(fake_gallery.enroll([(NAME.decode(), shoot((ADA, 1)))]))
    for folder in ("gallery.db-index", "gallery.db-photos"):
        (home / folder).mkdir(exist_ok=True)
    (home / "gallery.db-index" / "face-1.jpg").write_bytes(b"her face")
    (home / "gallery.db-photos" / "abc.jpg").write_bytes(b"her photo")
    return fake_gallery


def left_in(home):
    """Return the names of the files in the gallery's folders."""
    return [path.name for path in home.glob("gallery.db-*/*") if path.is_file()]


@pytest.mark.parametrize("folder", ["gallery.db-index", "gallery.db-photos"])
def test_a_folder_that_a_storage_device_made_does_not_stop_forgetting(ada, home, folder):
    foreign = home / folder / "@eaDir"
    foreign.mkdir()
    (foreign / "thumbnail").write_bytes(b"of the device")
    ada.forget(NAME.decode())
    assert NAME not in (home / "gallery.db").read_bytes()
    assert left_in(home) == []
    assert ada.upkeep.check() == []
    assert ada.upkeep.foreign_folders() == [foreign]
    ada.upkeep.rebuild()


def test_a_file_that_cannot_be_deleted_is_named_and_deleted_by_a_later_check(
    ada, home, monkeypatch
):
    stuck, unlink = home / "gallery.db-index" / "face-1.jpg", Path.unlink

    def refuses(path, missing_ok=False):
        if path == stuck:
            raise PermissionError(13, "Permission denied")
        unlink(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuses)
        with pytest.raises(GalleryError, match=r"face-1\.jpg: Permission denied"):
            ada.forget(NAME.decode())
        assert NAME not in (home / "gallery.db").read_bytes()
        assert left_in(home) == ["face-1.jpg"]
        assert "face-1.jpg" in " ".join(ada.upkeep.check())
        assert store_of(ada).erasure_is_due()
    assert ada.upkeep.check() == []
    assert left_in(home) == []


def test_the_photos_of_a_killed_page_go_with_the_person(ada, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    uploads = tmp_path / f"{PREFIX}killed" / "photos"
    uploads.mkdir(parents=True)
    (uploads / "a.jpg").write_bytes(b"her photo")
    ada.forget(NAME.decode())
    assert not uploads.parent.exists()
