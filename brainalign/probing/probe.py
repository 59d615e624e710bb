"""Show stimuli to a network and reduce each layer's answer to a representation, within a memory budget."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import psutil
import torch
from torch import nn
from tqdm import tqdm

from brainalign.data.stimuli import StimulusSet
from brainalign.errors import BrainalignError, ResponsesError
from brainalign.networks import Preprocessing, preprocessing_of
from brainalign.probing.cache import cached_outputs, store_outputs
from brainalign.probing.hooks import (
    OutputListener,
    counted_calls,
    evaluation_mode,
    fixed_randomness,
    placed_on,
)
from brainalign.probing.keys import network_key
from brainalign.probing.layers import select_layers
from brainalign.probing.pieces import Output, Piece, Size, pack
from brainalign.probing.reduction import Reduction, sum_weights
from brainalign.probing.representation import Representation, inner_products

Keep = Callable[[Output, int, torch.Tensor], None]
"""Called with an output, the first row of a batch, and the batch's tensor; must copy what it keeps."""


def probe(
    network: nn.Module,
    stimuli: StimulusSet,
    layers: str | Sequence[str] | None = None,
    *,
    preprocessing: Preprocessing | None = None,
    reduction: str = "whole",
    keep_features: bool = False,
    batch_size: int = 32,
    memory: int | None = None,
    cache: bool = True,
    device: str | torch.device | None = None,
) -> dict[str, Representation]:
    """Represent stimuli in the layers of a network.

    The network runs in evaluation mode without gradients and is left as it was: every module's mode,
    device and hooks, whatever happens. A module that is called several times, or gives a tuple, appears
    once for each output: ``relu[0]``, ``relu[1]``. A network that draws random numbers draws the same ones
    in every pass, by a seed of its own.

    Parameters
    ----------
    network
        Any module that takes images (batch, 3, height, width).
    stimuli
        Stimuli with images.
    layers
        See `select_layers`. A module that the network does not call is left out, unless it is named.
    preprocessing
        By default the network's own (`preprocessing_of`).
    reduction
        ``whole``, ``pool:GRID`` or ``project[:DISTORTION]``, see `Reduction`.
    keep_features
        Keep the features in each representation, within `memory` for all layers together.
    batch_size
        Stimuli a forward pass.
    memory
        Bytes for features at a time, by default a quarter of the machine's memory. Layers that do not
        fit together are taken in further passes over the stimuli, wide ones in pieces.
    cache
        Read and write representations in the cache, keyed by content.
    device
        Where the network runs, by default where its parameters are.

    Returns
    -------
    dict
        A representation for each output of the layers, in the order in which the network computes them.

    Raises
    ------
    UnknownNameError
        A layer that the network does not have.
    ResponsesError
        No stimuli, or none with images; a layer that is named and not called; a layer whose output is
        complex, empty, NaN, infinite, without a batch dimension or of a size that changes from batch to
        batch; batch norm without running statistics.
    BrainalignError
        A memory budget that is too small, a batch size below one, or a device that there is not.
    """
    names = select_layers(network, layers)
    if not len(stimuli):
        raise ResponsesError(f"Stimulus set {stimuli.name!r} is empty.")
    if batch_size < 1:
        raise BrainalignError(f"The batch size is {batch_size}; it must be a whole number of at least 1.")
    preprocessing = preprocessing or preprocessing_of(network)
    bring_down = Reduction.parse(reduction)
    where = _device(network, device)
    key_of = partial(network_key, network, preprocessing, bring_down, stimuli, where)
    key = key_of() if cache and not keep_features else None
    found = {name: cached_outputs(key, name, stimuli.ids) for name in names} if key else {}
    missing = [name for name in names if found.get(name) is None]
    if missing:
        run = _Run(network, stimuli, preprocessing, bring_down, batch_size, where)
        budget = memory if memory is not None else psutil.virtual_memory().total // 4
        with placed_on(network, where if device is not None else None):
            computed = run.represent(missing, budget, keep_features)
        # What has changed meanwhile (a state of the network's own, an image file) is not what the key says.
        if key and not run.random and key == key_of():
            store_outputs(key, computed)
        found |= computed
    outputs = {name: found[name] or [] for name in names}
    _raise_if_silent(outputs, [layers] if isinstance(layers, str) else layers)
    in_order = sorted((output for given in outputs.values() for output in given), key=lambda each: each.place)
    return {output.layer: output for output in in_order}


def _device(network: nn.Module, device: str | torch.device | None) -> torch.device:
    if device is not None:
        try:
            return torch.device(device)
        except RuntimeError as error:
            raise BrainalignError(f"Device {device!r} is none that torch knows: {error}") from error
    for tensor in [*network.parameters(), *network.buffers()]:
        return tensor.device
    return torch.device("cpu")


def _raise_if_silent(outputs: Mapping[str, Sequence], asked: Sequence[str] | None) -> None:
    """Raise if a layer that was named, or every layer, gave no output."""
    silent = [name for name, given in outputs.items() if not given]
    named = [name for name in silent if name in (asked or ())]
    if named or len(silent) == len(outputs):
        raise ResponsesError(
            f"The network never calls layer {(named or silent)[0]!r} on these stimuli; leave it out of the "
            "layers."
        )


@dataclass
class _Run:
    network: nn.Module
    stimuli: StimulusSet
    preprocessing: Preprocessing
    reduction: Reduction
    batch_size: int
    device: torch.device
    random: bool = False
    """Whether the network has drawn random numbers."""

    def represent(
        self, names: Sequence[str], budget: int, keep_features: bool
    ) -> dict[str, list[Representation]]:
        """Represent the stimuli in each output of the modules; a module that is not called has none."""
        sizes = self._sizes(names)
        n = len(self.stimuli)
        total = sum(8 * n * size.width for size in sizes.values())
        if keep_features and total > budget:
            raise BrainalignError(
                f"The features of {len(sizes)} layers on {n} stimuli take {total / 1e9:.1f} GB, more than the "
                f"{budget / 1e9:.1f} GB at hand. Raise the memory, name fewer layers, or pool or project them."
            )
        sums: dict[Output, list] = {}
        features: dict[Output, np.ndarray] = {}
        for pieces in pack(sizes, n, budget):
            for piece, block in self._collect(pieces, sizes).items():
                weights = sum_weights(sizes[piece.output].width, sizes[piece.output].n_units)
                part = inner_products(block, _label(piece.output, sizes), weights[piece.start : piece.stop])
                held = sums.setdefault(piece.output, [0.0, 0.0, 0.0, 0.0])
                sums[piece.output] = [have + more for have, more in zip(held, part, strict=True)]
                if keep_features:
                    features[piece.output] = block
        representations: dict[str, list[Representation]] = {name: [] for name in names}
        ids = tuple(self.stimuli.ids)
        for output, size in sizes.items():
            label, kept = _label(output, sizes), features.get(output)
            representations[output[0]].append(
                Representation(label, ids, *sums[output], n_units=size.n_units, features=kept, place=size.place)
            )
        return representations

    def _sizes(self, names: Sequence[str]) -> dict[Output, Size]:
        """Size of each output, from two stimuli."""
        sizes: dict[Output, Size] = {}

        def note(output: Output, _row: int, tensor: torch.Tensor) -> None:
            block = self.reduction(tensor, len(self.stimuli))
            n_units = self.reduction.n_units(tensor, block.shape[1])
            sizes[output] = Size(block.shape[1], n_units, block.dtype, calls())

        with counted_calls() as calls:
            self._show(names, self.stimuli.ids[:2], note)
        return dict(sorted(sizes.items(), key=lambda item: item[1].place))

    def _collect(self, pieces: Sequence[Piece], sizes: Mapping[Output, Size]) -> dict[Piece, np.ndarray]:
        """Features of the pieces, (n, stop − start) each, by one pass over the stimuli."""
        n = len(self.stimuli)
        held = {piece: np.empty((n, piece.stop - piece.start), sizes[piece.output].dtype) for piece in pieces}
        rows = dict.fromkeys((piece.output for piece in pieces), 0)

        def keep(output: Output, row: int, tensor: torch.Tensor) -> None:
            block = self.reduction(tensor, n)
            if output not in sizes or block.shape[1] != sizes[output].width:
                raise ResponsesError(
                    f"Layer {output[0]!r} changes the size or number of its outputs from batch to batch; show "
                    "stimuli of one size, or pool the layer ('pool:GRID')."
                )
            rows[output] = rows.get(output, 0) + len(block)
            for piece in pieces:
                if piece.output == output:
                    held[piece][row : row + len(block)] = block[:, piece.start : piece.stop]

        self._show(list(dict.fromkeys(output[0] for output in rows)), self.stimuli.ids, keep)
        short = [piece.output[0] for piece in pieces if rows[piece.output] != n]
        if short:
            raise ResponsesError(f"Layer {short[0]!r} was not called on every batch of stimuli.")
        return held

    def _show(self, names: Sequence[str], ids: Sequence[str], keep: Keep) -> None:
        """Show stimuli in batches; hand each output to `keep` as it comes."""
        row = size = 0

        def receive(name: str, number: int, tensor: torch.Tensor) -> None:
            _raise_if_unfit(name, tensor, size)
            keep((name, number), row, tensor)

        listener = OutputListener(self.network, names, receive)
        starts = range(0, len(ids), self.batch_size)
        with (
            torch.no_grad(),
            evaluation_mode(self.network),
            listener.listening(),
            fixed_randomness(self.device) as drawn,
        ):
            for row in tqdm(starts, "showing stimuli", unit="batch", delay=2, leave=False, disable=None):
                batch = [self.stimuli.image(i) for i in ids[row : row + self.batch_size]]
                size = len(batch)
                listener.begin_pass()
                self.network(self._to_network(self.preprocessing(batch)))
            self.random |= drawn()

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


def _label(output: Output, sizes: Mapping[Output, Size]) -> str:
    name, number = output
    return f"{name}[{number}]" if (name, 1) in sizes else name
