"""Trajectories of a model and of a brain over the same conditions, some of which are held out."""

import numpy as np
from jaxtyping import Float, Int

from brainalign.errors import ResponsesError, UnknownNameError
from brainalign.metrics.trajectories import Trajectories, check_trajectories

Array = np.ndarray

MIN_CONDITIONS = 3
"""One condition is held out, and two are left to fit on."""


def check_pair(
    name: str, model: Array, brain: Array, times: Array, n_conditions: int = MIN_CONDITIONS
) -> tuple[Trajectories, Float[Array, "condition time brain_unit"]]:
    """Give both sides in float64; row i of either must be the same condition, as the caller has aligned them.

    Parameters
    ----------
    name
        What is asked for, for messages.
    model, brain
        Shape (condition, time, unit).
    times
        In seconds, in even steps.
    n_conditions
        The fewest conditions that will do.

    Raises
    ------
    ResponsesError
        Different numbers of conditions or times, too few conditions, or what `check_trajectories` refuses.
    """
    if np.ndim(model) == 3 == np.ndim(brain) and np.shape(model)[:2] != np.shape(brain)[:2]:
        raise ResponsesError(
            f"{name} was given a model of shape {np.shape(model)} and a brain of shape {np.shape(brain)}; "
            "expected (condition, time, unit) with the same conditions and times on both sides. Align "
            "conditions by id and interpolate to common times; conditions without ids can be matched one to "
            "one, if they are as many."
        )
    model = check_trajectories(f"{name} (of the model)", model, times)
    brain = check_trajectories(f"{name} (of the brain)", brain, times)
    if len(model) < n_conditions:
        raise ResponsesError(
            f"{name} was given {len(model)} conditions; at least {n_conditions} are needed, to fit on some and "
            "score on others."
        )
    return model, brain


def condition_folds(n_conditions: int, n_folds: int, rng: np.random.Generator) -> list[Array]:
    """Divide shuffled conditions into test sets; into as many as there are conditions where folds are more.

    Raises
    ------
    UnknownNameError
        Fewer than two folds.

    Examples
    --------
    >>> [len(test) for test in condition_folds(8, 5, np.random.default_rng(0))]
    [2, 2, 2, 1, 1]
    """
    if n_folds < 2:
        raise UnknownNameError(f"n_folds is {n_folds}; expected 2 or more, so that some are left to fit on.")
    return np.array_split(rng.permutation(n_conditions), min(n_folds, n_conditions))


def split_and_centre(
    trajectories: Trajectories, test: Int[Array, " test"], keep_invariant: bool
) -> tuple[Float[Array, "train time unit"], Float[Array, "test time unit"]]:
    """Take training and test conditions apart, both less the mean of the training conditions.

    The mean is that of each unit at each time, and what all conditions have in common (the condition-invariant
    signal) goes with it: shared by held-out conditions, it would let unrelated data agree. With
    `keep_invariant` it is one mean a unit, over times too.
    """
    # From its first value on, a unit that does not vary is zero without rounding.
    trajectories = trajectories - trajectories[:1, :1]
    train = np.delete(trajectories, test, axis=0)
    mean = train.mean(axis=(0, 1) if keep_invariant else 0)
    return train - mean, trajectories[test] - mean


def rows(trajectories: Trajectories) -> Float[Array, "row unit"]:
    """Stack the times of all conditions."""
    return trajectories.reshape(-1, trajectories.shape[2])


def column_correlations(
    x: Float[Array, "*stack row unit"], y: Float[Array, "*stack row unit"]
) -> Float[Array, "*stack unit"]:
    """Correlate columns pairwise; NaN where one does not vary.

    Examples
    --------
    >>> column_correlations(np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [3.0], [5.0]])).round(6)
    array([1.])
    """
    x, y = (each - each.mean(axis=-2, keepdims=True) for each in (x, y))
    lengths = np.sqrt((x**2).sum(axis=-2) * (y**2).sum(axis=-2))
    return np.divide((x * y).sum(axis=-2), lengths, out=np.full_like(lengths, np.nan), where=lengths > 0)
