"""Made-up crops of people, and the graph of a face model whose second trunk has learned nothing."""

import numpy as np
import torch

from facesearch.shipped import SHIPPED
from facesearch.training.data import TrainingSet
from facesearch.training.face_network import FaceBranch
from facesearch.training.onnx_graph import face_onnx


def crops_of_people(n, photos, seed=0):
    """Return made-up crops: each person is a pattern, each photo adds a little noise."""
    random = np.random.default_rng(seed)
    patterns = random.integers(0, 256, (n, 1, 3, 7, 7)).repeat(16, 3).repeat(16, 4)
    noisy = patterns + random.normal(0, 20, (n, photos, 3, 112, 112))
    return TrainingSet(
        pictures=torch.from_numpy(noisy.clip(0, 255).astype(np.uint8).reshape(-1, 3, 112, 112)),
        classes=np.repeat(np.arange(n), photos),
        groups=np.zeros(n, np.int64),
        drawn=False,
    )


def untrained_graph():
    """Return the bytes of a graph of SFace and a second trunk with random weights."""
    torch.manual_seed(0)
    branch = FaceBranch((SHIPPED / "sface" / "branch.onnx").read_bytes()).eval()
    with torch.no_grad():
        branch.second.embedding.weight *= 100  # codes about as long as those of a trained one
    return face_onnx(branch)
