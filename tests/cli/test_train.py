import json
import os
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from time import sleep

import cv2
import numpy as np
import pytest

from facesearch_cli import train as command

needs_torch = pytest.mark.skipif(
    find_spec("torch") is None, reason="training needs the extra train"
)


def facesearch(*arguments, **options):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "facesearch_cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        **options,
    )


def letters(folder, names="ABCDEFGHIJ", pictures=3, size=70):
    """Draw a class of pictures for each letter, black on white, each a little different."""
    random = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(pictures):
            page = np.full((size, size, 3), 255, np.uint8)
            at = (int(random.integers(10, 20)), int(random.integers(45, 55)))
            thick = int(random.integers(2, 5))
            cv2.putText(page, name, at, cv2.FONT_HERSHEY_SIMPLEX, 1.3, (0, 0, 0), thick)
            cv2.imwrite(str(folder / name / f"{number}.png"), page)
    return folder


@needs_torch
def test_from_a_folder_of_classes_to_a_name(tmp_path):
    data = letters(tmp_path / "letters")
    model, gallery = tmp_path / "letters-model", tmp_path / "g.db"
    done = facesearch("train", data, "--out", model, "--steps", 4)
    assert done.returncode == 0, done.stderr
    assert "Trained on 8 classes, 4 steps." in done.stdout  # of 10, two to choose by
    assert (tmp_path / "letters-model-training" / "curves.png").read_bytes()[:4] == b"\x89PNG"
    enrolled = facesearch("enroll", data, "--model", model, "--gallery", gallery)
    assert enrolled.returncode == 0, enrolled.stderr
    one = letters(tmp_path / "others", "A", size=90) / "A" / "1.png"
    found = facesearch("identify", one, "--model", model, "--gallery", gallery, "--json")
    (drawing,) = json.loads(found.stdout)["faces"]
    assert drawing["candidates"][0]["person"] in "ABCDEFGHIJ"
    assert found.returncode in (0, 1)


@needs_torch
def test_unreadable_pictures_are_listed_and_the_rest_is_trained_on(tmp_path):
    data = letters(tmp_path / "letters")
    (data / "A" / "broken.png").write_bytes(b"not a picture")
    done = facesearch("train", data, "--out", tmp_path / "m", "--steps", 2, "--json")
    assert done.returncode == 3
    assert "broken.png" in done.stderr
    result = json.loads(done.stdout)
    assert result["ended"] == "done"
    assert [path.endswith("broken.png") for path, _ in result["skipped"]] == [True]


@needs_torch
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: folder.mkdir(), "no classes"),
        (lambda folder: letters(folder, "A"), "one class"),
        (lambda folder: letters(folder, "ABC", pictures=1), "two pictures or more"),
    ],
    ids=["an empty folder", "one class", "one picture a class"],
)
def test_data_that_cannot_serve_gets_one_sentence(tmp_path, make, sentence):
    make(tmp_path / "data")
    done = facesearch("train", tmp_path / "data", "--out", tmp_path / "m")
    assert done.returncode == 4
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "m").exists()


@needs_torch
def test_a_training_is_not_overwritten_unless_resumed(tmp_path):
    data = letters(tmp_path / "letters")
    first = facesearch("train", data, "--out", tmp_path / "m", "--steps", 2)
    assert first.returncode == 0
    again = facesearch("train", data, "--out", tmp_path / "m", "--steps", 2)
    assert again.returncode == 4
    assert "there is a model" in again.stderr
    shutil.rmtree(tmp_path / "m")
    again = facesearch("train", data, "--out", tmp_path / "m", "--steps", 2)
    assert again.returncode == 4
    assert "--resume" in again.stderr
    other = facesearch("train", data, "--out", tmp_path / "m", "--steps", 3, "--resume")
    assert other.returncode == 4
    assert "differs in steps" in other.stderr


@needs_torch
def test_ctrl_c_saves_and_resume_finishes(tmp_path):
    data, model = letters(tmp_path / "letters"), tmp_path / "m"
    arguments = ["train", data, "--out", model, "--steps", 12]
    log = tmp_path / "m-training" / "log.jsonl"
    with subprocess.Popen(
        [sys.executable, "-m", "facesearch_cli", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:
        while not log.exists():  # it is there when the training starts
            assert process.poll() is None
            sleep(0.01)
        process.send_signal(signal.SIGINT)
        errors = process.stderr.read()
    assert process.returncode == 130
    assert "with --resume goes on" in errors
    assert not model.exists()
    done = facesearch(*arguments, "--resume")
    assert done.returncode == 0, done.stderr
    assert (model / "model.json").exists()


def test_without_the_extra_it_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(command.typer.Exit) as left:
        command.train(tmp_path, tmp_path / "m")
    assert left.value.exit_code == 4
    assert "pip install 'facesearch[train]'" in capsys.readouterr().err
