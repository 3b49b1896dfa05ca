"""Enrolled templates -> their nearest neighbors, as many as it takes."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from facesearch.duplicates.judge import Enrolled
from facesearch_indexes import Matches, VectorIndex, build_index

QUERIES_AT_ONCE = 4096  # large products are quick; the bound is for memory

Rows = NDArray[np.intp]
Take = Callable[[Rows, Matches], NDArray[np.bool_]]  # rows, their matches -> which need more


def index_of(enrolled: Enrolled, index: VectorIndex | None) -> VectorIndex:
    """Return `index`, which holds the search codes by template id; built if it is None."""
    if index is not None:
        return index
    return build_index(enrolled.ids, enrolled.codes(slice(None)))


def search_deeper(
    index: VectorIndex, enrolled: Enrolled, rows: Rows, nearest: int, take: Take
) -> None:
    """Give `take` the `nearest` neighbors of the templates in `rows`, in batches.

    The rows for which it returns True are searched again for four times as many, until they are
    satisfied or the whole index was returned.
    """
    for start in range(0, len(rows), QUERIES_AT_ONCE):
        asking, count = rows[start : start + QUERIES_AT_ONCE], nearest
        while len(asking):
            unsatisfied = take(asking, index.search(enrolled.codes(asking), count))
            if count >= len(index):
                break
            asking, count = asking[unsatisfied], min(4 * count, len(index))
