"""How well repeated presentations agree: random halves of the repeats, and what they say of each unit."""

import numpy as np
from jaxtyping import Float, Int

from brainalign.errors import NeedsError, ResponsesError


def spearman_brown(correlation: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """Reliability of the whole from the correlation of two halves, ``2 r / (1 + r)``.

    Halves that correlate at -1 give minus infinity. Source: Spearman (1910) and Brown (1910),
    Br. J. Psychol. 3.

    Examples
    --------
    >>> spearman_brown(np.array([0.0, 0.5, 1.0])).round(3).tolist()
    [0.0, 0.667, 1.0]
    """
    with np.errstate(divide="ignore"):
        return 2 * correlation / (1 + correlation)


def split_halves(
    responses: Float[np.ndarray, "stimulus unit repeat"], generator: np.random.Generator
) -> tuple[Float[np.ndarray, "stimulus unit"], Float[np.ndarray, "stimulus unit"]]:
    """Average two random halves of the repeats of each stimulus.

    Only valid repeats (those that are not NaN) count. Of n valid repeats each half holds n / 2; when
    n is odd, one half, drawn anew for each stimulus, holds one more, so that every repeat is used.
    Stimuli are split independently of each other. One order of the repeats is drawn for each stimulus
    and shared by all units: where units miss the same repeats, as simultaneously recorded ones do, a
    presentation falls into the same half for all of them, and noise that they share within a
    presentation cannot pass for agreement between the halves.

    Parameters
    ----------
    responses
        Responses; NaN marks a missing repeat. They may lie anywhere along the repeats.
    generator
        Draws the halves.

    Returns
    -------
    tuple of numpy.ndarray
        The two means in float64, in the unit of the responses; NaN in both where a unit has fewer
        than two valid repeats of a stimulus.

    Raises
    ------
    NeedsError
        No unit has two valid repeats of any stimulus.

    Examples
    --------
    >>> responses = np.array([[[1.0, 3.0, np.nan]], [[5.0, np.nan, np.nan]]])
    >>> first, second = split_halves(responses, np.random.default_rng(0))
    >>> sorted([first[0, 0].item(), second[0, 0].item()]), first[1, 0].item()
    ([1.0, 3.0], nan)
    """
    n_stimuli, _, n_repeats = responses.shape
    responses = responses.astype(np.float64, copy=False)
    valid = ~np.isnan(responses)
    n_valid = valid.sum(axis=-1)
    split = n_valid >= 2
    if not split.any():
        raise NeedsError(
            f"No unit has two valid repeats of any stimulus (responses of shape {responses.shape}), so there "
            "are no halves to compare. Give single repeats, or do without a ceiling."
        )
    order = generator.random((n_stimuli, 1, n_repeats))
    n_first = (n_valid + generator.integers(2, size=(n_stimuli, 1))) // 2
    in_first = _lowest(order, valid, n_first)
    return _mean(responses, in_first, n_first, split), _mean(
        responses, valid & ~in_first, n_valid - n_first, split
    )


def split_half_reliability(
    responses: Float[np.ndarray, "stimulus unit repeat"], n_splits: int, generator: np.random.Generator
) -> Float[np.ndarray, " unit"]:
    """Spearman-Brown-corrected correlation between random halves of the repeats, for each unit.

    ``2 r / (1 + r)``, with r Pearson's correlation over stimuli between the halves of `split_halves`,
    averaged over splits *before* the correction, which is steep near -1 and would let a few poor splits
    govern the mean. It estimates the reliability of the mean over all repeats: the squared correlation
    of that mean with the unit's true tuning.

    Parameters
    ----------
    responses
        Responses; NaN marks a missing repeat. A stimulus of which a unit has fewer than two valid
        repeats is left out for that unit.
    n_splits
        Number of random splits.
    generator
        Draws the halves.

    Returns
    -------
    numpy.ndarray
        At most 1; NaN for a unit with fewer than three stimuli to correlate over, or without
        variance over stimuli in a half of any split. (Leaving such splits out instead would make a
        unit that fired twice, to one stimulus, look perfectly reliable.)

    Raises
    ------
    ResponsesError
        `n_splits` is below 1.
    NeedsError
        No unit has two valid repeats of any stimulus.

    Examples
    --------
    >>> tuning = np.arange(10.0)[:, None, None]
    >>> split_half_reliability(np.tile(tuning, (1, 2, 4)), 5, np.random.default_rng(0)).round(6).tolist()
    [1.0, 1.0]
    """
    if n_splits < 1:
        raise ResponsesError(f"n_splits is {n_splits}; at least one split is needed.")
    # From each unit's lowest response upwards: exactly 0, not nearly 0, for a unit that never varies.
    lowest = np.fmin.reduce(responses, axis=(0, 2))
    shifted = responses.astype(np.float64, copy=False) - lowest[:, None]
    splits = [_correlation(*split_halves(shifted, generator)) for _ in range(n_splits)]
    return spearman_brown(np.mean(splits, axis=0))


def _lowest(
    order: Float[np.ndarray, "stimulus 1 repeat"],
    valid: np.ndarray,
    count: Int[np.ndarray, "stimulus unit"],
) -> np.ndarray:
    """Mark the `count` valid repeats that come first in the order."""
    if (valid == valid[:, :1]).all():
        valid, count = valid[:, :1], count[:, :1]
    order = np.where(valid, order, np.inf)
    last = np.maximum(count - 1, 0)[..., None]
    return order <= np.take_along_axis(np.sort(order, axis=-1), last, axis=-1)


def _mean(responses: np.ndarray, chosen: np.ndarray, count: np.ndarray, split: np.ndarray) -> np.ndarray:
    total = np.sum(responses, axis=-1, where=chosen)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=split)


def _correlation(
    x: Float[np.ndarray, "stimulus unit"], y: Float[np.ndarray, "stimulus unit"]
) -> Float[np.ndarray, " unit"]:
    known = ~np.isnan(x)
    n = known.sum(axis=0)
    varies = np.ones(n.shape, dtype=bool)
    centred = []
    for half in (x, y):
        varies &= np.fmax.reduce(half, axis=0) > np.fmin.reduce(half, axis=0)
        mean = np.sum(half, axis=0, where=known) / np.maximum(n, 1)
        centred.append(np.where(known, half - mean, 0.0))
    x, y = centred
    covariance = (x * y).sum(axis=0)
    scale = np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0))
    return np.divide(covariance, scale, out=np.full(n.shape, np.nan), where=varies & (n > 2))
