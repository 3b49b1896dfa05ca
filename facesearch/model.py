"""A model folder: manifest, graph, head and calibration -> what embeds crops and compares them.

model.json     name, version, kind, detector, input, SHA-256 of each file, licence, calibration
branch.onnx    the Siamese network's branch: crops -> embeddings
head.npz       the L1-sigmoid head

MODEL_CARD.md and figures.json (see facesearch.figures) may lie beside them, for who looks.
"""

import hashlib
import json
import threading
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from facesearch.alignment import INK_VERSION, TEMPLATE
from facesearch.detection import Detector, WholeDetector
from facesearch.embedding import Encoder
from facesearch.engine import ENGINES, make_engine
from facesearch.errors import EmbeddingMismatch, ModelError
from facesearch.head import L1SigmoidHead
from facesearch.openset import Cohort, Evidence
from facesearch.vectors import leading

Floats = NDArray[np.float32]

SHIPPED = Path(__file__).parent / "models"
DEFAULT = "twin"
DETECTOR = SHIPPED / "yunet" / "detector.onnx"
DETECTOR_SHA256 = "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10"
MANIFEST_VERSION = 1
FILES = ("branch.onnx", "head.npz")
SAID = ("name", "kind", "detector", "alignment", "dim", "input", "sha256")  # by every manifest
DETECTORS = {"face": "yunet", "image": "whole"}  # kind of a model -> what finds what it compares
ALIGNMENTS = {"face": [TEMPLATE.tolist()], "image": ["ink", "whole"]}  # kind -> how crops are cut


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model that is ready to use, from any thread; see `Model.load`."""

    name: str
    folder: Path
    manifest: dict[str, Any]
    fingerprint: str  # names the templates that this model makes: 16 hex digits
    dim: int  # length of an embedding
    search_dim: int  # its first so many numbers are what the index holds; as a rule all
    head: L1SigmoidHead
    evidence: Evidence
    cohort: Cohort
    engine: str  # one of ENGINES
    _threads: threading.local  # engines belong to one thread each

    @classmethod
    def load(cls, name_or_folder: str | Path = "default", engine: str = "opencv") -> "Model":
        """Return the model of that name (see `shipped_models`), or in that folder.

        `engine` is one of ENGINES. Raises ModelError if the folder is not a model's, a file is
        missing or not the one that the manifest names, or the engine is not installed.
        """
        if engine not in ENGINES:
            raise ModelError(f"there is no engine {engine!r}; there are {', '.join(ENGINES)}")
        folder = model_folder(name_or_folder)
        manifest = read_manifest(folder)
        try:
            check_kind(manifest)
            for file, sha256 in manifest["sha256"].items():
                check_file(folder / file, sha256)
            calibration = manifest["calibration"]
            cohort = calibration["cohort"] | {
                "mean": np.array(calibration["cohort"]["mean"], np.float32)
            }
            model = cls(
                name=manifest["name"],
                folder=folder,
                manifest=manifest,
                fingerprint=fingerprint(manifest),
                dim=int(manifest["dim"]),
                search_dim=manifest.get("search_dim", int(manifest["dim"])),
                head=L1SigmoidHead.load(folder / "head.npz"),
                evidence=Evidence(**calibration["evidence"]),
                cohort=Cohort(**cohort),
                engine=engine,
                _threads=threading.local(),
            )
            check_numbers(model)
            return model
        except (KeyError, TypeError, ValueError, OSError, EOFError, BadZipFile) as error:
            raise ModelError(
                f"the model in {folder} is damaged ({error!r}); install it again"
            ) from error

    def embed(self, crops: NDArray[np.uint8]) -> Floats:
        """Return templates (n, dim), each of length 1, of `crops` (n, side, side, 3) uint8 RGB.

        Raises EmbeddingMismatch if the crops are not of the model's size.
        """
        side = int(self.manifest["input"]["side_px"])
        crops = np.asarray(crops)
        if crops.ndim != 4 or crops.shape[1:] != (side, side, 3) or crops.dtype != np.uint8:
            raise EmbeddingMismatch(
                f"{self.name} takes crops of (n, {side}, {side}, 3) uint8, "
                f"got {crops.shape} {crops.dtype}"
            )
        if len(crops) == 0:
            return np.zeros((0, self.dim), np.float32)
        if not hasattr(self._threads, "encoder"):
            self._threads.encoder = Encoder(make_engine(self.engine, self.folder / "branch.onnx"))
        embeddings: Floats = self._threads.encoder.embed(crops)
        return embeddings

    def search_codes(self, templates: Floats) -> Floats:
        """Return what the index is asked with for `templates` (n, dim): unit rows (n, search_dim).

        The templates themselves where the model is searched by the whole. Else a template is two
        codes side by side: the index finds who may be meant by the first, and the head, which reads
        both, says who it is.
        """
        return leading(templates, self.search_dim)

    def compare(self, probe: Floats, references: Floats) -> Floats:
        """Return the head's log-likelihood ratios (n,), symmetric, higher is more alike.

        `probe` (dim,) and `references` (n, dim) come from `embed`. Positive: rather one person.
        """
        return self.head.llr(self.cohort.centred(probe), self.cohort.centred(references))

    @property
    def detector(self) -> Detector | WholeDetector:
        """What finds the faces that this model's crops are cut from, one a thread."""
        if self.manifest["detector"] == "whole":
            return WholeDetector(ink=self.manifest["alignment"] == "ink")
        if not hasattr(self._threads, "detector"):
            check_file(DETECTOR, DETECTOR_SHA256)
            self._threads.detector = Detector(make_engine(self.engine, DETECTOR))
        detector: Detector = self._threads.detector
        return detector


def shipped_models() -> list[str]:
    """Return the names of the models that come with facesearch, sorted."""
    return sorted(folder.parent.name for folder in SHIPPED.glob("*/model.json"))


def shipped_model(made_by: str) -> str | None:
    """Return the name of the model with that fingerprint, None if it does not come with us."""
    for name in shipped_models():
        if fingerprint(read_manifest(SHIPPED / name)) == made_by:
            return name
    return None


def model_folder(name_or_folder: str | Path) -> Path:
    """Return the folder of a model given by name or path; raises ModelError if there is none."""
    name = DEFAULT if str(name_or_folder) == "default" else str(name_or_folder)
    for folder in (SHIPPED / name, Path(name)):
        if (folder / "model.json").is_file():
            return folder
    raise ModelError(
        f"there is no model {name_or_folder!s}: neither a name ({', '.join(shipped_models())}) "
        "nor a folder with a model.json"
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of the model in `folder`, with all of SAID and the SHA-256 of FILES.

    Raises ModelError if it cannot be read or does not say so much.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / "model.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / 'model.json'} cannot be read: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("manifest_version") != MANIFEST_VERSION:
        raise ModelError(
            f"{folder / 'model.json'} is not a manifest that this version of facesearch reads"
        )
    missing = [key for key in SAID if key not in manifest]
    if not missing:
        hashes = manifest["sha256"] if isinstance(manifest["sha256"], dict) else {}
        missing = [f"sha256 of {file}" for file in FILES if file not in hashes]
    if missing:
        raise ModelError(f"{folder / 'model.json'} does not say: {', '.join(missing)}")
    return manifest


def check_kind(manifest: dict[str, Any]) -> None:
    """Raise ModelError unless what the model compares can be found and cut here."""
    kind, detector, alignment = (manifest[key] for key in ("kind", "detector", "alignment"))
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


def check_numbers(model: Model) -> None:
    """Raise ValueError or TypeError unless the numbers fit the model's embeddings."""
    dim, head, cohort = model.dim, model.head, model.cohort
    if type(model.search_dim) is not int or not 1 <= model.search_dim <= dim:
        raise ValueError(f"the search code is 1 to {dim} numbers, not {model.search_dim}")
    code = (dim, dim) if head.projection is None else head.projection.shape
    if code != (dim, *head.weights.shape) or cohort.mean.shape != (dim,):
        raise ValueError(f"head or cohort are not for embeddings of {dim} numbers")
    numbers = (*astuple(head), *astuple(model.evidence), *astuple(cohort))
    if not all(np.isfinite(number).all() for number in numbers if number is not None):
        raise ValueError("some number of head or calibration is not finite")
    if min(head.unit_distance, head.exponent, cohort.score_std) <= 0:
        raise ValueError("a distance of head or calibration is not above 0")


def subject(manifest: dict[str, Any]) -> str:
    """Return the word for what a model compares: "face", "drawing" or "picture".

    All that is done with a face and makes no sense with the others asks for this word.
    """
    if manifest.get("kind") != "image":
        return "face"
    return "drawing" if manifest["alignment"] == "ink" else "picture"


def mirrors(manifest: dict[str, Any]) -> bool:
    """Return whether a mirrored crop shows the same to a model, as a face and no letter does."""
    return bool(manifest.get("mirror", subject(manifest) == "face"))


def check_file(file: Path, sha256: str) -> None:
    """Raise ModelError unless `file` is there with that SHA-256."""
    try:
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"the model file {file} cannot be read: {error.strerror}") from error
    if found != sha256:
        raise ModelError(f"the model file {file} is damaged; install facesearch again")


def fingerprint(manifest: dict[str, Any]) -> str:
    """Return what names the templates of a model: a digest of all that decides an embedding."""
    deciding = {
        "branch": manifest["sha256"]["branch.onnx"],
        "input": manifest["input"],
        "alignment": manifest["alignment"],
        "dim": manifest["dim"],
    }
    if "mirror" in manifest:  # else the kind says it
        deciding["mirror"] = manifest["mirror"]
    if "search_dim" in manifest:  # else all of it: what models that do not say it always did
        deciding["search_dim"] = manifest["search_dim"]
    if manifest["alignment"] == "ink":
        deciding["ink"] = INK_VERSION
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:16]
