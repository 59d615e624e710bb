"""Linear predictivity: how well a layer predicts the responses of units to stimuli it was not fitted on."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from brainalign.compare.comparison import Facts, Outcome, mean_over_splits
from brainalign.compare.patterns import NO_REPEATS, Patterns, find_patterns
from brainalign.compare.resampling import Resamples, weighted_correlation
from brainalign.compare.splits import Split, commitment_split, labels, train_test_splits
from brainalign.errors import NeedsError
from brainalign.metrics.metric import Metric
from brainalign.metrics.reliability import split_half_reliability
from brainalign.probing import Representation

Array = np.ndarray

LEAST_RELIABILITY = 0.1
"""Units below have hardly any signal; they are left out of value, ceiling and score alike."""

N_RELIABILITY_SPLITS = 100


class Predictivity:
    """A region's units, to be predicted from layers by regression across stimuli.

    Per unit, Pearson's r between prediction and response inside each held-out fold; the median over
    units in each split; the mean over splits. The ceiling is the square root of the median split-half
    reliability of the units. In the bootstrap, held-out predictions are resampled within their folds;
    the variance of the fit itself is left out.
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
        self._metric = metric
        patterns = find_patterns(responses, owner)
        patterns, self._reliability, ceiling, notes = _reliable(patterns, owner, seed)
        self._patterns = patterns
        n = len(patterns.stimuli)
        subjects = set(patterns.subjects)
        self.facts = Facts(
            stimuli=patterns.stimuli,
            subject=subjects.pop() if len(subjects) == 1 else "",
            n_units=len(patterns.units),
            n_units_masked=responses.sizes["unit"] - len(patterns.units),
            ceiling=ceiling,
            notes=notes,
        )
        self.resamples = Resamples.draw(n_resamples, n, 0, seed)
        generator = np.random.default_rng(seed)
        groups = labels(metadata, "image", patterns.stimuli)
        splits = train_test_splits(n, labels(metadata, "stratum", patterns.stimuli), groups)
        self._splits = [
            (train, np.sort(test), commitment_split(train, generator, groups)) for train, test in splits
        ]

    def outcomes(self, layers: Sequence[Representation]) -> list[Outcome]:
        """Predict the units from each layer."""
        return [self._outcome(layer) for layer in layers]

    def normalise(self, raw: float) -> float:
        """Fraction of the explainable variance, sign(r)·(r/ceiling)²."""
        return float(np.sign(raw) * (raw / self.facts.ceiling) ** 2)

    def _outcome(self, layer: Representation) -> Outcome:
        choosing, scoring, per_unit = [], [], []
        for train, test, (fit, choose) in self._splits:
            choosing.append(_median(self._correlations(layer.gram, (fit, choose))))
            correlations = self._correlations(layer.gram, (train, test))
            scoring.append(_median(correlations))
            per_unit.append(correlations[0])
        values = mean_over_splits(np.array(scoring))
        observed = np.array(scoring)[:, 0]
        return Outcome(
            raw=float(values[0]),
            spread=float(np.nanstd(observed)) if np.isfinite(observed).any() else float("nan"),
            replicates=values[None, 1:],
            choosing=np.array(choosing),
            scoring=np.array(scoring),
            details=self._details(mean_over_splits(np.array(per_unit))),
        )

    def _correlations(self, gram: Float[Array, "n n"], split: Split) -> Float[Array, "value unit"]:
        """Correlation of each unit's prediction with its response: on the test stimuli, then resampled."""
        train, test = split
        train_gram, cross_gram = centred_blocks(gram, train, test)
        predicted = self._metric.kernel(train_gram, cross_gram, self._patterns.mean[train])
        weights = np.vstack([np.ones(len(test)), self.resamples.stimuli[:, test]])
        return weighted_correlation(predicted, self._patterns.mean[test], weights)

    def _details(self, correlation: Float[Array, " unit"]) -> pd.DataFrame:
        table = {"unit": self._patterns.units, "subject": self._patterns.subjects, "r": correlation}
        if self._reliability is not None:
            table["reliability"] = self._reliability
            table["explained"] = np.sign(correlation) * correlation**2 / self._reliability
        return pd.DataFrame(table)


def centred_blocks(
    gram: Float[Array, "n n"], train: Array, test: Array
) -> tuple[Float[Array, "train train"], Float[Array, "test train"]]:
    """Blocks of a Gram matrix, features centred on the mean of the training stimuli.

    A cross-validation split needs no features: centring on other rows is a subtraction of means.
    """
    train_gram, cross_gram = gram[np.ix_(train, train)], gram[np.ix_(test, train)]
    towards_mean = train_gram.mean(axis=1)
    shift = towards_mean.mean()
    centred = train_gram - towards_mean[:, None] - towards_mean[None, :] + shift
    across = cross_gram - cross_gram.mean(axis=1)[:, None] - towards_mean[None, :] + shift
    return centred, across


def _median(correlations: Float[Array, "value unit"]) -> Float[Array, " value"]:
    if not np.isnan(correlations).any():
        return np.median(correlations, axis=1)
    defined = ~np.isnan(correlations).all(axis=1)
    medians = np.full(len(correlations), np.nan)
    medians[defined] = np.nanmedian(correlations[defined], axis=1)
    return medians


def _reliable(
    patterns: Patterns, owner: str, seed: int
) -> tuple[Patterns, Array | None, float, tuple[str, ...]]:
    """Leave out unreliable units; give the others' reliability, the ceiling, and notes."""
    if patterns.repeats is None:
        return patterns, None, float("nan"), (NO_REPEATS,)
    generator = np.random.default_rng(seed)
    reliability = split_half_reliability(patterns.repeats, N_RELIABILITY_SPLITS, generator)
    keep = reliability >= LEAST_RELIABILITY
    if not keep.any():
        raise NeedsError(
            f"{owner} has no unit with a split-half reliability of {LEAST_RELIABILITY} or more, so there is "
            "nothing that a network could predict."
        )
    notes = ()
    if not keep.all():
        notes = (f"{int((~keep).sum())} units of reliability under {LEAST_RELIABILITY} left out",)
    reliability = reliability[keep]
    return patterns.only(keep), reliability, float(np.sqrt(np.median(reliability))), notes
