"""How far a trained network's modes depart from the theory of deep linear networks."""

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from brainalign.trajectory.deep_linear import half_times, mode_curves, steepest_share, transition_widths
from brainalign.trajectory.linear_modes import Modes, mode_strengths

Curve = Float[np.ndarray, " time"]


def departures(
    maps: xr.DataArray, modes: Modes, tau: float | None = None, start: float | None = None
) -> pd.DataFrame:
    r"""Hold a run's modes against the theory, mode by mode.

    Times are in training steps, and shares are of the singular value s. Curves are straight between
    checkpoints, so half-times and widths are known to about their distance.

    Parameters
    ----------
    maps
        A run's linear maps over its checkpoints, from `mode_maps`, whatever the rule.
    modes
        The modes of its task.
    tau
        Time constant of the prediction, in steps; by default 1 / the run's learning rate, as of plain gradient
        descent. `own_tau` gives a rule its own.
    start
        Strength from which modes are predicted to start; by default that of the run's first checkpoint.

    Returns
    -------
    pd.DataFrame
        One row a mode: ``half_time``, ``width`` (10 to 90 %), ``final`` (last strength) and ``steepest`` (share
        at which the curve rises fastest), each with its ``predicted_…``; ``deviation``, the largest distance of
        the curve from the predicted one, over s; ``coupling``, the largest energy, over s² and at any
        checkpoint, that the map M has between this mode and all else,
        :math:`\sum_{\beta \ne \alpha} (M_{\alpha\beta}^2 + M_{\beta\alpha}^2)`. NaN where a mode does not get
        that far, or starts further.

    Raises
    ------
    BrainalignError
        Modes start at 0 or below.
    """
    strengths = mode_strengths(maps, len(modes)).values
    times = maps["checkpoint"].values.astype(float)
    depth = maps.attrs["depth"]
    tau = float(1 / maps.attrs["lr"]) if tau is None else tau
    starts = strengths[0] if start is None else np.full(len(modes), start)
    predicted = mode_curves(times, modes.s, starts, tau, depth)
    table = pd.DataFrame({"mode": range(len(modes)), "s": modes.s, "start": strengths[0]})
    table["half_time"] = [first_crossing(times, c, s / 2) for c, s in zip(strengths.T, modes.s, strict=True)]
    table["predicted_half_time"] = half_times(modes.s, starts, tau, depth)
    table["width"] = [measured_width(times, c, s) for c, s in zip(strengths.T, modes.s, strict=True)]
    table["predicted_width"] = transition_widths(modes.s, starts, tau, depth)
    table["final"], table["predicted_final"] = strengths[-1], predicted[-1]
    table["steepest"] = [measured_steepest(times, c) for c in strengths.T] / modes.s
    table["predicted_steepest"] = steepest_share(depth)
    table["deviation"] = np.abs(strengths - predicted).max(0) / modes.s
    table["coupling"] = coupling(maps.values, len(modes)).max(0) / modes.s**2
    return table


def own_tau(maps: xr.DataArray, modes: Modes, start: float | None = None) -> float:
    """Give the time constant under which a run's strongest mode is half learned when the theory says.

    So that rules are compared in their own time, whatever their learning rates; the strongest mode's half-time
    then agrees by construction. NaN where that mode is never half learned.
    """
    first = departures(maps, modes, tau=1.0, start=start).iloc[0]
    return float(first["half_time"] / first["predicted_half_time"])


def first_crossing(times: Curve, curve: Curve, level: float) -> float:
    """Give the time at which a curve first comes up to a level; NaN where it never does, or starts there.

    Examples
    --------
    >>> first_crossing(np.array([0.0, 2.0]), np.array([0.0, 4.0]), 1.0)
    0.5
    """
    above = np.flatnonzero(curve >= level)
    if not above.size or above[0] == 0:
        return np.nan
    last = above[0]
    part = (level - curve[last - 1]) / (curve[last] - curve[last - 1])
    return float(times[last - 1] + part * (times[last] - times[last - 1]))


def measured_width(times: Curve, curve: Curve, s: float) -> float:
    """Give the time from first 10 to first 90 % of a mode's singular value."""
    return first_crossing(times, curve, 0.9 * s) - first_crossing(times, curve, 0.1 * s)


def measured_steepest(times: Curve, curve: Curve) -> float:
    """Give the value of a curve in the middle of where it rises fastest, between two checkpoints."""
    steepest = np.argmax(np.diff(curve) / np.diff(times))
    return float(curve[steepest : steepest + 2].mean())


def coupling(maps: Float[np.ndarray, "time output input"], n_modes: int) -> Float[np.ndarray, "time mode"]:
    """Give the energy between each mode and all other directions: its row and its column without itself."""
    energy = maps**2
    both = energy.sum(2)[:, :n_modes] + energy.sum(1)[:, :n_modes]
    return both - 2 * energy[:, range(n_modes), range(n_modes)]
