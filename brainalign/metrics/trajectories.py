r"""Population trajectories: what they must be, and what is done to them before dynamics are read off.

Arrays are (condition, time, unit), or batches of such; times are evenly spaced, in seconds from an event.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainalign.errors import ResponsesError, UnknownNameError
from brainalign.metrics.gram_kernel import NEGLIGIBLE
from brainalign.metrics.metric import Invariance
from brainalign.names import unknown_name

Array = np.ndarray
Trajectories = Float[Array, "condition time unit"]
Batch = Float[Array, "*batch condition time unit"]
Times = Float[Array, " time"]

SOFTENING = 5.0
"""Spikes per second added to each unit's range, so that weak units stay weak."""

NORMALISATIONS = ("soft", "sd", "none")
ALL = "all"
UNEVEN = 1e-6
"""Share of a time step by which steps may differ."""


def check_trajectories(what: str, trajectories: Array, times: Array) -> Float[Array, "condition time unit"]:
    """Give trajectories as float64, or say why they are none.

    Parameters
    ----------
    what
        What they are for, for messages.
    trajectories
        Shape (condition, time, unit), finite: two times or more.
    times
        Seconds, rising in equal steps.

    Raises
    ------
    ResponsesError
        Another shape, NaN or infinite values, or times that do not fit or are uneven.
    """
    shape = np.shape(trajectories)
    if len(shape) != 3 or 0 in shape or shape[1] < 2:
        raise ResponsesError(
            f"{what} was asked for of an array of shape {shape}; give (condition, time, unit) with two times "
            "or more."
        )
    if np.shape(times) != (shape[1],):
        raise ResponsesError(
            f"{what} was asked for of {shape[1]} times, and `times` has shape {np.shape(times)}; give the "
            "seconds of each."
        )
    missing = ~np.isfinite(trajectories)
    if missing.any():
        raise ResponsesError(
            f"{what} was asked for of trajectories of which {int(missing.sum())} values in "
            f"{int(missing.any(axis=(0, 1)).sum())} units are NaN or infinite; leave out those units, "
            "conditions or times."
        )
    steps = np.diff(times)
    if not (steps > 0).all() or np.ptp(steps) > UNEVEN * steps.mean():
        raise ResponsesError(
            f"{what} was asked for of times in steps of {steps.min():g} to {steps.max():g} s; give times that "
            "rise in equal steps."
        )
    return np.asarray(trajectories, dtype=np.float64)


def soft_normalised(trajectories: Batch, softening: float = SOFTENING) -> Batch:
    r"""Divide each unit by its range over conditions and times, softened: x / (max x − min x + 5).

    Examples
    --------
    >>> soft_normalised(np.array([[[0.0], [15.0]]])).ravel().tolist()
    [0.0, 0.75]

    References
    ----------
    Churchland et al. (2012), Nature 487, Methods.
    """
    return trajectories / (np.ptp(trajectories, axis=(-3, -2), keepdims=True) + softening)


def standardised(trajectories: Batch) -> Batch:
    """Divide each unit by its standard deviation over conditions and times; constant units stay as they are."""
    spread = trajectories.std(axis=(-3, -2), keepdims=True)
    size = np.abs(trajectories).max(axis=(-3, -2), keepdims=True)
    return trajectories / np.where(spread > NEGLIGIBLE * size, spread, 1.0)


def without_condition_mean(trajectories: Batch) -> Batch:
    """Subtract the mean over conditions at each time, which is common to all."""
    return trajectories - trajectories.mean(axis=-3, keepdims=True)


@dataclass(frozen=True, eq=False)
class Reduction:
    """Trajectories along their principal axes.

    Parameters
    ----------
    scores
        Shape (…, condition, time, component), centred.
    axes
        Shape (…, unit, component), orthonormal.
    shares
        Share of the variance along each axis.
    """

    scores: Float[Array, "*batch condition time component"]
    axes: Float[Array, "*batch unit component"]
    shares: Float[Array, "*batch component"]


def reduced(trajectories: Batch, n_components: int) -> Reduction:
    """Principal components over all conditions and times together, largest first.

    Raises
    ------
    ResponsesError
        More components than units, or than conditions × times − 1.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(4, 10, 3))
    >>> reduced(x, 3).shares.sum().round(12).tolist()
    1.0
    """
    *batch, n_conditions, n_times, n_units = trajectories.shape
    most = min(n_units, n_conditions * n_times - 1)
    if n_components > most:
        raise ResponsesError(
            f"{n_components} components were asked for of {n_conditions} conditions × {n_times} times × "
            f"{n_units} units, which have {most} at most; lower n_components."
        )
    points = trajectories.reshape(*batch, n_conditions * n_times, n_units)
    points = points - points.mean(axis=-2, keepdims=True)
    flipped = points.swapaxes(-1, -2)
    if n_units <= n_conditions * n_times:
        squares, axes = np.linalg.eigh(flipped @ points)
        axes = axes[..., : -n_components - 1 : -1]
    else:
        squares, left = np.linalg.eigh(points @ flipped)
        axes = np.linalg.qr(flipped @ left[..., : -n_components - 1 : -1])[0]
    total = squares.sum(axis=-1, keepdims=True)
    shares = np.clip(squares[..., : -n_components - 1 : -1], 0, None) / np.where(total > 0, total, 1.0)
    scores = (points @ axes).reshape(*batch, n_conditions, n_times, n_components)
    return Reduction(scores, axes, shares)


@dataclass(frozen=True)
class Preprocessing:
    """What is done to trajectories before they are reduced, in this order.

    Parameters
    ----------
    normalise
        ``soft``, ``sd`` or ``none``: over all conditions and times that are given.
    window
        ``all`` or ``FROM:TO`` in seconds, both included: the times that are kept.
    subtract_mean
        Whether to subtract the mean over conditions at each time.
    """

    normalise: str = "soft"
    window: str = ALL
    subtract_mean: bool = True

    def __post_init__(self) -> None:
        if self.normalise not in NORMALISATIONS:
            raise unknown_name("normalisation of trajectories", self.normalise, NORMALISATIONS)
        read_window(self.window)

    @property
    def invariances(self) -> frozenset[Invariance]:
        """What leaves centred trajectories alike up to rotation and scale, for metrics that see neither."""
        kept: dict[str, frozenset[Invariance]] = {
            "none": frozenset({"rotation", "scaling", "translation"}),
            "sd": frozenset({"scaling", "translation"}),
            "soft": frozenset({"translation"}),
        }
        return kept[self.normalise]

    def __call__(self, trajectories: Batch, times: Times) -> Float[Array, "*batch condition kept unit"]:
        """Prepare trajectories, or a batch of them.

        Raises
        ------
        ResponsesError
            A window with fewer than two times, or a mean to be subtracted from a single condition.
        """
        if self.normalise != "none":
            trajectories = (soft_normalised if self.normalise == "soft" else standardised)(trajectories)
        trajectories = trajectories[..., in_window(times, self.window), :]
        if not self.subtract_mean:
            return trajectories
        if trajectories.shape[-3] < 2:
            raise ResponsesError(
                "One condition is its own mean over conditions; give two or more, or set subtract_mean=False."
            )
        return without_condition_mean(trajectories)


def time_step(times: Times) -> float:
    """Seconds from one time to the next."""
    return float(times[-1] - times[0]) / (len(times) - 1)


def states_and_velocities(
    trajectories: Batch, step: float
) -> tuple[Float[Array, "*batch point unit"], Float[Array, "*batch point unit"]]:
    """Give the points half-way between neighbouring states, and the velocities there, per second.

    Conditions and times are one axis. Velocities are differences, which belong half-way: at any step a
    sampled rotation has velocities at right angles to these points.

    Examples
    --------
    >>> middle, velocity = states_and_velocities(np.array([[[1.0, 0.0], [0.0, 1.0]]]), step=0.5)
    >>> middle.tolist(), velocity.tolist()
    ([[0.5, 0.5]], [[-2.0, 2.0]])
    """
    flat = (*trajectories.shape[:-3], -1, trajectories.shape[-1])
    middle = (trajectories[..., 1:, :] + trajectories[..., :-1, :]) / 2
    return middle.reshape(flat), (np.diff(trajectories, axis=-2) / step).reshape(flat)


def read_window(window: str) -> tuple[float, float]:
    """Read ``FROM:TO`` in seconds, or ``all``.

    Raises
    ------
    UnknownNameError
        Anything else.

    Examples
    --------
    >>> read_window("-0.05:0.35")
    (-0.05, 0.35)
    """
    if window == ALL:
        return -np.inf, np.inf
    try:
        # Options of a metric's name are read with underscores for hyphens.
        low, high = (float(part.replace("_", "-")) for part in window.split(":"))
    except ValueError:
        low, high = 0.0, 0.0
    if not low < high:
        raise UnknownNameError(f"Window {window!r} is none; write FROM:TO in seconds, as -0.05:0.35, or {ALL}.")
    return low, high


def in_window(times: Times, window: str) -> slice:
    """Give the times that a window holds, both ends included.

    Raises
    ------
    ResponsesError
        Fewer than two of them.
    """
    low, high = read_window(window)
    slack = 1e-6 * (times[1] - times[0])
    held = np.flatnonzero((times >= low - slack) & (times <= high + slack))
    if len(held) < 2:
        raise ResponsesError(
            f"Window {window} holds {len(held)} of the times from {times[0]:g} to {times[-1]:g} s; two or more "
            "are needed."
        )
    return slice(int(held[0]), int(held[-1]) + 1)
