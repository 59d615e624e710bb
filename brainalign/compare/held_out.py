"""Units of a region, to be predicted for stimuli that were held out, fold by fold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int

from brainalign.compare.comparison import Facts, Outcome, mean_over_splits
from brainalign.compare.patterns import NO_REPEATS, Patterns, find_patterns
from brainalign.compare.resampling import Resamples, fit_share, weighted_correlation
from brainalign.compare.splits import N_SPLITS, commitment_split, labels, train_test_splits
from brainalign.errors import NeedsError
from brainalign.metrics.reliability import split_half_reliability

Array = np.ndarray
Predict = Callable[[Array, Array], Array]
"""Takes training and test rows; gives predictions (test, unit) by a fit to the training rows."""

LEAST_RELIABILITY = 0.1
"""Units below have hardly any signal; they are left out of value, ceiling and score alike."""

N_RELIABILITY_SPLITS = 100


@dataclass(frozen=True, eq=False)
class Fold:
    """Rows of one split: training and test; of the training rows those to fit on and to choose a layer by."""

    train: Int[Array, " train"]
    test: Int[Array, " test"]
    fit: Int[Array, " fit"]
    choose: Int[Array, " choose"]


def draw_folds(
    stimuli: Sequence[str], metadata: pd.DataFrame | None, seed: int, n_splits: int = N_SPLITS
) -> list[Fold]:
    """Split stimuli, sorted by id, as `train_test_splits` and `commitment_split` do."""
    generator = np.random.default_rng(seed)
    groups = labels(metadata, "image", stimuli)
    splits = train_test_splits(len(stimuli), labels(metadata, "stratum", stimuli), groups, n_splits)
    return [Fold(train, np.sort(test), *commitment_split(train, generator, groups)) for train, test in splits]


class HeldOutUnits:
    """A region's units, with what is needed to hold predictions of them against their responses.

    Parameters
    ----------
    responses, owner, n_resamples, seed, metadata
        As every comparison takes them.
    n_splits
        Number of splits of the stimuli.

    Attributes
    ----------
    patterns
        Responses of the units that are compared.
    reliability
        Their split-half reliability, or None without repeats.
    folds, resamples, facts
        Splits of the stimuli, bootstrap samples of them, and what is true whatever the network. The
        ceiling is the square root of the median reliability.
    """

    def __init__(
        self,
        responses: xr.DataArray,
        owner: str,
        n_resamples: int,
        seed: int,
        metadata: pd.DataFrame | None = None,
        n_splits: int = N_SPLITS,
    ):
        patterns = find_patterns(responses, owner)
        self.patterns, self.reliability, ceiling, notes = _reliable(patterns, owner, seed)
        stimuli, subjects = patterns.stimuli, set(self.patterns.subjects)
        self.facts = Facts(
            stimuli=stimuli,
            subject=subjects.pop() if len(subjects) == 1 else "",
            n_units=len(self.patterns.units),
            n_units_masked=responses.sizes["unit"] - len(self.patterns.units),
            ceiling=ceiling,
            notes=notes,
        )
        self.folds = draw_folds(stimuli, metadata, seed, n_splits)
        share = fit_share([(fold.train, fold.test) for fold in self.folds])
        self.resamples = Resamples.draw(n_resamples, len(stimuli), 0, seed, fit_share=share)

    def outcome(self, predict: Predict, choose: bool = True) -> Outcome:
        """Correlate predictions with responses in each fold.

        Per unit, Pearson's r inside each held-out fold; the median over units in each split; the mean over
        splits.

        Parameters
        ----------
        predict
            Takes training and test rows, and gives predictions (test, unit).
        choose
            Whether layers are to be chosen between; if not, the values to choose by are NaN.
        """
        choosing, scoring, per_unit = [], [], []
        for fold in self.folds:
            correlations = self._correlations(predict, fold.train, fold.test)
            scoring.append(median_over_units(correlations))
            per_unit.append(correlations[0])
            if choose:
                choosing.append(median_over_units(self._correlations(predict, fold.fit, fold.choose)))
        details = self._details(mean_over_splits(np.array(per_unit)))
        values = np.array(scoring)
        return outcome_over_folds(
            np.array(choosing) if choose else np.full_like(values, np.nan), values, details
        )

    def explained(self, raw: float) -> float:
        """Fraction of the explainable variance, sign(r)·(r/ceiling)²."""
        return float(np.sign(raw) * (raw / self.facts.ceiling) ** 2)

    def _correlations(self, predict: Predict, train: Array, test: Array) -> Float[Array, "value unit"]:
        """Correlation of each unit's prediction with its response: on the test stimuli, then resampled."""
        weights = fold_weights(self.resamples, test)
        return weighted_correlation(predict(train, test), self.patterns.mean[test], weights)

    def _details(self, correlation: Float[Array, " unit"]) -> pd.DataFrame:
        table = {"unit": self.patterns.units, "subject": self.patterns.subjects, "r": correlation}
        if self.reliability is not None:
            table["reliability"] = self.reliability
            table["explained"] = np.sign(correlation) * correlation**2 / self.reliability
        return pd.DataFrame(table)


def fold_weights(resamples: Resamples, rows: Int[Array, " row"]) -> Float[Array, "value row"]:
    """Weights of a fold's stimuli: each once, then as often as each bootstrap sample drew them."""
    return np.vstack([np.ones(len(rows)), resamples.stimuli[:, rows]])


def outcome_over_folds(
    choosing: Float[Array, "split value"],
    scoring: Float[Array, "split value"],
    details: pd.DataFrame | None = None,
) -> Outcome:
    """Make the outcome whose value is the mean over the folds: observed first, then resampled."""
    values, observed = mean_over_splits(scoring), scoring[:, 0]
    return Outcome(
        raw=float(values[0]),
        spread=float(np.nanstd(observed)) if np.isfinite(observed).any() else float("nan"),
        replicates=values[None, 1:],
        choosing=choosing,
        scoring=scoring,
        details=details,
    )


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


def median_over_units(values: Float[Array, "value unit"]) -> Float[Array, " value"]:
    """Median over the units of which a value is defined; NaN where there is none."""
    if not np.isnan(values).any():
        return np.median(values, axis=1)
    defined = ~np.isnan(values).all(axis=1)
    medians = np.full(len(values), np.nan)
    medians[defined] = np.nanmedian(values[defined], axis=1)
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
