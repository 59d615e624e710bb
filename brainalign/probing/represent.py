"""Reduce each layer's answers to inner products, by a plan that keeps to the memory."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from brainalign.errors import BrainalignError, ResponsesError
from brainalign.files import cache_folder
from brainalign.probing.gram_sums import BLOCK, GramSums
from brainalign.probing.hooks import counted_calls, input_addresses
from brainalign.probing.pieces import Output, Size
from brainalign.probing.plan import Costs, Pass, describe, make_plan
from brainalign.probing.reduction import Reduction, sum_weights
from brainalign.probing.representation import Representation
from brainalign.probing.showing import Showing
from brainalign.probing.spool import Spooled, free_bytes, seconds_per_byte

log = logging.getLogger(__name__)

Pointwise = Callable[[np.ndarray], np.ndarray]
Block = tuple[int, np.ndarray]

POINTWISE: dict[type[nn.Module], Pointwise] = {
    nn.ReLU: lambda x: np.maximum(x, 0),
    nn.ReLU6: lambda x: np.clip(x, 0, 6),
}
"""Modules whose answer follows, unit by unit and to the last digit, from the one that they are given."""


@dataclass
class Outputs:
    """What a first look on two stimuli finds.

    Parameters
    ----------
    sizes
        Outputs in the order in which the network gives them.
    followers
        For an output, those that follow from it, each with the function by which it does.
    """

    sizes: dict[Output, Size] = field(default_factory=dict)
    followers: dict[Output, dict[Output, Pointwise]] = field(default_factory=dict)

    def kept(self) -> dict[Output, Size]:
        """Give the outputs that must be kept: those that follow from no other."""
        following = {follower for each in self.followers.values() for follower in each}
        return {output: size for output, size in self.sizes.items() if output not in following}

    def label(self, output: Output) -> str:
        """Name an output: its module, with the output's number where the module has several."""
        name, number = output
        return f"{name}[{number}]" if (name, 1) in self.sizes else name


def look(showing: Showing, names: Sequence[str], reduction: Reduction) -> Outputs:
    """Find the outputs of the modules, their sizes, and which follow from the output before."""
    found = Outputs()
    last: tuple[Output, int, np.ndarray] | None = None

    def note(output: Output, _row: int, tensor: torch.Tensor) -> None:
        nonlocal last
        block = reduction(tensor, len(showing.stimuli))
        n_units = reduction.n_units(tensor, block.shape[1])
        found.sizes[output] = Size(block.shape[1], n_units, block.dtype, calls())
        function = _pointwise(showing.network, output)
        if last and function and reduction.kind == "whole" and came_from.get(output[0]) == last[1]:
            before, _, features = last
            # The address alone would not tell what else was done to the answer in place.
            if np.array_equal(function(features), block):
                found.followers.setdefault(before, {})[output] = function
                last = None  # what follows from this one would find it not kept
                return
        for each in found.followers.values():  # on the second stimulus, where each is a batch of its own
            each.pop(output, None)
        last = (output, tensor.data_ptr(), np.array(block))

    pointwise = [name for name in names if type(showing.network.get_submodule(name)) in POINTWISE]
    with counted_calls() as calls, input_addresses(showing.network, pointwise) as came_from:
        showing.show(names, showing.stimuli.ids[:2], note)
    found.sizes = dict(sorted(found.sizes.items(), key=lambda item: item[1].place))
    return found


def represent(
    showing: Showing,
    names: Sequence[str],
    reduction: Reduction,
    budget: int,
    spool: str | Path | bool = True,
    double: bool = False,
    keep_features: bool = False,
) -> dict[str, list[Representation]]:
    """Represent the stimuli in each output of the modules; a module that is not called has none.

    Parameters
    ----------
    budget
        Bytes of features to hold at a time.
    spool
        Folder for features that do not fit, True for one in the cache, False to pass over the stimuli again.
    double
        Multiply in float64.
    keep_features
        Keep the features, which must then fit.
    """
    outputs = look(showing, names, reduction)
    n = len(showing.stimuli)
    if keep_features:
        outputs.followers.clear()
        _raise_unless_fit(outputs.sizes, n, budget)
    sizes = outputs.kept()
    folder = None if spool is False else cache_folder() / "spool" if spool is True else Path(spool)
    plan = make_plan(sizes, n, budget, partial(_costs, showing, names, folder, spool is True))
    log.info("%s", describe(plan, sizes, n, len(outputs.sizes) - len(sizes)))
    sums = {output: GramSums(n, showing.device, double) for output in outputs.sizes}
    features: dict[Output, np.ndarray] = {}
    deepest = max((size.place for size in sizes.values()), default=0)
    for each in plan:
        last = each.last(sizes)
        # A pass that goes to the end notices an output too many.
        until = None if sizes[last].place == deepest else last
        with contextlib.closing(_Kept(each, outputs.sizes, n, folder)) as kept:
            showing.show(
                list(dict.fromkeys(name for name, _ in each.outputs)),
                showing.stimuli.ids,
                partial(kept.keep, reduction),
                until,
            )
            kept.raise_if_short()
            for output, start, block in kept.blocks():
                weights = sum_weights(sizes[output].width, sizes[output].n_units)[start:][: block.shape[1]]
                sums[output].add(block, weights)
                for follower, function in outputs.followers.get(output, {}).items():
                    sums[follower].add(function(block), weights)
            if keep_features:
                features |= {piece.output: held.numpy() for piece, held in kept.held.items()}
    representations: dict[str, list[Representation]] = {name: [] for name in names}
    for output, size in outputs.sizes.items():
        label = outputs.label(output)
        products = sums.pop(output).result(label)
        representations[output[0]].append(
            Representation(
                label,
                tuple(showing.stimuli.ids),
                *products,
                n_units=size.n_units,
                features=features.get(output),
                place=size.place,
            )
        )
    return representations


class _Kept:
    """What one pass keeps: pieces in memory, and outputs on disk."""

    def __init__(self, plan: Pass, sizes: Mapping[Output, Size], n_stimuli: int, spool: Path | None):
        self._plan, self._sizes, self._n = plan, sizes, n_stimuli
        # By torch, which copies in several threads and asks for no huge pages, which the system clears first.
        self.held = {
            piece: torch.empty(
                n_stimuli, piece.stop - piece.start, dtype=getattr(torch, sizes[piece.output].dtype.name)
            )
            for piece in plan.pieces
        }
        self._rows = dict.fromkeys(plan.outputs, 0)
        self._shapes: dict[Output, torch.Size] = {}
        self._aside = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._spooled: dict[Output, Spooled] = {}
        try:
            for output in plan.spooled:
                size = sizes[output]
                self._spooled[output] = Spooled(Path(spool or "."), n_stimuli, size.width, size.dtype)
        except BrainalignError:
            self.close()
            raise

    def keep(self, reduction: Reduction, output: Output, row: int, tensor: torch.Tensor) -> None:
        """Keep what is wanted of one batch of an output."""
        block = reduction(tensor, self._n)
        known = output in self._sizes and block.shape[1] == self._sizes[output].width
        # A sample or a projection is as wide whatever it is of.
        shape = reduction.pooled_shape(tensor)
        if not known or self._shapes.setdefault(output, shape) != shape:
            raise ResponsesError(
                f"Layer {output[0]!r} changes the size or number of its outputs from batch to batch; show "
                "stimuli of one size, or pool the layer ('pool:GRID')."
            )
        if output not in self._rows:
            return
        self._rows[output] += len(block)
        for piece, held in self.held.items():
            if piece.output == output:
                held[row : row + len(block)] = torch.from_numpy(block[:, piece.start : piece.stop])
        if output in self._spooled:
            self._written()
            # A copy, for what the network does next may overwrite the block while the disk is at it.
            self._writing = self._aside.submit(self._spooled[output].write, row, block.copy())

    def _written(self) -> None:
        """Wait until the block before is on the disk, so that no more than one copy is held."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def raise_if_short(self) -> None:
        """Raise if an output did not come on every batch."""
        self._written()
        short = [name for (name, _), rows in self._rows.items() if rows != self._n]
        if short:
            raise ResponsesError(f"Layer {short[0]!r} was not called on every batch of stimuli.")

    def blocks(self) -> Iterator[tuple[Output, int, np.ndarray]]:
        """Give each output, the first column of each block of it, and the columns (n, column)."""
        for piece, held in self.held.items():
            for start in range(0, held.shape[1], BLOCK):
                yield piece.output, piece.start + start, held[:, start : start + BLOCK].numpy()
        for output, spooled in self._spooled.items():
            for start, block in self._one_ahead(spooled.blocks()):
                yield output, start, block
            spooled.close()

    def _one_ahead(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Read the next while the last is worked on."""
        coming = self._aside.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = self._aside.submit(next, blocks, None)
            yield block

    def close(self) -> None:
        """Give back the room on the disk."""
        self._aside.shutdown(cancel_futures=True)
        for spooled in self._spooled.values():
            spooled.close()


def _pointwise(network: nn.Module, output: Output) -> Pointwise | None:
    """Give the function of the module that gives an output, if it is one of `POINTWISE`."""
    return POINTWISE.get(type(network.get_submodule(output[0])))


def _costs(showing: Showing, names: Sequence[str], folder: Path | None, optional: bool) -> Costs:
    reach = showing.seconds_to_reach(names)
    if folder is None:
        return Costs(reach, 0.0, 0)
    try:
        return Costs(reach, seconds_per_byte(folder), free_bytes(folder))
    except BrainalignError as error:
        if not optional:
            raise
        log.info("nothing is spooled: %s", error)
        return Costs(reach, 0.0, 0)


def _raise_unless_fit(sizes: Mapping[Output, Size], n_stimuli: int, budget: int) -> None:
    total = sum(n_stimuli * size.width * size.dtype.itemsize for size in sizes.values())
    if total > budget:
        raise BrainalignError(
            f"The features of {len(sizes)} layers on {n_stimuli} stimuli take {total / 1e9:.1f} GB, more than "
            f"the {budget / 1e9:.1f} GB at hand. Raise the memory, name fewer layers, or pool or sample them."
        )
