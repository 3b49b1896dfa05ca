"""Kills programs that change one gallery, beside a reader and a second writer, and checks it.

A worker enrolls, merges, undoes, forgets, names groups, migrates, and moves duplicate photos to the
trash and back; before each operation it notes how the gallery should be before and after. It is
killed in the midst of one. Then the gallery has to be in one of these two states, `check` has to
find nothing, everybody whose enrollment was acknowledged has to be found, and nobody by another
name. Faces are made up, so that thousands of operations take a minute.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.report import argument_parser, show
from facesearch.duplicates import trash
from facesearch.errors import EmbeddingMismatch
from facesearch.gallery import Gallery
from facesearch.gallery.migration import migrate_gallery

TOOLS = Path(__file__).resolve().parent.parent / "tests" / "facesearch"  # made-up faces, workers
VERBS = ("enroll", "merge", "undo", "forget", "group", "migrate", "dedupe")
KILLS_OF_A_GALLERY = 14  # then a new one, since every migration looks at all photos again
BORN_S = 0.1  # seconds; some kills come before the first operation
WORKING_S = 0.1  # seconds at most from the beginning of an operation to the kill
SAMPLE = 20  # faces acknowledged earlier that are looked for after each kill

Ask = Callable[..., int]  # sends a job to workers.py, returns its answer


class Broken(AssertionError):
    """What a kill broke."""


def kills(n_kills: int, seed: int, folder: Path) -> dict[str, float]:
    """Return how many kills hit which operation; raises Broken at the first thing lost or wrong."""
    sys.path[:0] = [] if str(TOOLS) in sys.path else [str(TOOLS)]
    workers = import_module("workers")
    rng = random.Random(seed)
    figures: Counter[str] = Counter({f"kills_in_{verb}": 0 for verb in ("no operation", *VERBS)})
    with workers.asking() as ask:
        for number in range(0, n_kills, KILLS_OF_A_GALLERY):
            home = folder / str(number)
            home.mkdir()
            round_ = _Round(home, ask, rng, workers)
            figures += round_.run(min(KILLS_OF_A_GALLERY, n_kills - number))
            shutil.rmtree(home)
    return {"kills": n_kills, "seed": seed, **figures}


class _Round:
    """One gallery, and the programs that use it."""

    def __init__(self, home: Path, ask: Ask, rng: random.Random, workers: Any) -> None:
        self.ask, self.rng, self.workers = ask, rng, workers
        self.job: dict[str, Any] = {
            "gallery": str(home / "gallery.db"),
            "photos": str(home / "photos"),
            "album": str(home / "album"),
            "patient": True,  # another program migrates the gallery
            "verbs": VERBS,
            "pause": 0.05,  # seconds after each photo of the second writer
            **{name: str(home / name) for name in ("log", "complaints", "answers", "journal")},
        }
        self.checked = 0
        workers.fill_album(home / "album")
        self.album = hashes(home / "album")
        Gallery(self.job["gallery"], workers.MODEL).close()

    def run(self, n_kills: int) -> Counter[str]:
        """Kill one worker after the other; return how often each operation was hit."""
        hit: Counter[str] = Counter()
        seed = self.rng.randrange(10**6)
        alive = [
            self.ask(role="write", seed=seed, first=10, picture=1, **self.job),
            self.ask(role="read", seed=seed, **self.job),
        ]
        try:
            for number in range(n_kills):
                seed, favorite = self.rng.randrange(10**6), VERBS[number % len(VERBS)]
                alive.append(self.ask(role="operate", seed=seed, favorite=favorite, **self.job))
                self.wait()
                self.kill(alive.pop())
                hit[f"kills_in_{self.check()}"] += 1
        finally:
            while alive:
                self.kill(alive.pop())
        self.check(everybody=True)
        hit["acknowledged_faces"] = len(self.workers.acknowledged(self.job["log"]))
        hit["acknowledged_operations"] = sum("done" in line for line in self.journal())
        answers = Path(self.job["answers"])
        hit["answers_to_the_reader"] = answers.stat().st_size if answers.exists() else 0
        return hit

    def wait(self) -> None:
        """Wait for a moment in the life of a worker, most often within an operation."""
        if self.rng.random() < 0.1:
            time.sleep(self.rng.uniform(0, BORN_S))
            return
        begun, wanted = len(self.journal()), 2 * self.rng.randint(0, 3)
        deadline = time.monotonic() + 20  # a machine that does other things, too
        while len(self.journal()) <= begun + wanted and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(self.rng.uniform(0, WORKING_S))

    def kill(self, process: int) -> None:
        """Kill a worker, which has to be alive."""
        os.kill(process, signal.SIGKILL)
        ended = self.ask(role="wait", pid=process)
        complaints = Path(self.job["complaints"])
        said = complaints.read_text() if complaints.exists() else ""
        if ended != -signal.SIGKILL or said:
            raise Broken(f"a worker ended with {ended}: {said}")

    def journal(self) -> list[dict[str, Any]]:
        """Return what workers began and did, oldest first."""
        journal = Path(self.job["journal"])
        lines = journal.read_text().splitlines(keepends=True) if journal.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def check(self, *, everybody: bool = False) -> str:
        """Return which operation was hit; raises Broken if anything is lost or wrong."""
        self.check_album()
        journal = self.journal()
        last = journal[-1] if journal else {"verb": "no operation", "after": {}}
        allowed = [last[when] for when in ("before", "after") if when in last]
        said = self.workers.acknowledged(self.job["log"])
        known = said[: self.checked]
        some = known if everybody else self.rng.sample(known, min(len(known), SAMPLE))
        with closing(self.opened()) as gallery:
            problems = gallery.upkeep.check()
            if problems:
                raise Broken(f"check found: {problems[0]}")
            found = self.workers.own_people(gallery)
            if found not in allowed:
                raise Broken(f"the gallery holds {found}, expected one of {allowed}")
            for face in {*said[self.checked :], *some}:
                wrong = self.workers.complaint(gallery, *face)
                if wrong:
                    raise Broken(wrong)
        self.checked = len(said)
        return "no operation" if "done" in last else str(last["verb"])

    def opened(self) -> Gallery:
        """Return the gallery, brought back to its model if a worker had migrated it."""
        while True:
            try:
                return Gallery(self.job["gallery"], self.workers.MODEL, create=False)
            except EmbeddingMismatch:
                migrate_gallery(self.job["gallery"], self.workers.MODEL)

    def check_album(self) -> None:
        """Check that no photo of the album is lost, and that they can all be moved back."""
        album = Path(self.job["album"])
        place = trash.default_trash(album)
        lost = self.album - hashes(album) - hashes(place)
        if lost:
            raise Broken(f"{len(lost)} files of the album are lost")
        if self.rng.random() < 0.5:
            trash.finish(place)
        while trash.newest(place) is not None:
            trash.undo(place)
        if hashes(album) != self.album:
            raise Broken("not all files of the album came back")


def hashes(folder: Path) -> Counter[str]:
    """Return the content hashes of all files below a folder, but for the trash's own."""
    return Counter(
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.png")
        if path.is_file()
    )


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--kills", type=int, default=300, metavar="N", help="default: 300")
    parser.add_argument("--seed", type=int, metavar="N", help="default: another one each time")
    arguments = parser.parse_args()
    seed = arguments.seed
    if seed is None:
        seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        try:
            figures = kills(arguments.kills, seed, Path(folder))
        except Broken as broken:
            sys.exit(f"seed {seed}: {broken}")
    show(figures, "Kills", as_json=arguments.json)


if __name__ == "__main__":
    main()
