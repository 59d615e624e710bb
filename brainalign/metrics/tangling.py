r"""Trajectory tangling: how differently a population goes on from states that are alike."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from brainalign.metrics.metric import Metric
from brainalign.metrics.tensor_max_entropy import surrogate_values
from brainalign.metrics.trajectories import (
    ALL,
    Preprocessing,
    Times,
    Trajectories,
    check_trajectories,
    reduced,
    states_and_velocities,
    time_step,
)

Array = np.ndarray

SOFTENING = 0.1
"""Share of the variance that is added to squared distances, so that near states do not divide by zero."""
PERCENTILE = 90
MOST_PAIRS = 4_000_000
"""Pairs of states that are held at once."""


def tangling(trajectories: Trajectories, step: float) -> Float[Array, " point"]:
    r"""Tangling of each state of each condition, per second squared.

    .. math:: Q(t) = \max_{t'} \frac{\lVert\dot x_t - \dot x_{t'}\rVert^2}
        {\lVert x_t - x_{t'}\rVert^2 + \epsilon},
        \qquad \epsilon = 0.1 \cdot \mathrm{mean}_t \lVert x_t - \bar x\rVert^2,

    over the states t' of all conditions; states are half-way between neighbouring times. It is large where flow
    that depends on the state alone cannot be. The scale of x does not matter.

    Parameters
    ----------
    trajectories
        Shape (condition, time, component).
    step
        Seconds between times.

    Returns
    -------
    :
        One value a condition and pair of neighbouring times; NaN where all states are one.

    References
    ----------
    Russo et al. (2018), Neuron 97, 953–966.

    Examples
    --------
    On a circle at 1 rad/s, opposite states have opposite velocities:

    >>> angle = np.arange(0, 2 * np.pi, 0.01)
    >>> circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)[None]
    >>> round(float(tangling(circle, 0.01).max()), 2)
    0.98
    """
    states, velocities = states_and_velocities(trajectories, step)
    variance = float(((states - states.mean(axis=0)) ** 2).sum(axis=1).mean())
    if variance == 0:
        return np.full(len(states), np.nan)
    rows = max(1, MOST_PAIRS // len(states))
    most = []
    for start in range(0, len(states), rows):
        part = slice(start, start + rows)
        apart = _squared_distances(states[part], states) + SOFTENING * variance
        most.append((_squared_distances(velocities[part], velocities) / apart).max(axis=1))
    return np.concatenate(most)


@dataclass(frozen=True)
class TanglingKernel:
    """The 90th percentile of tangling, with components and preprocessing chosen."""

    n_components: int = 8
    preprocessing: Preprocessing = field(default_factory=lambda: Preprocessing(subtract_mean=False))

    def value(self, trajectories: Trajectories, times: Times, rng: np.random.Generator | None = None) -> float:
        """Tangling that nine tenths of the states stay below, per second squared.

        Raises
        ------
        ResponsesError
            Trajectories that cannot be used, or of fewer dimensions than components.
        """
        return self._value(check_trajectories("Tangling", trajectories, times), times)

    def null(
        self, trajectories: Trajectories, times: Times, n: int, rng: np.random.Generator
    ) -> Float[Array, " n"]:
        """Give the values of n tensor-maximum-entropy surrogates. Dynamics show in values *below* them."""
        trajectories = check_trajectories("Tangling", trajectories, times)
        return surrogate_values(
            trajectories, n, rng, lambda batch: np.array([self._value(each, times) for each in batch])
        )

    def _value(self, trajectories: Trajectories, times: Times) -> float:
        scores = reduced(self.preprocessing(trajectories, times), self.n_components).scores
        return float(np.percentile(tangling(scores, time_step(times)), PERCENTILE))


def tangling_metric(
    n_components: int = 8, subtract_mean: bool = False, normalise: str = "soft", window: str = ALL
) -> Metric:
    """Trajectory tangling: low where states that are alike go on alike.

    Parameters
    ----------
    n_components
        Principal components in which states and velocities are compared.
    subtract_mean
        Whether to subtract the mean over conditions at each time.
    normalise
        ``soft``, ``sd`` or ``none``.
    window
        ``all`` or ``FROM:TO`` in seconds.

    Raises
    ------
    UnknownNameError
        An option's value that does not exist.
    """
    kernel = TanglingKernel(n_components, Preprocessing(normalise, window, subtract_mean))
    return Metric(
        name="tangling",
        family="dynamics",
        kernel=kernel,
        needs=frozenset({"responses", "time"}),
        range=(0.0, float("inf")),
        symmetric=False,
        invariances=kernel.preprocessing.invariances,
        chance=float("nan"),
        label=f"tangling, 90th percentile, s⁻², {n_components} components",
        citation="Russo et al. 2018",
        options={
            "n_components": n_components,
            "subtract_mean": subtract_mean,
            "normalise": normalise,
            "window": window,
        },
    )


def _squared_distances(some: Float[Array, "m unit"], others: Float[Array, "n unit"]) -> Float[Array, "m n"]:
    squares = np.add.outer((some**2).sum(axis=1), (others**2).sum(axis=1)) - 2 * some @ others.T
    return np.maximum(squares, 0.0)
