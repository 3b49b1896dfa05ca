"""Whatever a gallery writes, only its owner may read."""

import os
import stat

import pytest
from gallery_steps import ADA, GRACE, STRANGER, enroll

from facesearch.gallery import import_gallery, live_index
from facesearch.gallery.files import photo_folder
from facesearch.photo import file_hash
from facesearch.private import make_private_file, make_private_folder
from facesearch.serving.thumbnails import Thumbnails
from facesearch.storage.photo_copies import keep_copy

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder):
    """Return the modes of everything in `folder`, by name: of all folders, of all files."""
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    folders = {path.name: mode for path, mode in found.items() if path.is_dir()}
    return folders, {path.name: mode for path, mode in found.items() if path.is_file()}


def test_everything_that_a_gallery_makes_is_its_owners_alone(
    make_gallery, home, shoot, fake_model, monkeypatch
):
    monkeypatch.setattr(live_index, "INDEX_FILE_FROM", 1)
    photo = shoot((ADA, 1))
    strangers = [shoot((STRANGER, k)) for k in (1, 2)]
    before = os.umask(0o022)
    try:
        gallery = make_gallery(home / "new" / "deeper" / "gallery.db")
        enroll(gallery, ("Ada", photo), ("Grace", shoot((GRACE, 1))))
        (_, face) = gallery.people.faces_of("Ada")[0]
        keep_copy(photo_folder(gallery.path), photo, face.content_hash, file_hash(photo))
        gallery.upkeep.rebuild()
        Thumbnails(gallery.upkeep.index_folder).keep(face, b"jpeg")
        gallery.review.cluster(strangers)
        gallery.upkeep.export(home / "backups" / "backup.db")
        import_gallery(home / "backups" / "backup.db", home / "other" / "g.db", fake_model).close()
    finally:
        os.umask(before)
    folders, files = modes(home)
    assert set(folders.values()) == {0o700}
    assert set(files.values()) == {0o600}
    endings = {name[name.rindex(".") :] for name in files}
    assert endings == {".db", ".db-wal", ".db-shm", ".index", ".cache", ".jpg", photo.suffix}
    assert {"new", "deeper", "backups", "other", "gallery.db-photos"} < set(folders)


def test_a_private_file_in_a_private_folder_has_one_mode_whatever_the_umask(home, umask):
    make_private_folder(home / "one" / "two")
    make_private_file(home / "one" / "two" / "file")
    assert modes(home) == ({"one": 0o700, "two": 0o700}, {"file": 0o600})


def test_what_exists_keeps_its_mode(home, umask):
    (home / "shared").mkdir()
    (home / "shared").chmod(0o750)
    (home / "shared" / "file").touch()
    (home / "shared" / "file").chmod(0o640)
    make_private_folder(home / "shared")
    make_private_file(home / "shared" / "file")
    assert modes(home) == ({"shared": 0o750}, {"file": 0o640})
