"""Two templates -> the evidence that they show one person: the L1-sigmoid head.

p = sigmoid(bias - weights . |code(a) - code(b)|), after Koch, Zemel and Salakhutdinov (2015),
section 3.1, with a bias added. Its logit is a log-likelihood ratio, since the head is calibrated
at a prior of one half. A search never imports torch.

A branch that was not trained together with this head loses accuracy by it, because its embeddings
are made for the cosine, not for an L1 distance. The code of a template is therefore
`embedding @ projection`, several random rotations side by side: by the law of large numbers their
L1 distance follows the Euclidean one, so the head keeps the order of the cosine. Figures:
docs/decisions/0004-the-head.md. A head trained together with its branch has an order of its own.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facesearch.errors import EmbeddingMismatch
from facesearch.vectors import Floats, product

PART = 128  # references compared at a time, so that their codes stay in the processor's cache


@dataclass(frozen=True, slots=True, eq=False)
class L1SigmoidHead:
    """The learned comparison of two templates: symmetric, higher is more alike."""

    projection: Floats | None  # (dim, width): template -> code; None: the code is the template
    weights: Floats  # (width,), not negative if the head follows the cosine
    bias: float
    unit_distance: float  # weighted L1 distance between codes at which the score is 1/2
    exponent: float = 2.0  # of the distance in the score: 2 turns a Euclidean one into a cosine
    follows_cosine: bool = True  # if false, the head has an order of its own

    @classmethod
    def load(cls, file: Path) -> "L1SigmoidHead":
        """Return the head stored in an .npz file; pickles are not loaded.

        Raises OSError, ValueError, KeyError, EOFError or zipfile.BadZipFile if the file holds none.
        """
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            projection = stored.get("projection")
            return cls(
                projection=None
                if projection is None
                else np.ascontiguousarray(projection, np.float32),
                weights=stored["weights"].astype(np.float32),
                bias=float(stored["bias"]),
                unit_distance=float(stored["unit_distance"]),
                exponent=float(stored.get("exponent", 2.0)),
                follows_cosine=bool(stored.get("follows_cosine", True)),
            )

    def save(self, file: Path) -> None:
        """Write the head into an .npz file, its projection in half precision.

        Compressed, since a projection whose parts each see a part of the template is mostly zeros.
        The projection is left out if there is none, exponent and follows_cosine if the head
        follows the cosine.
        """
        arrays: dict[str, Any] = {}
        if self.projection is not None:
            arrays["projection"] = self.projection.astype(np.float16)
        arrays |= {
            "weights": self.weights,
            "bias": np.float32(self.bias),
            "unit_distance": np.float32(self.unit_distance),
        }
        if not self.follows_cosine:
            arrays |= {"exponent": np.float32(self.exponent), "follows_cosine": np.bool_(False)}
        np.savez_compressed(file, **arrays)

    def codes(self, templates: Floats) -> Floats:
        """Return the codes (n, width) of unit-length `templates` (n, dim).

        Raises EmbeddingMismatch if dim is not the head's.
        """
        dim = len(self.weights if self.projection is None else self.projection)
        if templates.ndim != 2 or templates.shape[1] != dim:
            raise EmbeddingMismatch(
                f"the head compares templates of {dim} numbers, got an array of {templates.shape}; "
                "enroll the gallery again with this model"
            )
        return templates if self.projection is None else product(templates, self.projection)

    def distances(self, probe: Floats, references: Floats) -> Floats:
        """Return the weighted L1 distances (n,) of `probe` (dim,) to `references` (n, dim)."""
        gaps = np.abs(self.codes(references - probe))  # (n, width): the code is linear
        return product(gaps, self.weights[:, None])[:, 0]

    def llr(self, probe: Floats, references: Floats) -> Floats:
        """Return log p(pair | one person) - log p(pair | two people): (n,), higher is more alike.

        `probe` (dim,) and `references` (n, dim) are of unit length and come from one branch; the
        mated probability at prior 1/2 is the sigmoid of the result.
        """
        return np.float32(self.bias) - self.distances(probe, references)

    def scores(self, probe: Floats, references: Floats) -> Floats:
        """Return the head's scores (n,), 1 for equal templates, in the order of `llr`.

        What other pairs score depends on the model. Strangers' scores are nearly normal on this
        scale, which distances are not; thresholds are made from that.
        """
        return self._scores(self.distances(probe, references))

    def pair_scores(self, probes: Floats, references: Floats) -> Floats:
        """Return the scores (n, m) of each of `probes` (n, dim) with each of `references` (m, dim).

        As `scores`, but each template's code is computed once, not once per pair.
        """
        codes, reference_codes = self.codes(probes), self.codes(references)
        distances = np.empty((len(codes), len(reference_codes)), np.float32)
        for start in range(0, len(reference_codes), PART):
            part = reference_codes[start : start + PART]
            for row, code in zip(distances, codes, strict=True):
                gaps = np.abs(part - code)
                row[start : start + PART] = product(gaps, self.weights[:, None])[:, 0]
        return self._scores(distances)

    def _scores(self, distances: Floats) -> Floats:
        share = distances / np.float32(self.unit_distance)
        # negative weights can make a distance negative: then the score is above 1
        scores = 1 - np.sign(share) * np.abs(share) ** self.exponent / 2
        return np.asarray(scores, np.float32)


def rotation_code(dim: int, rotations: int, seed: int) -> Floats:
    """Return a (dim, rotations * dim) projection made of random orthonormal rotations."""
    rng = np.random.default_rng(seed)
    blocks = [np.linalg.qr(rng.normal(size=(dim, dim)))[0] for _ in range(rotations)]
    return np.concatenate(blocks).T.astype(np.float32)
