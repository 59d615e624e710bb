"""From spike times and samples to bins: arrays alone, all times in seconds of one clock."""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import gaussian_filter1d

SOFTENING = 5.0
"""Spikes/s that soft normalisation adds to a unit's range, so that quiet units stay quiet."""
TOUCHING = 1e-3
"""Seconds between two intervals that count as one: files round to milliseconds."""
HAIR = 1e-9
"""Seconds by which edges are drawn ahead, so that a spike on an edge falls after it despite rounding."""


def bin_spikes(
    spike_times: Float[np.ndarray, " spike"], starts: Float[np.ndarray, " trial"], n_bins: int, bin_width: float
) -> Int[np.ndarray, "trial time"]:
    """Count spikes in ``n_bins`` bins of equal width from each start; an edge belongs to the bin after it.

    Parameters
    ----------
    spike_times
        Seconds, rising.
    starts
        Where the first bin of each trial begins, seconds.

    Examples
    --------
    >>> bin_spikes(np.array([0.0, 0.1, 0.25, 0.9]), np.array([0.0, 0.8]), 2, 0.1)
    array([[1, 1],
           [0, 1]])
    """
    edges = starts[:, None] + bin_width * np.arange(n_bins + 1) - HAIR
    return np.diff(np.searchsorted(spike_times, edges), axis=1)


def spikes_outside(
    spike_times: Float[np.ndarray, " spike"], starts: Float[np.ndarray, " trial"], duration: float
) -> int:
    """Count spikes that no window ``[start, start + duration)`` holds, however the windows overlap.

    Examples
    --------
    >>> spikes_outside(np.array([0.1, 0.2, 0.9]), np.array([0.0, 0.15]), 0.1)
    2
    """
    opened = np.bincount(np.searchsorted(spike_times, starts - HAIR), minlength=len(spike_times) + 1)
    closed = np.bincount(np.searchsorted(spike_times, starts + duration - HAIR), minlength=len(spike_times) + 1)
    return int((np.cumsum(opened - closed)[:-1] == 0).sum())


def within(
    intervals: Float[np.ndarray, "interval 2"], starts: Float[np.ndarray, " trial"], duration: float
) -> Bool[np.ndarray, " trial"]:
    """Whether each window ``[start, start + duration]`` lies within one interval; touching ones are joined.

    Examples
    --------
    >>> within(np.array([[0.0, 1.0], [1.0, 2.0], [5.0, 6.0]]), np.array([0.5, 1.5, 5.0]), 1.0)
    array([ True, False,  True])
    """
    ordered = intervals[np.argsort(intervals[:, 0])]
    reach = np.maximum.accumulate(ordered[:, 1]) if len(ordered) else ordered[:, 1]
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = ordered[1:, 0] > reach[:-1] + TOUCHING
    begins = ordered[first, 0]
    ends = reach[np.append(np.flatnonzero(first)[1:] - 1, -1)] if len(ordered) else reach
    place = np.searchsorted(begins, starts + TOUCHING, side="right") - 1
    inside = place >= 0
    inside[inside] = starts[inside] + duration <= ends[place[inside]] + TOUCHING
    return inside


def smooth(rates: Float[np.ndarray, "*rows time"], sigma: float) -> Float[np.ndarray, "*rows time"]:
    r"""Smooth along time with a Gaussian of ``sigma`` bins, cut off at the window and renormalised there.

    .. math:: \hat r_t = \sum_s g(t - s)\, r_s \,/\, \sum_s g(t - s), \qquad s \text{ in the window}

    so that a constant rate stays as it is. Spikes outside the window are not used.

    Examples
    --------
    >>> smooth(np.full((1, 5), 3.0), 2.0).round(6)
    array([[3., 3., 3., 3., 3.]])
    """
    if sigma == 0:
        return rates
    weights = gaussian_filter1d(np.ones(rates.shape[-1]), sigma, mode="constant")
    return gaussian_filter1d(rates, sigma, axis=-1, mode="constant") / weights


def softened_range(averages: Float[np.ndarray, "condition unit time"]) -> Float[np.ndarray, " unit"]:
    r"""Give what soft normalisation divides by: :math:`\max - \min + 5` spikes/s, over conditions and times.

    Source: Churchland et al. (2012), Nature 487:51, Methods.

    Examples
    --------
    >>> softened_range(np.array([[[0.0, 10.0]], [[5.0, 20.0]]]))
    array([25.])
    """
    return np.nanmax(averages, axis=(0, 2)) - np.nanmin(averages, axis=(0, 2)) + SOFTENING


def sample_at(
    times: Float[np.ndarray, " sample"],
    values: Float[np.ndarray, "sample column"],
    moments: Float[np.ndarray, "trial time"],
) -> Float[np.ndarray, "trial column time"]:
    """Interpolate samples linearly; NaN where none lies on either side, or where they leave a gap.

    A gap is more than one and a half times the median time between samples.

    Examples
    --------
    >>> times, values = np.array([0.0, 1.0, 2.0, 9.0]), np.array([[0.0], [2.0], [4.0], [9.0]])
    >>> sample_at(times, values, np.array([[0.5, 5.0]]))
    array([[[ 1., nan]]])
    """
    found = np.stack(
        [np.interp(moments, times, column, left=np.nan, right=np.nan) for column in values.T], axis=1
    )
    after = np.clip(np.searchsorted(times, moments), 1, len(times) - 1)
    steps = np.diff(times)
    in_gap = (steps > 1.5 * np.median(steps))[after - 1] & ~np.isin(moments, times)
    return np.where(in_gap[:, None, :], np.nan, found)
