"""A training that runs in another process: its page, which sends only news."""

import base64
import json
import re
import time

import pytest

from facesearch.training_log import LOG, NOW, WORST, Training, replace_file
from facesearch.web.curves import training_diagrams
from facesearch.web.pages.training import duration, state_of

PNG = base64.b64encode(b"\x89PNG some").decode()


def line(step, **more):
    values = {
        "step": step,
        "seconds": 9.5,
        "loss": 0.5 - step / 10_000,
        "one_shot_validation": 0.25 + step / 10_000,
        "best": 0.3,
        "pictures_per_s": 40.0,
    }
    return json.dumps(values | more) + "\n"


def tell_worst(folder, step):
    pairs = [
        {"mated": mated, "probability": share, "pictures": [PNG, PNG]}
        for mated, share in ((True, 0.02), (False, 0.97))
    ]
    replace_file(folder / WORST, {"step": step, "pairs": pairs})


@pytest.fixture(scope="module")
def watched(open_app_once, tmp_path_factory):
    """The page of a training that has not started, and the training's folder."""
    home = tmp_path_factory.mktemp("watched")
    return open_app_once(home / "a.db", training=home / "glyphs"), home / "glyphs-training"


def test_the_page_follows_a_training_from_before_its_start_to_its_end(watched):
    site, folder = watched

    def now():
        status, _, body = site.ask("GET", "/training/now")
        assert status == 200
        return body.decode()

    assert "There is no training in this folder yet" in now()
    assert "Training of glyphs" in site.ask("GET", "/training")[2].decode()
    folder.mkdir()
    (folder / LOG).touch()
    assert "The curves appear after the first evaluation" in now()
    running = {"step": 7, "steps": 900, "loss": 0.6, "seconds_left": 240.0, "ended": None}
    replace_file(folder / NOW, running | {"pictures_per_s": 41.7, "at": time.time()})
    html = now()
    for said in ("7 of 900", "running", "4 min", "0.600", ">42<"):
        assert said in html
    (folder / LOG).write_text(line(100) + line(200) + line(300)[:40])  # half a line
    tell_worst(folder, 200)
    html = now()
    titles = re.findall(r"<h3>([^<]*)</h3>", html)
    assert titles[:3] == ["Loss", "One-shot accuracy", "Speed"]
    assert "27.0%" in html
    assert "<td>200</td>" in html
    assert "<td>300</td>" not in html
    assert "2.0% the same" in html
    assert "97.0% the same" in html
    assert str(folder) not in html
    pictures = re.findall(r'src="([^"]+)"', html)
    assert len(pictures) == 4
    for picture in pictures:
        status, headers, body = site.ask("GET", picture)
        assert (status, headers["content-type"], body) == (200, "image/png", b"\x89PNG some")
        assert headers["cache-control"] == "no-store"

    tell_worst(folder, 300)
    assert site.ask("GET", pictures[0])[0] == 404  # of the previous evaluation
    for nothing in ("300/3/1", "300/1/3", "300/0/1", "x/1/1", "300/1/..%2f..%2fa.db"):
        assert site.ask("GET", f"/training/pairs/{nothing}")[0] == 404
    replace_file(folder / NOW, {"step": 900, "steps": 900, "ended": "done", "at": time.time()})
    assert "900 of 900" in now()


def test_the_validation_measure_is_named_as_the_training_names_it():
    lines = ({"loss": 0.5, "one_shot_validation": 0.8, "best": 0.9, "pictures_per_s": 40.0},)
    now = {"validated_by": "people found", "steps": 9}
    found = Training(tuple(line | {"step": 3.0, "seconds": 1.0} for line in lines), now, None, ())
    assert state_of(found, 0.0)["People found"] == "80.0%"
    diagram = training_diagrams(found)[1]
    assert (diagram.title, diagram.y.title) == ("People found", "People found")
    older = Training(found.evaluations, None, None, ())
    assert state_of(older, 0.0)["One-shot accuracy"] == "80.0%"


def test_an_unchanged_page_is_not_sent_again(watched):
    site, folder = watched
    status, headers, body = site.ask("GET", "/training/now")
    assert (status, len(body) > 0) == (200, True)
    same = site.ask("GET", "/training/now", If_None_Match=headers["etag"])
    assert (same[0], same[2]) == (304, b"")
    folder.mkdir(exist_ok=True)
    with (folder / LOG).open("a") as log:
        log.write("\n" + line(400))
    assert site.ask("GET", "/training/now", If_None_Match=headers["etag"])[0] == 200


def test_without_a_folder_the_page_says_how_to_name_one(site):
    html = site.ask("GET", "/training")[2].decode()
    assert "facesearch web --training FOLDER" in html
    assert "training.js" not in html
    assert site.ask("GET", "/training/now")[0] == 200
    assert site.ask("GET", "/training/pairs/1/1/1")[0] == 404


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"at": 1000.0, "ended": None}, "running"),
        ({"at": 500.0, "ended": None}, "no news since 1970-01-01 00:08 UTC"),
        ({"at": 500.0, "ended": "done"}, "done"),
        ({"at": 500.0, "ended": "early"}, "stopped early: no more improvement"),
        ({"at": 500.0, "ended": "interrupted"}, "interrupted; continue with --resume"),
        ({"at": "x", "step": [], "steps": None, "loss": True, "best": float("inf")}, "unknown"),
    ],
    ids=["running", "killed", "done", "early", "interrupted", "nonsense"],
)
def test_the_state_is_the_newest_the_run_wrote(values, said):
    state = state_of(Training((), values, None, ()), now=1010.0)
    assert state["State"].startswith(said)


def test_durations_are_rounded():
    assert [duration(s) for s in (3.2, 89, 91, 5000, 7200)] == [
        "3 s",
        "89 s",
        "2 min",
        "83 min",
        "2.0 h",
    ]
