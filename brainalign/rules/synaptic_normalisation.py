"""Synaptic normalisation: the incoming weights of each neuron keep a fixed norm."""

from collections.abc import Iterable

import torch
from torch import nn

from brainalign.rules.rule import State

NORM = "norm."


def starting_norms(network: nn.Module, names: Iterable[str]) -> State:
    """Give the norm c that each map's neurons are to keep, as ``norm.NAME``.

    It is the root mean square, over the map's neurons, of the norm of their incoming weights as they start;
    1 for a map that starts at zero, which could not grow otherwise.
    """
    parameters = dict(network.named_parameters())
    norms = {}
    for name in names:
        weight = parameters[name].detach()
        norm = weight.flatten(1).square().sum(1).mean().sqrt()
        norms[NORM + name] = torch.where(norm > 0, norm, torch.ones_like(norm))
    return norms


@torch.no_grad()
def normalise_synapses(network: nn.Module, state: State) -> None:
    r"""Rescale the incoming weights of each neuron, in place, to the norm that is kept.

    .. math::
        w_i \leftarrow c\, w_i / \lVert w_i \rVert

    A neuron of a convolution is a channel, whose incoming weights are its whole filter. A neuron whose
    weights are all zero stays as it is.

    Parameters
    ----------
    network
        Whose weights are rescaled.
    state
        With the norms, as `starting_norms` gives them.
    """
    parameters = dict(network.named_parameters())
    for key, norm in state.items():
        if key.startswith(NORM):
            weight = parameters[key.removeprefix(NORM)]
            lengths = torch.linalg.vector_norm(weight.flatten(1), dim=1)
            factors = torch.where(lengths > 0, norm / lengths, torch.ones_like(lengths))
            weight.mul_(factors.view(-1, *[1] * (weight.ndim - 1)))
