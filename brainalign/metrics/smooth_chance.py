r"""What random trajectories as smooth as the model's would score: the chance of any comparison over time."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from brainalign.errors import ResponsesError
from brainalign.metrics.paired_trajectories import check_pair
from brainalign.metrics.trajectories import Trajectories, check_trajectories

Array = np.ndarray


@runtime_checkable
class TrajectoryComparison(Protocol):
    """A kernel of the family ``trajectory``."""

    def compare(self, model: Array, brain: Array, times: Array, rng: np.random.Generator) -> float:
        """Compare a model with a brain."""
        ...


@runtime_checkable
class DynamicsMeasure(Protocol):
    """A kernel of the family ``dynamics``."""

    def value(self, trajectories: Array, times: Array, rng: np.random.Generator) -> float:
        """Measure one side by itself."""
        ...


@dataclass(frozen=True, eq=False)
class SmoothProcess:
    r"""Gaussian processes as smooth as given trajectories, independent from condition to condition.

    .. math:: x_c(t) = \bar x(t) + \sum_k v_k z_{ck}(t), \qquad
        \mathrm{E}[z_{ck}(t)\, z_{ck}(t')] = \frac{1}{C - 1} \sum_{d=1}^{C} s_{dk}(t)\, s_{dk}(t'),

    with :math:`v_k` the principal axes over units of the deviations from the mean over conditions
    :math:`\bar x(t)`, and :math:`s_{dk}` their scores. So the units' covariance is the model's in
    expectation, and each component keeps its own covariance over times: its smoothness, and
    when it is large. What components have to do with each other at different times is lost. Each draw of a
    component is a random mixture of its C time courses, :math:`z_{ck} = \sum_d g_{cdk} s_{dk} / \sqrt{C - 1}`
    with independent standard normal g, so with few conditions draws are of few shapes.

    Parameters
    ----------
    mean
        Mean over conditions, which all draws keep.
    axes
        Principal axes over the units, of length 1.
    scores
        The components' time courses, divided by :math:`\sqrt{C - 1}`.
    """

    mean: Float[Array, "time unit"]
    axes: Float[Array, "component unit"]
    scores: Float[Array, "condition time component"]

    @classmethod
    def fit(cls, trajectories: Array, times: Array) -> "SmoothProcess":
        """Take smoothness and covariance from trajectories (condition, time, unit), in even steps.

        Raises
        ------
        ResponsesError
            A single condition, uneven times, or what `check_trajectories` refuses.
        """
        values = check_trajectories("The smooth chance", trajectories, times)
        if len(values) < 2:
            raise ResponsesError(
                "The smooth chance was asked for of one condition, which is its own mean over conditions; "
                "give two or more."
            )
        mean = values.mean(axis=0)
        deviations = (values - mean) / np.sqrt(len(values) - 1)
        _, lengths, axes = np.linalg.svd(deviations.reshape(-1, values.shape[2]), full_matrices=False)
        axes = axes[lengths > max(deviations.shape) * np.finfo(float).eps * lengths[0]]
        return cls(mean, axes, deviations @ axes.T)

    def draw(self, rng: np.random.Generator) -> Trajectories:
        """Draw new trajectories of the same shape.

        Examples
        --------
        >>> walks = np.random.default_rng(0).normal(size=(8, 30, 4)).cumsum(axis=1)
        >>> SmoothProcess.fit(walks, np.arange(30) / 100).draw(np.random.default_rng(1)).shape
        (8, 30, 4)
        """
        n, _, n_components = self.scores.shape
        mixing = rng.standard_normal((n_components, n, n))
        mixed = mixing @ self.scores.transpose(2, 0, 1)
        return self.mean + mixed.transpose(1, 2, 0) @ self.axes


def smooth_chance(
    kernel: TrajectoryComparison, model: Array, brain: Array, times: Array, n: int, rng: np.random.Generator
) -> Float[Array, " draw"]:
    """Compare the brain with random trajectories that are as smooth as the model's, in the model's place.

    Parameters
    ----------
    kernel
        Of the family ``trajectory``.
    model, brain
        Shape (condition, time, unit).
    times
        In seconds, evenly spaced.
    n
        Number of draws.
    rng
        Makes the draws and divides the conditions.

    Returns
    -------
    :
        The chance distribution: a value that is not above most of it says only that both sides are smooth.

    Raises
    ------
    ResponsesError
        Sides that do not fit, a single condition or uneven times.
    """
    model, brain = check_pair("The smooth chance", model, brain, times, n_conditions=2)
    process = SmoothProcess.fit(model, times)
    return np.array([kernel.compare(process.draw(rng), brain, times, rng) for _ in range(n)])


def smooth_chance_of_dynamics(
    measure: DynamicsMeasure, trajectories: Array, times: Array, n: int, rng: np.random.Generator
) -> Float[Array, " draw"]:
    """Measure random trajectories that are as smooth as the given ones, `n` times; arguments as above."""
    process = SmoothProcess.fit(trajectories, times)
    return np.array([measure.value(process.draw(rng), times, rng) for _ in range(n)])
