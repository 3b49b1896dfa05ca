"""What many tests need: two portraits that installed packages carry, and a gallery of them."""

import os
import shutil
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings
from PIL import Image

if "PYTEST_XDIST_WORKER" in os.environ:  # the workers share the cores: one thread each is faster
    for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ.setdefault(library, "1")

# Each module is compiled once, not in every worker and every process that a test starts.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Tests wait for the disk longer than they compute. None of them can tell whether bytes outlive a
# loss of power, so their folders are in memory where it has room; failed ones stay, see pyproject.
MEMORY, ROOM = Path("/dev/shm"), 2 << 30  # bytes
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

settings.register_profile(
    "facesearch",
    deadline=None,  # a test never asserts a time
    max_examples=50,  # other ones in every run
)
settings.load_profile("facesearch")

# `pytest -m "not slow"` leaves these out: they load a shipped model, or start a browser, a process
# or a training. What else takes more than a second is marked where it stands.
SLOW_FIXTURES = {"portraits", "browser", "ask", "command", "words", "letters_model", "ink_folder"}
SLOW_FOLDERS = ("training", "web", "evaluation", "benchmarks")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out folders of slow tests at once: importing torch alone takes five seconds."""
    fast = config.option.markexpr == "not slow"
    return True if fast and collection_path.name in SLOW_FOLDERS else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & SLOW_FIXTURES or item.path.parent.name in SLOW_FOLDERS:
            item.add_marker(pytest.mark.slow)


class Portraits(NamedTuple):
    """Photos of two people, free to use, 512 x 512 pixels and about that."""

    eileen: Path  # Eileen Collins, NASA, from scikit-image
    grace: Path  # Grace Hopper, US Navy, from matplotlib


def carried(package: str, file: str) -> Path:
    """Return a file of an installed package, without importing it; skip the test if it is not."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package}, which carries a portrait, is not installed: the extra demo")
    return Path(spec.origin).parent / file


@pytest.fixture(scope="session")
def portraits() -> Portraits:
    return Portraits(
        eileen=carried("skimage", "data/astronaut.png"),
        grace=carried("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    )


@pytest.fixture
def album(tmp_path, portraits) -> Path:
    """A folder with Grace Hopper on three photos, Eileen Collins on one."""
    folder = tmp_path / "my album"
    folder.mkdir()
    grace = Image.open(portraits.grace)
    shutil.copy(portraits.grace, folder / "grace.jpg")
    grace.resize((400, 480)).save(folder / "small.png")
    grace.convert("L").save(folder / "grey.png")
    shutil.copy(portraits.eileen, folder / "eileen.png")
    return folder


@pytest.fixture(scope="session")
def _gallery_of_portraits(portraits, tmp_path_factory) -> Path:
    from facesearch import Gallery

    path = tmp_path_factory.mktemp("gallery") / "gallery.db"
    with Gallery(path) as gallery:
        pairs = [("Eileen Collins", portraits.eileen), ("Grace Hopper", portraits.grace)]
        assert [result.status for result in gallery.enroll(pairs)] == ["enrolled"] * 2
    return path


@pytest.fixture
def enrolled_gallery(_gallery_of_portraits, tmp_path) -> Path:
    """A gallery file of its own for each test, with Eileen Collins and Grace Hopper."""
    return Path(shutil.copy(_gallery_of_portraits, tmp_path / "enrolled.db"))


@pytest.fixture(scope="module")
def fewer_pairs():
    """Calibrate and measure models by fewer pairs of pictures, each of which takes a draw."""
    pytest.importorskip("scipy", reason="scipy, which fits the calibration, is not installed")
    from facesearch.training import calibration, figures

    few = partial(calibration.natural_pairs, n_pairs=2000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "PAIRS", 5000)
        patch.setattr(calibration, "natural_pairs", few)
        yield
