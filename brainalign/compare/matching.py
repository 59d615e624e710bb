"""Matching of single units: a region's units against network units found on other stimuli."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from brainalign.compare.comparison import Outcome, mean_over_splits
from brainalign.compare.held_out import HeldOutUnits, median_over_units, outcome_over_folds
from brainalign.compare.resampling import Resamples, weighted_correlation
from brainalign.compare.splits import Split, halves, labels, stimulus_folds
from brainalign.errors import NeedsError, ResponsesError
from brainalign.metrics.matching import Pairs
from brainalign.metrics.metric import Metric
from brainalign.probing import Representation

Array = np.ndarray

BLOCK = 1024
"""Pairs of units that are correlated at a time."""

POOLS: dict[str, Callable[[Array], Array]] = {
    "median": median_over_units,
    "mean": lambda values: mean_over_splits(values.T),
}


class Matching:
    """A region's units, to be matched with single units of layers on some stimuli and compared on others.

    The splits and the reliable units are those of predictivity. A matching jumps as stimuli come and go, and
    the bootstrap of the test sets, which holds it fixed, found 8 % of equal networks different, and 18 % where
    units are shared. The interval comes from the variance between splits instead (Nadeau and Bengio's), and
    where units are shared from that between halves of the stimuli, each cross-validated by itself
    (`Resamples.variance`), which takes 16 stimuli; of fewer, splits alone tell. The ceiling is the square root
    of the units' reliability: the median where the units' correlations are taken together by the median, the
    mean of the roots where by the mean.
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
        self.facts = self._units.facts
        self.resamples, self._folds = self._units.resamples, []
        if n_resamples:
            splits = [(fold.train, fold.test) for fold in self._units.folds]
            groups = labels(metadata, "image", self.facts.stimuli)
            n_stimuli = len(self.facts.stimuli)
            found, self._folds = halved(n_stimuli, self._matcher.halvings, np.random.default_rng(seed), groups)
            self.resamples = Resamples.test_sets(splits, n_stimuli, found)
            if len(found) < self._matcher.halvings:
                note = (
                    f"{len(found)} of {self._matcher.halvings} halvings leave enough stimuli for the interval"
                )
                self.facts = replace(self.facts, notes=(*self.facts.notes, note))
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
        pool, folds = POOLS[self._matcher.pool], self._units.folds
        chosen_by = pool(np.array([self._correlations(features, fold.fit, fold.choose) for fold in folds]))
        per_unit = np.array([self._correlations(features, fold.train, fold.test) for fold in folds])
        values = pool(per_unit)
        # All splits first, then each alone, then the folds of each half.
        scoring, choosing = [values], [chosen_by]
        if self.resamples.of_splits:
            scoring += list(np.where(np.eye(len(folds), dtype=bool), values, np.nan))
            choosing += [chosen_by] * len(folds)
        for of_half in self._folds:
            own = pool(np.array([self._correlations(features, train, test) for train, test in of_half]))
            others = mean_over_splits(np.where(np.eye(len(own), dtype=bool), np.nan, own[:, None]))
            scoring.append(np.pad(own, (0, len(folds) - len(own)), constant_values=np.nan))
            choosing.append(np.pad(others, (0, len(folds) - len(own)), constant_values=np.nan))
        outcome = outcome_over_folds(
            np.column_stack(choosing), np.column_stack(scoring), self._details(mean_over_splits(per_unit))
        )
        n_alone = len(self._units.patterns.units) - n_units
        if n_alone > 0 and self._matcher.pool == "median":
            note = f"the layer has {n_units} units: {n_alone} of the region without partner count as r = 0"
            return replace(outcome, note=note)
        return outcome

    def _correlations(self, features: Array, train: Array, test: Array) -> Float[Array, " unit"]:
        """Match on training stimuli; correlate on the test stimuli."""
        responses = self._units.patterns.mean
        pairs = self._matcher.match(features, train, responses[train])
        return paired_correlation(features[test], responses[test], pairs)

    def _details(self, correlation: Float[Array, " unit"]) -> pd.DataFrame:
        patterns, reliability = self._units.patterns, self._units.reliability
        table = {"unit": patterns.units, "subject": patterns.subjects, "r": correlation}
        if reliability is not None:
            table |= {
                "reliability": reliability,
                "explained": np.sign(correlation) * correlation**2 / reliability,
            }
        return pd.DataFrame(table)


def halved(
    n_stimuli: int, n_halvings: int, generator: np.random.Generator, groups: Array | None
) -> tuple[list[Split], list[list[Split]]]:
    """Halve the stimuli at random, and part each half into folds of training and test rows.

    Halvings whose halves hold too few stimuli, or too few images, to be parted are left out.
    """
    found: list[Split] = []
    folds: list[list[Split]] = []
    for _ in range(n_halvings):
        try:
            (pair,) = halves(n_stimuli, 1, generator, groups)
            parted = [
                (half, stimulus_folds(len(half), generator, None if groups is None else groups[half]))
                for half in pair
            ]
        except ResponsesError:
            continue
        found.append(pair)
        folds += [[(half[train], half[test]) for train, test in of_half] for half, of_half in parted]
    return found, folds


def paired_correlation(
    features: Array, responses: Float[Array, "test unit"], pairs: Pairs
) -> Float[Array, " unit"]:
    """Correlation of each unit of the region with its partners, by their shares.

    NaN where the unit itself does not vary over the stimuli.
    """
    once, n_units = np.ones((1, len(responses))), responses.shape[1]
    total = np.zeros(n_units)
    for start in range(0, len(pairs.share), BLOCK):
        block = slice(start, start + BLOCK)
        region = pairs.region[block]
        x = features[:, pairs.network[block]].astype(np.float64)
        correlation = weighted_correlation(x, responses[:, region], once)[0]
        total += np.bincount(region, pairs.share[block] * correlation, n_units)
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
