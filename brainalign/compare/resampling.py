"""Bootstrap over stimuli and subjects, and the intervals that follow from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.stats
from jaxtyping import Float, Int

from brainalign.errors import BrainalignError

Array = np.ndarray

SPARE_RESAMPLES = 100
"""Bootstrap samples beyond the number of stimuli that it takes to tell what is linear in the counts."""


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
    fit_share
        Variance over fits to other training stimuli, as a share of the variance that resampling held-out
        stimuli shows; 0 where nothing is fitted. See `variance`.
    of_pairs
        Whether values compare pairs of stimuli, as RDMs and Gram matrices do. See `variance`.
    jackknifed
        Whether replicates are those of `brainalign.metrics.jackknife`, of stimuli and pairs. See `variance`.
    of_splits
        Whether the samples are no bootstrap samples but the test sets of the splits themselves. See `variance`.
    n_halvings
        How often the stimuli were halved; the last samples are then these halves, two and two. See `variance`.
    """

    stimuli: Int[Array, "resample stimulus"]
    subjects: Int[Array, "resample subject"] | None
    fit_share: float = 0.0
    of_pairs: bool = False
    jackknifed: bool = False
    of_splits: bool = False
    n_halvings: int = 0

    @classmethod
    def test_sets(
        cls,
        splits: Sequence[tuple[Array, Array]],
        n_stimuli: int,
        halves: Sequence[tuple[Array, Array]] = (),
    ) -> "Resamples":
        """Take for the samples the test sets of splits, each a pair of training and test rows, then halves."""
        samples = [test for _, test in splits] + [half for pair in halves for half in pair]
        counts = np.zeros((len(samples), n_stimuli), dtype=np.int64)
        for row, sample in zip(counts, samples, strict=True):
            row[sample] = 1
        return cls(counts, None, fit_share(splits), of_splits=True, n_halvings=len(halves))

    @classmethod
    def draw(
        cls,
        n_resamples: int,
        n_stimuli: int,
        n_subjects: int,
        seed: int,
        *,
        fit_share: float = 0.0,
        of_pairs: bool = False,
        jackknifed: bool | None = False,
    ) -> "Resamples":
        """Draw stimuli, and subjects where there are three or more, with replacement; none for no interval.

        `jackknifed` as None: where stimuli alone are drawn, and often enough to tell what is linear in counts.
        """
        if n_resamples < 0 or n_resamples == 1:
            raise BrainalignError(
                f"{n_resamples} bootstrap samples give no interval; ask for 1000 or so, or 0 to do without."
            )
        generator = np.random.default_rng(seed)
        stimuli = generator.multinomial(n_stimuli, np.full(n_stimuli, 1 / n_stimuli), n_resamples)
        subjects = None
        if n_subjects >= 3:
            subjects = generator.multinomial(n_subjects, np.full(n_subjects, 1 / n_subjects), n_resamples)
        if jackknifed is None:
            jackknifed = subjects is None and n_resamples >= n_stimuli + SPARE_RESAMPLES
        return cls(stimuli, subjects, fit_share, of_pairs, jackknifed)

    @property
    def n_kinds(self) -> int:
        """Give three (both resampled, subjects only, stimuli only), or one (stimuli only)."""
        return 1 if self.subjects is None else 3

    @property
    def unit(self) -> str:
        """Name what is resampled."""
        if self.of_splits:
            return "splits and halves of the stimuli" if self.n_halvings else "splits of the stimuli"
        if self.subjects is not None:
            return "stimuli and subjects"
        return "stimuli, by a jackknife" if self.jackknifed else "stimuli"

    def variance(self, replicates: Float[Array, "kind resample"]) -> tuple[float, float]:
        """Give the sampling variance of a value from its bootstrap replicates, and its degrees of freedom.

        Over stimuli: n/(n − 1) times the replicates' variance. Over stimuli and subjects:
        the dual bootstrap's combination of the three variances with its small-sample corrections
        (Schütt et al. 2023, as in rsatoolbox), with Welch and Satterthwaite's degrees of freedom of the two
        parts. (rsatoolbox takes the least that they can be, min(subjects, stimuli) − 1. Where most of the
        variance is the stimuli's that finds 1–2 % of equal networks different in place of 5 %.)

        Held-out predictions (`fit_share`): times 1 + n₂/n₁. Resampling the n₂ test stimuli leaves out that
        other n₁ training stimuli would have been fitted otherwise; Nadeau & Bengio (2003) add that share to
        their variance between splits. In simulations of predictivity at 200 stimuli the replicates alone have
        0.83–0.93 of the true variance, and with it 0.92–1.04. Of the dual bootstrap only the stimuli's part has
        it, for n₂ and n₁ count stimuli.

        Pairs (`of_pairs`), over stimuli alone: what is peculiar to a pair of stimuli is in a bootstrap's
        replicates three times, for its weight m_i m_j varies with m_i, with m_j and with both. Their last part,
        which is not linear in the counts m, is left out: the infinitesimal jackknife (Efron 2014). That takes
        100 samples more than there are stimuli; with fewer nothing is left out, and intervals are wider. Of a
        jackknife (`jackknifed`) the linear part is ΣK s_K and the other ΣK(K − 1)/2 s_K, with s_K what is
        peculiar to K stimuli and the variance Σs_K. Where s_K falls off as a geometric series, that is the
        square of the first over the sum of both: the linear share of the replicates' variance, squared. It is
        the better of the two where both can be had: in simulations with 200 stimuli the standard errors of
        RDMs and CKA are 0.98–1.05 of the spread by it, and 0.90–1.04 by the bootstrap, which is up to 1.8 times
        too wide for differences with 30 stimuli.
        Few stimuli may carry most of the linear part Σφ_i², and it is then known as if there were few. So its
        degrees of freedom are Satterthwaite's, twice its square over its variance: 2(Σφ²)² / (Σφ⁴ − (Σφ²)²/n),
        at most n − 1 (which it is where φ is Gaussian).

        Splits (`of_splits`): (1/J + n₂/n₁) times the variance between J splits, with J − 1 degrees of freedom:
        Nadeau and Bengio's corrected resampled t-test. With halves of the stimuli (`n_halvings`) their share
        n₂/n₁, a guess of how much splits have in common, is replaced by what is seen: the value of one half
        differs from that of the other by twice the variance that half as many stimuli leave, and all of them
        leave half of that. A quarter of the mean squared difference, then, and 1/J of the variance between
        splits; degrees of freedom by Welch and Satterthwaite.

        A sample in which the value is undefined, as it drew too few different stimuli, is left out, and none
        is drawn in its place: the others stay the same for all layers and networks. With ten stimuli or more
        that leaves many, so a value that is defined has a variance.

        References
        ----------
        Schütt et al. (2023), eLife 12:e82566; Nadeau & Bengio (2003), Machine Learning 52:239; Efron (2014),
        J Am Stat Assoc 109:991; Efron & Stein (1981), Ann Stat 9:586, of the jackknife.
        """
        n_stimuli = self.stimuli.shape[1]
        if self.n_halvings:
            return self._variance_of_halves(replicates[0])
        spread = np.array([_variance(of_kind[np.isfinite(of_kind)]) for of_kind in replicates])
        if self.of_splits:
            n_splits = int(np.isfinite(replicates[0]).sum())
            share = 1 / max(n_splits, 1) + self.fit_share
            return float(share * spread[0]), float(max(n_splits - 1, 1))
        by_stimuli = n_stimuli / (n_stimuli - 1)
        if self.subjects is None:
            linear, dof = self._linear_part(replicates[0]) if self.of_pairs else (1.0, n_stimuli - 1.0)
            kept = linear**2 if self.jackknifed else linear
            return float((1 + self.fit_share) * by_stimuli * kept * spread[0]), dof
        n_subjects = self.subjects.shape[1]
        by_subjects = n_subjects / (n_subjects - 1)
        both, subjects, stimuli = spread
        combined = (
            by_subjects * subjects
            + by_stimuli * stimuli
            - by_subjects * by_stimuli * (both - subjects - stimuli)
        )
        floored = max(combined, by_subjects * subjects, by_stimuli * stimuli)
        of_fits = self.fit_share * by_stimuli * stimuli
        parts = [(by_subjects * subjects, n_subjects - 1.0), (by_stimuli * stimuli + of_fits, n_stimuli - 1.0)]
        return float(min(floored, both) + of_fits), welch_satterthwaite(parts)

    def _variance_of_halves(self, replicates: Float[Array, " sample"]) -> tuple[float, float]:
        n_splits = len(replicates) - 2 * self.n_halvings
        between = replicates[:n_splits][np.isfinite(replicates[:n_splits])]
        halves = replicates[n_splits:].reshape(-1, 2)
        differences = np.diff(halves[np.isfinite(halves).all(axis=1)])
        if not len(differences):
            return float("nan"), 1.0
        # Halvings of the same stimuli tell no more than these stimuli do.
        dof = 1 / (1 / len(differences) + 1 / (self.stimuli.shape[1] - 1))
        n_splits = len(between)
        parts = [
            (float(np.mean(differences**2)) / 4, dof),
            (_variance(between) / max(n_splits, 1), max(n_splits - 1.0, 1.0)),
        ]
        return sum(variance for variance, _ in parts), welch_satterthwaite(parts)

    @cached_property
    def _by_counts(self) -> tuple[Array, Array]:
        return _regression(self.stimuli)

    def _linear_part(self, replicates: Float[Array, " resample"]) -> tuple[float, float]:
        """Share of the variance that is linear in the counts, and the degrees of freedom of that part.

        In a bootstrap the share is two thirds at least.
        """
        known, n = np.isfinite(replicates), self.stimuli.shape[1]
        if known.sum() < n + SPARE_RESAMPLES:
            return 1.0, n - 1.0
        counts, solution = self._by_counts if known.all() else _regression(self.stimuli[known])
        values = replicates[known] - replicates[known].mean()
        influence = solution @ values
        residual = values - counts @ influence
        total = float(values @ values) / (len(values) - 1)
        if total <= 0:
            return 1.0, n - 1.0
        peculiar = float(residual @ residual) / (len(values) - n) / total
        share = 1 - min(peculiar, 1.0 if self.jackknifed else 1 / 3)
        squares = influence**2 / np.sum(influence**2)
        return share, float(2 / max(np.sum(squares**2) - 1 / n, 2 / (n - 1)))


def _regression(
    counts: Int[Array, "resample stimulus"],
) -> tuple[Float[Array, "resample stimulus"], Float[Array, "stimulus resample"]]:
    """Centre the counts, and give the matrix that regresses centred values on them.

    All counts of a sample sum to one number, so coefficients are fixed but for a constant: they sum to 0.
    """
    centred = counts - counts.mean(axis=0)
    return centred, np.linalg.solve(centred.T @ centred + 1, centred.T)


def _variance(values: Float[Array, " value"]) -> float:
    return float(np.var(values, ddof=1)) if len(values) > 1 else float("nan")


def welch_satterthwaite(parts: Sequence[tuple[float, float]]) -> float:
    """Give the degrees of freedom of a sum of independent variances, each given with its own.

    (Σv)² / Σ(v²/ν): the least of them at least; the first's where there is no variance at all.

    Examples
    --------
    >>> welch_satterthwaite([(1.0, 10.0), (1.0, 10.0)]), welch_satterthwaite([(1.0, 10.0), (0.0, 3.0)])
    (20.0, 10.0)
    """
    weight = sum(variance**2 / dof for variance, dof in parts)
    return float(sum(variance for variance, _ in parts) ** 2 / weight) if weight > 0 else parts[0][1]


def fit_share(splits: Sequence[tuple[Array, Array]]) -> float:
    """Share n₂/n₁ of test to training stimuli, averaged over splits; see `Resamples.variance`.

    Examples
    --------
    >>> fit_share([(np.arange(90), np.arange(90, 100))])
    0.1111111111111111
    """
    return float(np.mean([len(test) / len(train) for train, test in splits]))


def interval(value: float, variance: float, dof: float, level: float = 0.95) -> tuple[float, float]:
    """Symmetric t-interval around a value.

    Examples
    --------
    >>> [round(end, 2) for end in interval(0.5, 0.01, 1e6)]
    [0.3, 0.7]
    """
    half = float(scipy.stats.t.ppf(0.5 + level / 2, dof)) * float(np.sqrt(variance))
    return value - half, value + half


def p_value(value: float, variance: float, dof: float) -> float:
    """Two-sided p value of Student's t-test that a value is 0, dual to `interval`.

    A variance under float64's resolution counts as that, so that what differs by rounding alone has p = 1,
    as in ``rsatoolbox.util.inference_util.t_tests``. NaN where value or variance is.

    Examples
    --------
    >>> round(p_value(1.96, 1.0, 1e9), 3), p_value(0.0, 0.0, 10.0)
    (0.05, 1.0)
    """
    if np.isnan(variance):
        return float("nan")
    t = abs(value) / np.sqrt(max(variance, np.finfo(float).eps))
    return float(2 * scipy.stats.t.sf(t, dof))


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
