"""Before any test trains: torch's kernels that corrupt memory are switched off."""

from functools import partial

import pytest

kernels = pytest.importorskip(
    "facesearch.training.kernels", reason="the extra train is not installed"
)
kernels.avoid_faulty_kernels()  # oneDNN reads the limit at the first convolution


@pytest.fixture(scope="module")
def fewer_pairs():
    """Calibrate and measure models by fewer pairs of pictures, each of which takes a draw."""
    from facesearch.training import calibration, figures

    few = partial(calibration.natural_pairs, n_pairs=2000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "PAIRS", 5000)
        patch.setattr(calibration, "natural_pairs", few)
        yield
