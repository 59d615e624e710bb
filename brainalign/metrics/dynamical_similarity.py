r"""Dynamical similarity analysis: whether two populations move by the same dynamics."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from brainalign.errors import BrainalignError, ResponsesError
from brainalign.metrics.metric import Metric
from brainalign.metrics.trajectories import Times, check_trajectories, reduced

STEPS, RATE = 500, 0.02
"""Gradient steps, and their rate, by which the rotation between two dynamics is sought."""


@dataclass(frozen=True)
class DynamicalSimilarityKernel:
    r"""The cosine of the angle between two dynamics, by the package ``dsa-metric``.

    The principal components of each side, with their delays, are reduced to `rank` dimensions, in which a
    linear map A from one time step to the next is fitted (dynamic mode decomposition). The value is

    .. math:: \max_{C^T C = 1} \frac{\langle A, C B C^T\rangle}{\lVert A\rVert \lVert B\rVert},

    sought by gradient descent from two random starts, in float32: it can end a little lower than the maximum.

    Nothing of one side needs to correspond to anything of the other: conditions may differ in kind, number and
    order. Times must have the same step, which is what the dynamics are of.

    Parameters
    ----------
    n_components
        Principal components of each side.
    n_delays
        Neighbouring times that make up a state.
    rank
        Dimensions of the dynamics, at most n_components · n_delays.
    """

    n_components: int = 6
    n_delays: int = 5
    rank: int = 10

    def __post_init__(self) -> None:
        if self.rank > self.n_components * self.n_delays:
            raise BrainalignError(
                f"Dynamics of rank {self.rank} do not fit into {self.n_components} components × "
                f"{self.n_delays} delays; lower rank."
            )

    def compare(
        self,
        model: Float[np.ndarray, "model_condition time model_unit"],
        brain: Float[np.ndarray, "condition time unit"],
        times: Times,
        rng: np.random.Generator,
    ) -> float:
        """Compare two sides on one time axis; each has conditions of its own.

        Raises
        ------
        BrainalignError
            The package is not installed.
        ResponsesError
            Trajectories that cannot be used, or fewer states than they have dimensions.
        """
        dsa = _package()
        sides = [
            reduced(check_trajectories("Dynamical similarity", each, times), self.n_components).scores
            for each in (model, brain)
        ]
        for side in sides:
            n_states = len(side) * (len(times) - self.n_delays + 1)
            if n_states <= self.n_components * self.n_delays or self.n_delays >= len(times):
                raise ResponsesError(
                    f"Dynamical similarity was asked for of {len(side)} conditions × {len(times)} times with "
                    f"{self.n_components} components × {self.n_delays} delays, more than there are states; "
                    "lower n_delays."
                )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            angle = dsa.DSA(
                sides[0],
                sides[1],
                n_delays=self.n_delays,
                rank=self.rank,
                lamb=0.0,
                score_method="angular",
                iters=STEPS,
                lr=RATE,
            ).fit_score()
        return float(np.cos(angle))


def dynamical_similarity(n_components: int = 6, n_delays: int = 5, rank: int = 10) -> Metric:
    """Dynamical similarity analysis: cosine of the angle between two populations' linear dynamics.

    It compares two sides, and so is of the family ``trajectory``, but needs no correspondence of conditions.

    Parameters
    ----------
    n_components
        Principal components of each side.
    n_delays
        Neighbouring times that make up a state.
    rank
        Dimensions of the dynamics.

    Raises
    ------
    BrainalignError
        A rank above components × delays.
    """
    return Metric(
        name="dynamical_similarity",
        family="trajectory",
        kernel=DynamicalSimilarityKernel(n_components, n_delays, rank),
        needs=frozenset({"responses", "time"}),
        range=(-1.0, 1.0),
        symmetric=True,
        invariances=frozenset({"rotation", "scaling", "translation"}),
        chance=float("nan"),
        label="dynamical similarity, cos θ",
        citation="Ostrow et al. 2023",
        options={"n_components": n_components, "n_delays": n_delays, "rank": rank},
    )


def _package():
    """Import ``DSA``, which takes seconds, when it is needed."""
    try:
        import DSA
    except ModuleNotFoundError as error:
        if error.name != "DSA":
            raise
        raise BrainalignError(
            "Dynamical similarity needs the package 'dsa-metric', which is not installed. Install it with: "
            'pip install "brainalign[motor]"'
        ) from error
    return DSA
