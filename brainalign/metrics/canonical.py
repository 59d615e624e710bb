r"""Canonical correlations of two representations in their leading directions: SVCCA and PWCCA."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from brainalign.errors import UnknownNameError
from brainalign.metrics.gram_kernel import (
    Axes,
    GramMatrix,
    Multiplicity,
    Resampler,
    Responses,
    check_sides,
    layer_axes,
    mean_over_permutations,
    region_axes,
    to_first_order,
)
from brainalign.metrics.metric import Metric
from brainalign.metrics.procrustes import too_many_dimensions

Array = np.ndarray

NOTED_CHANCE = 0.5
"""Canonical correlation of unrelated data (root mean square) from which the value's note gives it."""

Correlations = Float[Array, " correlation"]


def svcca_similarity(gram: GramMatrix, responses: Responses, variance: float = 0.99) -> float:
    r"""Mean canonical correlation of the leading principal directions of two representations.

    .. math:: \frac{1}{m} \sum_{k=1}^{m} \rho_k, \qquad \rho_k = \sigma_k(U_p^T V_q), \quad m = \min(p, q),

    with :math:`U_p, V_q` the fewest principal axes, over the stimuli, that hold the share `variance` of each
    side.

    Parameters
    ----------
    gram
        Inner products of the features, which may be centred on any point.
    responses
        Shape (stimulus, unit), of the same stimuli, in any one unit.
    variance
        Share of the variance of either side to keep, above 0 and at most 1 (plain CCA).

    Returns
    -------
    :
        In [0, 1]. NaN where a side has no variance over the stimuli, and where p + q is the number of stimuli
        or more: some correlations are then 1 for any data. Of unrelated data the mean of ρ² is
        max(p, q) / (n − 1).

    Raises
    ------
    ResponsesError
        Shapes that do not fit, values that are not finite, or fewer than four stimuli.
    UnknownNameError
        `variance` outside (0, 1].

    References
    ----------
    Raghu, Gilmer, Yosinski & Sohl-Dickstein (2017), NeurIPS 30.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(50, 5))
    >>> round(svcca_similarity(x @ x.T, x @ np.diag([1, 2, 3, 2, 1]), variance=1.0), 12)
    1.0
    """
    return CanonicalKernel("svcca", variance).value(gram, responses)


def pwcca_similarity(gram: GramMatrix, responses: Responses, variance: float = 0.99) -> float:
    r"""Mean canonical correlation weighted by how much of the units' responses each direction holds.

    .. math:: \frac{\sum_k \alpha_k \rho_k}{\sum_k \alpha_k}, \qquad
        \alpha_k = \sum_j \lvert \langle h_k, y_j \rangle \rvert,

    with :math:`h_k` the region's canonical directions over the stimuli and :math:`y_j` its units' centred
    responses. Morcos et al. weight by either side; here it is always the region, whose units are at hand: a
    layer's Gram matrix then suffices, and all layers are weighed by the same responses.

    Parameters
    ----------
    gram, responses, variance
        As for `svcca_similarity`; NaN and errors too.

    References
    ----------
    Morcos, Raghu & Bengio (2018), NeurIPS 31, eq. 2 and 3.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(50, 5))
    >>> round(pwcca_similarity(x @ x.T, x @ np.diag([1, 2, 3, 2, 1]), variance=1.0), 12)
    1.0
    """
    return CanonicalKernel("pwcca", variance, projected=True).value(gram, responses)


@dataclass(frozen=True)
class CanonicalKernel:
    """A mean of the canonical correlations in the directions that hold a share of the variance.

    Parameters
    ----------
    name
        The metric's, for messages.
    variance
        Share of the variance of either side to keep.
    projected
        Whether each correlation is weighted by the region's responses projected on its direction.
    """

    name: str
    variance: float
    projected: bool = False
    jackknifed = False

    def value(self, gram: GramMatrix, responses: Responses) -> float:
        """Compare a layer with a region."""
        layer, region = self._sides(gram, responses)
        counts = layer.leading(self.variance), region.leading(self.variance)
        return self._value(canonical_pairs(layer.axes, region.axes, counts), responses)

    def resampler(self, responses: Responses, multiplicity: Multiplicity) -> Resampler:
        """Prepare to compare layers in every resample, to first order, the numbers of directions chosen anew.

        O(n³) once, and for each pair of numbers that comes up (a few dozen) one decomposition of
        directions × directions. The axes are those of all stimuli.
        """
        region = self._region(responses)
        of_region = region.leading_in_resamples(self.variance, multiplicity)

        def resampled(gram: GramMatrix) -> Float[Array, " resample"]:
            layer = self._layer(gram, responses)
            counts = np.column_stack([layer.leading_in_resamples(self.variance, multiplicity), of_region])
            values = np.empty(len(multiplicity))
            for p, q in np.unique(counts, axis=0).tolist():
                rows = (counts == (p, q)).all(axis=1)
                pairs = canonical_pairs(layer.axes, region.axes, (p, q))
                value, influence = self._value(pairs, responses), self._influence(pairs, responses)
                values[rows] = to_first_order(value, influence, multiplicity[rows])
            return values

        return resampled

    def chance(self, gram: GramMatrix, responses: Responses) -> float:
        """Give the mean over 1000 permutations of the stimuli of one side, always the same ones."""
        layer, region = self._sides(gram, responses)
        counts = layer.leading(self.variance), region.leading(self.variance)

        def permuted(order: Int[Array, " n"]) -> float:
            return self._value(canonical_pairs(layer.axes, region.axes[order], counts), responses[order])

        return mean_over_permutations(permuted, len(gram))

    def note(self, gram: GramMatrix, responses: Responses) -> str:
        """Say why there is no value, or how far unrelated data would come."""
        layer, region = self._sides(gram, responses)
        p, q, n = layer.leading(self.variance), region.leading(self.variance), len(gram)
        if min(p, q) == 0:
            return "a side has no variance over the stimuli"
        if p + q >= n:
            return too_many_dimensions(p, q, n) + "; keep a lower share of the variance"
        chance = np.sqrt(max(p, q) / (n - 1))
        if chance < NOTED_CHANCE:
            return ""
        return f"{p} and {q} dimensions of {n} stimuli: unrelated data would correlate at {chance:.2f}"

    def _sides(self, gram: GramMatrix, responses: Responses) -> tuple["_Side", "_Side"]:
        return self._layer(gram, responses), self._region(responses)

    def _layer(self, gram: GramMatrix, responses: Responses) -> "_Side":
        _check_variance(self.name, self.variance)
        check_sides(self.name.upper(), gram, responses)
        return _Side.of(layer_axes(gram))

    def _region(self, responses: Responses) -> "_Side":
        return _Side.of(region_axes(np.asarray(responses, dtype=np.float64)))

    def _value(self, pairs: "CanonicalPairs", responses: Responses) -> float:
        weights = self._weights(pairs, responses)
        return float(pairs.correlations @ weights / weights.sum()) if len(weights) else float("nan")

    def _weights(self, pairs: "CanonicalPairs", responses: Responses) -> Correlations:
        if not self.projected:
            return np.ones_like(pairs.correlations)
        return np.abs(pairs.v.T @ (responses - responses.mean(axis=0))).sum(axis=1)

    def _influence(self, pairs: "CanonicalPairs", responses: Responses) -> Float[Array, " n"]:
        r"""Give the derivative of the value by each stimulus's weight, in the size in which it varies.

        That of ρ is :math:`u_i v_i - \rho (u_i^2 + v_i^2) / 2` in the pair of canonical directions. Its
        variance is brought to that of `sampling_spread`. How far the region's directions reach each stimulus
        (leverage, :math:`\sum_k v_{ik}^2` over all of them) sums to their number in any sample, and where
        directions of noise lie does not hang on it. So noise has no part along the leverage: there ρ varies by
        its share of signal alone, and across it by as much more as the whole asks for. In Gaussian data
        :math:`\rho^2 / 2` of the derivative's variance is along it. Else two layers held against one region
        would seem to vary together, and so would halves of the stimuli that share some.
        """
        u, v, correlations = pairs.u, pairs.v, pairs.correlations
        if not len(correlations):
            return np.full(len(u), np.nan)
        weights, n = self._weights(pairs, responses), len(u)
        along = 1 - noise_share(correlations, pairs.n_dimensions, n)
        whole = sampling_spread(correlations, pairs.n_dimensions, n) ** 2
        across = (whole - along * correlations**2 / 2) / (1 - correlations**2 / 2)
        by_stimulus = u * v - correlations * (u**2 + v**2) / 2
        leverage = np.sum(pairs.region**2, axis=1)
        leverage = leverage - leverage.mean()
        leverage /= max(float(np.linalg.norm(leverage)), np.finfo(np.float64).tiny)
        influence = by_stimulus @ (weights * np.sqrt(across))
        other = by_stimulus @ (weights * (np.sqrt(along) - np.sqrt(across)))
        influence += leverage * (leverage @ other)
        if self.projected:
            influence += influence_of_projections(pairs, responses - responses.mean(axis=0))
        return influence / weights.sum()


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
    n_dimensions
        The greater of the two sides' numbers of dimensions.
    """

    u: Axes
    v: Axes
    correlations: Float[Array, " axis"]
    region: Float[Array, "n other"]
    n_dimensions: int


def canonical_pairs(
    layer: Float[Array, "n axis"], region: Float[Array, "n other"], counts: tuple[int, int]
) -> CanonicalPairs:
    """Pair the leading axes of a layer with those of a region, so many of each."""
    p, q = counts if sum(counts) < len(layer) else (0, 0)
    layer, region = layer[:, :p], region[:, :q]
    left, correlations, right = np.linalg.svd(layer.T @ region, full_matrices=False)
    return CanonicalPairs(layer @ left, region @ right.T, correlations, region, max(p, q))


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

    turns = _ratio((slopes + slopes.T) / 2, np.add.outer(correlations, correlations))
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
    return _ratio(gap, gap**2 + np.maximum(variance, 0) / n_stimuli)


def _ratio(numerator: Array, denominator: Array) -> Array:
    """Divide, and give 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=denominator > 0)


def svcca(variance: float = 0.99) -> Metric:
    """SVCCA: mean canonical correlation of the directions that hold a share of the variance of either side."""
    return _metric(CanonicalKernel("svcca", variance), "mean canonical correlation", "Raghu et al. 2017")


def pwcca(variance: float = 0.99) -> Metric:
    """PWCCA: canonical correlations weighted by the share of the region's responses that each holds."""
    label = "canonical correlation, projection-weighted by the region"
    return _metric(CanonicalKernel("pwcca", variance, projected=True), label, "Morcos et al. 2018")


def _metric(kernel: CanonicalKernel, label: str, citation: str) -> Metric:
    name, variance = kernel.name, kernel.variance
    _check_variance(name, variance)
    return Metric(
        name=name,
        family="gram",
        kernel=kernel,
        needs=frozenset({"gram", "responses"}),
        range=(0.0, 1.0),
        symmetric=not kernel.projected,
        invariances=frozenset({"rotation", "scaling", "translation"}),
        chance=kernel.chance,
        label=f"{name.upper()}: {label}, {100 * variance:g} % of variance",
        citation=citation,
        options={"variance": variance},
    )


@dataclass(frozen=True, eq=False)
class _Side:
    """Principal axes of a representation over the stimuli, and the squared length along each."""

    axes: Axes
    squares: Float[Array, " axis"]

    @classmethod
    def of(cls, axes_and_lengths: tuple[Axes, Float[Array, " axis"]]) -> "_Side":
        axes, lengths = axes_and_lengths
        return cls(axes, lengths**2)

    def leading(self, variance: float) -> int:
        """Count the fewest axes that hold a share of the variance."""
        return int(_leading(self.squares[None], variance)[0])

    def leading_in_resamples(self, variance: float, multiplicity: Multiplicity) -> Int[Array, " resample"]:
        """Count them in each resample, where each axis's square is to first order Σ m_i (s u_i)²."""
        return _leading(multiplicity @ (self.axes**2 * self.squares), variance)


def _leading(squares: Float[Array, "row axis"], variance: float) -> Int[Array, " row"]:
    if squares.shape[1] == 0:
        return np.zeros(len(squares), dtype=np.int64)
    # A whole that is summed up in steps misses 1 by rounding.
    reached = np.cumsum(squares, axis=1) >= (variance - 1e-12) * squares.sum(axis=1, keepdims=True)
    return reached.argmax(axis=1) + 1


def _check_variance(name: str, variance: float) -> None:
    if not 0 < variance <= 1:
        raise UnknownNameError(
            f"Option {name}:variance is {variance!r}; expected a share above 0 and at most 1, such as 0.99."
        )
