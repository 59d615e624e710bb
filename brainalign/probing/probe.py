"""Show stimuli to a network and reduce each layer's answer to a representation, within a memory budget."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import psutil
import torch
from rich.console import Console
from rich.progress import Progress
from torch import nn

from brainalign.data.stimuli import StimulusSet
from brainalign.errors import BrainalignError, ResponsesError
from brainalign.networks import Preprocessing, preprocessing_of
from brainalign.probing.cache import cached_outputs, network_key, store_outputs
from brainalign.probing.hooks import OutputListener, evaluation_mode
from brainalign.probing.layers import select_layers
from brainalign.probing.reduction import Reduction
from brainalign.probing.representation import Representation, inner_products

Output = tuple[str, int]
"""A module's name and the running number of its output within one pass."""

Keep = Callable[[Output, int, np.ndarray], None]
"""Called with an output, the first row of a batch, and the batch's features (batch, unit)."""


@dataclass(frozen=True)
class Piece:
    """Columns `start` to `stop` of one output: what one pass over the stimuli keeps of it."""

    output: Output
    start: int
    stop: int


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

    The network runs in evaluation mode without gradients; every module's mode is restored and every
    hook removed, whatever happens. A module that is called several times, or gives a tuple, appears
    once for each output: ``relu[0]``, ``relu[1]``.

    Parameters
    ----------
    network
        Any module that takes images (batch, 3, height, width).
    stimuli
        Stimuli with images.
    layers
        See `select_layers`.
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
        A representation for each output of the layers, in the network's order.

    Raises
    ------
    UnknownNameError
        A layer that the network does not have.
    ResponsesError
        Stimuli without images, or a layer whose output is NaN, infinite, without a batch dimension or
        of a size that changes from batch to batch.
    """
    names = select_layers(network, layers)
    if not len(stimuli):
        raise ResponsesError(f"Stimulus set {stimuli.name!r} is empty.")
    preprocessing = preprocessing or preprocessing_of(network)
    bring_down = Reduction.parse(reduction)
    where = torch.device(device) if device is not None else _device_of(network)
    key = None
    if cache and not keep_features:
        key = network_key(network, preprocessing, bring_down, stimuli, where)
    found = {name: cached_outputs(key, name) for name in names} if key else {}
    missing = [name for name in names if found.get(name) is None]
    if missing:
        run = _Run(network.to(where), stimuli, preprocessing, bring_down, batch_size, where)
        budget = memory if memory is not None else psutil.virtual_memory().total // 4
        computed = run.represent(missing, budget, keep_features)
        for name in missing:
            found[name] = computed[name]
            if key:
                store_outputs(key, name, computed[name])
    return {output.layer: output for name in names for output in found[name] or []}


def _device_of(network: nn.Module) -> torch.device:
    for tensor in [*network.parameters(), *network.buffers()]:
        return tensor.device
    return torch.device("cpu")


@dataclass(frozen=True)
class _Run:
    network: nn.Module
    stimuli: StimulusSet
    preprocessing: Preprocessing
    reduction: Reduction
    batch_size: int
    device: torch.device

    def represent(
        self, names: Sequence[str], budget: int, keep_features: bool
    ) -> dict[str, list[Representation]]:
        sizes = self._sizes(names)
        absent = [name for name in names if not any(output[0] == name for output in sizes)]
        if absent:
            raise ResponsesError(
                f"The network never calls layer {absent[0]!r} on these stimuli; leave it out of the layers."
            )
        n = len(self.stimuli)
        widest = sum(width for width, _ in sizes.values())
        if keep_features and 8 * n * widest > budget:
            raise BrainalignError(
                f"The features of {len(sizes)} layers on {n} stimuli take {8 * n * widest / 1e9:.1f} GB, more "
                f"than the {budget / 1e9:.1f} GB at hand. Raise the memory, name fewer layers, or pool or "
                "project them."
            )
        sums: dict[Output, list] = {}
        features: dict[Output, np.ndarray] = {}
        for pieces in _passes(sizes, n, budget):
            for piece, block in self._collect(pieces, sizes).items():
                part = inner_products(block, _label(piece.output, sizes))
                held = sums.setdefault(piece.output, [0.0, 0.0, 0.0, 0.0])
                sums[piece.output] = [have + more for have, more in zip(held, part, strict=True)]
                if keep_features:
                    features[piece.output] = block
        representations: dict[str, list[Representation]] = {name: [] for name in names}
        ids = tuple(self.stimuli.ids)
        for output, (width, _) in sizes.items():
            gram, products, norm, rows = sums[output]
            kept = features.get(output)
            representations[output[0]].append(
                Representation(_label(output, sizes), ids, gram, products, norm, rows, width, kept)
            )
        return representations

    def _sizes(self, names: Sequence[str]) -> dict[Output, tuple[int, np.dtype]]:
        """Units and type of each output, from two stimuli."""
        sizes: dict[Output, tuple[int, np.dtype]] = {}

        def note(output: Output, _row: int, block: np.ndarray) -> None:
            sizes[output] = (block.shape[1], block.dtype)

        self._show(names, self.stimuli.ids[:2], note)
        order = {name: place for place, name in enumerate(names)}
        return dict(sorted(sizes.items(), key=lambda item: (order[item[0][0]], item[0][1])))

    def _collect(
        self, pieces: Sequence[Piece], sizes: dict[Output, tuple[int, np.dtype]]
    ) -> dict[Piece, np.ndarray]:
        """Features of the pieces, (n, stop − start) each, by one pass over the stimuli."""
        n = len(self.stimuli)
        held = {piece: np.empty((n, piece.stop - piece.start), sizes[piece.output][1]) for piece in pieces}
        rows = dict.fromkeys((piece.output for piece in pieces), 0)

        def keep(output: Output, row: int, block: np.ndarray) -> None:
            if output not in sizes or block.shape[1] != sizes[output][0]:
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
        """Show stimuli in batches; hand each output's reduced features to `keep` as they come."""
        row = size = 0

        def receive(name: str, number: int, tensor: torch.Tensor) -> None:
            if tensor.ndim == 0 or tensor.shape[0] != size or tensor.is_complex():
                raise ResponsesError(
                    f"Layer {name!r} gives an output of shape {tuple(tensor.shape)} for {size} stimuli; its "
                    "first dimension must be the stimuli. Leave the layer out."
                )
            keep((name, number), row, self.reduction(tensor, len(self.stimuli)))

        listener = OutputListener(self.network, names, receive)
        console = Console(stderr=True)
        quiet = len(ids) <= self.batch_size or not console.is_terminal
        with (
            Progress(console=console, transient=True, disable=quiet) as progress,
            torch.no_grad(),
            evaluation_mode(self.network),
            listener.listening(),
        ):
            task = progress.add_task(f"Showing {len(ids)} stimuli", total=len(ids))
            for row in range(0, len(ids), self.batch_size):
                batch = [self.stimuli.image(i) for i in ids[row : row + self.batch_size]]
                size = len(batch)
                listener.begin_pass()
                self.network(self._to_device(self.preprocessing(batch)))
                progress.advance(task, size)

    def _to_device(self, images: torch.Tensor) -> torch.Tensor:
        for parameter in self.network.parameters():
            return images.to(self.device, parameter.dtype)
        return images.to(self.device)


def _label(output: Output, sizes: dict[Output, tuple[int, np.dtype]]) -> str:
    name, number = output
    return f"{name}[{number}]" if (name, 1) in sizes else name


def _passes(sizes: dict[Output, tuple[int, np.dtype]], n_stimuli: int, budget: int) -> Iterator[list[Piece]]:
    """Pack the outputs, cut where they are too wide, into passes that each fit the budget."""
    pieces: list[Piece] = []
    free = budget
    for output, (width, dtype) in sizes.items():
        column = n_stimuli * dtype.itemsize
        if column > budget:
            raise BrainalignError(
                f"A memory budget of {budget} bytes holds not one unit's answers to {n_stimuli} stimuli "
                f"({column} bytes); raise it."
            )
        start = 0
        while start < width:
            fits = free // column
            if fits < width - start and pieces and (fits == 0 or width * column <= budget):
                yield pieces
                pieces, free = [], budget
                continue
            stop = min(width, start + fits)
            pieces.append(Piece(output, start, stop))
            free -= (stop - start) * column
            start = stop
    if pieces:
        yield pieces
