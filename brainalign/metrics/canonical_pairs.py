r"""Pairs of canonical directions, and how their correlations vary with the stimuli."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainalign.metrics.gram_kernel import Axes

Array = np.ndarray
Correlations = Float[Array, " correlation"]


@dataclass(frozen=True, eq=False)
class CanonicalPairs:
    """Pairs of canonical directions over the stimuli, of length 1, and the correlation of each pair.

    Parameters
    ----------
    u, v
        The layer's directions, and the region's.
    correlations
        From the highest on; none where all data would have some that are 1.
    region
        Axes that span the region: more than there are pairs where the layer has fewer.
    counts
        Numbers of axes that span the layer and the region.
    """

    u: Axes
    v: Axes
    correlations: Correlations
    region: Float[Array, "n other"]
    counts: tuple[int, int]

    @property
    def n_dimensions(self) -> int:
        """Give the greater of the two sides' numbers of dimensions."""
        return max(self.counts)


def canonical_pairs(
    layer: Float[Array, "n axis"], region: Float[Array, "n other"], counts: tuple[int, int]
) -> CanonicalPairs:
    """Pair the leading axes of a layer with those of a region, so many of each."""
    p, q = counts if sum(counts) < len(layer) else (0, 0)
    layer, region = layer[:, :p], region[:, :q]
    left, correlations, right = np.linalg.svd(layer.T @ region, full_matrices=False)
    return CanonicalPairs(layer @ left, region @ right.T, correlations, region, (p, q))


def influence_of_correlations(pairs: CanonicalPairs, weights: Correlations) -> Float[Array, " n"]:
    r"""Give the derivative of a weighted sum of correlations by each stimulus, in the size in which it varies.

    That of ρ is :math:`u_i v_i - \rho (u_i^2 + v_i^2) / 2` in the pair of canonical directions. Its
    variance is brought to that of `sampling_spread`. How far the region's directions reach each stimulus
    (leverage, :math:`\sum_k v_{ik}^2` over all of them) sums to their number in any sample, and where
    directions of noise lie does not hang on it. So noise has no part along the leverage: there ρ varies by
    its share of signal alone, and across it by as much more as the whole asks for. In Gaussian data
    :math:`\rho^2 / 2` of the derivative's variance is along it. Else two layers held against one region
    would seem to vary together, and so would halves of the stimuli that share some.

    Parameters
    ----------
    pairs
        One pair or more.
    weights
        Of each pair in the sum.
    """
    u, v, correlations, n = pairs.u, pairs.v, pairs.correlations, len(pairs.u)
    along = 1 - noise_share(correlations, pairs.n_dimensions, n)
    whole = sampling_spread(correlations, pairs.n_dimensions, n) ** 2
    across = (whole - along * correlations**2 / 2) / (1 - correlations**2 / 2)
    by_stimulus = u * v - correlations * (u**2 + v**2) / 2
    leverage = np.sum(pairs.region**2, axis=1)
    leverage = leverage - leverage.mean()
    leverage /= max(float(np.linalg.norm(leverage)), np.finfo(np.float64).tiny)
    influence = by_stimulus @ (weights * np.sqrt(across))
    other = by_stimulus @ (weights * (np.sqrt(along) - np.sqrt(across)))
    return influence + leverage * (leverage @ other)


def noise_share(correlations: Correlations, n_dimensions: int, n_stimuli: int) -> Correlations:
    """How much of ρ² unrelated data would have: p/(n − 1), the mean of the best of p dimensions' ρ²."""
    noise = n_dimensions / (n_stimuli - 1)
    return noise / np.maximum(correlations**2, noise)


def sampling_spread(correlations: Correlations, n_dimensions: int, n_stimuli: int) -> Correlations:
    r"""Give the standard deviation of canonical correlations, as a share of what their derivative makes of it.

    A correlation with the best direction of p dimensions is the length of a vector, of signal and of noise;
    unrelated data of n stimuli have :math:`\rho^2 \sim \mathrm{Beta}(p/2, (n-1-p)/2)`, of mean
    :math:`\gamma = p/(n-1)`. Along the signal the length varies as the derivative says. The length of noise
    alone does not: its variance is :math:`(1-\gamma)/2n`, and to first order :math:`(1-\gamma)^2/n`. Between
    the two, by the share :math:`s = \min(1, \gamma/\rho^2)` of noise, the ratio of the variances is

    .. math:: 1 - s + \frac{s}{2(1-\gamma)}

    (exact for the length of a Gaussian vector where γ is small).

    Examples
    --------
    >>> sampling_spread(np.array([0.1, 0.9]), 10, 1001).round(2)
    array([0.71, 1.  ])
    """
    share = noise_share(correlations, n_dimensions, n_stimuli)
    return np.sqrt(1 - share + share / (2 * (1 - n_dimensions / (n_stimuli - 1))))


def influence_of_projections(pairs: CanonicalPairs, responses: Float[Array, "n unit"]) -> Float[Array, " n"]:
    r"""Give what PWCCA's weights add to the derivative of :math:`\sum_k \alpha_k \rho_k / \sum_k \alpha_k`.

    That is, :math:`\sum_k f_k\, d\alpha_k` with :math:`f_k` the correlation less the value. Projections
    :math:`\alpha_k = \sum_j \lvert \langle v_k, y_j \rangle \rvert` change as sums over the stimuli, as all
    directions are made orthogonal anew, and as they turn towards each other: direction k towards l by
    :math:`t_{kl} / (\rho_k^2 - \rho_l^2)`,

    .. math:: t_{kl} = \rho_k u_{ik} v_{il} + \rho_l u_{il} v_{ik} - \rho_k \rho_l u_{ik} u_{il}
        - \tfrac{1}{2} (\rho_k^2 + \rho_l^2) v_{ik} v_{il}

    (perturbation of eigenvectors), and :math:`\alpha_k` changes with it by
    :math:`g_{kl} = \sum_j \mathrm{sign} \langle v_k, y_j \rangle \langle v_l, y_j \rangle`. Of that the
    symmetric part counts by :math:`f_k - f_l = \rho_k - \rho_l`, and so remains where correlations are alike.
    The other part counts by :math:`f_k + f_l` and does not: there directions turn by more than a derivative can
    say. So it counts as far as both are of signal (`noise_share`), for directions of noise turn into each other
    and leave their sum as it was, and by `bounded_inverse_gaps`. The region's directions that have no partner,
    and so no weight, have ρ = 0; directions turn towards them by bounded inverse gaps too.
    """
    u, v, correlations, n = pairs.u, pairs.v, pairs.correlations, len(pairs.u)
    signed = responses @ np.sign(v.T @ responses).T
    slopes = signed.T @ v
    weights = np.diagonal(slopes)
    factors = correlations - correlations @ weights / weights.sum()
    signal = 1 - noise_share(correlations, pairs.n_dimensions, n)

    turns = ratio((slopes + slopes.T) / 2, np.add.outer(correlations, correlations))
    apart = (slopes - slopes.T) / 2 * np.add.outer(factors, factors) * np.outer(signal, signal)
    turns += apart * bounded_inverse_gaps(correlations, correlations, n)
    np.fill_diagonal(turns, 0)
    along, squares = u * correlations, correlations**2
    by_turns = ((2 * along - v * squares) * (v @ turns) - along * (along @ turns)) / 2

    spanned = pairs.region @ (pairs.region.T @ signed)
    beyond = (spanned - v @ slopes.T) * bounded_inverse_gaps(correlations, np.zeros(1), n)[:, 0]
    by_turns_beyond = (along - v * squares / 2) * beyond
    by_sums = v * (signed - spanned / 2)
    return (by_sums + by_turns_beyond) @ factors + by_turns.sum(axis=1)


def bounded_inverse_gaps(
    first: Float[Array, " k"], second: Float[Array, " l"], n_stimuli: int
) -> Float[Array, "k l"]:
    r"""Give :math:`d/(d^2 + e^2)` for each gap :math:`d = \rho_k^2 - \rho_l^2`: 1/d where it is well known.

    :math:`e^2 = (2s - 3s^2 + (2s - 1) \rho_k^2 \rho_l^2) / n`, with s the mean of both squares, is the variance
    that the sum of :math:`t_{kl}` over n stimuli has in Gaussian data (see `influence_of_projections`).

    Examples
    --------
    >>> bounded_inverse_gaps(np.array([0.9]), np.array([0.9, 0.5]), 1000).round(3)
    array([[0.   , 1.784]])
    """
    gap = np.subtract.outer(first**2, second**2)
    mean = np.add.outer(first**2, second**2) / 2
    variance = 2 * mean - 3 * mean**2 + (2 * mean - 1) * np.outer(first, second) ** 2
    return ratio(gap, gap**2 + np.maximum(variance, 0) / n_stimuli)


def ratio(numerator: Array, denominator: Array) -> Array:
    """Divide, and give 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=denominator > 0)
