r"""jPCA: how far the dynamics of a population are rotations, and the planes in which it rotates."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from brainalign.errors import UnknownNameError
from brainalign.metrics.gram_kernel import NEGLIGIBLE
from brainalign.metrics.metric import Metric
from brainalign.metrics.tensor_max_entropy import surrogate_values
from brainalign.metrics.trajectories import (
    ALL,
    Batch,
    Preprocessing,
    Reduction,
    Times,
    Trajectories,
    check_trajectories,
    reduced,
    states_and_velocities,
    time_step,
)

Array = np.ndarray
Square = Float[Array, "*batch component component"]


@dataclass(frozen=True, eq=False)
class LinearDynamics:
    r"""The least-squares fits of :math:`\dot x = xM`, with M free and with M skew-symmetric.

    Parameters
    ----------
    free, skew
        M, shape (…, component, component), per second.
    r2_free, r2_skew
        Share of :math:`\sum\lVert\dot x\rVert^2` that each explains; NaN where nothing moves.
    """

    free: Square
    skew: Square
    r2_free: Float[Array, "*batch"]
    r2_skew: Float[Array, "*batch"]

    @property
    def ratio(self) -> Float[Array, "*batch"]:
        """R² of the skew fit over that of the free one: 1 where dynamics are rotations, 0 where none are."""
        explained = self.r2_free > NEGLIGIBLE
        return np.asarray(np.where(explained, self.r2_skew, np.nan) / np.where(explained, self.r2_free, 1.0))


def linear_dynamics(states: Batch, step: float) -> LinearDynamics:
    r"""Fit linear dynamics to states (…, condition, time, component), `step` seconds apart.

    X holds the points half-way between neighbouring states and :math:`\dot X` their differences, so that a
    rotation sampled at any step is exactly skew. With :math:`C = X^T X = V\,\mathrm{diag}(\lambda)\,V^T` and
    :math:`D = X^T\dot X`, the skew M that minimises :math:`\lVert\dot X - XM\rVert^2` solves
    :math:`CM + MC = D - D^T`, so that

    .. math:: (V^T M V)_{ij} = \frac{(V^T (D - D^T) V)_{ij}}{\lambda_i + \lambda_j},

    and the free one is :math:`C^{-1}D`. Directions without variance take no part.

    Churchland et al. (2012) take the velocity at the earlier of the two states.

    Examples
    --------
    >>> angle = np.linspace(0, 3, 50)
    >>> circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)[None]
    >>> round(float(linear_dynamics(circle, 0.01).ratio), 12)
    1.0
    """
    middle, velocity = states_and_velocities(states, step)
    variances, axes = np.linalg.eigh(middle.swapaxes(-1, -2) @ middle)
    flipped = axes.swapaxes(-1, -2)
    product = flipped @ (middle.swapaxes(-1, -2) @ velocity) @ axes
    least = NEGLIGIBLE * variances[..., -1:, None]
    free = _divided(product, variances[..., :, None], least)
    twist = product - product.swapaxes(-1, -2)
    skew = _divided(twist, variances[..., :, None] + variances[..., None, :], least)
    total = (velocity**2).sum(axis=(-2, -1))
    total = np.where(total > 0, total, np.nan)
    return LinearDynamics(
        axes @ free @ flipped,
        axes @ skew @ flipped,
        np.asarray((product * free).sum(axis=(-2, -1)) / total),
        np.asarray((twist * skew).sum(axis=(-2, -1)) / (2 * total)),
    )


@dataclass(frozen=True, eq=False)
class RotationPlane:
    """A plane in which the skew dynamics rotate, turned so that trajectories run counter-clockwise.

    Parameters
    ----------
    projections
        Shape (condition, time, 2). Along the first axis initial states vary most.
    axes
        Shape (unit, 2), orthonormal, for the units as they were preprocessed.
    frequency
        Rotations per second (Hz).
    share
        Share of the preprocessed variance that lies in the plane.
    """

    projections: Float[Array, "condition time 2"]
    axes: Float[Array, "unit 2"]
    frequency: float
    share: float


@dataclass(frozen=True)
class JpcaKernel:
    """jPCA with the number of components and the preprocessing chosen."""

    n_components: int = 6
    preprocessing: Preprocessing = field(default_factory=Preprocessing)

    def value(self, trajectories: Trajectories, times: Times, rng: np.random.Generator | None = None) -> float:
        """R² of the skew fit over R² of the free one; NaN where nothing moves."""
        return float(self.fit(trajectories, times).ratio)

    def null(
        self, trajectories: Trajectories, times: Times, n: int, rng: np.random.Generator
    ) -> Float[Array, " n"]:
        """Give the values of n tensor-maximum-entropy surrogates, each preprocessed and reduced anew."""
        trajectories = check_trajectories("jPCA", trajectories, times)
        return surrogate_values(trajectories, n, rng, lambda batch: self._fitted(batch, times)[1].ratio)

    def fit(self, trajectories: Trajectories, times: Times) -> LinearDynamics:
        """Fit linear dynamics along the principal components, with both R².

        Raises
        ------
        ResponsesError
            Trajectories that cannot be used, or of fewer dimensions than components.
        """
        return self._fitted(check_trajectories("jPCA", trajectories, times), times)[1]

    def planes(self, trajectories: Trajectories, times: Times) -> list[RotationPlane]:
        """Give the planes of rotation, the fastest first; planes that do not rotate are left out."""
        checked = check_trajectories("jPCA", trajectories, times)
        return rotation_planes(*self._fitted(checked, times), time_step(times))

    def _fitted(self, trajectories: Batch, times: Times) -> tuple[Reduction, LinearDynamics]:
        reduction = reduced(self.preprocessing(trajectories, times), self.n_components)
        return reduction, linear_dynamics(reduction.scores, time_step(times))


def rotation_planes(reduction: Reduction, dynamics: LinearDynamics, step: float) -> list[RotationPlane]:
    r"""Turn the eigenvectors of skew dynamics into planes.

    Eigenvalues come in pairs ±iω; the real and the imaginary part of an eigenvector span a plane. States `step`
    seconds apart turn by :math:`2\arctan(\omega\,\mathrm{step}/2)`, which gives the frequency.
    """
    speeds, vectors = np.linalg.eigh(1j * dynamics.skew)
    variances = (reduction.scores**2).sum(axis=(0, 1))
    planes = []
    for speed, vector in zip(speeds[::-1], vectors.T[::-1], strict=True):
        if speed <= NEGLIGIBLE * np.abs(dynamics.free).max():
            break
        basis = np.sqrt(2) * np.stack([vector.real, vector.imag], axis=1)
        basis = _turned(basis, reduction.scores, dynamics.skew)
        planes.append(
            RotationPlane(
                reduction.scores @ basis,
                reduction.axes @ basis,
                float(np.arctan(speed * step / 2) / (np.pi * step)),
                float(reduction.shares @ (basis**2).sum(axis=1)) if variances.any() else float("nan"),
            )
        )
    return planes


def jpca(
    n_components: int = 6, subtract_mean: bool = True, normalise: str = "soft", window: str = ALL
) -> Metric:
    """How far a population rotates: R² of skew-symmetric over R² of free linear dynamics.

    Parameters
    ----------
    n_components
        Principal components in which dynamics are fitted, two or more.
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
    if n_components < 2:
        raise UnknownNameError(f"Option jpca:n_components is {n_components}; a rotation needs 2 or more.")
    kernel = JpcaKernel(n_components, Preprocessing(normalise, window, subtract_mean))
    return Metric(
        name="jpca",
        family="dynamics",
        kernel=kernel,
        needs=frozenset({"responses", "time"}),
        range=(0.0, 1.0),
        symmetric=False,
        invariances=kernel.preprocessing.invariances,
        chance=float("nan"),
        label=f"jPCA, R² skew / R² free, {n_components} components",
        citation="Churchland et al. 2012; null: Elsayed & Cunningham 2017",
        options={
            "n_components": n_components,
            "subtract_mean": subtract_mean,
            "normalise": normalise,
            "window": window,
        },
    )


def _divided(numerator: Array, denominator: Array, least: Array) -> Array:
    """Divide where the denominator is above `least`, and give 0 elsewhere."""
    held = denominator > least
    return np.where(held, numerator, 0.0) / np.where(held, denominator, 1.0)


def _turned(
    basis: Float[Array, "component 2"],
    scores: Float[Array, "condition time component"],
    skew: Float[Array, "component component"],
) -> Float[Array, "component 2"]:
    """Turn a plane's basis: initial states vary most along its first axis, the farthest to the right."""
    initial = scores[:, 0] @ basis
    spread = initial - initial.mean(axis=0)
    basis = basis @ np.linalg.eigh(spread.T @ spread)[1][:, ::-1]
    if (basis.T @ skew @ basis)[0, 1] < 0:
        basis = basis * [1.0, -1.0]
    along = scores[:, 0] @ basis[:, 0]
    return basis if along[np.abs(along).argmax()] >= 0 else -basis
