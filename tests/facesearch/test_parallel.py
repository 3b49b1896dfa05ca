import threading

import cv2
import pytest

from facesearch.parallel import in_order


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_items(workers):
    first_may_end = threading.Event()
    first_may_end.set() if workers == 1 else None

    def work(item):
        if item == 0:
            assert first_may_end.wait(60)  # the first item ends after the second
        if item == 1:
            first_may_end.set()
        return item * item

    results = list(in_order(work, range(20), workers))
    assert results == [(item, item * item) for item in range(20)]


def test_items_are_taken_only_a_few_ahead_of_the_results():
    taken = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    results = in_order(lambda item: item, items(), 2)
    next(results)
    assert len(taken) == 8
    results.close()


def test_an_error_is_raised_and_the_threads_of_opencv_are_as_before():
    before = cv2.getNumThreads()

    def work(item):
        assert cv2.getNumThreads() == 1
        raise KeyError(item)

    with pytest.raises(KeyError):
        list(in_order(work, range(5), 2))
    assert cv2.getNumThreads() == before
