"""A model without a network: photos are rows of colored squares, and a square's color is its face.

Red and green say which person, blue which picture of them. Everything else (reading, alignment,
storing, searching, naming) is the real thing, so that hundreds of enrollments take a second.
"""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from facesearch.alignment import CROP_LANDMARKS
from facesearch.detection import Face
from facesearch.head import L1SigmoidHead, rotation_code
from facesearch.openset import Cohort, Evidence
from facesearch.pictures import KeptPicture, Picture
from facesearch.vectors import leading, unit

DIM = 64
SIDE_PX = 56  # of a square; half a crop
VARIATION = 0.4  # how far pictures of one person lie apart; 0.86 is their cosine
EVIDENCE = Evidence(-6.4, 2.5, 0.15, -3.0, 9.3)
COHORT = Cohort(np.zeros(DIM, np.float32), 0.0, DIM**-0.5, 10.0, 0.99)


def save_photo(path, *faces, salt=0):
    """Write a photo of `faces`, (person, picture) numbers or None for a gap; return its path.

    `salt` changes bytes that no face consists of.
    """
    pixels = np.zeros((SIDE_PX, SIDE_PX * max(len(faces), 1), 3), np.uint8)
    for place, face in enumerate(faces):
        if face is not None:
            person, picture = face
            pixels[:, place * SIDE_PX : (place + 1) * SIDE_PX] = (
                person % 256,
                person // 256,
                picture,
            )
    pixels[0, 0] = (255, 255, salt)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "PNG", compress_level=1)
    return Path(path)


def kept_picture(key, width=100, height=100):
    """Return a picture that nothing turns, as a gallery keeps it."""
    return KeptPicture(key, Picture(key, key, 1, width, height), 1)


@cache
def embedding(person, picture):
    """Return the template of a picture of a person: (DIM,) of length 1."""
    own = np.random.default_rng([1, person]).normal(size=DIM)
    noise = np.random.default_rng([2, person, picture]).normal(size=DIM)
    return unit(unit(own) + VARIATION * unit(noise)).astype(np.float32)


class FakeDetector:
    def detect(self, photo):
        pixels = photo.pixels()
        faces = []
        for place in range(photo.width // SIDE_PX):
            left = place * SIDE_PX
            if pixels[SIDE_PX // 2, left + SIDE_PX // 2].any():
                landmarks = (CROP_LANDMARKS / 2 + (left, 0)).astype(np.float32)
                faces.append(Face((left, 0.0, left + SIDE_PX, float(SIDE_PX)), landmarks, 0.95))
        return faces

    def landmarks(self, pixels):
        """Find no face in a crop: it stays as it was cut."""
        return np.zeros((0, 5, 2), np.float32)


def _head():
    projection = rotation_code(DIM, 8, seed=0)
    a, b = unit(np.random.default_rng(0).normal(size=(2, 500, DIM))).astype(np.float32)
    distances = np.abs((a - b) @ projection).sum(1)
    per_unit = float((distances / np.linalg.norm(a - b, axis=1)).mean())
    return L1SigmoidHead(projection, np.ones(projection.shape[1], np.float32), 1.0, per_unit)


@dataclass
class FakeModel:
    name: str = "fake"
    fingerprint: str = "fa4e000000000000"
    dim: int = DIM
    search_dim: int = DIM
    head: L1SigmoidHead = field(default_factory=_head)
    evidence: Evidence = EVIDENCE
    cohort: Cohort = COHORT
    detector: FakeDetector = field(default_factory=FakeDetector)
    manifest: dict = field(default_factory=lambda: {"name": "fake"})

    def embed(self, crops):
        colors = crops[:, 56, 56].astype(int)
        rows = [embedding(red + 256 * green, blue) for red, green, blue in colors]
        return np.stack(rows) if rows else np.zeros((0, DIM), np.float32)

    def search_codes(self, templates):
        return leading(templates, self.search_dim)

    def compare(self, probe, references):
        return self.head.llr(probe, references)


class OtherModel(FakeModel):
    """Another model of the same faces: it permutes the numbers of an embedding."""

    looks = 0  # faces embedded

    def embed(self, crops):
        type(self).looks += len(crops)
        return np.roll(super().embed(crops), 7, axis=1)


OTHER = OtherModel(name="other", fingerprint="07e5000000000000", manifest={"name": "other"})
