r"""Effective number of dimensions that a population's trajectories take up."""

from dataclasses import dataclass, field

import numpy as np

from brainalign.metrics.metric import Metric
from brainalign.metrics.trajectories import ALL, Preprocessing, Times, Trajectories, check_trajectories


@dataclass(frozen=True)
class ParticipationRatioKernel:
    r"""Participation ratio of trajectories, with the preprocessing chosen."""

    preprocessing: Preprocessing = field(default_factory=lambda: Preprocessing(subtract_mean=False))

    def value(self, trajectories: Trajectories, times: Times, rng: np.random.Generator | None = None) -> float:
        r""":math:`(\sum\lambda)^2 / \sum\lambda^2` over the variances λ along the principal axes.

        States of all conditions and times are the patterns; otherwise as
        `brainalign.probing.Representation.participation_ratio`. From 1 to the number of units or of states less
        one; NaN where nothing varies.

        Raises
        ------
        ResponsesError
            Trajectories that cannot be used.

        References
        ----------
        Gao et al. (2017), bioRxiv 214262.

        Examples
        --------
        >>> x = np.eye(2)[None].repeat(3, axis=0)
        >>> round(ParticipationRatioKernel().value(x, np.arange(2.0)), 12)
        1.0
        """
        trajectories = check_trajectories("The participation ratio", trajectories, times)
        prepared = self.preprocessing(trajectories, times)
        states = prepared.reshape(-1, prepared.shape[-1])
        states = states - states.mean(axis=0)
        # The products over units and those over states have the same eigenvalues: take the smaller matrix.
        products = states.T @ states if states.shape[0] > states.shape[1] else states @ states.T
        total = float(np.trace(products))
        return float(total**2 / np.sum(products**2)) if total > 0 else float("nan")


def participation_ratio(subtract_mean: bool = False, normalise: str = "soft", window: str = ALL) -> Metric:
    """Effective number of dimensions of trajectories.

    Parameters
    ----------
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
    kernel = ParticipationRatioKernel(Preprocessing(normalise, window, subtract_mean))
    return Metric(
        name="participation_ratio",
        family="dynamics",
        kernel=kernel,
        needs=frozenset({"responses", "time"}),
        range=(1.0, float("inf")),
        symmetric=False,
        invariances=kernel.preprocessing.invariances,
        chance=float("nan"),
        label="participation ratio, dimensions",
        citation="Gao et al. 2017",
        options={"subtract_mean": subtract_mean, "normalise": normalise, "window": window},
    )
