"""Networks of torchvision with random weights, and their bare forward passes."""

import time
from collections.abc import Sequence

import torch
import torchvision
from torch import nn

from brainalign import Preprocessing, StimulusSet

BATCH = 32


def untrained(name: str) -> nn.Module:
    """Make a torchvision network with random weights, in evaluation mode."""
    torch.manual_seed(0)
    return torchvision.models.get_model(name, weights=None).eval()


def forward(network: nn.Module, stimuli: StimulusSet, preprocessing: Preprocessing) -> None:
    """Show all stimuli in batches, images made ready on the way, and keep nothing."""
    ids = stimuli.ids
    with torch.no_grad():
        for row in range(0, len(ids), BATCH):
            network(preprocessing([stimuli.image(i) for i in ids[row : row + BATCH]]))


def seconds_to_reach(
    network: nn.Module, stimuli: StimulusSet, preprocessing: Preprocessing, names: Sequence[str]
) -> dict[str, float]:
    """Seconds of a bare forward pass until each module has answered, all batches together."""
    reached = dict.fromkeys(names, 0.0)
    began = 0.0

    def answered(name: str) -> None:
        reached[name] += time.perf_counter() - began

    handles = [
        network.get_submodule(name).register_forward_hook(lambda *_, name=name: answered(name))
        for name in names
    ]
    ids = stimuli.ids
    with torch.no_grad():
        for row in range(0, len(ids), BATCH):
            began = time.perf_counter()
            network(preprocessing([stimuli.image(i) for i in ids[row : row + BATCH]]))
    for handle in handles:
        handle.remove()
    return reached
