"""Nearest bit strings by Hamming distance, with FAISS: packed codes in, rows and distances out."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from facesearch_indexes import faiss_index  # noqa: F401  configures FAISS's threads

import faiss  # isort: skip

Codes = NDArray[np.uint8]  # (n, bytes): n codes, 8 bits per byte

_CHUNK = 8192  # queries at a time, so that an answer takes only a few megabytes


def near_codes(
    queries: Codes, codes: Codes, radius: int, k: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]]:
    """Yield the pairs of near `queries` and `codes`, one chunk of queries after another.

    Each chunk is three arrays of equal length: the query's row, the code's row, and the number of
    differing bits, at most `radius`. A query has at most its `k` nearest codes; which of several
    equally far codes come last is not defined. Raises ValueError for codes of different lengths.
    """
    if queries.ndim != 2 or codes.ndim != 2 or queries.shape[1] != codes.shape[1]:
        raise ValueError(f"codes must have one length, got {queries.shape}, {codes.shape}")
    if k < 1:
        raise ValueError(f"a search returns at least one code, got k={k}")
    if len(codes) == 0:
        return
    index = faiss.IndexBinaryFlat(8 * codes.shape[1])
    index.add(np.ascontiguousarray(codes))
    for start in range(0, len(queries), _CHUNK):
        chunk = np.ascontiguousarray(queries[start : start + _CHUNK])
        distances, places = index.search(chunk, min(k, len(codes)))
        row, column = np.nonzero(distances <= radius)
        yield row + start, places[row, column], distances[row, column]
