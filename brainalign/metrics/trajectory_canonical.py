r"""Canonical correlation of trajectories, fitted on some conditions and read on the others."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainalign.errors import ResponsesError
from brainalign.metrics.metric import Metric
from brainalign.metrics.paired_trajectories import (
    check_pair,
    column_correlations,
    condition_folds,
    rows,
    split_and_centre,
)
from brainalign.metrics.ridge import spectrum

Array = np.ndarray


def canonical_maps(
    x: Float[Array, "row p"], y: Float[Array, "row q"], n_components: int
) -> tuple[Float[Array, "p k"], Float[Array, "q k"], Float[Array, " k"]]:
    r"""Directions that correlate most, in the leading principal components of either side.

    .. math:: U_x^T U_y = A\,\mathrm{diag}(\rho)\,B^T, \qquad X = U_x S_x V_x^T, \quad
        W_x = V_x S_x^{-1} A, \quad W_y = V_y S_y^{-1} B,

    with U, S, V cut to the leading components, and the columns of :math:`X W_x` of length 1.

    Parameters
    ----------
    x, y
        Centred patterns, a row a condition and time.
    n_components
        Principal components of either side; all that there are, where they are fewer.

    Returns
    -------
    :
        Maps of either side, and the correlations ρ in these rows, descending.

    Raises
    ------
    ResponsesError
        As many components as rows, of both sides together: some correlations are then 1 for any data.

    References
    ----------
    Hotelling (1936), Biometrika 28; by singular values: Björck & Golub (1973), Math Comput 27.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> canonical_maps(x, x @ np.diag([1.0, 2.0, 3.0]), 3)[2].round(6)
    array([1., 1., 1.])
    """
    (u_x, to_x), (u_y, to_y) = (_principal(each, n_components) for each in (x, y))
    if u_x.shape[1] + u_y.shape[1] >= len(x):
        raise ResponsesError(
            f"Canonical correlation of {u_x.shape[1]} and {u_y.shape[1]} components was asked for from "
            f"{len(x)} conditions × times, where some are 1 for any data; ask for fewer components."
        )
    left, correlations, right = np.linalg.svd(u_x.T @ u_y, full_matrices=False)
    return to_x @ left, to_y @ right.T, np.minimum(correlations, 1.0)


def fitted_cca(
    model: Array, brain: Array, times: Array, n_components: int = 10, keep_invariant: bool = False
) -> float:
    """Mean canonical correlation in the conditions that it was fitted on.

    It flatters: smooth trajectories have few independent times, so that unrelated ones correlate, the more the
    more components. Use `cca`, or hold it against `brainalign.metrics.smooth_chance`.

    Parameters
    ----------
    model, brain, times, n_components, keep_invariant
        As for `TrajectoryCcaKernel.compare`.

    Examples
    --------
    >>> smooth = np.random.default_rng(0).normal(size=(2, 10, 60, 10)).cumsum(axis=2)
    >>> fitted_cca(smooth[0], smooth[1], np.arange(60) / 100) > 0.4
    True
    """
    sides = check_pair("cca", model, brain, times)
    nothing = np.array([], dtype=np.int64)
    x, y = (rows(split_and_centre(side, nothing, keep_invariant)[0]) for side in sides)
    correlations = canonical_maps(x, y, n_components)[2]
    return float(correlations.mean()) if len(correlations) else float("nan")


@dataclass(frozen=True)
class TrajectoryCcaKernel:
    """Canonical correlation on held-out conditions.

    Parameters
    ----------
    n_components
        Principal components that are kept of either side.
    n_folds
        Test sets that the conditions are divided into.
    keep_invariant
        Whether the mean over conditions at each time stays in.
    """

    n_components: int = 10
    n_folds: int = 5
    keep_invariant: bool = False

    def compare(self, model: Array, brain: Array, times: Array, rng: np.random.Generator) -> float:
        """Give the mean over canonical directions and over folds.

        Parameters
        ----------
        model, brain
            Shape (condition, time, unit), in any units; row i of both is the same condition.
        times
            In seconds.
        rng
            Divides the conditions into folds.

        Returns
        -------
        :
            In [−1, 1]; around 0 for unrelated data. NaN where a side does not vary.

        Raises
        ------
        ResponsesError
            Sides that do not fit (`check_pair`), or more components than conditions × times can carry.
        """
        profile = self.profile(model, brain, times, rng)
        return float(profile.mean()) if len(profile) else float("nan")

    def profile(
        self, model: Array, brain: Array, times: Array, rng: np.random.Generator
    ) -> Float[Array, " direction"]:
        """Give the correlation of each canonical direction, in the order of the training correlations.

        Inside each held-out fold over its conditions and times; mean over folds.
        """
        sides = check_pair("cca", model, brain, times)
        found = []
        for test in condition_folds(len(sides[0]), self.n_folds, rng):
            (x, x_test), (y, y_test) = (split_and_centre(side, test, self.keep_invariant) for side in sides)
            of_x, of_y, _ = canonical_maps(rows(x), rows(y), self.n_components)
            found.append(column_correlations(rows(x_test) @ of_x, rows(y_test) @ of_y))
        # Where the training conditions of some fold span fewer directions, those that all folds have.
        shared = min(len(each) for each in found)
        return np.mean([each[:shared] for each in found], axis=0)


def cca(n_components: int = 10, n_folds: int = 5, keep_invariant: bool = False) -> Metric:
    """Mean canonical correlation of trajectories' leading components, on held-out conditions."""
    return Metric(
        name="cca",
        family="trajectory",
        kernel=TrajectoryCcaKernel(n_components, n_folds, keep_invariant),
        needs=frozenset({"features", "responses", "time"}),
        range=(-1.0, 1.0),
        symmetric=True,
        invariances=frozenset({"rotation", "scaling", "translation"}),
        chance=0.0,
        label=f"canonical correlation of {n_components} components, held-out conditions",
        citation="Hotelling 1936; of trajectories: Sussillo et al. 2015",
        options={"n_components": n_components, "n_folds": n_folds, "keep_invariant": keep_invariant},
    )


def _principal(
    x: Float[Array, "row unit"], n_components: int
) -> tuple[Float[Array, "row k"], Float[Array, "unit k"]]:
    tall = len(x) > x.shape[1]
    eigenvalues, axes = spectrum(x.T @ x if tall else x @ x.T)
    leading = slice(None, -n_components - 1, -1)
    eigenvalues, axes = eigenvalues[leading], axes[:, leading]
    to_components = axes / np.sqrt(eigenvalues) if tall else x.T @ axes / eigenvalues
    return x @ to_components, to_components
