r"""Procrustes comparison of trajectories: rotated and scaled on some conditions, held against the others."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainalign.metrics.metric import Metric
from brainalign.metrics.paired_trajectories import check_pair, condition_folds, rows, split_and_centre
from brainalign.names import snake_case, unknown_name

Array = np.ndarray


def fit_rotation(x: Float[Array, "row p"], y: Float[Array, "row q"]) -> tuple[Float[Array, "p q"], float]:
    r"""Rotation and scale that carry x nearest to y.

    .. math:: X^T Y = U S V^T, \qquad Q = U V^T, \qquad s = \mathrm{tr}(S) / \lVert X\rVert^2.

    Where the sides differ in units, the narrower is taken to be padded with zeros.

    References
    ----------
    Schönemann (1966), Psychometrika 31; Schönemann & Carroll (1970), Psychometrika 35.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(20, 2))
    >>> rotation, scale = fit_rotation(x, 3 * x @ np.array([[0.0, 1.0], [-1.0, 0.0]]))
    >>> (scale * rotation).round(6) + 0.0
    array([[ 0.,  3.],
           [-3.,  0.]])
    """
    left, lengths, right = np.linalg.svd(x.T @ y, full_matrices=False)
    square = float(np.sum(x**2))
    return left @ right, float(lengths.sum()) / square if square > 0 else float("nan")


def held_out_cosine(rotated: Array, x: Array, y: Array, scale: float) -> float:
    r"""Cosine of the angle: :math:`\langle XQ, Y\rangle / (\lVert X\rVert \lVert Y\rVert)`."""
    lengths = np.linalg.norm(x) * np.linalg.norm(y)
    return float(np.sum(rotated * y) / lengths) if lengths > 0 else float("nan")


def held_out_r2(rotated: Array, x: Array, y: Array, scale: float) -> float:
    r"""One less the normalised squared error: :math:`1 - \lVert Y - sXQ\rVert^2 / \lVert Y\rVert^2`.

    A wider model is rotated as a whole: what of it lands outside of the brain's units is error too.
    """
    square = np.sum(y**2)
    gained = 2 * scale * np.sum(rotated * y) - scale**2 * np.sum(x**2)
    return float(gained / square) if square > 0 else float("nan")


MEASURES: dict[str, Callable[[Array, Array, Array, float], float]] = {
    "cosine": held_out_cosine,
    "r2": held_out_r2,
}
"""How held-out conditions are compared once they are rotated."""


@dataclass(frozen=True)
class TrajectoryProcrustesKernel:
    """Procrustes on held-out conditions.

    Parameters
    ----------
    measure
        A name in `MEASURES`.
    n_folds
        Test sets that the conditions are divided into.
    keep_invariant
        Whether the mean over conditions at each time stays in.
    """

    measure: str = "cosine"
    n_folds: int = 5
    keep_invariant: bool = False

    def compare(self, model: Array, brain: Array, times: Array, rng: np.random.Generator) -> float:
        """Give the mean over folds.

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
            At most 1. For unrelated data the cosine is around 0, the R² below it. NaN where a side does not
            vary.

        Raises
        ------
        ResponsesError
            Sides that do not fit (`check_pair`).
        """
        sides = check_pair("procrustes_trajectory", model, brain, times)
        found = []
        for test in condition_folds(len(sides[0]), self.n_folds, rng):
            (x, x_test), (y, y_test) = (split_and_centre(side, test, self.keep_invariant) for side in sides)
            rotation, scale = fit_rotation(rows(x), rows(y))
            x_test, y_test = rows(x_test), rows(y_test)
            found.append(MEASURES[self.measure](x_test @ rotation, x_test, y_test, scale))
        return float(np.mean(found))


def procrustes_trajectory(measure: str = "cosine", n_folds: int = 5, keep_invariant: bool = False) -> Metric:
    """Procrustes comparison of trajectories on held-out conditions, as a cosine or as 1 − normalised error.

    Raises
    ------
    UnknownNameError
        An unknown measure.
    """
    measure = snake_case(measure)
    if measure not in MEASURES:
        raise unknown_name("Procrustes measure", measure, MEASURES)
    cosine = measure == "cosine"
    what = "cosine of the Procrustes angle" if cosine else "R² of Procrustes (1 − normalised squared error)"
    return Metric(
        name="procrustes_trajectory",
        family="trajectory",
        kernel=TrajectoryProcrustesKernel(measure, n_folds, keep_invariant),
        needs=frozenset({"features", "responses", "time"}),
        range=(-1.0 if cosine else -np.inf, 1.0),
        symmetric=cosine,
        invariances=frozenset({"rotation", "scaling", "translation"}),
        chance=0.0,
        label=f"{what}, held-out conditions",
        citation="Schönemann & Carroll 1970",
        options={"measure": measure, "n_folds": n_folds, "keep_invariant": keep_invariant},
    )
