"""Groups of units made ready for a metric, a block of them at a time, to be held against layers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int

from brainalign.compare.comparison import Comparison
from brainalign.compare.patterns import Patterns
from brainalign.compare.problems import FAMILIES
from brainalign.compare.rdm_vectors import as_vectors, in_orders, is_undefined
from brainalign.compare.unit_groups import Members
from brainalign.errors import NeedsError, ResponsesError
from brainalign.metrics import Metric
from brainalign.metrics.rsa import RdmKernel
from brainalign.probing import Representation

Array = np.ndarray
Orders = Int[Array, "order n"]
Values = Float[Array, "order group layer"]

ORDERS = 50
"""Orders of the stimuli that a block is asked for at a time."""


@dataclass(frozen=True)
class Block:
    """Some of the groups.

    Parameters
    ----------
    n_units
        Units of each that are compared.
    notes
        Why each has no value, or empty texts.
    values
        Takes orders of the layers' stimuli, and gives the values in each, shape (order, group, layer).
    """

    n_units: list[int]
    notes: list[str]
    values: Callable[[Orders], Values]


def rdm_blocks(
    kernel: RdmKernel,
    patterns: Patterns,
    layers: Sequence[Representation],
    groups: Sequence[Members],
    memory: int,
) -> Iterator[Block]:
    """Compare the RDMs of as many groups as fit into memory with those of all layers in one product.

    Parameters
    ----------
    patterns
        Its units are named by their indices among those that the groups hold.
    """
    rdms = np.stack([kernel.rdm(layer) for layer in layers])
    of_layers, silent = as_vectors(rdms, kernel.comparator), is_undefined(rdms, kernel.comparator)
    place = {int(name): k for k, name in enumerate(patterns.units)}
    # Of each group the RDM, its ranks and its vector, which may be a square, and the values asked for at once.
    each = 8 * (4 * rdms.shape[1] + 2 * ORDERS * len(rdms))
    size = max(1, memory // each)
    for start in range(0, len(groups), size):
        chunk = [
            [place[unit] for unit in units.tolist() if unit in place] for units in groups[start : start + size]
        ]
        made = [_rdm(kernel, patterns, units, rdms.shape[1]) for units in chunk]
        found = np.stack([rdm for rdm, _ in made])
        undefined = is_undefined(found, kernel.comparator)
        notes = [
            note or "the metric is undefined on these stimuli" * bool(u)
            for (_, note), u in zip(made, undefined, strict=True)
        ]
        of_groups = as_vectors(found, kernel.comparator)
        yield Block(
            [len(units) for units in chunk],
            notes,
            partial(_products, of_groups, of_layers, undefined[:, None] | silent, memory),
        )


def _rdm(kernel: RdmKernel, patterns: Patterns, units: list[int], n_pairs: int) -> tuple[Array, str]:
    """RDM of one group, or NaN and the reason."""
    reason = "none of its units can be compared"
    if units:
        repeats = None if patterns.repeats is None else patterns.repeats[:, units]
        try:
            return kernel.of_subject(patterns.mean[:, units], repeats)[0], ""
        except ResponsesError as error:
            reason = str(error)
    return np.full(n_pairs, np.nan), reason


def _products(of_groups: Array, of_layers: Array, undefined: Array, memory: int, orders: Orders) -> Values:
    n_layers, n_entries = of_layers.shape
    values = np.empty((len(orders), len(of_groups), n_layers))
    at_once = max(1, memory // (8 * 8 * of_layers.size))
    for start in range(0, len(orders), at_once):
        moved = in_orders(of_layers, orders[start : start + at_once])
        product = moved.reshape(-1, n_entries) @ of_groups.T
        values[start : start + at_once] = product.reshape(len(moved), n_layers, -1).transpose(0, 2, 1)
    np.clip(values, -1.0, 1.0, out=values)
    values[:, undefined] = np.nan
    return values


def single_blocks(
    metric: Metric,
    responses: xr.DataArray,
    layers: Sequence[Representation],
    groups: Mapping[str, Members],
    seed: int,
    metadata: pd.DataFrame | None,
) -> Iterator[Block]:
    """Make each group a region of its own, and compare it as any region is."""
    family = FAMILIES[metric.family]
    n_outcomes = 1 if getattr(family, "joint", False) else len(layers)
    for name, units in groups.items():
        try:
            comparison = family(metric, responses.isel(unit=units), f"Group {name!r}", 0, seed, metadata)
        except (NeedsError, ResponsesError) as error:
            yield Block([0], [str(error)], partial(_nothing, n_outcomes))
            continue
        yield Block([comparison.facts.n_units], [""], partial(_outcomes, comparison, layers, n_outcomes))


def _nothing(n_outcomes: int, orders: Orders) -> Values:
    return np.full((len(orders), 1, n_outcomes), np.nan)


def _outcomes(
    comparison: Comparison, layers: Sequence[Representation], n_outcomes: int, orders: Orders
) -> Values:
    values = [[outcome.raw for outcome in comparison.outcomes(_in_order(layers, order))] for order in orders]
    return np.array(values, dtype=float).reshape(len(orders), 1, n_outcomes)


def _in_order(layers: Sequence[Representation], order: Int[Array, " n"]) -> list[Representation]:
    """Give each stimulus the answers to another."""
    stimuli = layers[0].stimuli
    shown = [stimuli[k] for k in order]
    return [replace(layer.select(shown), stimuli=stimuli) for layer in layers]
