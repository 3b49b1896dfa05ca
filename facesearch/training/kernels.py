"""Keeps torch from convolution kernels that corrupt memory."""

import os

import torch


def avoid_faulty_kernels() -> None:
    """Limit oneDNN to its AVX kernels where it would use those for AVX2.

    With torch 2.13 the backward pass of small convolutions corrupted the heap on an AMD EPYC
    without AVX-512, and the process aborted. The AVX kernels do not, and take 1.7 times as long.
    oneDNN reads its limit once, so call this before the first convolution of the process. A limit
    that the user has set stays.
    """
    if torch.backends.cpu.get_cpu_capability() == "AVX2":
        os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX")
