"""Nearest bit strings by Hamming distance, on FAISS: packed codes in, places and distances out."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from facesearch_indexes import faiss_index  # noqa: F401  sets up the threads of FAISS

import faiss  # isort: skip

Codes = NDArray[np.uint8]  # (n, bytes): n codes of 8 bits a byte

_CHUNK = 8192  # queries at once: answers of a few megabytes, however many queries there are


def near_codes(
    queries: Codes, codes: Codes, radius: int, k: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]]:
    """Yield for one chunk of `queries` after the other who is near: query, place, distance.

    Three arrays of equal length: the query's row, the row in `codes` and the bits that differ, at
    most `radius`. Each query has at most its `k` nearest; which of several equally far ones are
    the last to get in is not defined. Raises ValueError for codes of another length.
    """
    if queries.ndim != 2 or codes.ndim != 2 or queries.shape[1] != codes.shape[1]:
        raise ValueError(f"codes of one length are compared, got {queries.shape}, {codes.shape}")
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
