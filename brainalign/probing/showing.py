"""Show stimuli to a network and hand over what its layers answer."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from tqdm import tqdm

from brainalign.data.stimuli import StimulusSet
from brainalign.errors import ResponsesError
from brainalign.networks import Preprocessing
from brainalign.probing.freed_memory import freed_memory_kept
from brainalign.probing.hooks import OutputListener, evaluation_mode, fixed_randomness
from brainalign.probing.pieces import Output
from brainalign.probing.small_images import shown

Keep = Callable[[Output, int, torch.Tensor], None]
"""Called with an output, the first row of a batch, and the batch's tensor; must copy what it keeps."""


class _Reached(BaseException):
    """The last output that is wanted has come; a network that catches errors must not catch this."""


@dataclass
class Showing:
    """A network, and how it is shown which stimuli.

    `half` lets it compute in half precision: float16 on CUDA, bfloat16 elsewhere.
    """

    network: nn.Module
    stimuli: StimulusSet
    preprocessing: Preprocessing
    batch_size: int
    device: torch.device
    half: bool = False
    random: bool = False
    """Whether the network has drawn random numbers."""

    def show(self, names: Sequence[str], ids: Sequence[str], keep: Keep, until: Output | None = None) -> None:
        """Show stimuli in batches; hand each output to `keep` as it comes, and go no further than `until`."""
        row = size = 0

        def receive(name: str, number: int, tensor: torch.Tensor) -> None:
            _raise_if_unfit(name, tensor, size)
            keep((name, number), row, tensor)
            if (name, number) == until:
                raise _Reached

        listener = OutputListener(self.network, names, receive)
        starts = range(0, len(ids), self.batch_size)
        with (
            torch.no_grad(),
            evaluation_mode(self.network),
            self._precision(),
            freed_memory_kept() if self.device.type == "cpu" else contextlib.nullcontext(),
            listener.listening(),
            fixed_randomness(self.device) as drawn,
        ):
            for row in tqdm(starts, "showing stimuli", unit="batch", delay=2, leave=False, disable=None):
                batch = shown(self.stimuli, ids[row : row + self.batch_size], self.preprocessing)
                size = len(batch)
                listener.begin_pass()
                images = self._to_network(batch)
                with contextlib.suppress(_Reached):
                    self.network(images)
            self.random |= drawn()

    def seconds_to_reach(self, names: Sequence[str]) -> dict[Output, float]:
        """Measure on one batch how long all stimuli take until the network has given each output."""
        ids = self.stimuli.ids[: self.batch_size]
        came: dict[Output, float] = {}

        def note(output: Output, _row: int, _tensor: torch.Tensor) -> None:
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            came[output] = time.perf_counter()

        started = time.perf_counter()
        self.show(names, ids, note)
        return {output: (then - started) * len(self.stimuli) / len(ids) for output, then in came.items()}

    @contextlib.contextmanager
    def _precision(self) -> Iterator[None]:
        if not self.half:
            yield
            return
        with torch.autocast(self.device.type, torch.float16 if self.device.type == "cuda" else torch.bfloat16):
            yield

    def _to_network(self, images: torch.Tensor) -> torch.Tensor:
        """Bring images to the network's device and its type of real numbers."""
        for tensor in [*self.network.parameters(), *self.network.buffers()]:
            if tensor.is_floating_point():
                return images.to(self.device, tensor.dtype)
        return images.to(self.device)


def _raise_if_unfit(layer: str, output: torch.Tensor, n_stimuli: int) -> None:
    if output.ndim == 0 or output.shape[0] != n_stimuli or not output.numel():
        raise ResponsesError(
            f"Layer {layer!r} gives an output of shape {tuple(output.shape)} for {n_stimuli} stimuli; its "
            "first dimension must be the stimuli, and it must have units. Leave the layer out."
        )
    if output.is_complex():
        raise ResponsesError(
            f"Layer {layer!r} gives complex numbers ({output.dtype}), which have no place in a Gram matrix of "
            "reals; leave it out, or let the network give their real and imaginary parts."
        )
