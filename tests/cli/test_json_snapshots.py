"""Every `--json` and `--csv` answer of every command, against a stored copy.

FACESEARCH_REWRITE_SNAPSHOTS=1 stores the answers of this run in place of comparing them.
"""

import csv
import json
import os
import re
import shlex
import shutil
import sqlite3
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image, ImageEnhance, ImageOps

from facesearch.model import Model
from facesearch.shipped import SHIPPED
from facesearch_cli.main import app

sys.path.insert(0, str(Path(__file__).parents[1] / "facesearch"))

SNAPSHOTS = Path(__file__).parent / "snapshots"
REWRITE = bool(os.environ.get("FACESEARCH_REWRITE_SNAPSHOTS"))
JSON, CSV = "--json", "--csv"


@dataclass(frozen=True)
class Case:
    """A command; `$name` stands for a file of `files`, `before` prepares the gallery for it."""

    words: str
    option: str = JSON
    before: tuple[str, ...] = ()
    exit_code: int = 0


GRACE, EILEEN = "'Grace Hopper'", "'Eileen Collins'"
MERGE = f"people merge {GRACE} --into {EILEEN}"
TWICE = "enroll $again/dark.png $again/mirrored.png --name Amazing"
CASES = {
    "identify": Case("identify $album $broken", before=("people no-face $blurred",), exit_code=3),
    "identify-csv": Case("identify $album $broken", CSV, ("people stranger $blurred",), 3),
    "verify": Case("verify $eileen $grace", exit_code=1),
    "search": Case("search $group -k 2"),
    "search-csv": Case("search $group -k 2", CSV),
    "enroll": Case("enroll $people", exit_code=3),
    "cluster": Case("cluster $album $broken --gallery $new", exit_code=3),
    "cluster-name": Case("cluster $album --gallery $new --name 1 Ann"),
    "people-list": Case("people list"),
    "people-list-csv": Case("people list", CSV),
    "people-show": Case(f"people show {GRACE}"),
    "people-rename": Case(f"people rename {GRACE} Grace"),
    "people-merge": Case(MERGE),
    "people-merge-dry-run": Case(f"{MERGE} --dry-run"),
    "people-split": Case(f"people split {EILEEN} $grace --as Ann", before=(MERGE,)),
    "people-move": Case(f"people move $eileen --from {EILEEN} --to {GRACE}"),
    "people-confirm": Case(f"people confirm $blurred {GRACE} --face 1"),
    "people-reject": Case(f"people reject $blurred {GRACE}"),
    "people-stranger": Case("people stranger $blurred"),
    "people-no-face": Case("people no-face $blurred"),
    "people-not-same": Case(f"people not-same {GRACE} {EILEEN}"),
    "people-forget": Case(f"people forget {GRACE} --yes"),
    "people-forget-dry-run": Case(f"people forget {GRACE} --dry-run"),
    "dedupe-photos": Case("dedupe $album"),
    "dedupe-photos-apply": Case("dedupe $album $again --apply --yes"),
    "dedupe-photos-undo": Case("dedupe $album --undo-trash", before=("dedupe $album --apply -y",)),
    "dedupe-photos-not-same": Case("dedupe --not-same $blurred $group"),
    "dedupe-people": Case("dedupe --what people", before=(TWICE,)),
    "dedupe-people-apply": Case("dedupe --what people --apply --yes", before=(TWICE,)),
    "dedupe-people-two-in-one": Case("dedupe --what people --at-least 0", before=(TWICE, MERGE)),
    "dedupe-faces": Case("dedupe --what faces", before=(TWICE,)),
    "history": Case("history", before=(MERGE, "undo -y", f"people rename {GRACE} Grace")),
    "undo": Case("undo -y", before=(MERGE,)),
    "gallery-info": Case("gallery info"),
    "gallery-check": Case("gallery check"),
    "gallery-check-damaged": Case("gallery check --gallery $damaged", exit_code=4),
    "gallery-rebuild": Case("gallery rebuild"),
    "gallery-export": Case("gallery export $new"),
    "gallery-import": Case("gallery import $damaged --gallery $new"),
    "gallery-restore": Case("gallery restore $damaged"),
    "gallery-migrate": Case("gallery migrate --model sface"),
    "models-list": Case("models list"),
    "models-show": Case("models show"),
    "doctor": Case("doctor"),
    "evaluate": Case("evaluate $letters_model $letters --pairs 20 --ways 3"),
    "train": Case("train $letters --out $new"),
    "train-faces": Case("train $people --out $new --from default"),
}

# What varies: with the run (paths, times, hashes), with the machine (versions, sizes of files, the
# last digits of a computation), or by wording, which is for people and no part of the schema
WORDED = {"summary", "remark", "error", "reason", "why", "problems", "detail"}
VARYING = WORDED | {"state", "bytes"}
VARYING_TEXT = {
    r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00": "<time>",
    r"\d{8}-\d{6}-[0-9a-f]{6}": "<time>",  # the folder of one operation of the trash
    r"\b[0-9a-f]{16,64}\b": "<hash>",
}


def normalized(value: object, places: dict[Path, str], key: str = "") -> object:
    """Return `value` of an answer without what varies, numbers to three digits."""
    if isinstance(value, dict):
        return {name: normalized(part, places, name) for name, part in value.items()}
    if isinstance(value, list):
        return [normalized(part, places, key) for part in value]
    if key in VARYING and value:
        return f"<{key}>"
    if isinstance(value, float):
        return round(float(f"{value:.3g}"), 3)
    if not isinstance(value, str):
        return value
    if re.fullmatch(r"-?\d+\.\d+", value):  # in CSV
        return str(normalized(float(value), places))
    for place, name in places.items():
        value = value.replace(str(place), name)
    for pattern, name in VARYING_TEXT.items():
        value = re.sub(pattern, name, value)
    return value


@pytest.fixture(scope="module", autouse=True)
def _every_model_loaded_once():
    load = Model.load.__func__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "load", classmethod(cache(load)))
        yield


@pytest.fixture(scope="module")
def _pictures(portraits, tmp_path_factory):
    """Folders of photos: `album` to ask about, `people` to enroll, `again` of Grace Hopper."""
    root = tmp_path_factory.mktemp("pictures")
    with Image.open(portraits.grace) as file:
        grace = file.convert("RGB")
    with Image.open(portraits.eileen) as file:
        eileen = file.convert("RGB").resize((400, 400))
    group = Image.new("RGB", (800, 480))
    group.paste(grace.resize((400, 480)), (0, 0))
    group.paste(eileen, (400, 0))
    for folder in ("album", "again", "people/Ann", "people/Bea"):
        (root / folder).mkdir(parents=True)
    group.save(root / "album" / "group.jpg")
    grace.resize((300, 352)).save(root / "album" / "blurred.jpg", quality=60)
    shutil.copy(portraits.grace, root / "album" / "enrolled.jpg")
    Image.new("RGB", (320, 240), "grey").save(root / "album" / "no_face.png")
    ImageEnhance.Brightness(grace).enhance(0.6).save(root / "again" / "dark.png")
    ImageOps.mirror(grace).save(root / "again" / "mirrored.png")
    eileen.save(root / "people" / "Ann" / "one.jpg")
    ImageOps.mirror(eileen).save(root / "people" / "Bea" / "two.jpg")
    shutil.copy(portraits.grace, root / "people" / "Bea" / "known.jpg")
    (root / "people" / "stray.jpg").write_text("no photo")
    (root / "broken.jpg").write_text("no photo")
    return root


@pytest.fixture
def files(_pictures, enrolled_gallery, portraits, own_home, tmp_path):
    """What `$name` in a command stands for; the gallery of two is the user's own."""
    own_home.mkdir()
    damaged = Path(shutil.copy(enrolled_gallery, tmp_path / "damaged.db"))
    enrolled_gallery.rename(own_home / "gallery.db")
    shutil.copytree(_pictures, tmp_path / "pictures")
    pictures = tmp_path / "pictures"
    album = pictures / "album"
    return {
        "album": album,
        "again": pictures / "again",
        "people": pictures / "people",
        "broken": pictures / "broken.jpg",
        "blurred": album / "blurred.jpg",
        "group": album / "group.jpg",
        "grace": portraits.grace,
        "eileen": portraits.eileen,
        "new": tmp_path / "new",
        "damaged": damaged,
    }


@pytest.fixture
def run(facesearch, files, tmp_path):
    """Run a command of CASES; return its exit code and its answers as a snapshot has them."""
    places = {tmp_path: "<tmp>", SHIPPED: "<models>"}
    for portrait in ("grace", "eileen"):
        places[files[portrait]] = f"<{portrait}>"

    def run(case: Case) -> dict[str, object]:
        for words in case.before:
            assert facesearch(*arguments(words)).exit_code == 0
        done = facesearch(*arguments(case.words), case.option)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.stderr
        assert done.exit_code == case.exit_code, done.stderr
        lines = done.stdout.splitlines()
        answers = map(json.loads, lines) if case.option == JSON else csv.DictReader(lines)
        return {
            "command": f"facesearch {case.words} {case.option}",
            "exit_code": done.exit_code,
            "answers": [normalized(answer, places) for answer in answers],
        }

    def arguments(words: str) -> list[str]:
        return [
            re.sub(r"^\$(\w+)", lambda name: str(files[name[1]]), word)
            for word in shlex.split(words)
        ]

    return run


def compare(name: str, answer: dict[str, object]) -> None:
    """Compare an answer with its snapshot, order of keys included; or store it."""
    text = json.dumps(answer, indent=1, ensure_ascii=False) + "\n"
    file = SNAPSHOTS / f"{name}.json"
    if REWRITE:
        file.write_text(text, "utf-8")
    assert text == file.read_text("utf-8")


NEEDS_MORE = {"evaluate", "train", "train-faces", "gallery-check-damaged"}  # tests of their own


@pytest.mark.parametrize("name", [name for name in CASES if name not in NEEDS_MORE])
def test_the_answer_is_the_stored_one(run, name):
    compare(name, run(CASES[name]))


def test_the_answer_about_a_damaged_gallery_is_the_stored_one(run, files):
    with sqlite3.connect(files["damaged"]) as db:
        db.execute("UPDATE template SET fingerprint = 'another' WHERE id = 1")
    db.close()
    compare("gallery-check-damaged", run(CASES["gallery-check-damaged"]))


def test_the_answer_of_evaluate_is_the_stored_one(run, files, tmp_path):
    pytest.importorskip("onnx", reason="onnx, which writes the model, is not installed")
    from image_model import FONTS, letter, write_model

    files["letters_model"] = write_model(tmp_path / "letters_model")
    files["letters"] = tmp_path / "letters"
    for text in "AMXZ":
        (tmp_path / "letters" / text).mkdir(parents=True)
        for i, (size, thickness) in enumerate(((1.5, 2), (2.4, 4), (2.0, 3))):
            pixels = letter(text, size=size, thickness=thickness, font=FONTS[i % 2], at=(0.2, 0.8))
            Image.fromarray(pixels).save(tmp_path / "letters" / text / f"{i}.png")
    compare("evaluate", run(CASES["evaluate"]))


needs_torch = pytest.mark.skipif(
    find_spec("torch") is None, reason="training needs the extra train"
)
SKIPPED = (("a.jpg", "made up"),)


def trained(accuracy: float):
    from facesearch.training.loop import TrainingResult

    return TrainingResult(None, accuracy, 50, 40, "done", 9.0, 12.04, 0.1)


@needs_torch
def test_the_answer_of_a_training_on_pictures_is_the_stored_one(run, files, tmp_path, monkeypatch):
    from facesearch.evaluation.pictures import Pictures
    from facesearch.training import train_pictures

    pictures = Pictures.__new__(Pictures)
    object.__setattr__(pictures, "skipped", SKIPPED)
    curves = tmp_path / "curves.png"
    course = train_pictures.PictureTraining(trained(0.7123456), pictures, 8, 2, True, curves)
    monkeypatch.setattr(train_pictures, "train_on_pictures", lambda *_, **__: course)
    files["letters"] = tmp_path
    case = CASES["train"]
    compare("train", run(Case(case.words, case.option, exit_code=3)))


@needs_torch
def test_the_answer_of_an_adaptation_is_the_stored_one(run, tmp_path, monkeypatch):
    from facesearch.training import train_faces
    from facesearch.training.data import TrainingSet
    from facesearch.training.faces import Faces

    def people(n):
        return TrainingSet(None, np.repeat(np.arange(n), 2), np.zeros(n, np.int64), drawn=False)

    course = train_faces.FaceTraining(
        trained=trained(0.6),
        faces=Faces(people(3), people(2), ("people",), SKIPPED),
        after={"people": train_faces.Rates(0.91, 0.7)},
        before={"people": train_faces.Rates(0.92, 0.5)},
        curves=tmp_path / "curves.png",
    )
    monkeypatch.setattr(train_faces, "train_on_faces", lambda *_, **__: course)
    case = CASES["train-faces"]
    compare("train-faces", run(Case(case.words, case.option, exit_code=3)))


def commands_with(option: str) -> set[str]:
    """Return the commands, as words, that have `option`."""
    found = set()

    def walk(words: list[str], command) -> None:
        for name, sub in getattr(command, "commands", {}).items():
            walk([*words, name], sub)
        if any(option in parameter.opts for parameter in command.params):
            found.add(" ".join(words))

    walk([], typer.main.get_command(app))
    return found


@pytest.mark.parametrize("option", [JSON, CSV])
def test_every_command_with_the_option_has_a_snapshot(option):
    snapshots = [case.words for case in CASES.values() if case.option == option]
    missing = {
        command
        for command in commands_with(option)
        if not any(f"{words} ".startswith(f"{command} ") for words in snapshots)
    }
    assert missing == set()


def test_every_snapshot_is_of_a_case():
    assert {file.stem for file in SNAPSHOTS.iterdir()} == set(CASES)
