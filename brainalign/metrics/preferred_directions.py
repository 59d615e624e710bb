r"""Preferred directions of units by cosine tuning, and whether a population's gather about one axis."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainalign.errors import ResponsesError

Array = np.ndarray

FEWEST_UNITS = 5


@dataclass(frozen=True, eq=False)
class CosineTuning:
    r"""The fit of rate = b₀ + m cos(θ − θ₀), unit by unit.

    Parameters
    ----------
    preferred
        θ₀ in degrees, from 0 to 360, counter-clockwise from +x; NaN for a unit that does not vary.
    depth
        m, in the unit of the rates.
    baseline
        b₀.
    r2
        Share of the variance over conditions that the fit explains; NaN as above.
    """

    preferred: Float[Array, " unit"]
    depth: Float[Array, " unit"]
    baseline: Float[Array, " unit"]
    r2: Float[Array, " unit"]


def cosine_tuning(rates: Float[Array, "condition unit"], angles: Float[Array, " angle"]) -> CosineTuning:
    r"""Fit cosine tuning by least squares: rate = b₀ + b₁ cos θ + b₂ sin θ, θ₀ = atan2(b₂, b₁).

    Parameters
    ----------
    rates
        Shape (condition, unit), finite.
    angles
        Degrees, counter-clockwise from +x: three different ones or more.

    Raises
    ------
    ResponsesError
        Shapes that do not fit, values that are not finite, or fewer than three directions.

    References
    ----------
    Georgopoulos, Kalaska, Caminiti & Massey (1982), Journal of Neuroscience 2, 1527–1537.

    Examples
    --------
    >>> angles = np.arange(0.0, 360.0, 45.0)
    >>> rates = 10 + 3 * np.cos(np.deg2rad(angles - 30.0))[:, None]
    >>> cosine_tuning(rates, angles).preferred.round(6).tolist()
    [30.0]
    """
    rates, angles = np.asarray(rates, np.float64), np.asarray(angles, np.float64)
    if len(angles) != len(rates):
        raise ResponsesError(
            f"Cosine tuning was asked for of rates of shape {rates.shape} and angles of shape {angles.shape}; "
            "give (condition, unit) and one angle a condition."
        )
    if not (np.isfinite(rates).all() and np.isfinite(angles).all()):
        raise ResponsesError("Cosine tuning was asked for of NaN or infinite rates or angles; leave those out.")
    radians = np.deg2rad(angles)
    design = np.stack([np.ones(len(angles)), np.cos(radians), np.sin(radians)], axis=1)
    coefficients, _, rank, _ = np.linalg.lstsq(design, rates, rcond=1e-9)
    if rank < 3:
        raise ResponsesError(
            f"Cosine tuning was asked for of {len(np.unique(angles % 360))} directions; give three or more."
        )
    centred = rates - rates.mean(axis=0)
    total = (centred**2).sum(axis=0)
    # What rounding leaves of a constant is no variance.
    total[np.abs(centred).max(axis=0) <= 1e-12 * np.abs(rates).max(axis=0)] = np.nan
    preferred = np.rad2deg(np.arctan2(coefficients[2], coefficients[1])) % 360
    return CosineTuning(
        np.where(np.isnan(total), np.nan, preferred),
        np.hypot(coefficients[1], coefficients[2]),
        coefficients[0],
        1 - ((rates - design @ coefficients) ** 2).sum(axis=0) / total,
    )


@dataclass(frozen=True)
class RayleighTest:
    r"""Whether directions gather about one direction, or (doubled) about one axis.

    Parameters
    ----------
    resultant
        Length of the mean vector :math:`|\overline{e^{ik\theta}}|`, from 0, spread evenly, to 1.
    direction
        Of the mean vector, in degrees: from 0 to 360, or from 0 to 180 for an axis.
    p
        Probability of a resultant as long among directions spread evenly.
    n
        Number of directions.
    """

    resultant: float
    direction: float
    p: float
    n: int


@dataclass(frozen=True)
class Bimodality:
    """Whether preferred directions gather about the two ends of one axis rather than about one direction.

    Parameters
    ----------
    axis
        Rayleigh's test on doubled angles.
    direction
        Rayleigh's test on the angles themselves.
    """

    axis: RayleighTest
    direction: RayleighTest

    @property
    def difference(self) -> float:
        """Resultant of the axis less that of the direction: above 0 for two opposite modes."""
        return self.axis.resultant - self.direction.resultant


def rayleigh_test(angles: Float[Array, " unit"], fold: int = 1) -> RayleighTest:
    r"""Rayleigh's test of uniformity, against directions that gather about `fold` evenly spaced ones.

    With R = n·resultant, :math:`p = \exp\big(\sqrt{1 + 4n + 4(n^2 - R^2)} - (1 + 2n)\big)`, good to 0.001 for
    n ≥ 10.

    Parameters
    ----------
    angles
        Degrees; NaN are left out.
    fold
        1 for a direction, 2 for an axis: angles are multiplied by it.

    Raises
    ------
    ResponsesError
        Fewer than five directions.

    References
    ----------
    Wilkie (1983), Applied Statistics 32, 311–312.

    Examples
    --------
    >>> round(rayleigh_test(np.array([10.0, 190.0, 10.0, 190.0, 10.0, 190.0]), fold=2).direction, 9)
    10.0
    """
    angles = np.asarray(angles, np.float64)
    angles = angles[~np.isnan(angles)]
    n = len(angles)
    if n < FEWEST_UNITS:
        raise ResponsesError(
            f"Rayleigh's test was asked for of {n} directions that are no NaN; give {FEWEST_UNITS} or more."
        )
    mean = np.exp(1j * fold * np.deg2rad(angles)).mean()
    resultant = min(float(np.abs(mean)), 1.0)
    p = float(np.exp(np.sqrt(1 + 4 * n + 4 * n**2 * (1 - resultant**2)) - (1 + 2 * n)))
    direction = float(np.rad2deg(np.angle(mean)) / fold % (360 / fold))
    return RayleighTest(resultant, direction, min(p, 1.0), n)


def bimodality(angles: Float[Array, " unit"]) -> Bimodality:
    """Test preferred directions for two opposite modes, as torques and effort at the arm's joints bring about.

    One narrow mode lengthens both resultants, two opposite ones that of the axis alone.

    Parameters
    ----------
    angles
        Degrees; NaN are left out.

    Raises
    ------
    ResponsesError
        Fewer than five directions.

    References
    ----------
    Lillicrap & Scott (2013), Neuron 77, 168–179.

    Examples
    --------
    >>> found = bimodality(np.repeat([45.0, 225.0], 20))
    >>> found.axis.p < 1e-6, found.direction.p > 0.9
    (True, True)
    """
    return Bimodality(rayleigh_test(angles, fold=2), rayleigh_test(angles))
