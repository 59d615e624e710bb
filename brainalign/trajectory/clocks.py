"""The two clocks of learning: steps, and their logarithm."""

import numpy as np
from jaxtyping import Float

LINEAR, LOG = "steps", "log steps"
CLOCKS = (LINEAR, LOG)


def clock(steps: Float[np.ndarray, " checkpoint"], kind: str) -> Float[np.ndarray, " checkpoint"]:
    r"""Give each checkpoint's time on a clock, from 0 at the first to 1 at the last.

    In log steps time is :math:`\log(1 + (t - t_0)/u)`, with u the shortest distance between checkpoints:
    for steps from 0 on whose first is 1, the logarithm of 1 + t.

    Examples
    --------
    >>> clock(np.array([0.0, 1.0, 3.0, 7.0]), "log steps").round(3)
    array([0.   , 0.333, 0.667, 1.   ])
    """
    since = steps - steps[0]
    if kind == LOG:
        since = np.log1p(since / _unit(steps))
    return since / since[-1]


def step_at(time: Float[np.ndarray, "..."], steps: Float[np.ndarray, " checkpoint"], kind: str) -> np.ndarray:
    """Give the step at a time of the clock; the inverse of `clock`, also between checkpoints.

    Examples
    --------
    >>> step_at(np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0, 3.0]), "log steps")
    array([0., 1., 3.])
    """
    length = steps[-1] - steps[0]
    if kind == LINEAR:
        return steps[0] + time * length
    unit = _unit(steps)
    return steps[0] + unit * np.expm1(time * np.log1p(length / unit))


def _unit(steps: Float[np.ndarray, " checkpoint"]) -> float:
    return float(np.diff(steps).min())
