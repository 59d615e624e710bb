r"""The condition-invariant signal: how much of a population's activity is the same in every condition."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from brainalign.errors import ResponsesError
from brainalign.metrics.metric import Metric
from brainalign.metrics.trajectories import ALL, Preprocessing, Times, Trajectories, check_trajectories

Array = np.ndarray


def condition_invariant_share(
    trajectories: Float[Array, "*batch condition time unit"],
) -> Float[Array, "*batch"]:
    r"""Share of the variance that the mean over conditions has.

    .. math:: \frac{C\sum_{tu} (\bar x_{tu} - \bar x_u)^2}{\sum_{ctu} (x_{ctu} - \bar x_u)^2},

    the marginalisation over conditions of demixed PCA, with :math:`\bar x_{tu}` the mean over the C conditions
    and :math:`\bar x_u` that over times too. From 0 to 1, where all conditions are one; NaN where
    nothing varies. Conditions that have nothing in common are expected to give 1/C.

    References
    ----------
    Kaufman et al. (2016), eNeuro 3; Kobak et al. (2016), eLife 5, e10989, eq. 2.

    Examples
    --------
    >>> ramp = np.array([[[0.0], [1.0]]])
    >>> condition_invariant_share(np.concatenate([ramp, ramp])).tolist()
    1.0
    >>> condition_invariant_share(np.concatenate([ramp, -ramp])).tolist()
    0.0
    """
    centred = trajectories - trajectories.mean(axis=(-3, -2), keepdims=True)
    total = (centred**2).sum(axis=(-3, -2, -1))
    common = (centred.mean(axis=-3) ** 2).sum(axis=(-2, -1)) * trajectories.shape[-3]
    return np.asarray(np.where(total > 0, common, np.nan) / np.where(total > 0, total, 1.0))


@dataclass(frozen=True)
class ConditionInvariantKernel:
    """Share of the condition-invariant signal, with the preprocessing chosen."""

    preprocessing: Preprocessing = field(default_factory=lambda: Preprocessing(subtract_mean=False))

    def value(self, trajectories: Trajectories, times: Times, rng: np.random.Generator | None = None) -> float:
        """Share of variance that all conditions have in common.

        Raises
        ------
        ResponsesError
            Trajectories that cannot be used, or of one condition.
        """
        return float(condition_invariant_share(self._prepared(trajectories, times)))

    def null(
        self, trajectories: Trajectories, times: Times, n: int, rng: np.random.Generator
    ) -> Float[Array, " n"]:
        """Give the shares after the course of each condition has been turned over or not, at random.

        A course is what a condition departs from each unit's mean. Were there nothing in common, and departures
        up as likely as down, each of these would be as likely as the data; their mean is about 1/C.
        """
        prepared = self._prepared(trajectories, times)
        courses = prepared - prepared.mean(axis=(0, 1))
        signs = rng.choice([-1.0, 1.0], size=(n, len(courses), 1, 1))
        return np.array([condition_invariant_share(each * courses) for each in signs])

    def _prepared(self, trajectories: Trajectories, times: Times) -> Trajectories:
        trajectories = check_trajectories("The condition-invariant signal", trajectories, times)
        if len(trajectories) < 2:
            raise ResponsesError(
                "The condition-invariant signal of one condition is all of it; give two or more."
            )
        return self.preprocessing(trajectories, times)


def condition_invariant(normalise: str = "soft", window: str = ALL) -> Metric:
    """Share of a population's variance that is the same in every condition.

    Parameters
    ----------
    normalise
        ``soft``, ``sd`` or ``none``.
    window
        ``all`` or ``FROM:TO`` in seconds.

    Raises
    ------
    UnknownNameError
        An option's value that does not exist.
    """
    kernel = ConditionInvariantKernel(Preprocessing(normalise, window, subtract_mean=False))
    return Metric(
        name="condition_invariant",
        family="dynamics",
        kernel=kernel,
        needs=frozenset({"responses", "time"}),
        range=(0.0, 1.0),
        symmetric=False,
        invariances=kernel.preprocessing.invariances,
        chance=float("nan"),
        label="share of variance that is condition-invariant",
        citation="Kaufman et al. 2016; Kobak et al. 2016",
        options={"normalise": normalise, "window": window},
    )
