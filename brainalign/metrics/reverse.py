"""Ridge regression from a region's units to a layer's features, which enter only by their Gram matrix."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from brainalign.metrics.metric import Metric
from brainalign.metrics.ridge import relative_alphas, spectrum

Array = np.ndarray


def pooled_leave_one_out_errors(
    eigenvalues: Float[Array, " axis"],
    axes: Float[Array, "train axis"],
    features_gram: Float[Array, "train train"],
    alphas: Float[Array, " alpha"],
) -> Float[Array, " alpha"]:
    """Mean squared error of predicting each stimulus's features from the other stimuli, summed over features.

    With G = QΛQᵀ the region's and K = XXᵀ the layer's centred Gram matrix of n training stimuli, ridge of
    penalty α from the region's units has the hat matrix H = 11ᵀ/n + QΛ(Λ + α)⁻¹Qᵀ and the residuals
    (I − H) X. The exact leave-one-out error, summed over all features, needs their products alone:

        error(α) = 1/n Σᵢ ((I − H) K (I − H))ᵢᵢ / (1 − Hᵢᵢ)²

    As 1 is orthogonal to X, I − H may be written P + QTQᵀ there, with P = I − QQᵀ and T = α(Λ + α)⁻¹, and
    the numerator is the diagonal of PKP + 2 PKQTQᵀ + QT(QᵀKQ)TQᵀ, which costs O(n·axis²) a penalty.

    Parameters
    ----------
    eigenvalues, axes
        The region's centred Gram matrix's, by `spectrum`.
    features_gram
        Inner products of the layer's features of the training stimuli, centred on their mean.
    alphas
        Penalties, in the units of the region's Gram matrix.
    """
    n = len(axes)
    inside = features_gram @ axes
    within = axes.T @ inside
    across = inside - axes @ within
    outside = np.diagonal(features_gram) - ((inside + across) * axes).sum(axis=1)
    kept = alphas / (eigenvalues[:, None] + alphas)
    residual = outside[:, None] + 2 * (across * axes) @ kept
    for column, of_axes in enumerate(kept.T):
        shrunk = axes * of_axes
        residual[:, column] += np.einsum("na,na->n", shrunk @ within, shrunk)
    leverage = 1 / n + axes**2 @ (1 - kept)
    return np.mean(np.maximum(residual, 0) / (1 - leverage) ** 2, axis=0)


def pooled_correlation(
    predicted: Float[Array, "test test"],
    both: Float[Array, "test test"],
    observed: Float[Array, "test test"],
    weights: Float[Array, "value test"],
) -> Float[Array, " value"]:
    """Correlation of predicted with observed features, pooled over units, under weights of the stimuli.

    With wᵢ the weights, adding up to 1, and x̂ᵢ and xᵢ the predicted and observed rows, the covariance
    summed over units is Σᵢ wᵢ x̂ᵢ·xᵢ − Σᵢⱼ wᵢwⱼ x̂ᵢ·xⱼ, and likewise the two variances:

        r = Σ_u cov(x̂_u, x_u) / √(Σ_u var(x̂_u) · Σ_u var(x_u))

    Each unit counts by its variance, and no rotation of the units changes anything.

    Parameters
    ----------
    predicted, both, observed
        Inner products X̂X̂ᵀ, X̂Xᵀ and XXᵀ of the rows, whatever they are centred on.
    weights
        Rows of weights, at least 0.

    Returns
    -------
    numpy.ndarray
        In [−1, 1]; 0 where the predictions are constant, NaN where the features are, or where fewer than
        three stimuli have a positive weight.

    Examples
    --------
    >>> x = np.array([[0.0, 1.0], [2.0, 5.0], [4.0, 0.0]])
    >>> pooled_correlation(x @ x.T, x @ x.T, x @ x.T, np.ones((1, 3))).round(6).tolist()
    [1.0]
    """
    total = weights.sum(axis=1, keepdims=True)
    share = weights / np.where(total > 0, total, 1.0)
    variance_predicted, covariance, variance = (
        share @ np.diagonal(products) - np.einsum("vi,ij,vj->v", share, products, share, optimize=True)
        for products in (predicted, both, observed)
    )
    constant, undefined = (
        spread <= 1e-13 * np.max(np.abs(np.diagonal(products)))
        for spread, products in ((variance_predicted, predicted), (variance, observed))
    )
    undefined |= (weights > 0).sum(axis=1) < 3
    product = np.where(constant | undefined, 1.0, variance_predicted * variance)
    correlation = np.clip(covariance / np.sqrt(product), -1.0, 1.0)
    return np.where(undefined, np.nan, np.where(constant, 0.0, correlation))


def reverse_ridge(n_alphas: int = 41) -> Metric:
    """Brain to network: how well ridge regression from a region's units predicts a layer's features.

    The kernel takes the region's Gram matrices, train × train and test × train, and gives a function from
    the layer's, train × train, to the weights A of the training stimuli in the predictions A X of its
    features: A = G_test (G + αI)⁻¹, one penalty α for all features, by leave-one-out. Equal to scikit-learn's
    ``RidgeCV(alphas)`` from units to features.

    Brain-Score's reverse mapping (PLS from units to features) takes r feature by feature and the median over
    them: it depends on the axes of the features, needs the features themselves, and counts a feature that
    hardly varies as much as any other. Here the correlation is pooled over features by their variance.
    """

    def kernel(train_gram: Array, cross_gram: Array) -> Callable[[Array], Array]:
        eigenvalues, axes = spectrum(train_gram)
        alphas = relative_alphas(train_gram, n_alphas)
        projected = cross_gram @ axes

        def weights(features_gram: Array) -> Array:
            errors = pooled_leave_one_out_errors(eigenvalues, axes, features_gram, alphas)
            return projected / (eigenvalues + alphas[np.argmin(errors)]) @ axes.T

        return weights

    return Metric(
        name="reverse_ridge",
        family="reverse",
        kernel=kernel,
        needs=frozenset({"gram", "responses"}),
        range=(-1.0, 1.0),
        symmetric=False,
        invariances=frozenset({"rotation", "scaling", "translation"}),
        chance=0.0,
        label="r of the layer's features, ridge from the region, pooled over features",
        citation="Hoerl & Kennard 1970; leave-one-out: Golub, Heath & Wahba 1979",
        options={"n_alphas": n_alphas},
    )
