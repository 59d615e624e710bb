"""Decoders of a cursor's velocity from an intrinsic manifold, and perturbations within it and outside."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from brainalign.errors import BrainalignError
from brainalign.names import unknown_name

Array = np.ndarray
Rates = Float[Array, "sample unit"]
Velocities = Float[Array, "sample 2"]

PERTURBATIONS = ("within", "outside")


@dataclass(frozen=True, eq=False)
class ManifoldDecoder:
    r"""A linear decoder that sees the units through factors of their rates.

    .. math:: v = R\, f + c, \qquad f = \Lambda^{-1/2} U^\top (r - \mu)

    U holds the leading principal axes of the rates, Λ their variances, so that all factors have variance 1.

    Parameters
    ----------
    mean
        μ, each unit's mean rate.
    projection
        :math:`\Lambda^{-1/2} U^\top`, from centred rates to factors.
    readout, offset
        R and c.
    captured
        Share of the rates' variance that the factors hold.
    r2
        Share of the velocities' variance that the decoder explained where it was fitted.
    """

    mean: Float[Array, " unit"]
    projection: Float[Array, "factor unit"]
    readout: Float[Array, "2 factor"]
    offset: Float[Array, " 2"]
    captured: float
    r2: float

    @property
    def weight(self) -> Float[Array, "2 unit"]:
        """Velocity by the units' rates."""
        return self.readout @ self.projection

    @property
    def bias(self) -> Float[Array, " 2"]:
        """Velocity without rates."""
        return self.offset - self.weight @ self.mean

    def velocities(self, rates: Rates) -> Velocities:
        """Decode rates."""
        return rates @ self.weight.T + self.bias

    def within(self, order: Sequence[int] | Array) -> "ManifoldDecoder":
        """Permute the factors before they are read: still the same factors, so within the manifold."""
        return replace(self, readout=self.readout[:, list(order)])

    def outside(self, order: Sequence[int] | Array) -> "ManifoldDecoder":
        """Permute the units before factors are taken of them: other patterns than those of the manifold."""
        return replace(self, projection=self.projection[:, list(order)])


def fit_manifold_decoder(rates: Array, velocities: Array, n_factors: int = 10) -> ManifoldDecoder:
    """Fit the intuitive decoder: factors by principal components, velocities from them by least squares.

    Sadtler et al. (2014) use factor analysis and a Kalman filter. A network's rates have no noise of single
    units, and principal components are the factors then.

    Parameters
    ----------
    rates
        Shape (sample, unit).
    velocities
        What the rates are to be decoded to, shape (sample, 2).
    n_factors
        Dimensions of the manifold.

    Raises
    ------
    BrainalignError
        Shapes that do not agree, values that are not finite, or more factors than the rates have dimensions.

    Examples
    --------
    >>> rates = np.random.default_rng(0).normal(size=(100, 5))
    >>> decoder = fit_manifold_decoder(rates, rates[:, :2] + 1, n_factors=5)
    >>> np.allclose(decoder.velocities(rates), rates[:, :2] + 1)
    True
    """
    rates, velocities = np.asarray(rates, np.float64), np.asarray(velocities, np.float64)
    if rates.ndim != 2 or velocities.shape != (len(rates), 2):
        raise BrainalignError(
            f"A decoder was asked for of rates {rates.shape} and velocities {velocities.shape}; give (sample, "
            "unit) and (sample, 2)."
        )
    if not (np.isfinite(rates).all() and np.isfinite(velocities).all()):
        raise BrainalignError(
            "A decoder was asked for of NaN or infinite rates or velocities; leave those out."
        )
    mean = rates.mean(0)
    _, singular, axes = np.linalg.svd(rates - mean, full_matrices=False)
    dimensions = int((singular > 1e-9 * singular[0]).sum()) if singular[0] > 0 else 0
    if not 2 <= n_factors <= dimensions:
        raise BrainalignError(
            f"A manifold of {n_factors} factors was asked for; these rates have {dimensions} dimensions, and a "
            "cursor needs 2 factors at least."
        )
    projection = len(rates) ** 0.5 * axes[:n_factors] / singular[:n_factors, None]
    factors, centred = (rates - mean) @ projection.T, velocities - velocities.mean(0)
    readout = centred.T @ factors / len(rates)
    left = ((centred - factors @ readout.T) ** 2).sum()
    total, captured = (centred**2).sum(), (singular[:n_factors] ** 2).sum() / (singular**2).sum()
    r2 = float(1 - left / total) if total > 0 else float("nan")
    return ManifoldDecoder(mean, projection, readout, velocities.mean(0), float(captured), r2)


@dataclass(frozen=True, eq=False)
class Perturbation:
    """A perturbed decoder with how hard it is at first: what it makes of activity under the intuitive one.

    Parameters
    ----------
    decoder
        The perturbed decoder.
    kind
        ``within`` the manifold, or ``outside``.
    angle
        Mean over conditions of the angle between the velocities that both decoders make of them, in degrees.
    speed
        Mean speed of its velocities over that of the intuitive decoder's.
    """

    decoder: ManifoldDecoder
    kind: str
    angle: float
    speed: float


def choose_perturbation(
    decoder: ManifoldDecoder,
    rates: Float[Array, "condition unit"],
    kind: str,
    rng: np.random.Generator,
    *,
    angles: tuple[float, float] = (45.0, 75.0),
    speeds: tuple[float, float] = (0.5, 2.0),
    candidates: int = 2000,
) -> Perturbation:
    """Draw perturbations until one is as hard as it is to be, so that those within and outside match.

    Difficulty is open-loop, as in Sadtler et al. (2014, Methods): how far the velocities of each condition
    turn, and how much slower or faster they are, while activity is still that under the intuitive decoder.

    Parameters
    ----------
    decoder
        The intuitive decoder.
    rates
        Mean activity of each condition under it.
    kind
        ``within`` or ``outside``.
    rng
        Draws the permutations.
    angles, speeds
        Least and greatest mean angle in degrees, and ratio of speeds.
    candidates
        How many are drawn at most.

    Raises
    ------
    UnknownNameError
        Another kind.
    BrainalignError
        None of the candidates is in both ranges; says how near they come.
    """
    if kind not in PERTURBATIONS:
        raise unknown_name("perturbation", kind, PERTURBATIONS)
    intended, tried = decoder.velocities(rates), []
    for _ in range(candidates):
        order = rng.permutation(len(decoder.projection) if kind == "within" else len(decoder.mean))
        perturbed = decoder.within(order) if kind == "within" else decoder.outside(order)
        angle, speed = open_loop(intended, perturbed.velocities(rates))
        if angles[0] <= angle <= angles[1] and speeds[0] <= speed <= speeds[1]:
            return Perturbation(perturbed, kind, angle, speed)
        tried.append((angle, speed))
    found = np.array(tried)
    raise BrainalignError(
        f"None of {candidates} perturbations {kind} the manifold turns velocities by {angles[0]:g} to "
        f"{angles[1]:g} degrees at {speeds[0]:g} to {speeds[1]:g} times the speed; found "
        f"{found[:, 0].min():.0f} to {found[:, 0].max():.0f} degrees at {found[:, 1].min():.2g} to "
        f"{found[:, 1].max():.2g} times. Widen the ranges, or draw more."
    )


def open_loop(
    intended: Float[Array, "condition 2"], decoded: Float[Array, "condition 2"]
) -> tuple[float, float]:
    """Give the mean angle between velocities, in degrees, and the ratio of their mean speeds.

    Examples
    --------
    >>> angle, speed = open_loop(np.eye(2), 3 * np.eye(2)[::-1])
    >>> round(angle, 6), round(speed, 6)
    (90.0, 3.0)
    """
    cross = intended[:, 0] * decoded[:, 1] - intended[:, 1] * decoded[:, 0]
    turned = np.abs(np.arctan2(cross, (intended * decoded).sum(1)))
    speeds = np.hypot(*decoded.T).mean() / np.hypot(*intended.T).mean()
    return float(np.rad2deg(turned).mean()), float(speeds)
