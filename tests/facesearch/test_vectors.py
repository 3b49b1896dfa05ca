import numpy as np
import pytest

from facesearch.vectors import product, unit


def test_a_product_is_that_of_numpy():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(7, 5)).astype("f4"), rng.normal(size=(9, 5)).astype("f4").T
    assert product(a, b) == pytest.approx(a @ b, abs=1e-5)
    assert product(a[:0], b).shape == (0, 9)


def test_unit_rows_have_length_one_and_zeros_stay_zeros():
    rows = np.array([[3, 4], [0, 0]], np.float32)
    assert unit(rows).tolist() == [pytest.approx([0.6, 0.8]), [0, 0]]
    assert unit(rows[0]).tolist() == pytest.approx([0.6, 0.8])
