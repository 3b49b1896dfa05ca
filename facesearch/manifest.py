"""model.json, the manifest of a model folder: what it says, and what follows from that.

The manifest names the model, says how crops are made for it and how its scores are calibrated, and
has the SHA-256 of every file that is loaded.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from facesearch.alignment import CROP_LANDMARKS
from facesearch.errors import ModelError
from facesearch.ink import INK_VERSION
from facesearch.shipped import model_folder, shipped_models

MANIFEST_VERSION = 1
MAX_BYTES = 10_000_000  # of model.json; those with figures have some thousands
FILES = ("branch.onnx", "head.npz")  # of every model; loaded only with the SHA-256 they should have
REQUIRED_KEYS = ("name", "kind", "detector", "alignment", "dim", "input", "sha256")
DETECTORS = {"face": "yunet", "image": "whole"}  # kind of a model -> its detector
ALIGNMENTS = {"face": [CROP_LANDMARKS.tolist()], "image": ["ink", "whole"]}  # kind -> its crops


class Manifest(TypedDict):
    """What model.json says; `read_manifest` makes sure of REQUIRED_KEYS only."""

    manifest_version: int
    name: str
    kind: str  # of what is compared, one of DETECTORS
    detector: str
    alignment: Any  # "ink", "whole", or where the landmarks of a face lie in its crop
    dim: int  # length of an embedding
    input: dict[str, Any]  # side_px: of a crop
    sha256: dict[str, str]  # by file
    calibration: dict[str, Any]  # cohort and evidence, see facesearch.openset
    search_dim: NotRequired[int]  # as many leading numbers are searched by; left out: all
    mirror: NotRequired[bool]  # see `mirrors`
    version: NotRequired[str]
    licence: NotRequired[dict[str, str]]
    training: NotRequired[dict[str, Any]]
    figures: NotRequired[dict[str, float]]


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of the model in `folder`; it has REQUIRED_KEYS and a SHA-256 of FILES.

    Raises ModelError if it cannot be read or lacks one of these.
    """
    file = folder / "model.json"
    try:
        read: Any = json.loads(text_of(file))
    except RecursionError as error:
        raise ModelError(f"{file} is not a manifest: its brackets are nested too deeply") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read: {error}") from error
    if not isinstance(read, dict) or read.get("manifest_version") != MANIFEST_VERSION:
        raise ModelError(f"{file} is not a manifest that this version of facesearch reads")
    missing = [key for key in REQUIRED_KEYS if key not in read]
    if not missing:
        hashes = read["sha256"] if isinstance(read["sha256"], dict) else {}
        missing = [f"sha256 of {name}" for name in FILES if name not in hashes]
        for name in hashes:
            if Path(name).name != name:
                raise ModelError(f"{file} names {name}, which is not a file of its own folder")
    if missing:
        raise ModelError(f"{file} does not say: {', '.join(missing)}")
    return cast("Manifest", read)


def text_of(file: Path) -> str:
    """Return the text of a manifest; raises OSError or ValueError.

    A device or a pipe in its place would never end, or never begin.
    """
    if file.exists() and not file.is_file():
        raise ValueError("it is not a regular file")
    if file.stat().st_size > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES:,} bytes")
    return file.read_text("utf-8")


def check_kind(manifest: Manifest) -> None:
    """Raise ModelError unless this version has the model's kind, detector and alignment."""
    kind, detector, alignment = manifest["kind"], manifest["detector"], manifest["alignment"]
    if kind not in DETECTORS or detector != DETECTORS[kind]:
        known = " or ".join(f"kind {k} with detector {d}" for k, d in DETECTORS.items())
        raise ModelError(
            f"the model {manifest['name']} is of kind {kind} with detector {detector}; this "
            f"version of facesearch knows {known}"
        )
    if alignment not in ALIGNMENTS[kind]:
        raise ModelError(
            f"the model {manifest['name']} of kind {kind} has the alignment {alignment}; this "
            f"version of facesearch knows {' and '.join(map(str, ALIGNMENTS[kind]))}"
        )


def subject(manifest: Manifest) -> str:
    """Return the word for what a model compares: "face", "drawing" or "picture".

    Whatever makes sense for faces only asks for this word.
    """
    if manifest.get("kind") != "image":
        return "face"
    return "drawing" if manifest["alignment"] == "ink" else "picture"


def mirrors(manifest: Manifest) -> bool:
    """Return whether a mirrored crop shows the same thing: a face does, a letter does not."""
    return bool(manifest.get("mirror", subject(manifest) == "face"))


def fingerprint_of(manifest: Manifest) -> str:
    """Return the fingerprint of a model's templates: 16 hex digits of all that decides them.

    The detector is not part of it: docs/decisions/0017-the-detector-and-the-fingerprint.md.
    """
    deciding: dict[str, Any] = {
        "branch": manifest["sha256"]["branch.onnx"],
        "input": manifest["input"],
        "alignment": manifest["alignment"],
        "dim": manifest["dim"],
    }
    # A key that only some manifests have counts only there, so that the others' stay as they were.
    if "mirror" in manifest:
        deciding["mirror"] = manifest["mirror"]
    if "search_dim" in manifest:
        deciding["search_dim"] = manifest["search_dim"]
    if manifest["alignment"] == "ink":
        deciding["ink"] = INK_VERSION
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:16]


def shipped_model(fingerprint: str) -> str | None:
    """Return the name of the shipped model with that fingerprint, None if none has it."""
    for name in shipped_models():
        if fingerprint_of(read_manifest(model_folder(name))) == fingerprint:
            return name
    return None
