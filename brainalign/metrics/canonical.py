r"""Canonical correlations of two representations in their leading directions: SVCCA and PWCCA."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from brainalign.errors import UnknownNameError
from brainalign.metrics.canonical_pairs import (
    CanonicalPairs,
    Correlations,
    canonical_pairs,
    influence_of_correlations,
    influence_of_projections,
)
from brainalign.metrics.gram_kernel import (
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
from brainalign.metrics.leading_axes import PrincipalAxes
from brainalign.metrics.metric import Metric
from brainalign.metrics.procrustes import too_many_dimensions

Array = np.ndarray

NOTED_CHANCE = 0.5
"""Canonical correlation of unrelated data (root mean square) from which the value's note gives it."""


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
        directions × directions, and how the axes of all stimuli turn: stimuli × axes kept × axes left out.
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
                influence = self._influence(pairs, layer, region, responses)
                values[rows] = to_first_order(self._value(pairs, responses), influence, multiplicity[rows])
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

    def _sides(self, gram: GramMatrix, responses: Responses) -> tuple[PrincipalAxes, PrincipalAxes]:
        return self._layer(gram, responses), self._region(responses)

    def _layer(self, gram: GramMatrix, responses: Responses) -> PrincipalAxes:
        _check_variance(self.name, self.variance)
        check_sides(self.name.upper(), gram, responses)
        return PrincipalAxes.of(layer_axes(gram))

    def _region(self, responses: Responses) -> PrincipalAxes:
        return PrincipalAxes.of(region_axes(np.asarray(responses, dtype=np.float64)))

    def _value(self, pairs: CanonicalPairs, responses: Responses) -> float:
        weights = self._weights(pairs, responses)
        return float(pairs.correlations @ weights / weights.sum()) if len(weights) else float("nan")

    def _weights(self, pairs: CanonicalPairs, responses: Responses) -> Correlations:
        if not self.projected:
            return np.ones_like(pairs.correlations)
        return np.abs(pairs.v.T @ (responses - responses.mean(axis=0))).sum(axis=1)

    def _influence(
        self, pairs: CanonicalPairs, layer: PrincipalAxes, region: PrincipalAxes, responses: Responses
    ) -> Float[Array, " n"]:
        """Give the derivative of the value by each stimulus's weight, in the size in which it varies."""
        if not len(pairs.correlations):
            return np.full(len(pairs.u), np.nan)
        weights, (p, q) = self._weights(pairs, responses), pairs.counts
        influence = influence_of_correlations(pairs, weights)
        influence += layer.influence_of_turns(p, pairs.u, pairs.v, pairs.correlations, weights)
        influence += region.influence_of_turns(q, pairs.v, pairs.u, pairs.correlations, weights)
        if self.projected:
            influence += influence_of_projections(pairs, responses - responses.mean(axis=0))
        return influence / weights.sum()


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


def _check_variance(name: str, variance: float) -> None:
    if not 0 < variance <= 1:
        raise UnknownNameError(
            f"Option {name}:variance is {variance!r}; expected a share above 0 and at most 1, such as 0.99."
        )
