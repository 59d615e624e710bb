"""Catch the outputs of modules while a network runs, and leave the network as it was."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from brainalign.errors import BrainalignError, ResponsesError

Receive = Callable[[str, int, torch.Tensor], None]
"""Called with a module's name, the running number of its output in this pass, and the output."""


@contextlib.contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put every module in evaluation mode (dropout off, batch norm frozen); restore each one's own mode.

    The modules' flags are set directly, for a ``train`` or ``eval`` of their own may change their weights.

    Raises
    ------
    ResponsesError
        Batch norm without running statistics, which in this mode too makes an answer depend on the
        stimuli that happen to share its batch.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
            raise ResponsesError(
                f"Module {name!r} normalises by the statistics of each batch, so its answer to a stimulus "
                "is not defined. Give it running statistics (track_running_stats=True), or replace it."
            )
    training = {module: module.training for module in network.modules()}
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module, mode in training.items():
            module.training = mode


@contextlib.contextmanager
def placed_on(network: nn.Module, device: torch.device | None) -> Iterator[None]:
    """Move a network to a device; afterwards its parameters and buffers are those that it had before.

    Raises
    ------
    BrainalignError
        A device that this machine does not have.
    """
    if device is None:
        yield
        return
    parameters = [(parameter, parameter.data) for parameter in network.parameters()]
    buffers = [
        (module, name, buffer)
        for module in network.modules()
        for name, buffer in module.named_buffers(recurse=False, remove_duplicate=False)
    ]
    try:
        try:
            network.to(device)
        except (RuntimeError, AssertionError) as error:  # AssertionError: a torch built without CUDA
            raise BrainalignError(f"The network cannot be moved to device {str(device)!r}: {error}") from error
        yield
    finally:
        for parameter, data in parameters:
            parameter.data = data
        for module, name, buffer in buffers:
            setattr(module, name, buffer)


@contextlib.contextmanager
def fixed_randomness(device: torch.device) -> Iterator[Callable[[], bool]]:
    """Seed torch's random numbers for the length of a block, then put the old state back.

    Gives a function that says whether any have been drawn since.
    """
    cuda = device.type == "cuda"

    def states() -> list[torch.Tensor]:
        return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if cuda else [])]

    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.default_generator.manual_seed(0)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(0)
        before = states()
        yield lambda: any(not torch.equal(now, then) for now, then in zip(states(), before, strict=True))


@contextlib.contextmanager
def counted_calls() -> Iterator[Callable[[], int]]:
    """Count the module calls that are completed; gives a function that says how many so far."""
    count = 0

    def completed(_module, _inputs, _output) -> None:
        nonlocal count
        count += 1

    handle = nn.modules.module.register_module_forward_hook(completed)
    try:
        yield lambda: count
    finally:
        handle.remove()


@contextlib.contextmanager
def input_addresses(network: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, int]]:
    """Note where in memory the first input of each module's latest call lies."""
    found: dict[str, int] = {}
    handles = []

    def hook(name: str):
        def note(_module, inputs) -> None:
            if inputs and isinstance(inputs[0], torch.Tensor):
                found[name] = inputs[0].data_ptr()

        return note

    try:
        for name in layers:
            handles.append(network.get_submodule(name).register_forward_pre_hook(hook(name)))
        yield found
    finally:
        for handle in handles:
            handle.remove()


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
