r"""Comparators under the bootstrap over stimuli, by weights in place of copies.

A resample with replacement draws stimulus i :math:`m_i` times. In the resampled RDM the pair (i, j) then
stands :math:`w_{ij} = m_i m_j` times; the pairs of one stimulus with itself are dropped. Each comparator is
computed from these weights, exactly as it would be from the copies.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float64, Int

from brainalign.errors import ResponsesError
from brainalign.metrics.comparators import COMPARATORS, find_comparator
from brainalign.metrics.kendall import concordance
from brainalign.metrics.rdm import n_stimuli_of, to_square
from brainalign.metrics.weighted_ranks import count_pairs, rank_sums
from brainalign.metrics.weighted_sums import WeightedSums
from brainalign.metrics.whitened import resampled_cosines

MEMORY = 256 * 2**20
"""Bytes that the working arrays of one call may take, about."""

_TINY = np.finfo(np.float64).tiny

Layers = Float64[np.ndarray, "layer pair"]
Subjects = Float64[np.ndarray, "subject pair"]
Variances = Float64[np.ndarray, "_ _"]
Multiplicity = Int[np.ndarray, "resample stimulus"]
Resampled = Float64[np.ndarray, "layer resample subject"]


def resampled_comparison(
    x: Layers, y: Subjects, multiplicity: Multiplicity, comparator: str, variances: Variances | None = None
) -> Resampled:
    """Compare every layer's RDM with every subject's in every resample of the stimuli.

    Equal to repeating each stimulus as often as it was drawn, dropping the pairs of one stimulus with
    itself, and comparing what is left.

    Parameters
    ----------
    x, y
        Condensed RDMs of the layers and of the subjects, over the same stimuli in the same order.
    multiplicity
        How often each resample drew each stimulus.
    comparator
        A name in `COMPARATORS`.
    variances
        Noise variance of each stimulus's mean pattern in each subject, for whitened comparators; None where
        stimuli are equally noisy. Copies of a stimulus count as conditions whose noise is independent.

    Returns
    -------
    :
        NaN where either RDM is constant over the pairs drawn (``cosine`` and ``cosine_cov``: zero).

    Raises
    ------
    ResponsesError
        Shapes that do not fit, dissimilarities that are not finite, negative counts, or variances that are
        not positive or that the comparator has no use for.
    """
    name = find_comparator(comparator)
    how, resample = COMPARATORS[name], _RESAMPLERS[name]
    _check(x, y, multiplicity)
    if variances is not None:
        _check_variances(variances, (len(y), multiplicity.shape[1]), name)
        resample = partial(resample, variances=variances)
    multiplicity = multiplicity.astype(np.int64)
    constant = _zero if how.absolute else _constant
    undefined_y = np.stack([constant(row, multiplicity) for row in y], axis=1)
    result = np.empty((len(x), len(multiplicity), len(y)))
    # A layer costs at most five arrays of float64 over the pairs, and so does a subject. Each block goes over
    # the subjects anew, so it is never smaller than they are.
    block = max(1, len(y), MEMORY // (40 * y.shape[1]) - len(y))
    for start in range(0, len(x), block):
        rows = slice(start, start + block)
        result[rows] = resample(x[rows], y, multiplicity)
        undefined_x = np.stack([constant(row, multiplicity) for row in x[rows]])
        result[rows][undefined_x[:, :, None] | undefined_y] = np.nan
    return result


def _check(x: np.ndarray, y: np.ndarray, multiplicity: np.ndarray) -> None:
    n_stimuli = multiplicity.shape[1]
    if x.shape[1] != y.shape[1] or n_stimuli_of(x.shape[1]) != n_stimuli:
        raise ResponsesError(
            f"Layers' RDMs of {x.shape[1]} pairs, subjects' of {y.shape[1]} and counts of {n_stimuli} stimuli "
            f"do not fit; {n_stimuli} stimuli have {n_stimuli * (n_stimuli - 1) // 2} pairs."
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ResponsesError("RDMs to be resampled hold NaN or infinite values; leave out these stimuli.")
    if (multiplicity < 0).any():
        raise ResponsesError("Counts of how often a stimulus was drawn are negative; give 0, 1, 2, …")


def _check_variances(variances: np.ndarray, shape: tuple[int, int], name: str) -> None:
    if not COMPARATORS[name].whitened:
        raise ResponsesError(
            f"Comparator {name!r} does not weigh stimuli by their noise; use cosine_cov or corr_cov."
        )
    if variances.shape != shape or not (np.isfinite(variances) & (variances > 0)).all():
        raise ResponsesError(
            f"Noise variances of shape {variances.shape} were given; expected positive numbers for each "
            f"subject and stimulus, {shape}."
        )


def _moments(x: np.ndarray, y: np.ndarray, multiplicity: np.ndarray, centred: bool) -> np.ndarray:
    """Cosine, or Pearson correlation, by sums over the pairs drawn."""
    if centred:
        # The correlation is the same, and the sums below then cancel to no more than a few digits.
        x, y = (_standardised(rdms) for rdms in (x, y))
    x, y, row_sums = to_square(x), to_square(y), WeightedSums(multiplicity.T.astype(np.float64))
    total = count_pairs(multiplicity)
    mean_x, mean_y = (_sums(rdms, row_sums) / np.maximum(total, 1) * centred for rdms in (x, y))
    spread_x, spread_y = (
        np.maximum(_sums(rdms**2, row_sums) - mean**2 * total, 0) for rdms, mean in ((x, mean_x), (y, mean_y))
    )
    result = np.empty((len(x), len(multiplicity), len(y)))
    for k, row in enumerate(y):
        shared = _sums(x * row, row_sums) - mean_x * mean_y[k] * total
        result[:, :, k] = _ratio(shared, np.sqrt(spread_x * spread_y[k]))
    return np.clip(result, -1.0, 1.0)


def _sums(squares: np.ndarray, row_sums: WeightedSums) -> np.ndarray:
    """Sum over the pairs of each resample, of each of the square matrices: half of mᵀ D m."""
    return np.stack([row_sums.forms(square) / 2 for square in squares])


def _pearson(x: np.ndarray, y: np.ndarray, multiplicity: np.ndarray) -> np.ndarray:
    return _moments(x, y, multiplicity, centred=True)


def _cosine(x: np.ndarray, y: np.ndarray, multiplicity: np.ndarray) -> np.ndarray:
    return _moments(x, y, multiplicity, centred=False)


def _cosine_cov(
    x: np.ndarray, y: np.ndarray, multiplicity: np.ndarray, variances: np.ndarray | None = None
) -> np.ndarray:
    scaled_x, scaled_y = (rdms / np.maximum(np.abs(rdms).max(axis=1, keepdims=True), _TINY) for rdms in (x, y))
    return resampled_cosines(scaled_x, scaled_y, multiplicity, False, variances, MEMORY)


def _corr_cov(
    x: np.ndarray, y: np.ndarray, multiplicity: np.ndarray, variances: np.ndarray | None = None
) -> np.ndarray:
    return resampled_cosines(_standardised(x), _standardised(y), multiplicity, True, variances, MEMORY)


def _spearman(x: np.ndarray, y: np.ndarray, multiplicity: np.ndarray) -> np.ndarray:
    sums = rank_sums(x, y, multiplicity)
    values = _ratio(sums.products, np.sqrt(sums.squares_x)[:, :, None] * np.sqrt(sums.squares_y))
    return np.clip(values, -1.0, 1.0)


def _rho_a(x: np.ndarray, y: np.ndarray, multiplicity: np.ndarray) -> np.ndarray:
    sums = rank_sums(x, y, multiplicity)
    n_pairs = sums.n_pairs.astype(np.float64)[:, None]
    return 3 * sums.products / np.maximum(n_pairs**3 - n_pairs, 1)


def _kendall_tau_a(x: np.ndarray, y: np.ndarray, multiplicity: np.ndarray) -> np.ndarray:
    places_x, places_y = ([np.unique(row, return_inverse=True)[1] for row in rdms] for rdms in (x, y))
    total = count_pairs(multiplicity)
    pairs_of_pairs = np.maximum(total * (total - 1) / 2, 1)
    return np.stack(
        [
            np.stack([concordance(px, py, multiplicity) / pairs_of_pairs for py in places_y], axis=1)
            for px in places_x
        ]
    )


_RESAMPLERS: dict[str, Callable[..., np.ndarray]] = {
    "spearman": _spearman,
    "pearson": _pearson,
    "kendall_tau_a": _kendall_tau_a,
    "rho_a": _rho_a,
    "cosine": _cosine,
    "cosine_cov": _cosine_cov,
    "corr_cov": _corr_cov,
}


def _standardised(rdms: np.ndarray) -> np.ndarray:
    centred = rdms - rdms.mean(axis=1, keepdims=True)
    deviation = np.sqrt(np.einsum("rp,rp->r", centred, centred) / centred.shape[1])
    centred /= np.where(deviation > 0, deviation, 1.0)[:, None]
    return centred


def _constant(values: np.ndarray, multiplicity: np.ndarray) -> np.ndarray:
    """For each resample, whether all pairs drawn have one value (or no pair was drawn)."""
    _, counts = np.unique(values, return_counts=True)
    return _all_equal(values, multiplicity, int(counts.max()))


def _zero(values: np.ndarray, multiplicity: np.ndarray) -> np.ndarray:
    """For each resample, whether all pairs drawn are zero (or no pair was drawn)."""
    return _all_equal((values != 0).astype(float), multiplicity, int(np.count_nonzero(values == 0)), only=0.0)


def _all_equal(
    values: np.ndarray, multiplicity: np.ndarray, most: int, only: float | None = None
) -> np.ndarray:
    """Whether the values drawn are equal, when no value occurs in more than `most` pairs."""
    drawn = multiplicity > 0
    n_drawn = drawn.sum(axis=1)
    equal = np.zeros(len(drawn), dtype=bool)
    first, second = np.triu_indices(drawn.shape[1], 1)
    for k in np.flatnonzero(n_drawn * (n_drawn - 1) // 2 <= most):
        kept = values[drawn[k, first] & drawn[k, second]]
        reference = kept[:1] if only is None else only
        equal[k] = (kept == reference).all()
    return equal


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    return np.divide(numerator, denominator, out=np.full(shape, np.nan), where=denominator > 0)
