"""Partial least squares in its dual form, from the Gram matrix of the training stimuli."""

import numpy as np
from jaxtyping import Float

from brainalign.metrics.metric import Metric

Array = np.ndarray

MOST_STEPS, TOLERANCE = 500, 1e-6
"""Defaults of scikit-learn's ``PLSRegression``."""


def kernel_pls(
    train_gram: Float[Array, "train train"],
    cross_gram: Float[Array, "test train"],
    responses: Float[Array, "train unit"],
    n_components: int,
) -> Float[Array, "test unit"]:
    """Predict held-out responses by partial least squares regression.

    Each component's score t = K u / ‖·‖ takes u = Y b, where b approaches the leading eigenvector of YᵀKY,
    the direction of greatest covariance between features and responses, by the steps of NIPALS. Y and K
    are deflated by t. With T the scores and U the directions, the predictions are
    K_test U (TᵀKU)⁻¹ TᵀY (Rosipal & Trejo 2001). Equal to scikit-learn's
    ``PLSRegression(n_components, scale=False)`` on the features, which is Brain-Score's, with its start at
    the first unit and its tolerance. On recordings these leave some components unfinished, and predictions
    some hundredths of a standard deviation (the median r some thousandths) from where more steps would end.

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
    for _ in range(min(n_components, len(left) - 1)):
        weights = _leading_direction(left.T @ gram_left)
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


def _leading_direction(covariance: Float[Array, "unit unit"]) -> Float[Array, " unit"]:
    """Step from the first unit towards the leading eigenvector, and stop where scikit-learn does.

    With w = Xᵀ Y b the weights of the features, scaled to length 1, each step is b ← YᵀKY b, and the last is
    the first that changes w by less than the root of the tolerance.
    """
    start = int(np.argmax(np.diagonal(covariance) > 0))
    direction = np.zeros(len(covariance))
    if covariance[start, start] <= 0:
        return direction
    direction[start] = 1 / np.sqrt(covariance[start, start])
    for _ in range(MOST_STEPS - 1):
        image = covariance @ direction
        squared_length = image @ covariance @ image
        if squared_length <= 0:  # nothing but rounding is left
            break
        direction = image / np.sqrt(squared_length)
        if 2 - 2 * direction @ image < TOLERANCE:
            break
    return direction / np.linalg.norm(direction)


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
