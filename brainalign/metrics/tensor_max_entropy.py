r"""Tensor maximum entropy: random trajectories that share the data's mean and covariances, and nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainalign.errors import ResponsesError
from brainalign.metrics.gram_kernel import NEGLIGIBLE
from brainalign.metrics.trajectories import Batch, Trajectories

Array = np.ndarray
Variances = Float[Array, "condition_axis time_axis unit_axis"]

CLOSE = 1e-10
"""Share of each marginal variance by which the fit may miss it."""
MOST_STEPS = 200
BATCH_NUMBERS = 250_000
"""Numbers that surrogates drawn at once hold: few enough for the processor's cache."""


@dataclass(frozen=True, eq=False)
class TensorMaximumEntropy:
    r"""The distribution of trajectories with given mean and marginal covariances that assumes least besides.

    Of all distributions whose mean is the data's marginal means and whose expected covariances over conditions,
    times and units,

    .. math:: E\big[\tilde X_{(m)} \tilde X_{(m)}^T\big] = \Sigma_m,

    with :math:`\tilde X_{(m)}` the centred tensor unfolded along mode m, are the data's, that of maximum
    entropy is Gaussian. Its covariance has the eigenvectors :math:`q^C_i \otimes q^T_j \otimes q^U_k` of the
    three matrices and the eigenvalues

    .. math:: v_{ijk} = \frac{1}{a_i + b_j + c_k},

    whose sums over two indices are the eigenvalues of the matrix of the third. a, b, c minimise the dual
    :math:`\sum a s^C + \sum b s^T + \sum c s^U - \sum \log(a_i + b_j + c_k)`, which is convex: Newton's method
    needs some ten steps of O(conditions · times · units).

    Parameters
    ----------
    mean
        Shape (condition, time, unit): the sum of the effects of condition, time and unit.
    bases
        For each mode its eigenvectors, shape (size, axis); those without variance are left out.
    variances
        v, shape of the axes.

    References
    ----------
    Elsayed & Cunningham (2017), Nature Neuroscience 20, 1310–1318, Methods.
    """

    mean: Trajectories
    bases: tuple[Array, Array, Array]
    variances: Variances

    @classmethod
    def fit(cls, trajectories: Trajectories) -> "TensorMaximumEntropy":
        """Fit the distribution to trajectories (condition, time, unit).

        Raises
        ------
        ResponsesError
            Trajectories without variance around their marginal means, or numbers too unlike in size for the
            fit.
        """
        mean = marginal_means(trajectories)
        if np.ptp(trajectories - mean) <= NEGLIGIBLE * np.abs(trajectories).max():
            raise ResponsesError(
                "Tensor maximum entropy was asked for of trajectories that are sums of an effect of condition, "
                "one of time and one of unit: nothing is left to vary."
            )
        spectra, bases = zip(
            *(_spectrum(covariance) for covariance in marginal_covariances(trajectories - mean)), strict=True
        )
        return cls(mean, bases, _fitted(spectra))

    def covariances(self) -> tuple[Array, Array, Array]:
        """Give the expected covariances over conditions, times and units, each summed over the other two."""
        first, second, third = (
            (basis * sums) @ basis.T for basis, sums in zip(self.bases, _marginals(self.variances), strict=True)
        )
        return first, second, third

    def sample(self, n: int, rng: np.random.Generator) -> Float[Array, "n condition time unit"]:
        """Draw n surrogates: normal numbers in the eigenbases, turned back mode by mode."""
        of_conditions, of_times, of_units = self.bases
        drawn = rng.standard_normal((n, *self.variances.shape))
        drawn *= np.sqrt(self.variances)
        drawn = np.matmul(of_times, drawn)
        drawn = np.matmul(of_conditions, drawn.reshape(n, of_conditions.shape[1], -1))
        drawn = drawn.reshape(-1, of_units.shape[1]) @ of_units.T
        drawn = drawn.reshape(n, *self.mean.shape)
        drawn += self.mean
        return drawn


def surrogate_values(
    trajectories: Trajectories,
    n: int,
    rng: np.random.Generator,
    statistic: Callable[[Batch], Float[Array, " batch"]],
) -> Float[Array, " n"]:
    """Give a statistic of n surrogates of the data; it is called on batches (batch, condition, time, unit).

    The surrogates do not depend on the size of the batches.
    """
    distribution = TensorMaximumEntropy.fit(trajectories)
    size = max(1, BATCH_NUMBERS // trajectories.size)
    values = [statistic(distribution.sample(min(size, n - start), rng)) for start in range(0, n, size)]
    return np.concatenate(values) if values else np.empty(0)


def p_above(value: float, null: Float[Array, " n"]) -> float:
    """Probability of a value as large under the null: p = (1 + #{null ≥ value}) / (1 + N).

    Examples
    --------
    >>> p_above(2.0, np.array([0.5, 1.0, 2.5]))
    0.5
    """
    return float((1 + np.sum(null >= value)) / (1 + len(null)))


def marginal_means(trajectories: Trajectories) -> Trajectories:
    """Sum of the effects of condition, time and unit: means over the other two, less the grand mean twice."""
    effects = [
        trajectories.mean(axis=tuple(k for k in range(3) if k != mode), keepdims=True) for mode in range(3)
    ]
    return effects[0] + effects[1] + effects[2] - 2 * trajectories.mean()


def marginal_covariances(centred: Trajectories) -> tuple[Array, Array, Array]:
    """Give the sums of products over conditions, times and units, each over the other two."""
    unfolded = [np.moveaxis(centred, mode, 0).reshape(centred.shape[mode], -1) for mode in range(3)]
    first, second, third = (each @ each.T for each in unfolded)
    return first, second, third


def _spectrum(covariance: Float[Array, "n n"]) -> tuple[Float[Array, " axis"], Float[Array, "n axis"]]:
    """Eigenvalues and eigenvectors with variance."""
    values, vectors = np.linalg.eigh(covariance)
    held = values > NEGLIGIBLE * values[-1]
    return values[held], vectors[:, held]


def _marginals(tensor: Variances) -> list[Array]:
    return [tensor.sum(axis=(1, 2)), tensor.sum(axis=(0, 2)), tensor.sum(axis=(0, 1))]


def _fitted(spectra: Sequence[Array]) -> Variances:
    """Find the variances whose sums are the spectra, by Newton's method on the dual."""
    sizes = [len(spectrum) for spectrum in spectra]
    size = int(np.prod(sizes))
    # What was left out of one spectrum is left out of the others, whose totals must be equal.
    total = np.mean([spectrum.sum() for spectrum in spectra])
    wanted = np.concatenate([spectrum * (size / spectrum.sum()) for spectrum in spectra])
    multipliers = np.repeat([size / (3 * k) for k in sizes], sizes) / wanted
    for _ in range(MOST_STEPS):
        variances = 1 / _sums(multipliers, sizes)
        found = np.concatenate(_marginals(variances))
        if np.max(np.abs(found / wanted - 1)) <= CLOSE:
            return variances * (total / size)
        step = _newton_step(variances, wanted - found)
        multipliers = _along(multipliers, step, wanted, found, sizes)
    raise ResponsesError(
        f"Tensor maximum entropy was not found in {MOST_STEPS} steps: the variances along the axes of "
        "conditions, times or units are too unlike. Reduce the units to principal components first."
    )


def _sums(multipliers: Float[Array, " axis"], sizes: Sequence[int]) -> Variances:
    a, b, c = np.split(multipliers, np.cumsum(sizes)[:-1])
    return a[:, None, None] + b[:, None] + c


def _newton_step(variances: Variances, gradient: Float[Array, " axis"]) -> Float[Array, " axis"]:
    """Solve for the step, in the scale of each multiplier.

    Adding to all of one mode what is taken from all of another changes nothing: the Hessian is filled up along
    these two directions, in which there is no gradient.
    """
    squares = variances**2
    i, j, k = squares.shape
    first, second, third = slice(0, i), slice(i, i + j), slice(i + j, i + j + k)
    hessian = np.diag(np.concatenate(_marginals(squares)))
    for rows, columns, block in (
        (first, second, squares.sum(axis=2)),
        (first, third, squares.sum(axis=1)),
        (second, third, squares.sum(axis=0)),
    ):
        hessian[rows, columns], hessian[columns, rows] = block, block.T
    scale = 1 / np.sqrt(np.diagonal(hessian))
    idle = np.zeros((len(scale), 2))
    idle[first], idle[second, 0], idle[third, 1] = 1.0, -1.0, -1.0
    idle /= scale[:, None]
    idle /= np.linalg.norm(idle, axis=0)
    return -scale * np.linalg.solve(hessian * scale * scale[:, None] + idle @ idle.T, scale * gradient)


def _along(
    multipliers: Float[Array, " axis"],
    step: Float[Array, " axis"],
    wanted: Float[Array, " axis"],
    found: Float[Array, " axis"],
    sizes: Sequence[int],
) -> Float[Array, " axis"]:
    """Go along the step, half as far until the dual falls by a tenth of what its slope promises."""
    here, along = _sums(multipliers, sizes), _sums(step, sizes)
    slope = float(step @ (wanted - found))
    length = 1.0
    while length > NEGLIGIBLE:
        change = 1 + length * along / here
        if change.min() > 0:
            fall = length * float(step @ wanted) - np.log(change).sum()
            if fall <= 0.1 * length * slope + 1e-9:
                break
        length /= 2
    return multipliers + length * step
