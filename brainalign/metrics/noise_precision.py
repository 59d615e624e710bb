r"""Covariance and precision of a population's noise, from what repeats differ by."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from brainalign.errors import ResponsesError
from brainalign.names import snake_case, unknown_name

SINGULAR = 1e-10
"""Share of its largest eigenvalue below which the smallest of a noise correlation matrix is rounding."""

ROUNDING = 1e-12
"""Share of a unit's largest response under which differences between repeats are rounding."""

Repeats = Float[np.ndarray, "stimulus unit repeat"]
Residuals = Float[np.ndarray, "presentation unit"]
Covariance = Float[np.ndarray, "unit unit"]


def residuals(repeats: Repeats) -> Repeats:
    """Take from each repeat its unit's mean response to the stimulus; zero where it is missing."""
    valid = ~np.isnan(repeats)
    count = valid.sum(axis=2, keepdims=True)
    known = np.where(valid, repeats, 0.0)
    return np.where(valid, known - known.sum(axis=2, keepdims=True) / np.maximum(count, 1), 0.0)


def units_with_noise(repeats: Repeats) -> Bool[np.ndarray, " unit"]:
    """Mark the units that some repeats of some stimulus find different.

    The others (never repeated, or answering every repeat alike) have no noise that could be normalised.

    Examples
    --------
    >>> units_with_noise(np.array([[[1.0, 2.0], [3.0, 3.0], [4.0, np.nan]]])).tolist()
    [True, False, False]
    """
    spread = np.fmax.reduce(repeats, axis=2) - np.fmin.reduce(repeats, axis=2)
    size = np.fmax.reduce(np.abs(repeats), axis=(0, 2))
    return (spread > ROUNDING * size).any(axis=0)


def noise_covariance(repeats: Repeats, shrinkage: str = "diagonal") -> Covariance:
    r"""Covariance of the units' noise within stimuli, pooled over them and shrunk.

    .. math:: S_{uv} = \frac{1}{\sqrt{f_u f_v}} \sum_{i,r} \epsilon_{iur}\, \epsilon_{ivr}, \quad
        f_u = \sum_i (n_{iu} - 1)

    with :math:`\epsilon` the deviation of repeat r of stimulus i from the mean over its :math:`n_{iu}` valid
    repeats. Where whole presentations are missing, f is one number and S the pooled sample covariance. A unit
    that misses a presentation which others have counts there with a residual of zero: S stays positive
    semi-definite, and units that were seldom recorded together are taken to share less noise than they may.

    Parameters
    ----------
    repeats
        Responses; NaN where a repeat is missing, anywhere along the repeats.
    shrinkage
        ``diagonal``: correlations are shrunk, variances are left (Schäfer & Strimmer 2005; ``shrinkage_diag``
        of ``rsatoolbox.data.noise``, its default). ``identity``: towards equal variances without correlation
        (Ledoit & Wolf 2004; ``shrinkage_eye``).

    Returns
    -------
    :
        In the square of the responses' unit.

    Raises
    ------
    ResponsesError
        Units without noise (`units_with_noise`), or none at all.

    References
    ----------
    Ledoit & Wolf (2004), J Multivar Anal 88:365; Schäfer & Strimmer (2005), Stat Appl Genet Mol Biol 4:32.
    """
    shrink = SHRINKAGES[find_shrinkage(shrinkage)]
    silent = np.flatnonzero(~units_with_noise(repeats))
    if repeats.shape[1] == 0 or len(silent):
        raise ResponsesError(
            f"{len(silent)} of {repeats.shape[1]} units have no two repeats of a stimulus that differ (index "
            f"{', '.join(map(str, silent[:10]))}), so they have no noise to estimate; leave these units out."
        )
    valid = ~np.isnan(repeats)
    held = valid.any(axis=1)
    values = residuals(repeats).transpose(0, 2, 1)[held]
    of_units = np.maximum(valid.sum(axis=2) - 1, 0).sum(axis=0)
    freedom = int(np.maximum(held.sum(axis=1) - 1, 0).sum())
    return shrink(values * np.sqrt(freedom / of_units), freedom)


def noise_precision(covariance: Covariance) -> Covariance:
    """Invert a noise covariance: the precision by which patterns are noise-normalised.

    Raises
    ------
    ResponsesError
        A covariance that shrinking did not make invertible, as can happen where units outnumber the
        residuals' degrees of freedom.

    Examples
    --------
    >>> noise_precision(np.array([[4.0, 0.0], [0.0, 0.5]]))
    array([[0.25, 0.  ],
           [0.  , 2.  ]])
    """
    deviation = np.sqrt(np.diagonal(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(deviation, deviation))
    if values[0] <= SINGULAR * values[-1]:
        raise ResponsesError(
            f"The noise covariance of {len(covariance)} units cannot be inverted, shrunk as it is: the repeats "
            "leave too few degrees of freedom. Give more repeats or fewer units, or use a dissimilarity that "
            "needs no noise, such as squared_euclidean."
        )
    root = vectors / np.sqrt(values)
    return (root @ root.T) / np.outer(deviation, deviation)


def shrunk_to_diagonal(values: Residuals, freedom: int) -> Covariance:
    r"""Shrink correlations by :math:`\sum \widehat{\mathrm{var}}(r_{uv}) / \sum r_{uv}^2` over u ≠ v."""
    n, p = values.shape
    deviation = np.sqrt((values**2).sum(axis=0) / freedom)
    scaled = values / deviation
    products = scaled.T @ scaled
    mean = products / (n - 1)
    variance = n / freedom**2 * ((scaled**2).T @ scaled**2 / (n - 1) - mean**2)
    others = ~np.eye(p, dtype=bool)
    share = _share(variance[others].sum(), (mean[others] ** 2).sum())
    return products / freedom * np.outer(deviation, deviation) * np.where(others, 1 - share, 1.0)


def shrunk_to_identity(values: Residuals, freedom: int) -> Covariance:
    r"""Shrink by :math:`b^2 / d^2`: the sampling error's share of the distance to equal, uncorrelated units."""
    n, p = values.shape
    sample = values.T @ values / n
    target = np.trace(sample) / p * np.eye(p)
    # The squares of a row's products with itself add up to the square of its length squared.
    error = (np.sum((values**2).sum(axis=1) ** 2) / n - np.sum(sample**2)) / n
    share = _share(error, np.sum((sample - target) ** 2))
    return (share * target + (1 - share) * sample) * n / freedom


SHRINKAGES: dict[str, Callable[[Residuals, int], Covariance]] = {
    "diagonal": shrunk_to_diagonal,
    "identity": shrunk_to_identity,
}
"""What noise covariances are shrunk towards, by name."""


def find_shrinkage(name: str) -> str:
    """Give the catalogue's name of what covariances are shrunk towards."""
    if snake_case(name) not in SHRINKAGES:
        raise unknown_name("shrinkage", name, SHRINKAGES)
    return snake_case(name)


def n_repeats(repeats: Repeats) -> Int[np.ndarray, "stimulus unit"]:
    """Count the valid repeats of each stimulus by each unit."""
    return (~np.isnan(repeats)).sum(axis=2)


def _share(error: float, distance: float) -> float:
    """Share of the target; all of it where the sample is the target anyway."""
    return float(np.clip(error / distance, 0.0, 1.0)) if distance > 0 else 1.0
