"""Before any test trains: torch's kernels that corrupt memory are switched off."""

import pytest

kernels = pytest.importorskip(
    "facesearch.training.kernels", reason="the extra train is not installed"
)
kernels.avoid_faulty_kernels()  # oneDNN reads the limit at the first convolution
