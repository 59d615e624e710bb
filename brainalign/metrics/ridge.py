"""Ridge regression in its dual form, from the Gram matrix of the training stimuli."""

import numpy as np
from jaxtyping import Float

from brainalign.metrics.metric import Metric

Array = np.ndarray

MEMORY = 128 * 2**20
"""Bytes that the residuals of one block of units may take, about."""


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
    mean = responses.mean(axis=0)
    centred = responses - mean
    eigenvalues, axes = spectrum(train_gram)
    errors = leave_one_out_errors(eigenvalues, axes, centred, alphas)
    chosen = alphas[np.argmin(errors, axis=0)]
    dual = axes @ ((axes.T @ centred) / (eigenvalues[:, None] + chosen[None, :]))
    return cross_gram @ dual + mean, chosen


def spectrum(
    train_gram: Float[Array, "train train"],
) -> tuple[Float[Array, " axis"], Float[Array, "train axis"]]:
    """Eigenvalues, ascending, and eigenvectors of a Gram matrix, those that are only rounding left out.

    What is only rounding is no direction of the features; divided by a small penalty it would grow.
    """
    eigenvalues, axes = np.linalg.eigh(train_gram)
    held = eigenvalues > len(train_gram) * np.finfo(float).eps * eigenvalues[-1]
    return eigenvalues[held], axes[:, held]


def leave_one_out_errors(
    eigenvalues: Float[Array, " axis"],
    axes: Float[Array, "train axis"],
    centred_responses: Float[Array, "train unit"],
    alphas: Float[Array, " alpha"],
) -> Float[Array, "alpha unit"]:
    """Mean squared error of predicting each stimulus from the others, for every penalty and unit.

    Parameters
    ----------
    eigenvalues, axes
        The centred Gram matrix's, by :func:`spectrum`.
    centred_responses
        Responses less each unit's mean.
    alphas
        Penalties, in the units of the Gram matrix.
    """
    n, n_units = centred_responses.shape
    projected = axes.T @ centred_responses
    missed = centred_responses - axes @ projected
    # With F = α/(Λ + α), what each penalty leaves of a direction: residual = missed + QFQᵀY, and
    # 1 − Hᵢᵢ likewise. Neither is a small difference of large numbers.
    left = alphas / (eigenvalues[:, None] + alphas)
    squared_axes = axes**2
    unexplained = (1 - 1 / n - squared_axes.sum(axis=1))[:, None] + squared_axes @ left
    curves, mixing = _few_curves(eigenvalues, alphas)
    errors = np.empty((len(alphas), n_units))
    block = max(1, MEMORY // (8 * n * (len(mixing) + 2 * len(alphas))))
    for start in range(0, n_units, block):
        units = slice(start, start + block)
        weighted = projected[:, units, None] * curves[:, None, :]
        residual = np.tensordot(axes, weighted, axes=1) @ mixing
        residual += missed[:, units, None]
        residual /= unexplained[:, None, :]
        errors[:, units] = np.mean(np.square(residual, out=residual), axis=0).T
    return errors


def _few_curves(
    eigenvalues: Float[Array, " axis"], alphas: Float[Array, " alpha"]
) -> tuple[Float[Array, "axis curve"], Float[Array, "curve alpha"]]:
    """Write α/(Λ + α), for all penalties, as mixtures of few curves over the axes, exact to rounding.

    Neighbouring penalties shrink much alike: a hundred of them need some thirty curves, and each curve
    costs a product with the axes where each penalty would.
    """
    least = eigenvalues.min(initial=np.inf)
    # Of equal height, so that a small penalty's curve is as exact as a large one's.
    level = (least + alphas) / (eigenvalues[:, None] + alphas)
    curves, lengths, mixing = np.linalg.svd(level, full_matrices=False)
    held = lengths > np.finfo(float).eps * lengths.max(initial=0)
    return curves[:, held] * lengths[held], mixing[held] * (alphas / (least + alphas))


def relative_alphas(train_gram: Float[Array, "train train"], n_alphas: int) -> Float[Array, " alpha"]:
    """Penalties from 10⁻⁵ to 10⁵ times the Gram matrix's mean eigenvalue, equally spaced in their logarithm.

    Relative to the features' own scale, so that multiplying all features by a number changes nothing.
    """
    mean_eigenvalue = max(float(np.trace(train_gram)) / len(train_gram), np.finfo(float).tiny)
    return np.logspace(-5, 5, n_alphas) * mean_eigenvalue


def ridge(n_alphas: int = 41, n_splits: int = 10) -> Metric:
    """Linear predictivity by ridge regression, the penalty chosen per unit by leave-one-out.

    ``n_alphas`` penalties, over ``n_splits`` splits of the stimuli: fewer of either are for long series of
    networks, where the same splits serve all.
    """

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
        options={"n_alphas": n_alphas, "n_splits": n_splits},
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
