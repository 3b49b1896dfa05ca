"""Two writers and a reader on one gallery, killed at random moments: what was said stays true."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import workers
from fake_model import FakeModel

from facesearch.gallery import Gallery

KILLS = 100
KILLS_OF_A_GALLERY = 20  # then a new one, so that its making is killed too
BORN_S = 0.12  # about the time until a writer has opened the gallery and stored a face
WRITING_S = 0.15

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


@pytest.fixture
def ask():
    """Give a job to workers.py; return the number that it answers."""
    env = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    path = [str(Path(workers.__file__).parent), *sys.path]
    command = [sys.executable, workers.__file__]
    env["PYTHONPATH"] = os.pathsep.join(path)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True) as process:

        def ask(**job):
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield ask
        process.stdin.close()


def wait_for_more(log):
    """Wait until a writer acknowledged another face, or seems to have been killed."""
    before, deadline = len(workers.acknowledged(log)), time.monotonic() + 1
    while len(workers.acknowledged(log)) == before and time.monotonic() < deadline:
        time.sleep(0.005)


def rounds(home, ask, rng, monkeypatch):
    """Kill writers two by two; check after each pair of them all that they had said before."""
    monkeypatch.setattr(
        "facesearch.gallery.INDEX_FILE_FROM", workers.gallery_module.INDEX_FILE_FROM
    )
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
        for pid in (writers[0], reader, writers[1]):  # the last writer still writes
            if rng.random() < 0.7:
                wait_for_more(job["log"])
                time.sleep(rng.uniform(0, WRITING_S))
            else:
                time.sleep(rng.uniform(0, BORN_S))
            os.kill(pid, signal.SIGKILL)
            ended = ask(role="wait", pid=pid)
            told = Path(job["complaints"]).read_text() if Path(job["complaints"]).exists() else ""
            assert (ended, told) == (-signal.SIGKILL, ""), f"seed {seed}"
        said = workers.acknowledged(job["log"])
        with Gallery(job["gallery"], FakeModel()) as gallery:
            assert gallery.check() == [], f"seed {seed}"
            for face in {*said[checked:], *rng.sample(said[:checked], min(checked, 20))}:
                assert workers.complaint(gallery, *face) is None, f"seed {seed}"
        checked = len(said)
    with Gallery(job["gallery"], FakeModel()) as gallery:
        for face in said:
            assert workers.complaint(gallery, *face) is None, f"seed {seed}"
    answers = Path(job["answers"])
    return len(said), answers.stat().st_size if answers.exists() else 0


@pytest.mark.slow
@pytest.mark.timeout(300)  # half a minute where the cores are not busy
def test_killed_100_times_every_acknowledged_face_is_found_and_no_name_is_wrong(
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
