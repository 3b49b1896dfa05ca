"""Embeddings <-> the bytes that are kept of them: the only place that makes or reads those."""

from collections.abc import Sequence

import numpy as np

from facesearch.vectors import Floats


class TemplateCodec:
    """Templates as the gallery file holds them, embeddings as the photo cache does.

    A decision that removed a face keeps its template as the gallery file held it.
    """

    def encode(self, template: Floats) -> bytes:
        """Return a template (dim,) as little-endian float16."""
        return template.astype("<f2").tobytes()

    def decode(self, blobs: Sequence[bytes]) -> Floats:
        """Return encoded templates as unit rows (n, dim).

        Raises TypeError, ValueError unless they are vectors of one length that have a direction.
        """
        if not blobs:
            return np.zeros((0, 0), np.float32)
        if len({len(blob) for blob in blobs}) != 1:
            raise ValueError("templates of several lengths")
        rows = np.frombuffer(b"".join(blobs), "<f2").reshape(len(blobs), -1).astype(np.float32)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        if not (np.isfinite(lengths) & (lengths > 0)).all():
            raise ValueError("templates that are not numbers")
        rows /= lengths  # in place: a large gallery has no room for another copy
        return rows

    def encode_exactly(self, embeddings: Floats) -> bytes:
        """Return embeddings (n, dim) as float32, bit for bit."""
        return embeddings.astype(np.float32).tobytes()

    def decode_exactly(self, blob: bytes, n_rows: int) -> Floats:
        """Return the embeddings (n_rows, dim) of `encode_exactly`; raises ValueError."""
        numbers = np.frombuffer(blob, np.float32)
        return numbers.reshape(n_rows, numbers.size // max(n_rows, 1))
