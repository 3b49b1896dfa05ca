"""Processes to be killed: reads jobs on stdin, forks one process each, prints its id.

Forked, since starting Python and importing everything takes longer than the work. Nothing is run
here before the fork that would start threads.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from deciding import decide
from fake_model import FakeModel, embedding, save_photo
from gallery_rows import connection_of, set_connection
from operating import fill_album, operate, own_people  # noqa: F401

import facesearch.storage.migrations  # noqa: F401
import facesearch_indexes.faiss_index
import facesearch_indexes.files  # noqa: F401
from facesearch.detection import Face
from facesearch.errors import EmbeddingMismatch
from facesearch.gallery import Gallery, enrolling, live_index
from facesearch.identification import Seen
from facesearch.pictures import Picture

live_index.INDEX_FILE_FROM = 20
FACE = Face((0.0, 0.0, 50.0, 50.0), np.zeros((5, 2), np.float32), 0.9)
CROP = np.zeros((1, 112, 112, 3), np.uint8)
MODEL = FakeModel()


@contextmanager
def asking():
    """Send a job to a process that runs this file; return the number that it answers with."""
    env = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    env["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    pipe = subprocess.PIPE
    command = [sys.executable, __file__]
    with subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True) as process:

        def ask(**job):
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield ask
        process.stdin.close()


def acknowledged(log):
    """Return the (person, picture) numbers that writers said are stored."""
    lines = Path(log).read_text().splitlines() if Path(log).exists() else []
    return [tuple(int(number) for number in line.split()) for line in lines]


def complaint(gallery, person, picture):
    """Return what is wrong with how an enrolled face is found, None if nothing is."""
    seen = Seen(
        Picture("0" * 64, "0" * 64, 1, 50, 50), [FACE], CROP, embedding(person, picture)[None]
    )
    (face,) = gallery.identify_faces(seen)
    first = face.candidates[0].person if face.candidates else None
    if face.person not in (None, f"P{person}") or first != f"P{person}":
        return f"P{person} picture {picture}: named {face.person}, rank 1 is {first}"
    return None


def write(job):
    """Enroll new people and new pictures of known ones; say so once it is done."""
    rng = random.Random(job["seed"])
    enrolling.COMMIT_PHOTOS = rng.randint(1, 4)
    log = os.open(job["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    numbers = []

    def photos():
        for count in range(10_000):
            new = rng.random() < 0.5 or not numbers
            person = job["first"] + count if new else rng.choice(numbers)[0]
            # both writers enroll these people; the pictures are of each alone
            person = rng.randint(1, 9) if rng.random() < 0.2 else person
            numbers.append((person, job["picture"]))
            photo = Path(job["photos"]) / f"{job['first']}-{job['picture']}-{count}.png"
            time.sleep(job.get("pause", 0))
            yield f"P{person}", save_photo(photo, numbers[-1], salt=count % 256)

    with Gallery(job["gallery"], MODEL) as gallery:
        for place, enrollment in enumerate(gallery.enroll(photos())):
            if enrollment.status == "enrolled":
                os.write(log, b"%d %d\n" % numbers[place])


def read(job):
    """Look for what was acknowledged, again and again; tell of each wrong answer."""
    rng = random.Random(job["seed"])
    log = os.open(job["complaints"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    answers = os.open(job["answers"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    while not Path(job["gallery"]).exists():
        time.sleep(0.001)
    with Gallery(job["gallery"], MODEL) as gallery:
        while True:
            for person, picture in rng.sample(
                known := acknowledged(job["log"]), min(5, len(known))
            ):
                wrong = complaint(gallery, person, picture)
                os.write(answers, b".")
                if wrong:
                    os.write(log, f"reader: {wrong}\n".encode())


def patiently(work):
    """Return `work` that begins again while another program has the gallery migrated."""

    def again(job):
        while True:
            try:
                return work(job)
            except EmbeddingMismatch:
                if not job.get("patient"):
                    raise
                job["first"] = job.get("first", 0) + 1
                time.sleep(0.01)

    return again


def curate(job):
    """Make one decision, but die at its SQL statement number `statement`; say if it is done."""
    with Gallery(job["gallery"], MODEL) as gallery:
        connection, left = connection_of(gallery), job["statement"]

        class Dying:
            def __getattr__(self, name):
                return getattr(connection, name)

            def execute(self, *arguments):
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                done = connection.execute(*arguments)
                if arguments == ("COMMIT",):
                    left = -1  # stored: what follows empties SQLite's log
                return done

        set_connection(gallery, Dying())
        decide(gallery, job["verb"], *job["arguments"])
        Path(job["log"]).write_text("done")


def answer(number):
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def main():
    for line in sys.stdin:
        job = json.loads(line)
        if job["role"] == "wait":
            _, status = os.waitpid(job["pid"], 0)
            answer(os.waitstatus_to_exitcode(status))
            continue
        pid = os.fork()
        if pid == 0:
            try:
                roles = {"write": write, "read": read, "curate": curate, "operate": operate}
                patiently(roles[job["role"]])(job)
            except BaseException:
                with Path(job["complaints"]).open("a") as file:
                    file.write(f"{job['role']}: {traceback.format_exc()}\n")
            os._exit(1)
        answer(pid)


if __name__ == "__main__":
    main()
