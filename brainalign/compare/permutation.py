"""Is a layer more like a region than chance? A test that permutes the stimuli."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from brainalign.compare.comparison import Comparison
from brainalign.compare.gram_similarity import GramSimilarity
from brainalign.compare.problems import make_problems
from brainalign.compare.rdm_comparison import RdmComparison
from brainalign.compare.rows import ALL_LAYERS, _outcomes
from brainalign.compare.splits import labels
from brainalign.data import Recording, load_recording
from brainalign.errors import BrainalignError, NeedsError, ResponsesError
from brainalign.metrics import find_metric
from brainalign.metrics.permuted import NORMALISED, permuted_comparison
from brainalign.probing import Representation

Array = np.ndarray

NO_RESAMPLES = 0
"""The test takes values, and no intervals."""

TIE = 1e-10
"""Values that differ by less are equal: the same order reached by two sums differs by rounding."""


def permutation_test(
    recording: str | Recording,
    region: str,
    metric: str,
    layers: Sequence[Representation],
    n_permutations: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Test each layer of a network against chance: that it matters which stimulus is which.

    Under the null hypothesis any stimulus of the layer may be paired with any of the region. Of N random
    orders, k give a value as large as the observed one: p = (1 + k) / (1 + N), one-sided, and exact in that
    p ≤ α has probability α or less, for any number of stimuli, distribution, metric and N (Phipson & Smyth
    2010). All layers, and all networks tested with one seed, see the same orders.

    `p_max` is corrected for the number of layers: the observed value is held against the largest of all
    layers in each order, each measured by the mean and the standard deviation of its own values over all
    orders, so that the chance of a single false alarm among the layers is held, however they depend on each
    other, and no layer's wider distribution by chance hides another (Westfall & Young 1993; Nichols &
    Holmes 2002). Give the layers of several networks together to correct for them all.

    Stimuli that show the same image (column ``image`` of the recording's metadata) keep company: images
    change places with images that were shown as often. A value that is undefined in an order counts as
    large as the observed one, which can only raise p.

    Parameters
    ----------
    recording, region, metric
        What the layers are held against, and how; names, or a recording.
    layers
        Layers as `brainalign.probing.probe` gives them.
    n_permutations
        Number of random orders N; p is at least 1/(1 + N).
    seed
        Decides the orders, and the splits of stimuli where the metric needs some.

    Returns
    -------
    pandas.DataFrame
        For each layer (or for ``all layers``, of a metric that joins them) ``layer``, ``raw``, ``p``,
        ``p_max`` and ``n_permutations``; p is NaN where the layer has no value, and such a layer counts
        for no correction.

    Raises
    ------
    NeedsError
        A metric that the region does not allow.
    BrainalignError
        Fewer than 19 permutations, which can give no p of .05.

    Notes
    -----
    For RSA by ``spearman``, ``pearson``, ``rho_a`` and ``cosine`` an order costs one matrix product for all
    layers and subjects together: some 10 ms for 20 layers and 640 stimuli. Any other metric is computed anew
    for each layer and order: 20 ms of CKA, a second of ridge for 640 stimuli.

    References
    ----------
    Phipson & Smyth (2010), Stat Appl Genet Mol Biol 9:39; Westfall & Young (1993), Resampling-Based Multiple
    Testing; Nichols & Holmes (2002), Hum Brain Mapp 15:1.
    """
    if n_permutations < 19:
        raise BrainalignError(f"{n_permutations} permutations give no p value of .05; ask for 1000 or so.")
    shown = load_recording(recording) if isinstance(recording, str) else recording
    problem = make_problems(shown.only(region), [find_metric(metric)], NO_RESAMPLES, seed)[0]
    comparison = problem.comparison
    if comparison is None:
        raise NeedsError(f"{problem.unmet}.")
    stimuli = comparison.facts.stimuli
    groups = None if shown.stimuli is None else labels(shown.stimuli.metadata, "image", stimuli)
    orders = stimulus_orders(len(stimuli), n_permutations, seed, groups)
    joint = problem.metric.joint
    aligned = [layer.select(stimuli) for layer in layers]
    observed = np.array([outcome.raw for outcome in _outcomes(comparison, aligned, joint)])
    p, p_max = permutation_p_values(observed, permuted_values(comparison, aligned, orders, joint))
    names = [ALL_LAYERS] if joint else [layer.layer for layer in layers]
    return pd.DataFrame(
        {"layer": names, "raw": observed, "p": p, "p_max": p_max, "n_permutations": n_permutations}
    )


def stimulus_orders(
    n_stimuli: int, n_permutations: int, seed: int, groups: np.ndarray | None = None
) -> Int[Array, "permutation stimulus"]:
    """Draw random orders of the stimuli.

    Parameters
    ----------
    groups
        Which stimuli show the same. Groups change places with groups of their size, as a whole, and the
        stimuli within a group change places with each other.

    Examples
    --------
    >>> order = stimulus_orders(5, 1, 0, np.array(["a", "a", "b", "b", "c"]))[0]
    >>> order[4].item(), sorted(order[:2].tolist()) in ([0, 1], [2, 3])
    (4, True)
    """
    generator = np.random.default_rng(seed)
    names = np.arange(n_stimuli) if groups is None else groups
    _, group, sizes = np.unique(names, return_inverse=True, return_counts=True)
    rows_by_size = [
        np.stack([np.flatnonzero(group == each) for each in np.flatnonzero(sizes == size)])
        for size in np.unique(sizes)
    ]
    orders = np.empty((n_permutations, n_stimuli), dtype=np.int64)
    for order in orders:
        for rows in rows_by_size:
            order[rows] = generator.permuted(generator.permutation(rows), axis=1)
    return orders


def permuted_values(
    comparison: Comparison,
    layers: Sequence[Representation],
    orders: Int[Array, "permutation stimulus"],
    joint: bool = False,
) -> Float[Array, "layer permutation"]:
    """Values when the region's stimulus i meets the stimulus order[i] of each layer.

    Parameters
    ----------
    comparison, layers
        A region ready for a metric, and layers for its stimuli in their order.
    orders
        Orders of the stimuli.
    joint
        Whether the metric joins the layers into one value.
    """
    if isinstance(comparison, RdmComparison) and not joint and comparison._kernel.comparator in NORMALISED:
        return _permuted_rdms(comparison, layers, orders)
    if isinstance(comparison, GramSimilarity):
        return _permuted_grams(comparison, layers, orders)
    values = np.empty((1 if joint else len(layers), len(orders)))
    for place, order in enumerate(orders):
        permuted = [_reordered(layer, order) for layer in layers]
        values[:, place] = [outcome.raw for outcome in _outcomes(comparison, permuted, joint)]
    return values


def _permuted_rdms(
    comparison: RdmComparison, layers: Sequence[Representation], orders: Int[Array, "permutation stimulus"]
) -> Float[Array, "layer permutation"]:
    values = np.full((len(layers), len(orders)), np.nan)
    rdms = {}
    for place, layer in enumerate(layers):
        # A layer without an RDM has no observed value either, and is not tested.
        with suppress(ResponsesError):
            rdms[place] = comparison._kernel.rdm(layer)
    if rdms:
        compared = np.stack(list(rdms.values()))
        values[list(rdms)] = permuted_comparison(
            compared, comparison._rdms, orders, comparison._kernel.comparator
        )
    return values


def _permuted_grams(
    comparison: GramSimilarity, layers: Sequence[Representation], orders: Int[Array, "permutation stimulus"]
) -> Float[Array, "layer permutation"]:
    values = np.empty((len(layers), len(orders)))
    for (row, place), _ in np.ndenumerate(values):
        gram = layers[row].gram[np.ix_(orders[place], orders[place])]
        values[row, place] = comparison._kernel.value(gram, comparison._responses)
    return values


def permutation_p_values(
    observed: Float[Array, " layer"], permuted: Float[Array, "layer permutation"]
) -> tuple[Float[Array, " layer"], Float[Array, " layer"]]:
    """Give p of each layer by itself, and corrected for all layers by the largest standardised value.

    Parameters
    ----------
    observed
        Values in the true order; NaN where a layer has none.
    permuted
        Values in random orders; one that is NaN counts as large as the observed one.
    """
    known = np.isfinite(observed)
    # The true order is one of the orders that could have been drawn, so it is among those standardised by.
    values = np.column_stack([observed, permuted])[known]
    reaches = np.isnan(values) | (values >= values[:, :1] - TIE)
    standardised = _standardised(values)
    largest = np.max(standardised, axis=0, initial=-np.inf)
    p, p_max = np.full((2, len(observed)), np.nan)
    p[known] = reaches.mean(axis=1)
    p_max[known] = (largest >= standardised[:, :1] - TIE).mean(axis=1)
    return p, p_max


def _standardised(values: Float[Array, "layer order"]) -> Float[Array, "layer order"]:
    """Measure each layer's values by their mean and standard deviation; undefined ones are largest."""
    mean = np.nanmean(values, axis=1, keepdims=True)
    deviation = np.nanstd(values, axis=1, keepdims=True)
    standardised = (values - mean) / np.where(deviation > TIE, deviation, 1.0)
    return np.where(np.isnan(values), np.inf, standardised)


def _reordered(layer: Representation, order: Int[Array, " stimulus"]) -> Representation:
    """Give each stimulus the answer of the layer to another one."""
    return replace(
        layer,
        gram=layer.gram[np.ix_(order, order)],
        mean_products=layer.mean_products[order],
        row_sums=layer.row_sums[order],
        features=None if layer.features is None else layer.features[order],
    )
