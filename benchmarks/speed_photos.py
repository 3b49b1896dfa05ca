"""Make photos to measure speed with from the portraits of the research data.

    python -m benchmarks.speed_photos DATA FOLDER

Every portrait with exactly one face is a person, until there are PEOPLE of them. A photo shows that
face 100 to 200 pixels high somewhere in 640x480, mirrored or not, lighter or darker, with sensor
noise, so that no two files are equal. The 12-megapixel photos are the same enlarged, with more
noise added afterwards: their files have about 3 MB, nearly as many as a camera's.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facesearch import Model, PhotoError
from facesearch.detection import Face
from facesearch.photo import read_photo

Pixels = NDArray[np.uint8]

PEOPLE = 100
SMALL, LARGE = (640, 480), (4000, 3000)
ENROLLED, ASKED = 5, 5  # photos of 640x480 per person
LARGE_PHOTOS = 40  # of people 1 to 20: one enrolled, one asked
NOISE = {"small": 3.0, "large": 7.0}  # standard deviation, in gray levels


def portraits(folder: Path) -> Iterator[tuple[Pixels, Face]]:
    """Yield the photos in `folder` that show exactly one face, at least 60 pixels high."""
    detector = Model.load("default").detector
    files = sorted((folder / "people").rglob("*.*")) + sorted((folder / "groups").glob("single_*"))
    for file in files:
        try:
            photo = read_photo(file)
            faces = detector.detect(photo)
        except PhotoError:
            continue
        if len(faces) == 1 and faces[0].height_px >= 60:
            yield photo.pixels(), faces[0]


def compose(pixels: Pixels, face: Face, rng: np.random.Generator) -> Pixels:
    """Return (480, 640, 3) with `face` of `pixels` 100 to 200 pixels high, away from the edges."""
    scale = rng.uniform(100, 200) / face.height_px
    center = np.array([face.box[0] + face.box[2], face.box[1] + face.box[3]]) / 2
    target = np.array([rng.uniform(200, 440), rng.uniform(170, 310)])
    if scale < 0.5:  # bilinear sampling would skip pixels
        small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        pixels, center, scale = np.asarray(small, np.uint8), center * scale, 1.0
    shift = target - scale * center
    place = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    picture = cv2.warpAffine(pixels, place, SMALL, borderMode=cv2.BORDER_REPLICATE)
    picture = cv2.convertScaleAbs(picture, alpha=rng.uniform(0.7, 1.3))
    return np.asarray(picture[:, :: rng.choice([1, -1])], np.uint8)


def save(picture: Pixels, noise: NDArray[np.int16], rng: np.random.Generator, file: Path) -> None:
    """Write `picture` as a JPEG of quality 90, with `noise` (h, w, 3) rolled by a random step."""
    rolled = np.roll(noise, int(rng.integers(len(noise))), axis=0)
    noisy = np.clip(picture + rolled, 0, 255).astype(np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noisy).save(file, "JPEG", quality=90)


def make_photos(data: Path, folder: Path) -> None:
    """Write `folder`/{small,large}/{enroll,ask}/PERSON-NUMBER.jpg."""
    rng = np.random.default_rng(0)
    people = [portrait for portrait, _ in zip(portraits(data), range(PEOPLE), strict=False)]
    if len(people) < PEOPLE:
        sys.exit(f"{data} has {len(people)} portraits of one face, not {PEOPLE}")
    for size, width, height in (("small", *SMALL), ("large", *LARGE)):
        noise = np.rint(rng.normal(0, NOISE[size], (height, width, 3))).astype(np.int16)
        for person, (pixels, face) in enumerate(people):
            large = size == "large"
            for number in range(2 if large else ENROLLED + ASKED):
                if large and person >= LARGE_PHOTOS // 2:
                    break
                use = "enroll" if number < (1 if large else ENROLLED) else "ask"
                picture = compose(pixels, face, rng)
                if large:
                    picture = np.asarray(cv2.resize(picture, LARGE), np.uint8)
                save(picture, noise, rng, folder / size / use / f"{person:03}-{number}.jpg")


if __name__ == "__main__":
    make_photos(Path(sys.argv[1]), Path(sys.argv[2]))
