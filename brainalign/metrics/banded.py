"""Banded kernel ridge: several feature spaces, each with a weight of its own, predict together."""

import numpy as np
from jaxtyping import Bool, Float, Int

from brainalign.metrics.metric import Metric
from brainalign.metrics.ridge import leave_one_out_errors, relative_alphas, spectrum

Array = np.ndarray

CONCENTRATIONS = (1.0, 0.1)
"""Of the Dirichlet draws, in turn: anywhere on the simplex, and near its corners and edges."""


def band_weights(n_bands: int, n_draws: int) -> Float[Array, "mixture band"]:
    """Weights of the bands to choose from, each row at least 0 and adding up to 1.

    Every single band, the even mixture, and Dirichlet draws, whose concentration is 1 and 0.1 in turn. The
    draws are the same at every call. One band has one mixture.

    Examples
    --------
    >>> band_weights(2, 0).tolist()
    [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]
    """
    if n_bands == 1:
        return np.ones((1, 1))
    generator = np.random.default_rng(0)
    concentrations = [CONCENTRATIONS[draw % len(CONCENTRATIONS)] for draw in range(n_draws)]
    draws = [generator.dirichlet(np.full(n_bands, each)) for each in concentrations]
    return np.vstack([np.eye(n_bands), np.full((1, n_bands), 1 / n_bands), *draws])


def banded_ridge(
    train_grams: Float[Array, "band train train"],
    cross_grams: Float[Array, "band test train"],
    responses: Float[Array, "train unit"],
    mixtures: Float[Array, "mixture band"],
    n_alphas: int,
    allowed: Bool[Array, "model mixture"] | None = None,
) -> tuple[Float[Array, "model test unit"], Int[Array, "model unit"]]:
    """Predict held-out responses with the mixture of bands and the penalty that leave-one-out favours.

    With K_b the Gram matrix of band b, divided by its mean eigenvalue, and weights γ on the simplex, ridge
    regression on K = Σ_b γ_b K_b is ridge on the features of all bands side by side, those of band b times
    √γ_b. For each unit, the mixture γ and the penalty α are those of least exact leave-one-out error
    (see `ridge_leave_one_out`); among equals the first. So a band that says nothing of a unit can be left
    out, and a wide band does not drown a narrow one. Costs one eigendecomposition, O(train³), for each
    mixture, however many units, features and models there are.

    Parameters
    ----------
    train_grams, cross_grams
        For each band, inner products of the training stimuli, and of the test with the training stimuli,
        centred on the training mean.
    responses
        Training responses, in any units.
    mixtures
        Weights γ to choose from, such as `band_weights`.
    n_alphas
        Number of penalties to choose from, see `relative_alphas`.
    allowed
        Mixtures that each of several models may choose from, such as those without a certain band; by
        default there is one model, which may choose any.

    Returns
    -------
    tuple
        Predictions of each model, and which mixture it chose for each unit.

    References
    ----------
    Nunez-Elizalde, Huth & Gallant (2019), NeuroImage 197; random search over the simplex: Dupré la Tour
    et al. (2022), NeuroImage 264.
    """
    if allowed is None:
        allowed = np.ones((1, len(mixtures)), dtype=bool)
    mean = responses.mean(axis=0)
    centred = responses - mean
    mean_eigenvalues = np.trace(train_grams, axis1=1, axis2=2) / len(responses)
    scaled = mixtures / np.maximum(mean_eigenvalues, np.finfo(float).tiny)
    least = np.full((len(allowed), responses.shape[1]), np.inf)
    chosen = np.zeros(least.shape, dtype=np.int64)
    predicted = np.tile(mean, (len(allowed), cross_grams.shape[1], 1))
    for place, weights in enumerate(scaled):
        train_gram = np.tensordot(weights, train_grams, axes=1)
        eigenvalues, axes = spectrum(train_gram)
        alphas = relative_alphas(train_gram, n_alphas)
        errors = leave_one_out_errors(eigenvalues, axes, centred, alphas)
        error = errors.min(axis=0)
        better = allowed[:, place, None] & (error < least)
        units = better.any(axis=0)
        if not units.any():
            continue
        penalties = alphas[errors[:, units].argmin(axis=0)]
        dual = axes @ ((axes.T @ centred[:, units]) / (eigenvalues[:, None] + penalties))
        of_units = np.tensordot(weights, cross_grams, axes=1) @ dual + mean[units]
        for model, improved in enumerate(better):
            predicted[model][:, improved] = of_units[:, improved[units]]
            least[model, improved], chosen[model, improved] = error[improved], place
    return predicted, chosen


def ridge_banded(n_mixtures: int = 50, n_alphas: int = 41) -> Metric:
    """Predictivity of all layers together by banded ridge, band weights and penalty chosen per unit."""

    def kernel(train_grams: Array, cross_grams: Array, responses: Array) -> Array:
        mixtures = band_weights(len(train_grams), n_mixtures)
        return banded_ridge(train_grams, cross_grams, responses, mixtures, n_alphas)[0][0]

    return Metric(
        name="ridge_banded",
        family="joint_predictivity",
        kernel=kernel,
        needs=frozenset({"gram", "responses"}),
        range=(-1.0, 1.0),
        symmetric=False,
        invariances=frozenset({"rotation", "scaling", "translation"}),
        chance=0.0,
        label="Pearson r, banded ridge on all layers, median over units",
        citation="Nunez-Elizalde, Huth & Gallant 2019; Dupré la Tour et al. 2022",
        options={"n_mixtures": n_mixtures, "n_alphas": n_alphas},
    )
