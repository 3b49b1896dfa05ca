"""Two writers and a reader on one gallery, killed at random: acknowledged faces are kept."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
import workers
from deciding import reject
from fake_model import FakeModel, save_photo
from gallery_rows import select

from facesearch.gallery import Gallery, live_index

KILLS = 20  # python -m benchmarks.kills has hundreds, over more operations
KILLS_OF_A_GALLERY = 20  # then a new one, so that kills also hit its creation
BORN_S = 0.12  # seconds, about as long as a writer takes to open the gallery and store a face
WRITING_S = 0.15  # seconds, at most, from a writer's next face to its kill

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


@pytest.fixture
def ask():
    with workers.asking() as ask:
        yield ask


def wait_for_more(log):
    """Wait until a writer acknowledges another face, at most a second."""
    before, deadline = len(workers.acknowledged(log)), time.monotonic() + 1
    while len(workers.acknowledged(log)) == before and time.monotonic() < deadline:
        time.sleep(0.005)


def rounds(home, ask, rng, monkeypatch):
    """Kill pairs of writers with a reader; check what was acknowledged after each pair.

    Return the number of acknowledged faces and of answers to the reader.
    """
    monkeypatch.setattr(live_index, "INDEX_FILE_FROM", workers.live_index.INDEX_FILE_FROM)
    job = {
        "gallery": str(home / "gallery.db"),
        "photos": str(home / "photos"),
        "log": str(home / "acknowledged"),
        "complaints": str(home / "complaints"),
        "answers": str(home / "answers"),
    }
    checked = 0
    for number in range(KILLS_OF_A_GALLERY // 2):
        seed = rng.randrange(10**6)
        first = [1000 * (2 * number + k) + 10 for k in (1, 2)]
        pids = [
            ask(role="write", seed=seed + k, first=first[k], picture=2 * number + k + 1, **job)
            for k in (0, 1)
        ]
        pids.append(ask(role="read", seed=seed, **job))
        *writers, reader = pids
        for pid in (writers[0], reader, writers[1]):  # one writer survives the reader
            if rng.random() < 0.7:
                wait_for_more(job["log"])
                time.sleep(rng.uniform(0, WRITING_S))
            else:
                time.sleep(rng.uniform(0, BORN_S))
            os.kill(pid, signal.SIGKILL)
            ended = ask(role="wait", pid=pid)
            complaints = (
                Path(job["complaints"]).read_text() if Path(job["complaints"]).exists() else ""
            )
            assert (ended, complaints) == (-signal.SIGKILL, ""), f"seed {seed}"
        said = workers.acknowledged(job["log"])
        with Gallery(job["gallery"], FakeModel()) as gallery:
            assert gallery.upkeep.check() == [], f"seed {seed}"
            for face in {*said[checked:], *rng.sample(said[:checked], min(checked, 20))}:
                assert workers.complaint(gallery, *face) is None, f"seed {seed}"
        checked = len(said)
    with Gallery(job["gallery"], FakeModel()) as gallery:
        for face in said:
            assert workers.complaint(gallery, *face) is None, f"seed {seed}"
    answers = Path(job["answers"])
    return len(said), answers.stat().st_size if answers.exists() else 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_after_many_kills_every_acknowledged_face_is_found_and_no_name_is_wrong(
    tmp_path, ask, monkeypatch
):
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201
    rng = random.Random(seed)
    faces, answers = 0, 0
    for gallery in range(KILLS // KILLS_OF_A_GALLERY):
        home = tmp_path / str(gallery)
        home.mkdir()
        said, answered = rounds(home, ask, rng, monkeypatch)
        faces, answers = faces + said, answers + answered
    print(f"{faces} faces acknowledged, {answers} answers to the reader")  # noqa: T201
    assert faces > KILLS
    assert answers > KILLS


STATEMENTS = 200  # more than any decision below needs


def rows(path):
    with Gallery(path, FakeModel()) as gallery:
        assert gallery.upkeep.check() == []
        tables = ("person", "photo", "face", "template", "not_same", "rejection")
        tables += ("dismissal", "decision")
        return [select(gallery, f"SELECT * FROM {table} ORDER BY 1") for table in tables]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "verb",
    [
        *("merge", "merge_all", "split", "move", "confirm", "reject", "dismiss"),
        *("undo a merge", "undo a rejection", "undo an enrollment"),
    ],
)
def test_a_decision_killed_at_any_statement_is_stored_whole_or_not_at_all(tmp_path, ask, verb):
    gallery_file, log = tmp_path / "gallery.db", tmp_path / "done"
    photos = {
        (person, k): save_photo(tmp_path / f"{person}-{k}.png", (person, k))
        for person in (10, 20)
        for k in (1, 2)
    }
    with Gallery(gallery_file, FakeModel()) as gallery:
        list(gallery.enroll((f"P{person}", path) for (person, _), path in photos.items()))
        list(
            gallery.enroll(
                (f"P{number}", save_photo(tmp_path / f"{number}.png", (number, 1)))
                for number in (30, 40)
            )
        )
        reject(gallery, photos[20, 1], "P10")
        gallery.history.undo()
        if verb == "undo a merge":
            gallery.people.merge(["P20"], "P10")
        elif verb == "undo a rejection":
            reject(gallery, photos[20, 1], "P20")
    arguments = {
        "merge": [["P20"], "P10"],
        "merge_all": [[[["P20"], "P10"], [["P30"], "P40"]]],
        "split": ["P10", [str(photos[10, 1])], "P50"],
        "move": [[str(photos[10, 1])], "P10", "P20"],
        "confirm": [str(photos[10, 1]), "P20"],
        "reject": [str(photos[10, 1]), "P10"],
        "dismiss": [str(photos[10, 1]), "stranger"],
    }.get(verb, [])
    before = rows(gallery_file)
    job = {
        "gallery": str(gallery_file),
        "complaints": str(tmp_path / "complaints"),
        "log": str(log),
        "verb": verb.split()[0],
        "arguments": arguments,
    }
    died = 0
    for statement in range(1, STATEMENTS):
        pid = ask(role="curate", statement=statement, **job)
        ended = ask(role="wait", pid=pid)
        assert not Path(job["complaints"]).exists(), Path(job["complaints"]).read_text()
        if ended != -signal.SIGKILL:
            break
        assert not log.exists()
        assert rows(gallery_file) == before, f"statement {statement}"
        died += 1
    assert died > 5
    assert log.exists()
    assert rows(gallery_file) != before
    with Gallery(gallery_file, FakeModel()) as gallery:
        gallery.history.undo(gallery.history.list(limit=1)[0].id)
    assert rows(gallery_file)[:-1] == before[:-1]
