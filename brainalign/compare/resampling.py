"""Bootstrap over stimuli and subjects, and the intervals that follow from it."""

from dataclasses import dataclass

import numpy as np
import scipy.stats
from jaxtyping import Float, Int

from brainalign.errors import BrainalignError

Array = np.ndarray


@dataclass(frozen=True)
class Resamples:
    """How often each stimulus, and each subject, comes up in each bootstrap sample.

    Shared by all layers and networks that are held against one region, so that their differences
    are paired.

    Parameters
    ----------
    stimuli
        Counts, shape (resample, stimulus).
    subjects
        Counts, shape (resample, subject), or None where subjects are not resampled (fewer than three).
    """

    stimuli: Int[Array, "resample stimulus"]
    subjects: Int[Array, "resample subject"] | None

    @classmethod
    def draw(cls, n_resamples: int, n_stimuli: int, n_subjects: int, seed: int) -> "Resamples":
        """Draw stimuli, and subjects where there are three or more, with replacement."""
        if n_resamples < 2:
            raise BrainalignError(f"{n_resamples} bootstrap samples give no interval; ask for 1000 or so.")
        generator = np.random.default_rng(seed)
        stimuli = generator.multinomial(n_stimuli, np.full(n_stimuli, 1 / n_stimuli), n_resamples)
        subjects = None
        if n_subjects >= 3:
            subjects = generator.multinomial(n_subjects, np.full(n_subjects, 1 / n_subjects), n_resamples)
        return cls(stimuli, subjects)

    @property
    def n_kinds(self) -> int:
        """Give three (both resampled, subjects only, stimuli only), or one (stimuli only)."""
        return 1 if self.subjects is None else 3

    @property
    def unit(self) -> str:
        """Name what is resampled."""
        return "stimuli" if self.subjects is None else "stimuli and subjects"

    def variance(self, replicates: Float[Array, "kind resample"]) -> tuple[float, float]:
        """Give the sampling variance of a value from its bootstrap replicates, and its degrees of freedom.

        Over stimuli: n/(n − 1) times the replicates' variance. Over stimuli and subjects:
        the dual bootstrap's combination of the three variances with its small-sample corrections
        (Schütt et al. 2023, as in rsatoolbox), with min(subjects, stimuli) − 1 degrees of freedom.
        """
        n_stimuli = self.stimuli.shape[1]
        spread = np.array([_variance(of_kind[np.isfinite(of_kind)]) for of_kind in replicates])
        by_stimuli = n_stimuli / (n_stimuli - 1)
        if self.subjects is None:
            return float(by_stimuli * spread[0]), float(n_stimuli - 1)
        n_subjects = self.subjects.shape[1]
        by_subjects = n_subjects / (n_subjects - 1)
        both, subjects, stimuli = spread
        combined = (
            by_subjects * subjects
            + by_stimuli * stimuli
            - by_subjects * by_stimuli * (both - subjects - stimuli)
        )
        floored = max(combined, by_subjects * subjects, by_stimuli * stimuli)
        return float(min(floored, both)), float(min(n_subjects, n_stimuli) - 1)


def _variance(values: Float[Array, " value"]) -> float:
    return float(np.var(values, ddof=1)) if len(values) > 1 else float("nan")


def interval(value: float, variance: float, dof: float, level: float = 0.95) -> tuple[float, float]:
    """Symmetric t-interval around a value.

    Examples
    --------
    >>> [round(end, 2) for end in interval(0.5, 0.01, 1e6)]
    [0.3, 0.7]
    """
    half = float(scipy.stats.t.ppf(0.5 + level / 2, dof)) * float(np.sqrt(variance))
    return value - half, value + half


def weighted_correlation(
    x: Float[Array, "stimulus unit"],
    y: Float[Array, "stimulus unit"],
    weights: Float[Array, "resample stimulus"],
) -> Float[Array, "resample unit"]:
    """Pearson correlation of each unit's pair of columns under each row of weights.

    A constant `x` predicts nothing and has correlation 0; a constant `y`, or fewer than three stimuli
    of positive weight, leaves the correlation undefined (NaN).
    """
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    total = weights.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = weights / total
        mean_x, mean_y = share @ x, share @ y
        variance_x = share @ x**2 - mean_x**2
        variance_y = share @ y**2 - mean_y**2
        covariance = share @ (x * y) - mean_x * mean_y
        correlation = covariance / np.sqrt(variance_x * variance_y)
    noise_x, noise_y = 1e-13 * np.max(x**2, axis=0), 1e-13 * np.max(y**2, axis=0)
    correlation = np.where(variance_x <= noise_x, 0.0, correlation)
    undefined = (variance_y <= noise_y) | ((weights > 0).sum(axis=1, keepdims=True) < 3)
    return np.where(undefined, np.nan, np.clip(correlation, -1.0, 1.0))
