import json
import os
import shutil
import signal
import subprocess
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from time import sleep

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from facesearch.extras import install_command
from facesearch_cli import train
from facesearch_cli.main import app

needs_torch = pytest.mark.skipif(
    find_spec("torch") is None, reason="training needs the extra train"
)


@pytest.fixture
def one_thread():
    """Let torch work on one thread: these networks are too small to share."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small_network(monkeypatch):
    """Let the recipe train a network of a few thousand weights."""
    from facesearch.training import train_pictures
    from facesearch.training.modern import Modern

    small = {"stem": 4, "widths": (8,), "depths": (1,), "dim": 16, "code": 64, "episodes": 1}
    monkeypatch.setitem(train_pictures.RECIPES, "modern", partial(Modern, **small))


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


@pytest.mark.slow
@needs_torch
@pytest.mark.usefixtures("one_thread", "fewer_pairs", "small_network")
def test_train_enroll_and_identify_from_a_folder_of_classes(facesearch, tmp_path):
    data = letters(tmp_path / "letters")
    model, gallery = tmp_path / "letters-model", tmp_path / "g.db"
    done = facesearch("train", data, "--out", model, "--steps", 4)
    assert done.exit_code == 0, done.stderr
    assert "Trained on 8 classes, 4 steps." in done.stdout  # of 10, two to choose by
    assert (tmp_path / "letters-model-training" / "curves.png").read_bytes()[:4] == b"\x89PNG"
    enrolled = facesearch("enroll", data, "--model", model, "--gallery", gallery)
    assert enrolled.exit_code == 0, enrolled.stderr
    one = letters(tmp_path / "others", "A", size=90) / "A" / "1.png"
    found = facesearch("identify", one, "--model", model, "--gallery", gallery, "--json")
    (drawing,) = json.loads(found.stdout)["faces"]
    assert drawing["candidates"][0]["person"] in "ABCDEFGHIJ"
    assert found.exit_code in (0, 1)


@pytest.mark.slow
@needs_torch
@pytest.mark.usefixtures("one_thread", "fewer_pairs", "small_network")
def test_unreadable_pictures_are_listed_and_the_rest_is_trained_on(facesearch, tmp_path):
    data = letters(tmp_path / "letters")
    (data / "A" / "broken.png").write_bytes(b"not a picture")
    (data / "A" / "notes.txt").write_text("of letters")
    done = facesearch("train", data, "--out", tmp_path / "m", "--steps", 2, "--json")
    assert done.exit_code == 3
    assert "broken.png" in done.stderr
    assert "1 file that is not a photo in a format that is read: 1 .txt" in done.stderr
    result = json.loads(done.stdout)
    assert result["ended"] == "done"
    assert [path.endswith("broken.png") for path, _ in result["skipped"]] == [True]


@pytest.mark.slow
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
def test_unusable_data_is_one_sentence(facesearch, tmp_path, make, sentence):
    make(tmp_path / "data")
    done = facesearch("train", tmp_path / "data", "--out", tmp_path / "m")
    assert done.exit_code == 4
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "m").exists()


@pytest.mark.slow
@needs_torch
@pytest.mark.usefixtures("one_thread", "fewer_pairs", "small_network")
def test_a_training_is_not_overwritten_unless_resumed(facesearch, tmp_path):
    data = letters(tmp_path / "letters")
    first = facesearch("train", data, "--out", tmp_path / "m", "--steps", 2)
    assert first.exit_code == 0
    again = facesearch("train", data, "--out", tmp_path / "m", "--steps", 2)
    assert again.exit_code == 4
    assert "already is a model" in again.stderr
    shutil.rmtree(tmp_path / "m")
    again = facesearch("train", data, "--out", tmp_path / "m", "--steps", 2)
    assert again.exit_code == 4
    assert "--resume" in again.stderr
    other = facesearch("train", data, "--out", tmp_path / "m", "--steps", 3, "--resume")
    assert other.exit_code == 4
    assert "differs in steps" in other.stderr


@pytest.mark.slow
@needs_torch
@pytest.mark.usefixtures("one_thread", "fewer_pairs")
def test_ctrl_c_saves_and_resume_finishes(command, facesearch, tmp_path):
    data, model = letters(tmp_path / "letters"), tmp_path / "m"
    arguments = ["train", data, "--out", model, "--steps", 3]
    log = tmp_path / "m-training" / "log.jsonl"
    with subprocess.Popen(
        [*command, *map(str, arguments)],
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
    assert "with --resume continues" in errors
    assert not model.exists()
    done = facesearch(*arguments, "--resume")
    assert done.exit_code == 0, done.stderr
    assert (model / "model.json").exists()


def test_without_the_extra_it_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(train, "find_spec", lambda name: None)
    with pytest.raises(train.typer.Exit) as left:
        train.train(tmp_path, tmp_path / "m")
    assert left.value.exit_code == 4
    assert install_command("train") in capsys.readouterr().err


def a_face_course(after, *, before=0.5, ended="done", skipped=()):
    """Return the outcome of adapting a model: validated on 2 of 5 people, with these TPIRs."""
    from facesearch.training import train_faces as course
    from facesearch.training.data import TrainingSet
    from facesearch.training.faces import Faces
    from facesearch.training.loop import TrainingResult

    def people(n):
        classes = np.repeat(np.arange(n), 2)
        return TrainingSet(None, classes, np.zeros(n, np.int64), drawn=False)

    return course.FaceTraining(
        trained=TrainingResult(None, 0.6, 50, 40, ended, 9.0, 12.0, 0.1),
        faces=Faces(people(3), people(2), ("people",), skipped),
        after=None if after is None else {"people": course.Rates(0.91, after)},
        before={"people": course.Rates(0.92, before)},
        curves=None if after is None else Path("mine-training/curves.png"),
    )


@pytest.fixture
def adapted(monkeypatch, tmp_path):
    """Run the command with a given outcome; return exit code, stdout, stderr and the call."""
    from facesearch.training import train_faces as face_course

    def run(done, *options):
        asked = []
        monkeypatch.setattr(
            face_course, "train_on_faces", lambda *a, **k: asked.append((a, k)) or done
        )
        arguments = ["train", str(tmp_path), "--out", str(tmp_path / "mine"), *options]
        said = CliRunner().invoke(app, arguments)
        return said.exit_code, said.stdout, said.stderr, asked

    return run


@needs_torch
def test_an_adaptation_says_what_it_gained(adapted):
    code, out, err, ((arguments, options),) = adapted(a_face_course(0.7), "--from", "default")
    assert (code, err) == (0, "")
    assert "Trained on 3 people, 6 faces, 50 steps." in out
    assert "people: 91.0%, 70.0%; before: 92.0%, 50.0%" in " ".join(out.split())
    assert (arguments[1].start, options["adapt"], options["steps"]) == ("default", True, None)


@needs_torch
def test_a_model_that_is_not_better_is_not_written_and_both_figures_are_shown(adapted):
    code, out, err, _ = adapted(a_face_course(0.4), "--from", "default")
    assert (code, out) == (1, "")
    assert "No model was written" in err
    assert "of 2 people" in err
    assert err.index("40.0%") < err.index("50.0%")
    code, out, _, _ = adapted(a_face_course(0.5), "--from", "default", "--json")
    answer = json.loads(out)
    assert (code, answer["model"]) == (1, None)
    assert answer["figures"] == {"people_rank1": 0.91, "people_tpir_at_fpir_1pct": 0.5}
    assert answer["figures_before"] == {"people_rank1": 0.92, "people_tpir_at_fpir_1pct": 0.5}


@needs_torch
def test_an_interrupted_adaptation_is_not_refused_and_can_be_resumed(adapted):
    code, _, err, _ = adapted(a_face_course(None, ended="interrupted"), "--from", "default")
    assert code == 130
    assert "with --resume continues" in err
    assert "No model" not in err


@needs_torch
def test_photos_that_could_not_be_used_are_listed(adapted):
    skipped = (("a.jpg", "no face found"),)
    code, _, err, _ = adapted(a_face_course(0.7, skipped=skipped), "--from", "default")
    assert code == 3
    assert "a.jpg: no face found" in err


@needs_torch
def test_the_recipe_face_without_from_adapts_no_model(adapted):
    options = adapted(a_face_course(0.7), "--recipe", "face", "--steps", "7")[3][0]
    (_, recipe, _), asked = options
    assert (recipe.start, asked["adapt"], asked["steps"]) == ("sface", False, 7)


@needs_torch
def test_training_on_crops_says_that_all_faces_are_analyzed_first(adapted, tmp_path):
    (tmp_path / "index.csv").touch()
    code, _, err, _ = adapted(a_face_course(0.7), "--recipe", "face")
    assert code == 0
    assert "Every face is analyzed before the first step" in err


@needs_torch
def test_a_recipe_for_drawings_cannot_adapt_a_model(adapted):
    code, _, err, asked = adapted(None, "--from", "default", "--recipe", "koch")
    assert (code, asked) == (2, [])
    assert "--from is for models of faces" in " ".join(err.replace("│", " ").split())
