"""Work on many items with several threads, results in the order of the items."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import cv2

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[tuple[Item, Result]]:
    """Yield each of `items` with `work(item)`, in order, with `workers` threads working ahead.

    At most 4 * `workers` results are held at a time. While it runs, OpenCV uses one thread.
    """
    if workers <= 1:
        for item in items:
            yield item, work(item)
        return
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # one photo per thread is faster than one photo across all threads
    pool = ThreadPoolExecutor(workers)
    ahead: deque[tuple[Item, Future[Result]]] = deque()
    try:
        for item in items:
            ahead.append((item, pool.submit(work, item)))
            if len(ahead) >= 4 * workers:
                first, future = ahead.popleft()
                yield first, future.result()
        while ahead:
            first, future = ahead.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        cv2.setNumThreads(threads)
