"""A model folder -> a model that embeds crops and compares templates.

model.json     the manifest: kind, detector, input, SHA-256 of each file, licence, calibration
branch.onnx    the Siamese network's branch: crops -> embeddings
head.npz       the L1-sigmoid head

MODEL_CARD.md and figures.json (see facesearch.figures) may lie beside them, for people to read.
"""

import threading
from dataclasses import astuple, dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from facesearch.detection import Detector
from facesearch.detection.factory import make_detector
from facesearch.embedding import Encoder
from facesearch.engine import ENGINES, make_engine
from facesearch.errors import EmbeddingMismatch, ModelError
from facesearch.head import L1SigmoidHead
from facesearch.manifest import Manifest, check_kind, fingerprint_of, read_manifest
from facesearch.openset import Cohort, Evidence
from facesearch.shipped import check_file, model_folder
from facesearch.vectors import Floats, leading


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model that is ready to use, from any thread; see `Model.load`."""

    name: str
    folder: Path
    manifest: Manifest
    fingerprint: str  # of the templates that this model makes: 16 hex digits
    dim: int  # length of an embedding
    search_dim: int  # the index holds this many of its leading numbers; usually all
    head: L1SigmoidHead
    evidence: Evidence
    cohort: Cohort
    engine: str  # one of ENGINES
    _threads: threading.local  # encoder and detector belong to one thread each

    @classmethod
    def load(cls, name_or_folder: str | Path = "default", engine: str = "opencv") -> "Model":
        """Return the model with that name (see `shipped_models`), or in that folder.

        `engine` is one of ENGINES. Raises ModelError if there is no such model or engine, the
        engine is not installed, or a file is missing, damaged or not the manifest's.
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
                fingerprint=fingerprint_of(manifest),
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
        """Return the embeddings (n, dim), of length 1, of `crops` (n, side, side, 3) uint8 RGB.

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
        """Return the search codes of `templates` (n, dim): unit rows (n, search_dim) for the index.

        Usually the templates themselves. If search_dim is smaller, a template is two codes side by
        side: the index finds candidates by the first, and the head, which reads both, decides.
        """
        return leading(templates, self.search_dim)

    def compare(self, probe: Floats, references: Floats) -> Floats:
        """Return the head's log-likelihood ratios (n,), symmetric, higher is more alike.

        `probe` (dim,) and `references` (n, dim) come from `embed`. Positive: more likely
        one person than two.
        """
        return self.head.llr(self.cohort.centered(probe), self.cohort.centered(references))

    @property
    def detector(self) -> Detector:
        """What finds the faces that this model's crops are cut from, one for each thread."""
        if not hasattr(self._threads, "detector"):
            self._threads.detector = make_detector(
                self.manifest["detector"],
                engine=self.engine,
                ink=self.manifest["alignment"] == "ink",
            )
        detector: Detector = self._threads.detector
        return detector


def check_numbers(model: Model) -> None:
    """Raise ValueError or TypeError unless head and calibration fit the model's embeddings."""
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
