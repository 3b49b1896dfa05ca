"""Training never uses convolution kernels that corrupt memory."""

import os

import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from facesearch.training.kernels import avoid_faulty_kernels  # noqa: E402


@pytest.mark.parametrize(
    ("capability", "limit"), [("AVX2", "AVX"), ("AVX512", None), ("DEFAULT", None)]
)
def test_the_faulty_kernels_are_avoided_where_they_would_be_used(monkeypatch, capability, limit):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    avoid_faulty_kernels()
    assert os.environ.get("ONEDNN_MAX_CPU_ISA") == limit


def test_a_limit_that_the_user_has_set_stays(monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    avoid_faulty_kernels()
    assert os.environ["ONEDNN_MAX_CPU_ISA"] == "SSE41"
