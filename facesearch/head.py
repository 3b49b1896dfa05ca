"""Two templates -> the evidence that they show one person: the paper's L1-sigmoid head.

p = sigmoid(bias - weights . |code(a) - code(b)|), after Koch, Zemel and Salakhutdinov (2015),
section 3.1, with a bias added. Its logit is a log-likelihood ratio, since the head is calibrated
at a prior of one half. A search never imports torch.

A branch that was not trained together with this head loses by it (an L1 distance on embeddings
made for the cosine). The code is therefore `embedding @ projection`, several random rotations side
by side: by the law of large numbers its L1 distance follows the Euclidean one, so that the head
keeps the order of the cosine; docs/decisions/0004-the-head.md has the figures.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facesearch.errors import EmbeddingMismatch
from facesearch.vectors import Floats, product


@dataclass(frozen=True, slots=True, eq=False)
class L1SigmoidHead:
    """The learned comparison of two templates; symmetric, higher is more alike."""

    projection: Floats  # (dim, width): template -> code
    weights: Floats  # (width,), none negative
    bias: float
    unit_distance: float  # weighted L1 distance between codes at Euclidean distance 1

    @classmethod
    def load(cls, file: Path) -> "L1SigmoidHead":
        """Return the head stored in an .npz file without pickles; raises OSError, ValueError."""
        with np.load(file, allow_pickle=False) as stored:
            return cls(
                projection=np.ascontiguousarray(stored["projection"], np.float32),
                weights=stored["weights"].astype(np.float32),
                bias=float(stored["bias"]),
                unit_distance=float(stored["unit_distance"]),
            )

    def codes(self, templates: Floats) -> Floats:
        """Return the codes (n, width) of unit-length `templates` (n, dim).

        Raises EmbeddingMismatch if dim is not the head's.
        """
        dim = len(self.projection)
        if templates.ndim != 2 or templates.shape[1] != dim:
            raise EmbeddingMismatch(
                f"the head compares templates of {dim} numbers, got an array of {templates.shape}; "
                "enroll the gallery again with this model"
            )
        return product(templates, self.projection)

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
        """Return the head's scores (n,) on the scale of a cosine: 1 for the same, 0 for unrelated.

        The order is that of `llr`. On this scale the scores of strangers are nearly normal, which
        the distance itself is not, and that is what thresholds are made from.
        """
        euclidean = self.distances(probe, references) / np.float32(self.unit_distance)
        return (1 - euclidean**2 / 2).astype(np.float32)


def rotation_code(dim: int, rotations: int, seed: int) -> Floats:
    """Return a (dim, rotations * dim) projection made of random orthonormal rotations."""
    rng = np.random.default_rng(seed)
    blocks = [np.linalg.qr(rng.normal(size=(dim, dim)))[0] for _ in range(rotations)]
    return np.concatenate(blocks).T.astype(np.float32)
