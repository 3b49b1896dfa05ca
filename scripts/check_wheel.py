"""Does an installed facesearch work? python scripts/check_wheel.py

Builds the wheel, compares its files with the source, installs it into a new environment and runs
the demo from a folder outside the clone. Dependencies are not installed a second time: the new
environment reads them from the one that runs this script, which needs the extra `dev`.
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections import Counter
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {  # package -> the folder that holds it
    "facesearch": ROOT,
    "facesearch_cli": ROOT / "cli",
    "facesearch_indexes": ROOT / "indexes",
}
LICENSES = ("LICENSE", "NOTICE")  # beside those of the models
NEEDED = {  # what a listing of source files would not miss if the source had lost it
    "typing marker": ("/py.typed", 3),
    "models' graphs": ("/branch.onnx", 3),
    "models' heads": ("/head.npz", 3),
    "detector": ("/detector.onnx", 1),
    "start of a face training": ("/mobilefacenet.npz", 1),
    "style sheet": ("/static/style.css", 1),
    "templates of the page": (".html", 1),
    "scripts of the page": (".js", 1),
}
WHERE = "import facesearch, facesearch_cli, facesearch_indexes as i; \
print(facesearch.__file__, facesearch_cli.__file__, i.__file__, sep='\\n')"


class WheelError(Exception):
    """Something of the wheel is not as it should be."""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="facesearch-wheel-") as folder:
        try:
            check(Path(folder))
        except WheelError as error:
            print(f"FAILED: {error}")
            return 1
    return 0


def check(folder: Path) -> None:
    """Build, install and try the wheel in `folder`; raises WheelError."""
    wheel = build(folder / "dist")
    print(f"built {wheel.name}, {wheel.stat().st_size / 1e6:.1f} MB")
    print(f"files: {compare_with_source(wheel)}")
    scripts = install(wheel, folder / "venv")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    for line in run([scripts / "python", "-c", WHERE], elsewhere).split():
        if not Path(line).is_relative_to(folder / "venv"):
            raise WheelError(f"{line} is imported instead of what was installed")
    print(f"installed: {run([scripts / 'facesearch', '--version'], elsewhere).strip()}")
    run([scripts / "facesearch", "doctor", "--model", "omniglot"], elsewhere)
    print("facesearch doctor: nothing is broken, with the model omniglot")
    answer = run([scripts / "facesearch", "demo"], elsewhere)
    ending = next(line for line in answer.splitlines() if " made; " in line)
    print(f"facesearch demo: {ending.partition(' See ')[0]}")


def build(folder: Path) -> Path:
    """Return the wheel of the clone, built into `folder`."""
    constraints = {"PIP_CONSTRAINT": str(ROOT / "constraints.txt")}  # for hatchling, too
    pip("wheel", "--no-deps", "--wheel-dir", folder, ROOT, **constraints)
    (wheel,) = folder.glob("*.whl")
    return wheel


def compare_with_source(wheel: Path) -> str:
    """Return how many files `wheel` has of each package.

    Raises WheelError if a file of a package is missing, if anything else is there, or if something
    that facesearch cannot do without is in neither.
    """
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    metadata = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    source = {
        file.relative_to(folder).as_posix()
        for package, folder in PACKAGES.items()
        for file in (folder / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    if missing := sorted(source - names):
        raise WheelError(f"not in the wheel: {missing}")
    if surplus := sorted(names - metadata - source):
        raise WheelError(f"in the wheel, but in no package of the clone: {surplus}")
    for what, (ending, at_least) in NEEDED.items():
        found = sum(name.endswith(ending) for name in names)
        if found < at_least:
            raise WheelError(f"{what}: {found} files *{ending}, expected at least {at_least}")
    for license_file in LICENSES:
        if not any(name.endswith(f"/licenses/{license_file}") for name in metadata):
            raise WheelError(f"the metadata has no {license_file}")
    counts = Counter(name.split("/")[0] for name in names - metadata)
    return ", ".join(f"{number} of {package}" for package, number in sorted(counts.items()))


def install(wheel: Path, environment: Path) -> Path:
    """Install `wheel` into a new `environment`; return the folder of its programs."""
    venv.create(environment, with_pip=False)
    scripts = environment / ("Scripts" if os.name == "nt" else "bin")
    pip("--python", scripts / "python", "install", "--no-deps", "--no-index", wheel)
    print_purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run([scripts / "python", "-c", print_purelib], environment).strip())
    # Folders named in a .pth file are searched last, and .pth files in them are not read: the
    # editable facesearch of the development environment stays out of sight.
    shared = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "dependencies.pth").write_text("\n".join(sorted(shared)) + "\n", "utf-8")
    return scripts


def pip(*arguments: str | Path, **variables: str) -> None:
    run([sys.executable, "-m", "pip", "--quiet", *arguments], ROOT, **variables)


def run(command: list[str | Path], folder: Path, **variables: str) -> str:
    """Return what `command` prints, run in `folder`; raises WheelError if it fails."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=folder, env=environment | variables, capture_output=True, text=True
    )
    if done.returncode != 0:
        shown = " ".join(map(str, command))
        raise WheelError(f"{shown} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
