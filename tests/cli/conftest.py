import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from facesearch_cli.main import app

sys.path.insert(0, str(Path(__file__).parent))  # for every_command


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch) -> Path:
    """Keep every test away from the gallery of the person who runs it."""
    home = tmp_path / "home"
    monkeypatch.setenv("FACESEARCH_HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    return home


@pytest.fixture
def facesearch():
    """Run a command in this process, with stdout and stderr captured separately."""

    def run(*args: object, **options: object) -> Result:
        return CliRunner().invoke(app, [str(arg) for arg in args], **options)

    return run


@pytest.fixture
def command():
    """The words that start facesearch as a process of its own."""
    return [sys.executable, "-m", "facesearch_cli"]


@pytest.fixture
def facesearch_process(command):
    """Run a command as a shell does."""

    def run(*args: object, **options) -> subprocess.CompletedProcess:
        options = {"capture_output": True, "timeout": 60, "text": True, **options}
        return subprocess.run([*command, *map(str, args)], **options)

    return run


@pytest.fixture
def bad_photos(tmp_path, portraits) -> dict[str, Path]:
    """Files that do not show a face, by what is wrong with them."""
    folder = tmp_path / "bad"
    folder.mkdir()
    Image.new("RGB", (320, 240), "grey").save(folder / "no_face.jpg")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("not a picture")
    (folder / "truncated.jpg").write_bytes(portraits.grace.read_bytes()[:20_000])
    return {path.stem: path for path in folder.iterdir()}
