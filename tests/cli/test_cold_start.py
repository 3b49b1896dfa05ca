"""A command imports no more than it needs: people wait for imports."""

import json
import os
import subprocess
import sys

import pytest

from facesearch_cli import main

REPORT = """
import json, sys
from facesearch_cli.main import app
try:
    app(sys.argv[1:], prog_name="facesearch")
except SystemExit as leaving:
    print(json.dumps([leaving.code, sorted(sys.modules)]), file=sys.stderr)
"""


def modules_of(*words):
    """Return the exit code of a command and the top-level modules that it imported."""
    command = [sys.executable, "-c", REPORT, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    exit_code, names = json.loads(done.stderr.splitlines()[-1])
    return exit_code, {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("words", [["--help"], ["identify", "--help"], ["--version"]])
def test_help_imports_no_heavy_package(words):
    exit_code, modules = modules_of(*words)
    assert exit_code == 0
    assert not modules & {"numpy", "cv2", "faiss", "PIL", "facesearch", "sqlite3", "platformdirs"}


def test_identifying_one_photo_imports_no_package_it_does_not_need(enrolled_gallery, portraits):
    exit_code, modules = modules_of(
        "identify", portraits.grace, "--gallery", enrolled_gallery, "--json"
    )
    assert exit_code == 0
    assert "cv2" in modules
    assert not modules & {
        *("torch", "scipy", "openvino", "onnx", "sqlite_utils", "platformdirs"),
        *("rich", "matplotlib", "skimage", "pillow_heif", "pydantic"),
    }


def test_blas_gets_one_thread_unless_the_environment_says_otherwise(monkeypatch):
    seen = []
    monkeypatch.setattr(main, "app", lambda **_: seen.append(os.environ["OPENBLAS_NUM_THREADS"]))
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "")  # to be put back, whatever `run` sets
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    main.run()
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    main.run()
    assert seen == ["1", "3"]
