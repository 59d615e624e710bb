"""Fit a family to a curve whose noise is correlated from one checkpoint to the next."""

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize

from brainalign.trajectory.families import Family

CORRELATIONS = (0.0, 0.4, 0.7, 0.9)
"""Autocorrelations of the noise that a fit starts from."""
HIGHEST = 0.98
EXACT = 1e-12
"""Of a curve's squared range: residual below which a fit is exact."""
RIDGE = 1e-10
"""Of the squares of the basis; keeps the gains of two terms of one shape finite."""
GRID = 24
"""Values of each shape parameter on the grid that a search begins with."""


@dataclass(frozen=True)
class Fit:
    """A family's most likely curve.

    Parameters
    ----------
    family
        The family.
    shape
        Its shape parameters, one term after another.
    gains
        The constant and each term's gain.
    correlation
        Of the noise from one checkpoint to the next.
    deviance
        −2 log likelihood.
    """

    family: Family
    shape: Float[np.ndarray, " parameter"]
    gains: Float[np.ndarray, " term"]
    correlation: float
    deviance: float

    @property
    def bic(self) -> float:
        """Bayesian information criterion: deviance + parameters × log checkpoints (Schwarz 1978)."""
        return self.deviance + self.family.n_parameters * np.log(len(self.family.time))

    @property
    def curve(self) -> Float[np.ndarray, " checkpoint"]:
        """The fitted values."""
        return self.family.basis(self.shape) @ self.gains


def fit(family: Family, curve: Float[np.ndarray, " checkpoint"], start: Fit | None = None) -> Fit:
    """Fit by generalised least squares under first-order autoregressive noise, at its most likely correlation.

    Gains are solved for. Shapes and the correlation are searched by the simplex of Nelder & Mead (1965), from
    the best of a grid.

    Parameters
    ----------
    family
        What to fit.
    curve
        Values at the family's times.
    start
        A fit of the same family to a curve much like this one, to begin with instead of the grid.
    """
    problem = _Problem(family, curve)
    begin = problem.on_grid() if start is None else np.append(start.shape, start.correlation)
    options = {"initial_simplex": problem.simplex(begin), "xatol": 1e-3, "fatol": 1e-2, "maxfev": 4000}
    found = minimize(problem.deviance, begin, method="Nelder-Mead", options=options)
    shape, correlation = found.x[:-1], float(found.x[-1])
    return Fit(family, shape, problem.solve(shape, correlation)[0], correlation, float(found.fun))


class _Problem:
    """A family and a curve: the deviance by shape parameters and correlation, and where to begin."""

    def __init__(self, family: Family, curve: Float[np.ndarray, " checkpoint"]):
        self.family, self.curve = family, curve
        self.floor = EXACT * max(float(np.ptp(curve)) ** 2, np.finfo(float).tiny) * len(curve)

    def deviance(self, parameters: Float[np.ndarray, " parameter"]) -> float:
        """Give −2 log likelihood; infinite where the parameters cannot be."""
        shape, correlation = parameters[:-1], float(parameters[-1])
        if not 0 <= correlation <= HIGHEST or not self.family.allows(shape):
            return np.inf
        return self._deviance(self.solve(shape, correlation)[1], correlation)

    def _deviance(self, residual: float, correlation: float) -> float:
        n = len(self.curve)
        return n * (np.log(2 * np.pi * max(residual, self.floor) / n) + 1) - np.log(1 - correlation**2)

    def solve(self, shape: Float[np.ndarray, " parameter"], correlation: float) -> tuple[np.ndarray, float]:
        """Give the gains and the sum of squares that they leave, both after whitening."""
        columns = whitened(np.column_stack([self.family.basis(shape), self.curve]), correlation)
        products = columns.T @ columns
        square = products[:-1, :-1]
        square.flat[:: len(square) + 1] *= 1 + RIDGE
        gains = np.linalg.solve(square, products[:-1, -1])
        residual = columns[:, -1] - columns[:, :-1] @ gains
        return gains, float(residual @ residual)

    def on_grid(self) -> Float[np.ndarray, " parameter"]:
        """Give the best shapes and correlation of all that the grid holds."""
        shapes, chosen = _grid(self.family.low, self.family.high, self.family.n_terms, self.family.least_width)
        columns = [np.ones_like(self.curve), *(self.family.one_term(each) for each in shapes), self.curve]
        found = []
        for correlation in CORRELATIONS:
            white = whitened(np.column_stack(columns), correlation)
            products = white.T @ white
            members = np.column_stack([np.zeros(len(chosen), dtype=int), chosen + 1])
            square = products[members[:, :, None], members[:, None, :]]
            square += RIDGE * np.einsum("cii->ci", square)[:, :, None] * np.eye(members.shape[1])
            with_curve = products[members, -1]
            explained = (np.linalg.solve(square, with_curve[..., None])[..., 0] * with_curve).sum(1)
            best = explained.argmax()
            shape = np.append(shapes[chosen[best]].ravel(), correlation)
            found.append((self.deviance(shape), shape))
        return min(found, key=lambda each: each[0])[1]

    def simplex(self, begin: Float[np.ndarray, " parameter"]) -> Float[np.ndarray, "corner parameter"]:
        """Give the corners that a search begins with: a fortieth of each parameter's range away."""
        low, high = (np.tile(each, self.family.n_terms) for each in (self.family.low, self.family.high))
        low, high = np.append(low, 0.0), np.append(high, HIGHEST)
        ahead = begin + (high - low) / GRID
        step = np.where(ahead <= high, ahead, begin - (high - low) / GRID)
        return np.vstack([begin, np.where(np.eye(len(begin), dtype=bool), step, begin)])


@cache
def _grid(
    low: tuple[float, ...], high: tuple[float, ...], n_terms: int, least_width: float | None
) -> tuple[Float[np.ndarray, "term parameter"], Int[np.ndarray, "candidate place"]]:
    """Give shapes of single terms, and which of them go together: stages one after another."""
    if not low:
        return np.empty((1, 0)), np.zeros((1, n_terms), dtype=int)
    size = GRID if n_terms == 1 else GRID // 2
    axes = [np.linspace(*ends, size) for ends in zip(low, high, strict=True)]
    shapes = np.array(list(product(*axes)))
    if least_width is None:
        return shapes, np.arange(len(shapes))[:, None]
    shapes = shapes[shapes[:, 1] - shapes[:, 0] >= least_width]
    chosen = np.arange(len(shapes))[:, None]
    for _ in range(n_terms - 1):
        last, following = np.nonzero(shapes[chosen[:, -1], 1][:, None] <= shapes[:, 0])
        chosen = np.column_stack([chosen[last], following])
    return shapes, chosen


def whitened(values: Float[np.ndarray, "checkpoint ..."], correlation: float) -> np.ndarray:
    """Make first-order autoregressive noise of unit innovations white (Prais & Winsten 1954).

    Examples
    --------
    >>> whitened(np.array([1.0, 1.0, 1.0]), 0.6)
    array([0.8, 0.4, 0.4])
    """
    white = values.astype(float)
    white[1:] -= correlation * values[:-1]
    white[0] *= np.sqrt(1 - correlation**2)
    return white
