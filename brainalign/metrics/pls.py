"""Partial least squares in its dual form, from the Gram matrix of the training stimuli."""

import numpy as np
import scipy.linalg
from jaxtyping import Float

from brainalign.metrics.metric import Metric

Array = np.ndarray


def kernel_pls(
    train_gram: Float[Array, "train train"],
    cross_gram: Float[Array, "test train"],
    responses: Float[Array, "train unit"],
    n_components: int,
) -> Float[Array, "test unit"]:
    """Predict held-out responses by partial least squares regression.

    Each component's score t = K u / ‖·‖ takes u = Y b, where b is the leading eigenvector of YᵀKY:
    the direction of greatest covariance between features and responses, found exactly where NIPALS
    iterates. Y and K are deflated by t. With T the scores and U the directions, the predictions are
    K_test U (TᵀKU)⁻¹ TᵀY (Rosipal & Trejo 2001). Equal to scikit-learn's
    ``PLSRegression(n_components, scale=False)`` on the features up to the tolerance of its iteration.

    Parameters
    ----------
    train_gram
        Inner products of the training stimuli's features, centred on their mean.
    cross_gram
        Inner products of test with training stimuli, centred on the training mean on both sides.
    responses
        Training responses; their scales weigh the units against each other.
    n_components
        Components to take; fewer where the features have no more dimensions.
    """
    mean = responses.mean(axis=0)
    targets = responses - mean
    left = targets.copy()
    gram_left = train_gram @ left
    floor = 1e-12 * np.linalg.norm(gram_left)
    scores, directions = np.empty((len(left), 0)), np.empty((len(left), 0))
    last = left.shape[1] - 1
    for _ in range(min(n_components, len(left) - 1)):
        covariance = left.T @ gram_left
        weights = scipy.linalg.eigh(covariance, subset_by_index=[last, last])[1][:, 0]
        score = gram_left @ weights
        for _ in range(2):
            score -= scores @ (scores.T @ score)
        length = np.linalg.norm(score)
        if length <= floor:
            break
        direction, score = left @ weights / length, score / length
        scores = np.column_stack([scores, score])
        directions = np.column_stack([directions, direction])
        loadings = score @ left
        left -= np.outer(score, loadings)
        gram_left -= np.outer(train_gram @ score, loadings)
    coupling = scores.T @ train_gram @ directions
    dual = directions @ np.linalg.solve(coupling, scores.T @ targets)
    return cross_gram @ dual + mean


def pls(n_components: int = 25) -> Metric:
    """Linear predictivity by partial least squares, as Brain-Score maps features to units."""

    def kernel(train_gram: Array, cross_gram: Array, responses: Array) -> Array:
        return kernel_pls(train_gram, cross_gram, responses, n_components)

    return Metric(
        name="pls",
        family="predictivity",
        kernel=kernel,
        needs=frozenset({"gram", "responses"}),
        range=(-1.0, 1.0),
        symmetric=False,
        invariances=frozenset({"rotation", "scaling", "translation"}),
        chance=0.0,
        label=f"Pearson r, PLS-{n_components}, median over units",
        citation="Wold 1975; Rosipal & Trejo 2001; Schrimpf et al. 2018",
        options={"n_components": n_components},
    )
