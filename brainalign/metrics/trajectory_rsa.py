r"""Representational similarity over time: dissimilarities of conditions at each time, or of all points."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainalign.errors import UnknownNameError
from brainalign.metrics.comparators import COMPARATORS, find_comparator
from brainalign.metrics.gram_kernel import mean_over_permutations
from brainalign.metrics.metric import Metric
from brainalign.metrics.paired_trajectories import check_pair, rows
from brainalign.metrics.permuted import NORMALISED
from brainalign.metrics.rdm import find_rdm_method, rdm_from_features, to_square
from brainalign.metrics.rsa import INVARIANCES
from brainalign.metrics.trajectories import check_trajectories
from brainalign.names import snake_case, unknown_name

Array = np.ndarray

POINTS = ("conditions", "all")
"""What is told apart: conditions at the same time, or all pairs of (condition, time)."""


@dataclass(frozen=True)
class TrajectoryRsaKernel:
    """A comparison of dissimilarities, over conditions and times.

    Parameters
    ----------
    rdm
        A name in `RDM_METHODS`.
    comparator
        A name in `COMPARATORS` that is not whitened.
    points
        ``conditions``: the RDM of conditions at each time, all times end to end. ``all``: one RDM of all
        (condition, time) points, which holds the shape of each trajectory too; but neighbouring times are
        alike in any smooth data, so that its chance is far above zero.
    """

    rdm: str = "euclidean"
    comparator: str = "spearman"
    points: str = "conditions"

    def compare(self, model: Array, brain: Array, times: Array, rng: np.random.Generator) -> float:
        """Compare the dissimilarities.

        Parameters
        ----------
        model, brain
            Shape (condition, time, unit), in any units; row i of both is the same condition.
        times
            In seconds.
        rng
            Not used: nothing is fitted.

        Returns
        -------
        :
            On the comparator's scale; NaN where all dissimilarities of a side are equal.

        Raises
        ------
        ResponsesError
            Sides that do not fit (`check_pair`), or patterns for which the dissimilarity is undefined: a
            network that starts silent has no correlation distance at its first time.
        """
        x, y = (self.dissimilarities(side, times).ravel() for side in self._checked(model, brain, times))
        return float(COMPARATORS[self.comparator].compare(x, y[None])[0])

    def dissimilarities(self, trajectories: Array, times: Array) -> Float[Array, "time pair"]:
        """Give the condensed RDM of conditions at each time, or the one RDM of all points.

        Points are ordered by condition, then by time.
        """
        values = check_trajectories("rsa_trajectory", trajectories, times)
        if self.points == "all":
            return rdm_from_features(rows(values), self.rdm)[None]
        return np.stack([rdm_from_features(each, self.rdm) for each in values.swapaxes(0, 1)])

    def chance(self, model: Array, brain: Array, times: Array) -> float:
        r"""Give the mean over all orders of the conditions of one side.

        Exactly, where the comparator is a mean product of normalised dissimilarities: an order carries each
        pair of points to each other one at the same two times equally often, so both RDMs can be averaged over
        those. It is above zero where conditions drift apart over the same times on both sides. For ``tau_a``
        by 1000 orders from a fixed seed.
        """
        model, brain = self._checked(model, brain, times)
        if self.comparator not in NORMALISED:
            rng = np.random.default_rng(0)
            return mean_over_permutations(
                lambda order: self.compare(model, brain[order], times, rng), len(model)
            )
        return float(np.mean(np.multiply(*(self._averaged(side, times) for side in (model, brain)))))

    def _checked(self, model: Array, brain: Array, times: Array) -> tuple[Array, Array]:
        return check_pair("rsa_trajectory", model, brain, times)

    def _averaged(self, trajectories: Array, times: Array) -> Float[Array, " pair"]:
        """Normalise dissimilarities, and average them over pairs that differ in their conditions only."""
        rdms = self.dissimilarities(trajectories, times)
        normalised = NORMALISED[self.comparator](rdms.reshape(1, -1)).reshape(rdms.shape)
        if self.points == "conditions":
            return np.broadcast_to(normalised.mean(axis=1, keepdims=True), rdms.shape).ravel()
        n, n_times = trajectories.shape[:2]
        blocks = to_square(normalised[0]).reshape(n, n_times, n, n_times)
        same = np.einsum("isit->st", blocks) / n
        apart = (blocks.sum(axis=(0, 2)) - n * same) / (n * (n - 1))
        averaged = np.kron(np.ones((n, n)) - np.eye(n), apart) + np.kron(np.eye(n), same)
        return averaged[np.triu_indices(n * n_times, 1)]


def rsa_trajectory(rdm: str = "euclidean", compare: str = "spearman", points: str = "conditions") -> Metric:
    """Representational similarity over condition × time.

    Raises
    ------
    UnknownNameError
        An unknown name, or a whitened comparator: noise that differs over time is no part of it.
    """
    rdm, compare, points = find_rdm_method(rdm), find_comparator(compare), snake_case(points)
    if points not in POINTS:
        raise unknown_name("kind of points", points, POINTS)
    comparator = COMPARATORS[compare]
    if comparator.whitened:
        raise UnknownNameError(
            f"rsa_trajectory:compare={compare} divides out the noise of one RDM, not of one that goes on over "
            f"time; use {', '.join(name for name, each in COMPARATORS.items() if not each.whitened)}."
        )
    kernel = TrajectoryRsaKernel(rdm, compare, points)
    what = "conditions at each time" if points == "conditions" else "all conditions and times"
    return Metric(
        name="rsa_trajectory",
        family="trajectory",
        kernel=kernel,
        needs=frozenset({"features", "responses", "time"}),
        range=(-1.0, 1.0),
        symmetric=True,
        invariances=INVARIANCES[rdm],
        chance=kernel.chance,
        label=f"{comparator.label}, {rdm.replace('_', ' ')} RDMs of {what}",
        citation="Kriegeskorte, Mur & Bandettini 2008",
        options={"rdm": rdm, "compare": compare, "points": points},
    )
