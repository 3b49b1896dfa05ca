"""What only the files of `FaissFiles` do; see test_index_contract.py and test_files.py."""

import numpy as np
import pytest

from facesearch_indexes import FaissFiles, build_index

STAMPS = {0: "beef", 3: "beef03", 5: "beef05"}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "gallery.db-index"
    folder.mkdir()
    (folder / "photos.cache").write_text("not an index")
    return folder


@pytest.fixture
def index():
    return build_index(np.arange(3), np.eye(3, dtype=np.float32))


def names(folder):
    return sorted(path.name.rsplit("-", 1)[0] for path in folder.iterdir())


def test_erasing_deletes_unfinished_files_too_and_leaves_other_files_alone(folder, index):
    store = FaissFiles(folder)
    store.keep(index, STAMPS[5], 5)
    (folder / "beef05-6-k3_x9.tmp").touch()
    assert store.erase() == 2
    assert names(folder) == ["photos.cache"]


def test_opening_deletes_files_from_before_a_restore_once_a_newer_one_is_there(folder, index):
    store = FaissFiles(folder)
    store.keep(index, STAMPS[3], 3)
    (kept,) = folder.glob("*.index")
    content = kept.read_bytes()
    store.keep(index, "cafe05", 5)  # of a change that was lost in the restore
    kept.write_bytes(content)
    assert names(folder) == ["beef03-3", "cafe05-5", "photos.cache"]
    assert store.open(3, 5, STAMPS.get)[1] == 3
    assert names(folder) == ["beef03-3", "photos.cache"]


def test_opening_leaves_files_of_another_gallery_alone_where_there_are_no_others(folder, index):
    store = FaissFiles(folder)
    store.keep(index, "cafe05", 5)
    assert store.open(3, 5, STAMPS.get) is None
    assert names(folder) == ["cafe05-5", "photos.cache"]
