"""Principal-component regression in its dual form, from the Gram matrix of the training stimuli."""

import numpy as np
from jaxtyping import Float

from brainalign.metrics.metric import Metric
from brainalign.metrics.ridge import spectrum

Array = np.ndarray


def principal_component_regression(
    train_gram: Float[Array, "train train"],
    cross_gram: Float[Array, "test train"],
    responses: Float[Array, "train unit"],
    n_components: int,
) -> Float[Array, "test unit"]:
    """Predict held-out responses by least squares on the first principal components of the features.

    With K = QΛQᵀ the centred Gram matrix of the training stimuli, Qₖ the eigenvectors of its k largest
    eigenvalues Λₖ and Y the centred responses, the predictions are K_test Qₖ Λₖ⁻¹ Qₖᵀ Y plus the mean
    (Jolliffe 1982). Equal to scikit-learn's ``PCA(n_components)`` and ``LinearRegression`` on the features.

    Parameters
    ----------
    train_gram
        Inner products of the training stimuli's features, centred on their mean.
    cross_gram
        Inner products of test with training stimuli, centred on the training mean on both sides.
    responses
        Training responses, in any units.
    n_components
        Components to take; all there are where the features have fewer dimensions.

    Examples
    --------
    >>> features = np.array([[-1.0], [0.0], [1.0]])
    >>> gram, responses = features @ features.T, 2 * features + 5
    >>> principal_component_regression(gram, gram[:1], responses, 3).round(6).tolist()
    [[3.0]]
    """
    mean = responses.mean(axis=0)
    eigenvalues, axes = spectrum(train_gram)
    eigenvalues, axes = eigenvalues[-n_components:], axes[:, -n_components:]
    dual = axes @ (axes.T @ (responses - mean) / eigenvalues[:, None])
    return cross_gram @ dual + mean


def pcr(n_components: int = 25) -> Metric:
    """Linear predictivity by principal-component regression."""

    def kernel(train_gram: Array, cross_gram: Array, responses: Array) -> Array:
        return principal_component_regression(train_gram, cross_gram, responses, n_components)

    return Metric(
        name="pcr",
        family="predictivity",
        kernel=kernel,
        needs=frozenset({"gram", "responses"}),
        range=(-1.0, 1.0),
        symmetric=False,
        invariances=frozenset({"rotation", "scaling", "translation"}),
        chance=0.0,
        label=f"Pearson r, {n_components} principal components, median over units",
        citation="Massy 1965; Jolliffe 1982",
        options={"n_components": n_components},
    )
