"""Matching of single units: a region's units against network units found on other stimuli."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from scipy.sparse import csr_matrix

from brainalign.compare.comparison import Outcome, mean_over_splits
from brainalign.compare.held_out import HeldOutUnits, fold_weights, median_over_units, outcome_over_folds
from brainalign.compare.resampling import weighted_correlation
from brainalign.errors import NeedsError
from brainalign.metrics.matching import Pairs
from brainalign.metrics.metric import Metric
from brainalign.probing import Representation

Array = np.ndarray

BLOCK = 1024
"""Pairs of units that are correlated in all bootstrap samples at a time."""

POOLS: dict[str, Callable[[Array], Array]] = {
    "median": median_over_units,
    "mean": lambda values: mean_over_splits(values.T),
}


class Matching:
    """A region's units, to be matched with single units of layers on some stimuli and compared on others.

    The splits, the reliable units and the bootstrap are those of predictivity, without any fit but the
    matching. The ceiling is the square root of the units' reliability: the median where the units' correlations
    are taken together by the median, the mean of the roots where by the mean.
    """

    def __init__(
        self,
        metric: Metric,
        responses: xr.DataArray,
        owner: str,
        n_resamples: int,
        seed: int,
        metadata: pd.DataFrame | None = None,
    ):
        self._name, self._matcher = metric.name, metric.kernel
        self._units = HeldOutUnits(responses, owner, n_resamples, seed, metadata)
        self.facts, self.resamples = self._units.facts, self._units.resamples
        reliability = self._units.reliability
        if self._matcher.pool == "mean" and reliability is not None:
            self.facts = replace(self.facts, ceiling=float(np.sqrt(reliability).mean()))

    def outcomes(self, layers: Sequence[Representation]) -> list[Outcome]:
        """Match the units with each layer's.

        Raises
        ------
        NeedsError
            A layer without its features, or with projections in place of units.
        ResponsesError
            A layer too wide for an exact soft matching.
        """
        return [self._outcome(layer.n_units, single_units(layer, self._name)) for layer in layers]

    def normalise(self, raw: float) -> float:
        """Fraction of the explainable variance, sign(r)·(r/ceiling)²."""
        return float(np.sign(raw) * (raw / self.facts.ceiling) ** 2)

    def _outcome(self, n_units: int, features: Array) -> Outcome:
        pool = POOLS[self._matcher.pool]
        choosing, scoring, per_unit = [], [], []
        for fold in self._units.folds:
            choosing.append(pool(self._correlations(features, fold.fit, fold.choose)))
            correlations = self._correlations(features, fold.train, fold.test)
            scoring.append(pool(correlations))
            per_unit.append(correlations[0])
        details = self._details(mean_over_splits(np.array(per_unit)))
        outcome = outcome_over_folds(np.array(choosing), np.array(scoring), details)
        n_alone = len(self._units.patterns.units) - n_units
        if n_alone > 0 and self._matcher.pool == "median":
            note = f"the layer has {n_units} units: {n_alone} of the region without partner count as r = 0"
            return replace(outcome, note=note)
        return outcome

    def _correlations(self, features: Array, train: Array, test: Array) -> Float[Array, "value unit"]:
        """Match on training stimuli; correlate on the test stimuli, then in each bootstrap sample of them."""
        responses = self._units.patterns.mean
        pairs = self._matcher.match(features, train, responses[train])
        return paired_correlation(features[test], responses[test], pairs, fold_weights(self.resamples, test))

    def _details(self, correlation: Float[Array, " unit"]) -> pd.DataFrame:
        patterns, reliability = self._units.patterns, self._units.reliability
        table = {"unit": patterns.units, "subject": patterns.subjects, "r": correlation}
        if reliability is not None:
            table |= {
                "reliability": reliability,
                "explained": np.sign(correlation) * correlation**2 / reliability,
            }
        return pd.DataFrame(table)


def paired_correlation(
    features: Array,
    responses: Float[Array, "test unit"],
    pairs: Pairs,
    weights: Float[Array, "value test"],
) -> Float[Array, "value unit"]:
    """Correlation of each unit of the region with its partners, by their shares, under each row of weights.

    NaN where the unit itself does not vary over the stimuli that have weight. Time and memory are those of
    `weighted_correlation` for every pair, a block of them at a time.
    """
    n_units = responses.shape[1]
    total = np.zeros((len(weights), n_units))
    for start in range(0, len(pairs.share), BLOCK):
        block = slice(start, start + BLOCK)
        region = pairs.region[block]
        x = features[:, pairs.network[block]].astype(np.float64)
        correlation = weighted_correlation(x, responses[:, region], weights)
        shares = csr_matrix((pairs.share[block], (region, np.arange(len(region)))), (n_units, len(region)))
        total += (shares @ correlation.T).T
    return total


def single_units(layer: Representation, metric: str) -> Array:
    """Give a layer's features, one column a unit.

    Raises
    ------
    NeedsError
        Features that were not kept, or that are projections of the units.
    """
    if layer.features is None:
        raise NeedsError(
            f"Layer {layer.layer!r} comes as its Gram matrix, without its features, and {metric} compares "
            "single units. Probe with keep_features=True, or make it by Representation.from_features(…, "
            "keep=True)."
        )
    if layer.features.shape[1] != layer.n_units:
        raise NeedsError(
            f"Layer {layer.layer!r} comes as {layer.features.shape[1]} random projections of its "
            f"{layer.n_units} units, and {metric} compares single units. Take the layer whole, pooled "
            "('pool:GRID'), or units of it drawn at random ('sample:N')."
        )
    return layer.features
