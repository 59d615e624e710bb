r"""Procrustes shape similarity of two representations, rotated onto each other, and its distances."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from brainalign.errors import UnknownNameError
from brainalign.metrics.gram_kernel import (
    NEGLIGIBLE,
    Axes,
    GramMatrix,
    Multiplicity,
    Resampler,
    Responses,
    centred_gram,
    check_sides,
    layer_axes,
    mean_over_permutations,
    region_axes,
    to_first_order,
)
from brainalign.metrics.jackknife import PairJackknife
from brainalign.metrics.metric import Invariance, Metric
from brainalign.metrics.nuclear_norm import nuclear_norm_changes
from brainalign.names import unknown_name

Array = np.ndarray


def procrustes_similarity(gram: GramMatrix, responses: Responses, alpha: float = 1.0) -> float:
    r"""Cosine of the angle between two representations, rotated onto each other as well as can be.

    .. math:: \cos\theta = \max_{Q^T Q = 1} \frac{\langle X_\alpha Q, Y_\alpha\rangle}
        {\lVert X_\alpha\rVert \lVert Y_\alpha\rVert}
        = \frac{\lVert X_\alpha^T Y_\alpha\rVert_*}{\lVert X_\alpha\rVert \lVert Y_\alpha\rVert},
        \qquad X_\alpha = X\big[\alpha I + (1 - \alpha)(X^T X)^{-1/2}\big],

    with features X and responses Y centred on their means, the sum of singular values
    :math:`\lVert\cdot\rVert_*` and Frobenius norms. From the Gram matrix :math:`K = XX^T` the sum is that of
    the square roots of the eigenvalues of :math:`Y^T K Y`, a matrix of units × units.

    Equal to cos of the angular distance of netrep's ``LinearMetric(alpha)``. With α = 1 nothing is whitened;
    with α = 0 all is, and the value is the sum of the canonical correlations over the root of the product of
    the two numbers of dimensions. In between, as in netrep, X and Y are whitened in the units given, so that
    the value depends on the scale of either side.

    Parameters
    ----------
    gram
        Inner products of the features, which may be centred on any point.
    responses
        Shape (stimulus, unit), of the same stimuli.
    alpha
        From 0, any invertible linear map between the two is allowed, to 1, rotations only.

    Returns
    -------
    :
        In [0, 1]. NaN where a side has no variance over the stimuli, and, with α = 0, where both sides together
        have as many dimensions as there are stimuli: some correlations are then 1 for any data.

    Raises
    ------
    ResponsesError
        Shapes that do not fit, values that are not finite, or fewer than four stimuli.
    UnknownNameError
        `alpha` outside [0, 1].

    References
    ----------
    Williams, Kunz, Kornblith & Linderman (2021), NeurIPS 34, eq. 3, 5 and 11.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(20, 5))
    >>> rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(5, 5)))[0]
    >>> round(procrustes_similarity(x @ x.T, 3 * x @ rotation + 1), 12)
    1.0
    """
    _check_alpha(alpha)
    check_sides("Procrustes similarity", gram, responses)
    layer, region = _Side.of_layer(gram, alpha), _Side.of_region(responses, alpha)
    return _aligned(layer, region)[0] if _has_value(layer, region, alpha) else float("nan")


def procrustes_distance(
    gram_x: GramMatrix, gram_y: GramMatrix, alpha: float = 1.0, kind: str = "angular"
) -> float:
    r"""Distance of two representations after the best rotation: it obeys the triangle inequality.

    Angular, the Riemannian shape distance :math:`\theta = \arccos` of `procrustes_similarity`, in [0, π/2],
    blind to scale. Euclidean, sizes and shapes,

    .. math:: \min_{Q^T Q = 1} \lVert X_\alpha Q - Y_\alpha\rVert
        = \sqrt{\lVert X\rVert^2 + \lVert Y\rVert^2 - 2 \lVert X\rVert \lVert Y\rVert \cos\theta},

    where whitening keeps each side's total variance, as in netrep's ``score_method="euclidean"``.

    Parameters
    ----------
    gram_x, gram_y
        Inner products of the patterns; the features may be centred on any point.
    alpha
        As for `procrustes_similarity`, which says too when there is no value.
    kind
        ``angular`` or ``euclidean``.

    Raises
    ------
    ResponsesError, UnknownNameError
        As for `procrustes_similarity`, or an unknown kind.

    Examples
    --------
    >>> x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    >>> round(procrustes_distance(x @ x.T, 9 * x @ x.T, kind="euclidean"), 6)
    2.828427
    """
    if kind not in ("angular", "euclidean"):
        raise unknown_name("kind of Procrustes distance", kind, ("angular", "euclidean"))
    check_sides("Procrustes distance", gram_x, gram_y)
    axes, lengths = layer_axes(gram_y)
    cosine = procrustes_similarity(gram_x, axes * lengths, alpha) if len(lengths) else float("nan")
    if kind == "angular":
        return float(np.arccos(np.clip(cosine, -1.0, 1.0)))
    square_x, square_y = (float(np.trace(centred_gram(gram))) for gram in (gram_x, gram_y))
    squared = square_x + square_y - 2 * np.sqrt(square_x * square_y) * cosine
    return float(np.sqrt(max(squared, 0.0)))


@dataclass(frozen=True)
class ProcrustesKernel:
    """Procrustes similarity with its share of whitening chosen."""

    alpha: float

    @property
    def jackknifed(self) -> bool:
        """Say that without whitening, resamples are those of `PairJackknife`; else they are of first order."""
        return self.alpha == 1

    def value(self, gram: GramMatrix, responses: Responses) -> float:
        """Compare a layer with a region."""
        return procrustes_similarity(gram, responses, self.alpha)

    def resampler(self, responses: Responses, multiplicity: Multiplicity) -> Resampler:
        """Prepare to compare layers in every resample: O(n²·units), O(n³) with whitening."""
        region = _Side.of_region(responses, self.alpha)
        jackknife = PairJackknife(multiplicity) if self.jackknifed else None

        def resampled(gram: GramMatrix) -> Float[Array, " resample"]:
            check_sides("Procrustes similarity", gram, responses)
            layer = _Side.of_layer(gram, self.alpha)
            if not _has_value(layer, region, self.alpha):
                return np.full(len(multiplicity), np.nan)
            if jackknife is not None:
                return _jackknifed(layer, region, jackknife)
            return to_first_order(*_value_and_influence(layer, region, self.alpha), multiplicity)

        return resampled

    def chance(self, gram: GramMatrix, responses: Responses) -> float:
        """Give the mean over 1000 permutations of the stimuli of one side, always the same ones."""
        check_sides("Procrustes similarity", gram, responses)
        layer, region = _Side.of_layer(gram, self.alpha), _Side.of_region(responses, self.alpha)
        if not _has_value(layer, region, self.alpha):
            return float("nan")
        return mean_over_permutations(lambda order: _aligned(layer, region.permuted(order))[0], len(gram))

    def note(self, gram: GramMatrix, responses: Responses) -> str:
        """Say why there is no value."""
        layer, region = _Side.of_layer(gram, self.alpha), _Side.of_region(responses, self.alpha)
        if self.alpha == 0 and layer.n_axes + region.n_axes >= len(gram):
            return too_many_dimensions(layer.n_axes, region.n_axes, len(gram))
        return "" if layer.square > 0 and region.square > 0 else "a side has no variance over the stimuli"


def procrustes(alpha: float = 1.0) -> Metric:
    """Procrustes shape similarity: cosine of the angle to a region after the best rotation."""
    _check_alpha(alpha)
    kernel = ProcrustesKernel(alpha)
    invariances: set[Invariance] = {"rotation", "translation"}
    if alpha in (0, 1):
        invariances.add("scaling")
    whitened = "" if alpha == 1 else f", whitened at α = {alpha:g}"
    return Metric(
        name="procrustes",
        family="gram",
        kernel=kernel,
        needs=frozenset({"gram", "responses"}),
        range=(0.0, 1.0),
        symmetric=True,
        invariances=frozenset(invariances),
        chance=kernel.chance,
        label=f"Procrustes similarity, cos θ{whitened}",
        citation="Williams et al. 2021",
        options={"alpha": alpha},
    )


def too_many_dimensions(n_layer: int, n_region: int, n_stimuli: int) -> str:
    """Say that canonical correlations mean nothing, and why."""
    return (
        f"{n_layer} and {n_region} dimensions of {n_stimuli} stimuli: canonical correlations are 1 for any data"
    )


@dataclass(frozen=True, eq=False)
class _Side:
    """A representation, whitened as far as it is to be.

    Its principal axes U and lengths s, its whitened lengths f = αs + 1 − α, its whitened patterns (U f, or any
    rotation of them, or for a layer their Gram matrix), their total square, and that total's derivative by the
    weight of each stimulus. Without whitening a layer needs no axes.
    """

    patterns: Array
    square: float
    square_change: Float[Array, " n"]
    axes: Axes
    lengths: Float[Array, " axis"]
    whitened: Float[Array, " axis"]

    @classmethod
    def of_layer(cls, gram: GramMatrix, alpha: float) -> "_Side":
        if alpha == 1:
            centred = centred_gram(gram)
            own, none = np.diagonal(centred), np.empty(0)
            return cls(centred, float(own.sum()), own, np.empty((len(gram), 0)), none, none)
        side = cls._of_axes(*layer_axes(gram), alpha)
        return side._replaced(side.patterns @ side.patterns.T)

    @classmethod
    def of_region(cls, responses: Responses, alpha: float) -> "_Side":
        return cls._of_axes(*region_axes(np.asarray(responses, dtype=np.float64)), alpha)

    @classmethod
    def _of_axes(cls, axes: Axes, lengths: Float[Array, " axis"], alpha: float) -> "_Side":
        whitened = alpha * lengths + 1 - alpha
        change = axes**2 @ (alpha * lengths * whitened)
        return cls(axes * whitened, float(whitened @ whitened), change, axes, lengths, whitened)

    @property
    def n_axes(self) -> int:
        return len(self.lengths)

    def _replaced(self, patterns: Array) -> "_Side":
        return _Side(patterns, self.square, self.square_change, self.axes, self.lengths, self.whitened)

    def permuted(self, order: Int[Array, " n"]) -> "_Side":
        return self._replaced(self.patterns[order])


def _has_value(layer: _Side, region: _Side, alpha: float) -> bool:
    crowded = alpha == 0 and layer.n_axes + region.n_axes >= len(layer.patterns)
    return layer.square > 0 and region.square > 0 and not crowded


def _aligned(layer: _Side, region: _Side) -> tuple[float, Float[Array, "n axis"]]:
    """Cosine, and the layer's patterns rotated onto the region's axes: X P Qᵀ with XᵀY = P Σ Qᵀ."""
    product = layer.patterns @ region.patterns
    squares, axes = np.linalg.eigh(region.patterns.T @ product)
    held = squares > max(NEGLIGIBLE * squares[-1], 0.0)
    singular, axes = np.sqrt(squares[held]), axes[:, held]
    cosine = float(singular.sum() / np.sqrt(layer.square * region.square))
    return cosine, product @ (axes / singular) @ axes.T


def _jackknifed(layer: _Side, region: _Side, jackknife: PairJackknife) -> Float[Array, " resample"]:
    """Cosine in every resample, from what it is without each stimulus, and without pairs; not whitened."""
    n = len(layer.patterns)
    product = layer.patterns @ region.patterns
    squares, axes = np.linalg.eigh(region.patterns.T @ product)
    y, towards_x = region.patterns @ axes, product @ axes
    norm = np.sqrt(squares[squares > max(NEGLIGIBLE * squares[-1], 0.0)]).sum()

    def without(sets: Int[Array, "set left"]) -> Float[Array, " set"]:
        # Stimuli that are left out take part in the mean: with the rest centred anew, sums lose this much more.
        n_left = sets.shape[1]
        recentred = np.eye(n_left) + (np.sqrt(n / (n - n_left)) - 1) / n_left
        of_y, of_x = recentred @ y[sets], recentred @ towards_x[sets]
        x_gram = recentred @ layer.patterns[sets[:, :, None], sets[:, None, :]] @ recentred
        change = nuclear_norm_changes(squares, of_y, of_x, x_gram)
        square_x = layer.square - np.trace(x_gram, axis1=1, axis2=2)
        square_y = region.square - np.sum(of_y**2, axis=(1, 2))
        size = np.sqrt(np.maximum(square_x, 0.0) * np.maximum(square_y, 0.0))
        rounding = NEGLIGIBLE * np.sqrt(layer.square * region.square)
        return np.divide(norm + change, size, out=np.zeros_like(size), where=size > rounding)

    value = float(norm / np.sqrt(layer.square * region.square))
    values = [np.array([value]), without(np.arange(n)[:, None]), without(jackknife.pairs)]
    return jackknife.replicates(np.concatenate(values))


def _value_and_influence(layer: _Side, region: _Side, alpha: float) -> tuple[float, Float[Array, " n"]]:
    r"""Cosine of whitened sides, and its derivative by the weight of each stimulus in all sums over stimuli.

    Of the sum of singular values it is ⟨x_i P Qᵀ, y_i⟩, and what the whitening of either side changes.
    """
    cosine, aligned = _aligned(layer, region)
    change = np.einsum("ia,ia->i", aligned, region.patterns)
    onto_layer = region.patterns @ (aligned.T @ (layer.axes / layer.whitened))
    change -= (1 - alpha) * (_whitening_change(layer, onto_layer) + _whitening_change(region, aligned))
    size = np.sqrt(layer.square * region.square)
    sizes = layer.square_change / layer.square + region.square_change / region.square
    return cosine, change / size - cosine / 2 * sizes


def _whitening_change(side: _Side, other: Float[Array, "n axis"]) -> Float[Array, " n"]:
    r"""Change of ⟨X, other⟩ by the weight of each stimulus, through :math:`(X^T X)^{-1/2}` and for α = 0.

    In X's own axes that root changes by −u_a u_b / (s_a + s_b), the divided difference of λ^(−1/2) times the
    change s_a u_a s_b u_b of XᵀX, and meets s_a (Uᵀ other)_ab.
    """
    coupling = side.lengths[:, None] * (side.axes.T @ other) / (side.lengths[:, None] + side.lengths)
    return np.einsum("ia,ia->i", side.axes @ coupling, side.axes)


def _check_alpha(alpha: float) -> None:
    if not 0 <= alpha <= 1:
        raise UnknownNameError(
            f"Option procrustes:alpha is {alpha!r}; expected a number from 0 (whitened) to 1 (not whitened)."
        )
