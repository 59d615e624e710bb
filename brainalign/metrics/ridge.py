"""Ridge regression in its dual form, from the Gram matrix of the training stimuli."""

import numpy as np
from jaxtyping import Float

from brainalign.metrics.metric import Metric

Array = np.ndarray


def ridge_leave_one_out(
    train_gram: Float[Array, "train train"],
    cross_gram: Float[Array, "test train"],
    responses: Float[Array, "train unit"],
    alphas: Float[Array, " alpha"],
) -> tuple[Float[Array, "test unit"], Float[Array, " unit"]]:
    """Predict held-out responses with the penalty that leaves each unit the least leave-one-out error.

    With K = QΛQᵀ the centred Gram matrix of n training stimuli, the fit of penalty α has the hat
    matrix H = 11ᵀ/n + QΛ(Λ + α)⁻¹Qᵀ, and leaving stimulus i out changes its residual by 1/(1 − Hᵢᵢ):
    exact, the intercept included (Golub, Heath & Wahba 1979). Equal to scikit-learn's
    ``RidgeCV(alphas, alpha_per_target=True)`` on the features.

    Parameters
    ----------
    train_gram
        Inner products of the training stimuli's features, centred on their mean.
    cross_gram
        Inner products of test with training stimuli, centred on the training mean on both sides.
    responses
        Training responses, in any units.
    alphas
        Penalties to choose from, in the units of the Gram matrix; among equals the first is taken.

    Returns
    -------
    tuple
        Predictions for the test stimuli and the penalty chosen for each unit.
    """
    n = len(train_gram)
    mean = responses.mean(axis=0)
    eigenvalues, axes = np.linalg.eigh(train_gram)
    # What is only rounding is no direction of the features; divided by a small penalty it would grow.
    held = eigenvalues > n * np.finfo(float).eps * eigenvalues[-1]
    eigenvalues, axes = eigenvalues[held], axes[:, held]
    centred = responses - mean
    projected = axes.T @ centred
    squared_axes = axes**2
    errors = np.empty((len(alphas), responses.shape[1]))
    for row, alpha in enumerate(alphas):
        shrinkage = eigenvalues / (eigenvalues + alpha)
        residual = centred - axes @ (shrinkage[:, None] * projected)
        leverage = 1 / n + squared_axes @ shrinkage
        errors[row] = np.mean((residual / (1 - leverage)[:, None]) ** 2, axis=0)
    chosen = alphas[np.argmin(errors, axis=0)]
    dual = axes @ (projected / (eigenvalues[:, None] + chosen[None, :]))
    return cross_gram @ dual + mean, chosen


def relative_alphas(train_gram: Float[Array, "train train"], n_alphas: int) -> Float[Array, " alpha"]:
    """Penalties from 10⁻⁵ to 10⁵ times the Gram matrix's mean eigenvalue, equally spaced in their logarithm.

    Relative to the features' own scale, so that multiplying all features by a number changes nothing.
    """
    mean_eigenvalue = max(float(np.trace(train_gram)) / len(train_gram), np.finfo(float).tiny)
    return np.logspace(-5, 5, n_alphas) * mean_eigenvalue


def ridge(n_alphas: int = 41) -> Metric:
    """Linear predictivity by ridge regression, the penalty chosen per unit by leave-one-out."""

    def kernel(train_gram: Array, cross_gram: Array, responses: Array) -> Array:
        alphas = relative_alphas(train_gram, n_alphas)
        return ridge_leave_one_out(train_gram, cross_gram, responses, alphas)[0]

    return Metric(
        name="ridge",
        family="predictivity",
        kernel=kernel,
        needs=frozenset({"gram", "responses"}),
        range=(-1.0, 1.0),
        symmetric=False,
        invariances=frozenset({"rotation", "scaling", "translation"}),
        chance=0.0,
        label="Pearson r, ridge, median over units",
        citation="Hoerl & Kennard 1970; leave-one-out: Golub, Heath & Wahba 1979",
        options={"n_alphas": n_alphas},
    )


def ridge_fixed(alpha: float = 1.0) -> Metric:
    """Linear predictivity by ridge regression with one penalty, in the features' own units."""

    def kernel(train_gram: Array, cross_gram: Array, responses: Array) -> Array:
        mean = responses.mean(axis=0)
        penalised = train_gram + alpha * np.eye(len(train_gram))
        return cross_gram @ np.linalg.solve(penalised, responses - mean) + mean

    return Metric(
        name="ridge_fixed",
        family="predictivity",
        kernel=kernel,
        needs=frozenset({"gram", "responses"}),
        range=(-1.0, 1.0),
        symmetric=False,
        invariances=frozenset({"rotation", "translation"}),
        chance=0.0,
        label=f"Pearson r, ridge at α = {alpha:g}, median over units",
        citation="Hoerl & Kennard 1970",
        options={"alpha": alpha},
    )
