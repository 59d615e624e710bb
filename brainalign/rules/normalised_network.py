"""A stack that passes on directions alone, each layer's input without its length, under a neutral label."""

import contextlib
import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from brainalign.networks.layered import LayeredNetwork

READOUT = "trainable.readout."
EPSILON = 1e-8


def normalised(x: Float[Tensor, "sample ..."]) -> Float[Tensor, "sample ..."]:
    """Divide each sample by the root mean square of its units.

    Examples
    --------
    >>> normalised(torch.tensor([[3.0, 3.0], [0.0, 0.0]])).round()
    tensor([[1., 1.],
            [0., 0.]])
    """
    flat = x.flatten(1)
    size = flat.norm(dim=1, keepdim=True) * flat.shape[1] ** -0.5 + EPSILON
    return (flat / size).view(x.shape)


def with_label(
    x: Float[Tensor, "sample ..."], label: Float[Tensor, "sample category"]
) -> Float[Tensor, "sample ..."]:
    """Write a label into the first pixels, of each channel of an image.

    Examples
    --------
    >>> with_label(torch.zeros(1, 5), torch.tensor([[0.0, 1.0]]))
    tensor([[0., 1., 0., 0., 0.]])
    """
    channels = x.flatten(2) if x.ndim > 2 else x[:, None]
    written = label[:, None].expand(-1, channels.shape[1], -1)
    return torch.cat([written, channels[:, :, label.shape[1] :]], 2).view(x.shape)


def read_layers(network: LayeredNetwork) -> list[str]:
    """Give the hidden layers that are read beside the deepest: from the second on."""
    return [layer.name for layer in network.layers[1:-2]]


class _Normalised(LayeredNetwork):
    """What is put before a network's own class, whose `forward` it runs."""

    def forward(self, x: Tensor) -> Tensor:
        """Answer to the images with the neutral label."""
        layers, answers = self.layers, []
        with contextlib.ExitStack() as hooks:
            for layer in layers:
                handle = layer.linear.register_forward_pre_hook(_normalising(answers))
                hooks.callback(handle.remove)
            n = layers[-1].linear.weight.shape[0]
            outputs = super().forward(with_label(x, x.new_full((len(x), n), 1 / n)))
        for place, layer in enumerate(layers[1:-2]):
            weight = self.get_buffer(_buffer(layer.name))
            outputs = outputs + F.linear(answers[place + 2].flatten(1), weight)
        return outputs


def _normalising(answers: list[Tensor]) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Tensor]]:
    def normalise(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Tensor]:
        answers.append(normalised(inputs[0]))
        return (answers[-1],)

    return normalise


def normalised_network(network: LayeredNetwork, state: Mapping[str, Tensor]) -> LayeredNetwork:
    """Give a network of the same submodules that normalises what enters each layer.

    Parameters
    ----------
    network
        The network; its modules and weights are shared, so they have the names and the hooks that they had.
    state
        Read-outs of hidden layers beside the network's own, as ``trainable.readout.LAYER``.
    """
    made = copy.copy(network)
    made.__dict__["_buffers"] = dict(network._buffers)
    kind = type(network)
    made.__class__ = type(f"Normalised{kind.__name__}", (_Normalised, kind), {"__module__": __name__})
    for name in read_layers(network):
        made.register_buffer(_buffer(name), state[READOUT + name].detach())
    return made


def _buffer(name: str) -> str:
    return "readout_" + name.replace(".", "_")
