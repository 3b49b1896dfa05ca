"""Measure a search as a share of memory bandwidth: one query at a time, on one thread.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m benchmarks.speed_search

An exact search reads every stored row, so it cannot be faster than memory is read. That speed is
measured in turn with the queries: numpy reads as many bytes for their sum, their maximum and, as a
matrix times a vector, their product; the fastest counts.
"""

import json
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from facesearch_indexes.faiss_index import FaissIndex

DIM = 128
SIZES = {"100k": 100_000, "1m": 1_000_000}
BYTES_A_NUMBER = {"flat": 4, "fp16": 2}
ROUNDS = 21


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of `work` in this thread."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


def search_speed(name: str, count: int) -> dict[str, float]:
    """Return the time of a query in `count` random rows, and its share of the bandwidth."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((count, DIM), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    queries = rows[rng.integers(count, size=ROUNDS)] + 0.05 * rng.standard_normal(DIM, np.float32)
    index = FaissIndex.build(np.arange(count), rows)
    size = count * DIM * BYTES_A_NUMBER[index.kind]
    memory = rows[: size // (4 * DIM)]  # as many bytes as the index has
    probe = queries[0]
    reads: dict[str, Callable[[], object]] = {
        "sum": memory.sum,
        "maximum": memory.max,
        "product": lambda: memory @ probe,
    }
    searched: list[float] = []
    read: dict[str, list[float]] = {way: [] for way in reads}
    for query in queries:
        searched.append(seconds(lambda query=query: index.search(query[None], 10)))  # type: ignore[misc]
        for way, work in reads.items():
            read[way].append(seconds(work))
    bandwidth = size / min(median(times) for times in read.values())
    return {
        f"search_{name}_cpu_ms": 1e3 * median(searched),
        f"search_{name}_index_mb": size / 1e6,
        f"search_{name}_memory_gb_per_s": bandwidth / 1e9,
        f"search_bandwidth_share_{name}": size / median(searched) / bandwidth,
    }


if __name__ == "__main__":
    figures: dict[str, float] = {}
    for size_name, rows_there in SIZES.items():
        figures |= search_speed(size_name, rows_there)
    print(json.dumps(figures))
