"""facesearch doctor: check that everything works on this machine."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import typer

from facesearch_cli.options import UNUSABLE, Options, gallery_path, with_options
from facesearch_cli.render import Column, Screen, bearer_words, print_json

EXTRAS = {  # extra -> a package that only this extra installs
    "openvino": "openvino",
    "heic": "pillow-heif",
    "web": "starlette",
    "train": "torch",
    "milvus": "pymilvus",
}
BLACK_PHOTO = b"P6 64 64 255\n" + bytes(64 * 64 * 3)  # as a PPM file
PACKAGES = ("numpy", "pillow", "opencv-python-headless", "faiss-cpu", "sqlite-utils")


class Check(NamedTuple):
    """The result of one check; `state` is "ok", "missing" (optional or not checked) or "broken"."""

    what: str
    state: str
    detail: str


@with_options
def doctor(options: Options) -> None:
    """Check versions, engines, model, gallery and extras; exit 4 if something is broken."""
    from facesearch.engine import ENGINES

    path, model = gallery_path(options.gallery), options.model
    checks = [
        *versions(),
        examined("model", lambda: about_model(model)),
        *(examined(f"engine {e}", partial(about_engine, model, e)) for e in ENGINES),
        examined("gallery", lambda: about_gallery(path, model)),
        *(extra(name, package) for name, package in EXTRAS.items()),
    ]
    broken = any(check.state == "broken" for check in checks)
    if options.as_json:
        print_json(ok=not broken, checks=[check._asdict() for check in checks])
    else:
        marks = {"ok": ("ok", "green"), "missing": ("-", "dim"), "broken": ("BROKEN", "bold red")}
        columns = (Column("what"), Column("state"), Column("detail", share=1))
        Screen().table(columns, [(c.what, marks[c.state], c.detail) for c in checks])
    if broken:
        raise typer.Exit(UNUSABLE)


def version_of(package: str) -> str:
    """Return the installed version of a package, or "not installed"."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def versions() -> list[Check]:
    """Return the versions of facesearch, Python and the packages, and the processor."""
    import platform
    import sqlite3

    import cv2

    # OpenCV marks a feature that it picks at run time with "*", one this processor lacks with "?"
    simd = [name.strip("*") for name in cv2.getCPUFeaturesLine().split() if "?" not in name]
    return [
        Check("facesearch", "ok", version_of("facesearch")),
        Check("python", "ok", f"{platform.python_version()} on {platform.platform()}"),
        *(Check(name, "ok", version_of(name)) for name in PACKAGES),
        Check("sqlite", "ok", sqlite3.sqlite_version),
        Check("processor", "ok", " ".join(simd)),
    ]


def examined(what: str, look: Callable[[], Check | str]) -> Check:
    """Return the result of `look`, or "broken" if it raises."""
    from facesearch import FacesearchError

    try:
        found = look()
    except FacesearchError as error:
        return Check(what, "broken", str(error))
    return found if isinstance(found, Check) else Check(what, "ok", found)


def about_model(name: str) -> str:
    """Return the model with its fingerprint; loading it checks the SHA-256 of every file."""
    from facesearch import Model

    model = Model.load(name)
    return f"{model.name}, fingerprint {model.fingerprint}, SHA-256 of every file correct"


def about_engine(name: str, engine: str) -> Check | str:
    """Return that the engine runs the model and the detector, or that it is not installed."""
    import numpy as np

    from facesearch import Model
    from facesearch.engine import openvino_is_installed
    from facesearch.extras import install_command
    from facesearch.photo import photo_from_bytes

    if engine == "openvino" and not openvino_is_installed():
        return Check("engine openvino", "missing", install_command("openvino"))
    model = Model.load(name, engine)
    side = int(model.manifest["input"]["side_px"])
    model.embed(np.zeros((1, side, side, 3), np.uint8))
    model.detector.detect(photo_from_bytes(BLACK_PHOTO))
    return "runs the detector and the model"


def about_gallery(path: Path, model: str) -> Check | str:
    """Return what the gallery holds, or what is wrong with it."""
    from facesearch import EmbeddingMismatch, Gallery
    from facesearch.gallery import gallery_file
    from facesearch.manifest import subject

    file = gallery_file(path)
    if not file.exists():
        return Check("gallery", "missing", f"none at {file} yet; facesearch enroll creates one")
    try:
        with Gallery(file, model, create=False) as gallery:
            problems, facts = gallery.upkeep.check(), gallery.upkeep.info()
            _, several = bearer_words(subject(gallery.model.manifest))
    except EmbeddingMismatch as error:  # not a fault of the gallery
        return Check("gallery", "missing", f"not checked: {error}: facesearch doctor --model ...")
    if problems:
        return Check("gallery", "broken", f"{file}: {'; '.join(problems)}")
    held = f"{facts['person']} {several}, {facts['template']} templates"
    return f"{file}: {held}, sound; made with the model {facts['model']}"


def extra(name: str, package: str) -> Check:
    """Return whether an extra is installed, or how to install it."""
    from facesearch.extras import install_command

    version = version_of(package)
    if version == "not installed":
        return Check(f"extra {name}", "missing", install_command(name))
    return Check(f"extra {name}", "ok", f"{package} {version}")
