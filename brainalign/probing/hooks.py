"""Catch the outputs of modules while a network runs, and leave the network as it was."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from brainalign.errors import ResponsesError

Receive = Callable[[str, int, torch.Tensor], None]
"""Called with a module's name, the running number of its output in this pass, and the output."""


@contextlib.contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put every module in evaluation mode (dropout off, batch norm frozen); restore each one's own mode."""
    training = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in training.items():
            module.training = mode


class OutputListener:
    """Hands over each output of the modules it listens to, numbered within one pass.

    A module that is called twice, or gives a tuple, has several outputs. The receiver sees each tensor
    before any later in-place operation can change it, and must copy what it keeps.
    """

    def __init__(self, network: nn.Module, layers: Sequence[str], receive: Receive):
        self._modules = {name: network.get_submodule(name) for name in layers}
        self._receive = receive
        self._count: dict[str, int] = {}

    @contextlib.contextmanager
    def listening(self) -> Iterator["OutputListener"]:
        """Attach hooks to the modules; always remove them again."""
        handles = []
        try:
            for name, module in self._modules.items():
                handles.append(module.register_forward_hook(self._hook(name)))
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def begin_pass(self) -> None:
        """Count the outputs of each module from zero."""
        self._count = dict.fromkeys(self._modules, 0)

    def _hook(self, name: str):
        def hook(_module, _inputs, output):
            for tensor in _tensors(output, name):
                self._receive(name, self._count[name], tensor)
                self._count[name] += 1

        return hook


def _tensors(output: object, layer: str) -> list[torch.Tensor]:
    if isinstance(output, torch.Tensor):
        return [output.detach()]
    if isinstance(output, dict):
        output = list(output.values())
    if isinstance(output, tuple | list):
        return [tensor for part in output if part is not None for tensor in _tensors(part, layer)]
    raise ResponsesError(
        f"Layer {layer!r} gives a {type(output).__name__}, not a tensor or a tuple of tensors; leave it out "
        "of the layers to probe."
    )
