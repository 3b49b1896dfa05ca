"""Dropped photos are deleted with their run, even a killed one; those of other runs stay."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from facesearch.serving.uploads import Uploads

RUN = """
import sys
from facesearch.serving.uploads import Uploads
uploads = Uploads()
with uploads.receiving("a.jpg") as (upload, file):
    file.write(b"a face")
print(upload.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Start another run with the same temporary folder; return its process and its photo."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    started = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", RUN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        started.append(process)
        return process, Path(process.stdout.readline().strip())

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_the_next_run_deletes_the_photos_of_a_killed_run_but_not_of_a_living_one(run, tmp_path):
    (killed, its_photo), (_, photo_of_living) = run(), run()
    killed.kill()
    killed.wait()
    assert its_photo.exists()
    other = tmp_path / "facesearch-page-of-another"  # a run that is just starting, or no run at all
    other.mkdir()
    uploads = Uploads()
    assert not its_photo.exists()
    assert photo_of_living.exists()
    assert other.exists()
    uploads.close()
    assert set(tmp_path.iterdir()) == {other, photo_of_living.parent.parent}


@pytest.mark.skipif(os.name == "nt", reason="there links need a privilege")
def test_nothing_is_deleted_through_a_link_that_another_user_made(monkeypatch, tmp_path_factory):
    temporary, own = tmp_path_factory.mktemp("temporary"), tmp_path_factory.mktemp("own")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    (own / "photos").mkdir()
    (own / "photos" / "holiday.jpg").touch()
    (temporary / "facesearch-page-evil").symlink_to(own)
    (temporary / "facesearch-page-worse").mkdir()
    (temporary / "facesearch-page-worse" / "photos").symlink_to(own / "photos")
    Uploads().close()
    assert (own / "photos" / "holiday.jpg").exists()


@pytest.mark.skipif(os.name == "nt", reason="there links need a privilege")
def test_nothing_is_deleted_through_a_folder_that_turns_into_a_link(monkeypatch, tmp_path_factory):
    temporary, own = tmp_path_factory.mktemp("temporary"), tmp_path_factory.mktemp("own")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    (own / "photos").mkdir()
    (own / "photos" / "holiday.jpg").touch()
    folder = temporary / "facesearch-page-evil"
    folder.mkdir()
    look, looks = Path.stat, []

    def look_and_swap(path, *, follow_symlinks=True):
        """Replace the folder, another user's, right after it was checked."""
        found = look(path, follow_symlinks=follow_symlinks)
        if path == folder and not looks:
            looks.append(path)
            folder.rmdir()
            folder.symlink_to(own)
            found = os.stat_result([*found[:4], found.st_uid + 1, *found[5:]])
        return found

    monkeypatch.setattr(Path, "stat", look_and_swap)
    Uploads().close()
    assert looks
    assert (own / "photos" / "holiday.jpg").exists()
