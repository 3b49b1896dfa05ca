"""What the search for close-ups and for turned faces costs, on photos with and without faces.

    python -m benchmarks.turned_photos [--json [FILE]]

Of `photos/people` of the data folder: the first PHOTOS photos, enlarged to 12 megapixels, as JPEGs
whose EXIF says that they are upright; and the same with every face painted over. Decoding and
detection with and without the extra looks take turns, ROUNDS times; the figures are medians of CPU
milliseconds a photo, and their ratio.
"""

import io
import statistics
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.report import argument_parser, need, show
from facesearch.detection import Face
from facesearch.detection.factory import YUNET_FILE
from facesearch.detection.yunet import YuNet
from facesearch.engine import OpenCVEngine
from facesearch.photo import Photo, photo_from_bytes, read_photo

PHOTOS, ROUNDS, LONG_SIDE_PX = 12, 5, 4000


class OneLook(YuNet):
    """Believes what a file says of the side that is up, and looks for no close-ups."""

    def _upright(self, photo: Photo, scale: float) -> tuple[list[Face], int]:
        return self._look(photo, scale, 0), 0


def enlarged(photo: Photo, faces: list[Face]) -> bytes:
    """Return `photo` as a JPEG of 12 megapixels or so, with `faces` painted over."""
    pixels = photo.pixels().copy()
    for face in faces:
        left, top, right, bottom = (max(0, round(side)) for side in face.box)
        pixels[top:bottom, left:right] = 128
    zoom = LONG_SIDE_PX / max(pixels.shape)
    large = np.asarray(cv2.resize(pixels, None, fx=zoom, fy=zoom), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 1
    stream = io.BytesIO()
    Image.fromarray(large).save(stream, "JPEG", quality=90, exif=exif)
    return stream.getvalue()


def milliseconds(detector: YuNet, files: list[bytes]) -> float:
    """Return the CPU time a photo."""
    start = time.process_time()
    for data in files:
        detector.detect(photo_from_bytes(data))
    return 1000 * (time.process_time() - start) / len(files)


def main() -> None:
    arguments = argument_parser(__doc__).parse_args()
    folder: Path = need(arguments.data / "photos" / "people")
    photos = [read_photo(path) for path in sorted(folder.rglob("*.jpg"))[:PHOTOS]]
    engine = OpenCVEngine(YUNET_FILE)
    detector, one_look = YuNet(engine), OneLook(engine)
    kinds = {
        "with_faces": [enlarged(photo, []) for photo in photos],
        "without_faces": [enlarged(photo, detector.detect(photo)) for photo in photos],
    }
    figures: dict[str, float] = {"photos": len(photos)}
    for kind, files in kinds.items():
        times = [
            (milliseconds(one_look, files), milliseconds(detector, files)) for _ in range(ROUNDS)
        ]
        before, now = (statistics.median(column) for column in zip(*times, strict=True))
        figures[f"{kind}_one_look_ms"] = round(before, 1)
        figures[f"{kind}_ms"] = round(now, 1)
        figures[f"{kind}_ratio"] = round(statistics.median(b / a for a, b in times), 2)
    show(figures, "CPU milliseconds a photo of 12 megapixels", as_json=arguments.json)


if __name__ == "__main__":
    main()
