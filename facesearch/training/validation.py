"""The embeddings that a network gives undistorted pictures, and its one-shot accuracy on them."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from facesearch.evaluation.one_shot import play_episodes
from facesearch.training.data import TrainingSet
from facesearch.training.network import SiameseNetwork

EMBED_BATCH = 256
TRIALS = 100  # episodes for each group in a validation


def mixed_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context that computes in bfloat16 where the processor is fast at it."""
    fast = device.type != "cpu" or torch.cpu.get_capabilities().get("avx512_bf16", False)
    return torch.autocast(device.type, torch.bfloat16) if fast else nullcontext()


@torch.no_grad()
def embed(branch: nn.Module, data: TrainingSet) -> Tensor:
    """Return the embeddings (n, dim) float32 of all pictures of `data`, undistorted."""
    device = next(branch.parameters()).device
    embeddings = []
    for part in torch.split(data.pictures, EMBED_BATCH):
        pictures = (part.float() / 255).to(device, memory_format=torch.channels_last)
        with mixed_precision(device):
            embeddings.append(branch(pictures).float())
    return torch.cat(embeddings)


@torch.no_grad()
def one_shot_accuracy(network: SiameseNetwork, data: TrainingSet, *, trials: int = TRIALS) -> float:
    """Return the accuracy of 20-way one-shot episodes within groups, by the head's logits."""
    embeddings = embed(network.branch, data)

    def scores(probes: Any, support: Any) -> Any:
        a, b = (embeddings[torch.from_numpy(r).to(embeddings.device)] for r in (probes, support))
        return network.head.all_pairs(a, b).cpu().numpy()

    return play_episodes(scores, data.classes, data.groups, trials=trials).accuracy
