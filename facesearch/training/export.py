"""A trained network -> a model folder, which `Model.load` reads without torch.

The folder has the graph (`onnx_graph`), the head, the calibration, figures and a card.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facesearch.embedding import Encoder
from facesearch.engine import make_engine
from facesearch.errors import TrainingError
from facesearch.figures import Figures
from facesearch.head import L1SigmoidHead
from facesearch.manifest import FILES
from facesearch.training.calibration import calibrate
from facesearch.training.data import TrainingSet
from facesearch.training.figures import measure
from facesearch.training.network import KochBranch, L1Head, SiameseNetwork
from facesearch.training.onnx_graph import KOCH_LENGTH, branch_onnx, doubles
from facesearch.training.searches import Searches

PART = 256  # crops that are held in memory at once


@dataclass(frozen=True, slots=True, eq=False)
class About:
    """What a model's manifest and card say about its origin."""

    name: str
    weights_licence: str
    data_licence: str
    training: Mapping[str, Any]  # settings of the recipe, steps done, data, seed
    figures: Mapping[str, float] = field(default_factory=dict)  # measured rates by name
    version: str = "1"
    card: str | None = None  # text of MODEL_CARD.md


def export(network: SiameseNetwork, validation: TrainingSet, folder: Path, about: About) -> None:
    """Write `network` as a model into `folder`, calibrated on `validation`.

    The classes of `validation` should not have been trained on, otherwise probabilities are too
    certain. Raises TrainingError as `atomic_folder` does, or if `validation` has too few classes.
    """
    with atomic_folder(folder) as new:
        write_model(network, validation, new, about)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to write a model into, which replaces `folder` at the end.

    The model appears completely or not at all; an older model is replaced. Raises TrainingError if
    `folder` is something other than a model, or cannot be written.
    """
    check_replaceable(folder)
    new: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        yield new
        for file in new.iterdir():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        new.chmod(0o777 & ~umask)  # mkdtemp's lets only this user in
        replace_folder(new, folder)
    except OSError as error:
        raise TrainingError(f"the model cannot be written to {folder}: {error}") from error
    finally:
        if new is not None:
            shutil.rmtree(new, ignore_errors=True)


def check_replaceable(folder: Path) -> None:
    """Raise TrainingError if `folder` is there, not empty, and not a model."""
    free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not free and not (folder / "model.json").is_file():
        raise TrainingError(f"{folder} exists and is not a model; name another folder")


def replace_folder(new: Path, folder: Path) -> None:
    """Move the folder `new` to `folder`, replacing what is there; both must be on one disk.

    This takes two renames, since a rename cannot replace a folder with content. If the process is
    killed between them, the old model remains as "<new>.old".
    """
    if not folder.exists():
        new.rename(folder)
        return
    old = new.with_name(f"{new.name}.old")
    folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def write_model(
    network: SiameseNetwork, validation: TrainingSet, folder: Path, about: About
) -> None:
    """Write the files of a model into the empty `folder`; raises OSError, TrainingError."""
    channels, side_px = validation.pictures.shape[1:3]
    (folder / "branch.onnx").write_bytes(branch_onnx(network.branch, quantized=True))
    # calibrate what will run: the graph, with its rounded weights
    encoder = Encoder(make_engine("opencv", folder / "branch.onnx"))
    templates = encoder.embed(crops_of(validation.pictures))
    groups = validation.groups[validation.classes]
    head, calibration = calibrate(numpy_head(network), validation.classes, templates, groups)
    head.save(folder / "head.npz")
    manifest = {
        "manifest_version": 1,
        "name": about.name,
        "version": about.version,
        "kind": "image",
        "detector": "whole",
        "mirror": False,
        "dim": templates.shape[1],
        "input": {"side_px": side_px, "colours": "RGB", "range": [0, 255]},
        "alignment": "ink" if channels == 1 else "whole",
        "sha256": hashes(folder),
        "licence": {"weights": about.weights_licence, "data": about.data_licence},
        "calibration": calibration.manifest(),
        "training": dict(about.training),
        "figures": dict(about.figures),
    }
    figures = measure(
        Searches(validation.classes, templates, templates, head),
        head,
        calibration.cohort,
        calibration.evidence,
        made_from=calibration.made_from,
        calibrated_on=True,
        groups=groups,
    )
    write_manifest(folder, manifest, figures, about.card)


def hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the files of the model in `folder`, by name, for its manifest."""
    return {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in FILES}


def write_manifest(
    folder: Path, manifest: dict[str, Any], figures: Figures | None, card: str | None
) -> None:
    """Write model.json into `folder`, and figures.json and MODEL_CARD.md if given."""
    (folder / "model.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    if figures is not None:
        figures.save(folder, manifest)
    if card is not None:
        (folder / "MODEL_CARD.md").write_text(card, "utf-8")


def crops_of(pictures: Tensor) -> NDArray[np.uint8]:
    """Return crops (n, side, side, 3) RGB uint8 that the graph turns back into `pictures`.

    `pictures` (n, channels, side, side) uint8, as a TrainingSet holds them.
    """
    crops = pictures.permute(0, 2, 3, 1).numpy()
    if crops.shape[3] == 1:
        crops = np.repeat(255 - crops, 3, axis=3)
    return np.ascontiguousarray(crops)


def crops_by_part(pictures: Tensor) -> Iterator[NDArray[np.uint8]]:
    """Yield the `crops_of` `pictures`, PART at a time."""
    return (crops_of(part) for part in torch.split(pictures, PART))


def numpy_head(network: SiameseNetwork) -> L1SigmoidHead:
    """Return the head of `network` in numpy, for the templates that its ONNX graph gives."""
    head: L1Head = network.head
    weights = doubles(head.gains)
    projection = None
    if head.projection is not None:  # rounded as its file rounds it
        blocks = torch.block_diag(*head.projection)  # type: ignore[no-untyped-call]
        projection = doubles(blocks).astype(np.float16).astype(np.float32)  # (dim, width)
    if isinstance(network.branch, KochBranch):
        weights = np.append(weights * KOCH_LENGTH, 0.0)  # 0 for the last number, see koch_embedding
    return L1SigmoidHead(
        projection=projection,
        weights=weights.astype(np.float32),
        bias=float(doubles(head.bias)),
        unit_distance=1.0,  # until it is calibrated
        follows_cosine=False,
    )
