"""Matching of single units: each unit of a region to one of the network's, or to shares of several."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from brainalign.errors import ResponsesError
from brainalign.metrics.metric import Metric
from brainalign.metrics.transport import transport_plan

Array = np.ndarray

BLOCK = 2048
"""Network units that are correlated with the region's at a time."""

MOST_PAIRS = 5_000_000
"""Pairs of units for which a soft matching is solved in seconds; a layer takes 120 of them."""

CONSTANT = 1e-12
"""Share of a unit's largest answer under which its differences between stimuli are rounding."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Which units go together.

    Parameters
    ----------
    network, region
        Unit of the network and of the region in each pair.
    share
        What the pair counts for its unit of the region: at most 1 in all, and what is missing counts as a
        correlation of 0.
    """

    network: Int[Array, " pair"]
    region: Int[Array, " pair"]
    share: Float[Array, " pair"]


@dataclass(frozen=True)
class Matcher:
    """A way to match units, and how their correlations are taken together over the region's units.

    Parameters
    ----------
    match
        Takes features, rows and the region's responses to the stimuli of these rows.
    pool
        What of the units' correlations is the value.
    halvings
        How often stimuli are halved for the interval, where the variance between splits does not tell enough.
    """

    match: Callable[[Array, Array, Array], Pairs]
    pool: Literal["median", "mean"]
    halvings: int = 0


def one_to_one_pairs(features: Array, rows: Array, responses: Float[Array, "train unit"]) -> Pairs:
    """Assign each unit of the region a network unit of its own so that the sum of correlations is greatest.

    Among q units of a region, each may restrict itself to the q network units that it correlates with best: if
    an optimal assignment gave it another, one of those q would be free, and no worse. So after one product of
    features and responses, block by block, the cost depends on q alone: q² candidates, and the
    Hungarian method on them (Jonker & Volgenant 1987). Signed: an opposed unit is no match.

    Parameters
    ----------
    features
        Features (stimulus, unit).
    rows
        Rows to match on.
    responses
        The region's responses to the stimuli of `rows`.

    Returns
    -------
    Pairs
        One a unit of the region; of a layer with fewer units than the region one a unit of the layer.
    """
    n_units = responses.shape[1]
    units = np.empty((0, n_units), dtype=np.int64)
    values = np.empty((0, n_units))
    for start, block in _correlations(features, rows, responses):
        names = np.broadcast_to(np.arange(start, start + len(block))[:, None], block.shape)
        values, units = np.vstack([values, block]), np.vstack([units, names])
        if len(values) > n_units:
            best = np.argpartition(-values, n_units - 1, axis=0)[:n_units]
            values, units = (np.take_along_axis(each, best, axis=0) for each in (values, units))
    candidates, column = np.unique(units, return_inverse=True)
    region = np.broadcast_to(np.arange(n_units), units.shape)
    # Above 0, since the sparse matrix has no edge where it holds a zero.
    costs = csr_matrix((2 - values.ravel(), (region.ravel(), column.ravel())), (n_units, len(candidates)))
    matched, partner = min_weight_full_bipartite_matching(costs)
    return Pairs(candidates[partner], matched.astype(np.int64), np.ones(len(matched)))


def soft_pairs(features: Array, rows: Array, responses: Float[Array, "train unit"]) -> Pairs:
    r"""Share units out among each other so that the mean correlation is greatest.

    The plan T of

    .. math:: \max_{T \ge 0} \sum_{ij} T_{ij} r_{ij}, \quad \sum_j T_{ij} = 1/p, \quad \sum_i T_{ij} = 1/q,

    with r the correlations of p network units with q units of the region, exact (`transport_plan`). Network
    units that answer all stimuli of `rows` alike correlate with nothing, here and held out.

    Raises
    ------
    ResponsesError
        More pairs of units than are solved exactly in reasonable memory and time.

    References
    ----------
    Khosla & Williams (2024), PMLR 243, eq. 8.
    """
    n_network, n_region = features.shape[1], responses.shape[1]
    if n_network * n_region > MOST_PAIRS:
        raise ResponsesError(
            f"Soft matching of {n_network} network units with {n_region} of the region has "
            f"{n_network * n_region:.1e} pairs; it is solved exactly up to {MOST_PAIRS:.0e}. Draw units at "
            f"random (reduction 'sample:{MOST_PAIRS // n_region}'), pool the layer ('pool:GRID'), or use "
            "one_to_one, which takes layers of any width."
        )
    correlation = np.vstack([block for _, block in _correlations(features, rows, responses)])
    alive = np.flatnonzero(correlation.any(axis=1))
    n_silent = n_network - len(alive)
    supply = np.ones(len(alive), dtype=np.int64)
    profit = correlation[alive]
    if n_silent:
        # Alike for every unit of the region, so they are shared out as one.
        profit, supply = np.vstack([profit, np.zeros((1, n_region))]), np.append(supply, n_silent)
    network, region, mass = transport_plan(profit, supply)
    held = network < len(alive)
    return Pairs(alive[network[held]], region[held], n_region * mass[held])


def _correlations(
    features: Array, rows: Array, responses: Float[Array, "train unit"]
) -> Iterator[tuple[int, Float[Array, "network unit"]]]:
    """Correlate network units with the region's, a block of the former at a time; constant ones with 0."""
    target = _standardised(responses)
    for start in range(0, features.shape[1], BLOCK):
        block = features[:, start : start + BLOCK][rows].astype(np.float64)
        yield start, _standardised(block).T @ target


def _standardised(values: Float[Array, "stimulus unit"]) -> Float[Array, "stimulus unit"]:
    """Centre each column and scale it to length 1; a constant one becomes 0."""
    varies = np.ptp(values, axis=0) > CONSTANT * np.abs(values).max(axis=0)
    centred = values - values.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    return np.divide(centred, length, out=np.zeros_like(centred), where=varies)


def one_to_one() -> Metric:
    """Correlation of the region's units with network units of their own, matched on other stimuli."""
    return Metric(
        name="one_to_one",
        family="matching",
        kernel=Matcher(one_to_one_pairs, "median"),
        needs=frozenset({"gram", "features", "responses"}),
        range=(-1.0, 1.0),
        symmetric=False,
        invariances=frozenset({"scaling", "translation"}),
        chance=0.0,
        label="Pearson r of one-to-one matched units, median over units",
        citation="Li et al. 2016; Khosla & Williams 2024; Khosla, Williams, McDermott & Kanwisher 2024",
    )


def soft_matching() -> Metric:
    """Correlation of the region's units with shares of network units, matched on other stimuli."""
    return Metric(
        name="soft_matching",
        family="matching",
        kernel=Matcher(soft_pairs, "mean", halvings=10),
        needs=frozenset({"gram", "features", "responses"}),
        range=(-1.0, 1.0),
        symmetric=True,
        invariances=frozenset({"scaling", "translation"}),
        chance=0.0,
        label="Pearson r of softly matched units, mean over units",
        citation="Khosla & Williams 2024",
    )
