r"""Centred kernel alignment (CKA) of two Gram matrices, and its bootstrap over stimuli by weights."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from brainalign.errors import ResponsesError
from brainalign.metrics.gram_kernel import (
    NEGLIGIBLE,
    GramMatrix,
    Multiplicity,
    Resampler,
    Responses,
    centred_gram,
    gram_of,
)
from brainalign.metrics.metric import Metric
from brainalign.metrics.weighted_sums import WeightedSums

Array = np.ndarray


def cka(gram_x: GramMatrix, gram_y: GramMatrix, debiased: bool = True) -> float:
    r"""Similarity of two representations of the same stimuli.

    .. math:: \mathrm{CKA} = \frac{\mathrm{HSIC}(K, L)}{\sqrt{\mathrm{HSIC}(K, K)\,\mathrm{HSIC}(L, L)}}

    Biased, :math:`\mathrm{HSIC}(K, L) = \mathrm{tr}(K_c L_c)` of the centred matrices, in [0, 1]: near 1 for
    any two representations of more units than stimuli. Debiased, Song et al.'s unbiased estimator,

    .. math:: \mathrm{HSIC}_u = \frac{1}{n(n-3)} \Big[\mathrm{tr}(\tilde K \tilde L)
        + \frac{1^T \tilde K 1\, 1^T \tilde L 1}{(n-1)(n-2)} - \frac{2}{n-2} 1^T \tilde K \tilde L 1\Big]

    of the matrices without their diagonals, in [−1, 1] and 0 by chance.

    Parameters
    ----------
    gram_x, gram_y
        Inner products of the patterns; the features may be centred on any point.
    debiased
        Whether to use the unbiased estimator.

    Returns
    -------
    :
        NaN where a representation has no variance over the stimuli, or where the unbiased estimate of its
        variance is not positive: nothing then stands out of the sampling noise.

    Raises
    ------
    ResponsesError
        Matrices that are not square, of one size and finite, or fewer than four stimuli.

    References
    ----------
    Kornblith et al. (2019), ICML, eq. 3 and 4; Song et al. (2012), JMLR 13, eq. 5; Nguyen et al. (2021), ICLR.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(20, 5))
    >>> round(cka(x @ x.T, 3 * x @ x.T), 12)
    1.0
    """
    once = np.ones((1, len(gram_x)), dtype=np.int64)
    return float(resampled_cka(gram_x, gram_y, once, debiased)[0])


def resampled_cka(
    gram_x: GramMatrix,
    gram_y: GramMatrix,
    multiplicity: Int[Array, "resample stimulus"],
    debiased: bool = True,
) -> Float[Array, " resample"]:
    r"""CKA in every resample of the stimuli, by weights in place of copies.

    Debiased: HSIC is the mean, over all choices of four copies of four *different* stimuli, of

    .. math:: h(i, j, k, l) = K_{ij} L_{ij} + K_{ij} L_{kl} - 2 K_{ij} L_{ik},

    so that no stimulus is ever compared with itself and, as for :math:`\mathrm{HSIC}_u`, which it equals when
    each stimulus is drawn once, the centring of the features does not matter. Biased: the formula on the
    copies as they are, pairs of one stimulus with itself included, as the formula has them anyway.

    Parameters
    ----------
    gram_x, gram_y, debiased
        As for `cka`.
    multiplicity
        How often each resample drew each stimulus.

    Returns
    -------
    :
        NaN as for `cka`, and where fewer than four different stimuli were drawn.
    """
    return cka_resampler(gram_y, multiplicity, debiased)(gram_x)


def cka_resampler(
    gram_y: GramMatrix, multiplicity: Int[Array, "resample stimulus"], debiased: bool = True
) -> Resampler:
    """`resampled_cka` with one matrix after another: what concerns the second side alone is worked out once."""
    _check(gram_y, multiplicity)
    counts = multiplicity.T.astype(np.float64)
    enough = (counts > 0).sum(axis=0) >= 4
    drawn = _Drawn(counts)
    hsic = _sum_over_tuples if debiased else _sum_over_pairs

    def side(gram: GramMatrix) -> tuple[_Weighted, Array, Array]:
        """Give the weighted matrix, its own HSIC where that is positive, and where it is."""
        weighted = _Weighted.of(centred_gram(gram), drawn, debiased)
        own, size = hsic(weighted, weighted, drawn)
        return weighted, own, own > NEGLIGIBLE * size

    y, own_y, positive_y = side(gram_y)

    def resampled(gram_x: GramMatrix) -> Array:
        _check(gram_x, multiplicity)
        x, own_x, positive_x = side(gram_x)
        defined = enough & positive_x & positive_y
        scale = np.sqrt(np.where(defined, own_x, 1.0)) * np.sqrt(np.where(defined, own_y, 1.0))
        return np.where(defined, hsic(x, y, drawn)[0] / scale, np.nan)

    return resampled


def cka_chance(gram_x: GramMatrix, gram_y: GramMatrix, debiased: bool = True) -> float:
    r"""Exact expectation of CKA over all orders of the stimuli of one side.

    Zero when debiased; else
    :math:`\mathrm{tr}(K_c)\,\mathrm{tr}(L_c) / ((n - 1) \lVert K_c\rVert \lVert L_c\rVert)`.
    """
    if debiased:
        return 0.0
    x, y = centred_gram(gram_x), centred_gram(gram_y)
    sizes = np.linalg.norm(x) * np.linalg.norm(y) * (len(x) - 1)
    return float(np.trace(x) * np.trace(y) / sizes) if sizes > 0 else float("nan")


@dataclass(frozen=True)
class CkaKernel:
    """CKA of a layer's Gram matrix with a region's responses, its estimator chosen."""

    debiased: bool
    jackknifed = None

    def value(self, gram: GramMatrix, responses: Responses) -> float:
        """Compare a layer with a region."""
        return cka(gram, gram_of(responses), self.debiased)

    def resampler(self, responses: Responses, multiplicity: Multiplicity) -> Resampler:
        """Prepare to compare layers with a region in every resample: O(n²·resample) each."""
        return cka_resampler(gram_of(responses), multiplicity, self.debiased)

    def chance(self, gram: GramMatrix, responses: Responses) -> float:
        """Give the expectation when the stimuli of one side are permuted."""
        return cka_chance(gram, gram_of(responses), self.debiased)

    def note(self, gram: GramMatrix, responses: Responses) -> str:
        """Say why there is no value."""
        return "" if np.isfinite(self.value(gram, responses)) else "nothing stands out of the sampling noise"


def cka_metric(debiased: bool = True) -> Metric:
    """Centred kernel alignment: a layer's Gram matrix against a region's."""
    kernel = CkaKernel(debiased)
    return Metric(
        name="cka",
        family="gram",
        kernel=kernel,
        needs=frozenset({"gram", "responses"}),
        range=(-1.0, 1.0) if debiased else (0.0, 1.0),
        symmetric=True,
        invariances=frozenset({"rotation", "scaling", "translation"}),
        chance=0.0 if debiased else kernel.chance,
        label="debiased CKA" if debiased else "CKA (biased)",
        citation="Kornblith et al. 2019; unbiased: Song et al. 2012, Nguyen et al. 2021",
        options={"debiased": debiased},
    )


class _Drawn:
    """How often each stimulus was drawn, to three powers, and the sums of rows so weighted."""

    def __init__(self, counts: Array):
        self.counts, self.squares, self.cubes = counts, counts**2, counts**3
        self.row_sums = WeightedSums(counts)
        # Where no stimulus is drawn twice the powers are one.
        alike = np.array_equal(counts, self.squares)
        self._squared = None if alike else WeightedSums(self.squares)

    def square_row_sums(self, gram: Array, sums: Array) -> Array:
        """Sum the columns by the squares of their counts, given the sums by their counts."""
        return sums if self._squared is None else self._squared(gram)


@dataclass(frozen=True)
class _Weighted:
    """A Gram matrix with its sums over the columns, weighted by the counts and by their squares."""

    gram: Array
    sums: Array
    square_sums: Array

    @classmethod
    def of(cls, gram: Array, drawn: _Drawn, debiased: bool) -> "_Weighted":
        if debiased:
            gram = gram - np.diag(np.diagonal(gram))
        sums = drawn.row_sums(gram)
        return cls(gram, sums, drawn.square_row_sums(gram, sums) if debiased else gram[:, :0])


def _sum_over_pairs(x: _Weighted, y: _Weighted, drawn: _Drawn) -> tuple[Array, Array]:
    """Biased HSIC: inner product of the weighted matrices, each centred by its weighted mean; and its size."""
    m = drawn.counts
    total = m.sum(axis=0)
    pairs = drawn.row_sums.forms(x.gram * y.gram)
    rows = _dot(m, x.sums * y.sums)
    return pairs - 2 * rows / total + _dot(m, x.sums) * _dot(m, y.sums) / total**2, pairs


def _sum_over_tuples(x: _Weighted, y: _Weighted, drawn: _Drawn) -> tuple[Array, Array]:
    """Sum h over ordered choices of four different stimuli, each weighted by its count; and its first term.

    Each sum over different indices is the sum over all, less those in which indices coincide; the number of
    choices is left out, as it cancels in CKA.
    """
    m, m2, m3 = drawn.counts, drawn.squares, drawn.cubes
    total, total_squares = m.sum(axis=0), m2.sum(axis=0)
    products = x.gram * y.gram
    once = drawn.row_sums(products)
    pairs, squares = _dot(m, once), _dot(m2, drawn.square_row_sums(products, once))
    squared, cubed = _dot(m2, once), _dot(m3, once)
    # K_ij L_ij, times the ways to choose k and l.
    same = (total**2 - total_squares) * pairs - 4 * total * squared + 4 * cubed + 2 * squares
    # K_ij L_ik with i, j, k different, where i counts once, where i counts twice, and where j or k does.
    sums = x.sums * y.sums
    triples, triples_i = _dot(m, sums) - squared, _dot(m2, sums) - squares
    triples_jk = _dot(m, x.square_sums * y.sums + x.sums * y.square_sums) - 2 * cubed
    chained = total * triples - triples_i - triples_jk
    # K_ij L_kl, less the choices that share one index (four ways) or both (two ways).
    apart = _dot(m, x.sums) * _dot(m, y.sums) - 4 * triples_i - 2 * squares
    return same + apart - 2 * chained, same


def _dot(a: Array, b: Array) -> Array:
    return np.einsum("sr,sr->r", a, b)


def _check(gram: Array, multiplicity: Array) -> None:
    n = multiplicity.shape[1]
    if gram.shape != (n, n) or n < 4:
        raise ResponsesError(
            f"CKA was asked for from a Gram matrix of shape {gram.shape} and counts of {n} stimuli; give two "
            "square matrices over the same four stimuli or more."
        )
    if not np.isfinite(gram).all():
        raise ResponsesError("A Gram matrix holds NaN or infinite values; leave out these stimuli or units.")
    if (multiplicity < 0).any():
        raise ResponsesError("Counts of how often a stimulus was drawn are negative; give 0, 1, 2, …")
