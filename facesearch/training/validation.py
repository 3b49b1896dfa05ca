"""What a network gives to pictures as they are, and how good that is."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from facesearch.evaluation.one_shot import play_episodes

if TYPE_CHECKING:
    from facesearch.training.network import SiameseNetwork
    from facesearch.training.recipes import TrainingSet

EMBED_BATCH = 256
TRIALS = 100  # episodes a group of a validation


def narrow(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context that computes in bfloat16 where the processor does so quickly."""
    quick = device.type != "cpu" or torch.cpu.get_capabilities().get("avx512_bf16", False)
    return torch.autocast(device.type, torch.bfloat16) if quick else nullcontext()


@torch.no_grad()
def embed(branch: nn.Module, data: "TrainingSet") -> Tensor:
    """Return what `branch` gives to all pictures of `data`, undistorted: (n, dim) float32."""
    device = next(branch.parameters()).device
    found = []
    for part in torch.split(data.pictures, EMBED_BATCH):
        pictures = (part.float() / 255).to(device, memory_format=torch.channels_last)
        with narrow(device):
            found.append(branch(pictures).float())
    return torch.cat(found)


@torch.no_grad()
def one_shot_accuracy(
    network: "SiameseNetwork", data: "TrainingSet", *, trials: int = TRIALS
) -> float:
    """Return the accuracy of 20-way one-shot episodes within groups, by the head's logits."""
    embeddings = embed(network.branch, data)

    def scores(probes: Any, support: Any) -> Any:
        a, b = (embeddings[torch.from_numpy(r).to(embeddings.device)] for r in (probes, support))
        return network.head.all_pairs(a, b).cpu().numpy()

    return play_episodes(scores, data.classes, data.groups, trials=trials).accuracy
