"""Linear decoders by name, made ready for one fold and asked as often as labels are permuted."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression

from brainalign.metrics.decoding import Axes, balanced_weights, feature_axes, indicators, ridge_scores

Array = np.ndarray
Decide = Callable[[Array, int], Array]
"""Takes the class of each training pattern and the number of classes; gives the class of each test pattern."""


def ridge_decoder(
    train: Float[Array, "train unit"], test: Float[Array, "test unit"], inverse_penalty: float
) -> Decide:
    """Ridge classification; the penalty is chosen by leave-one-out, whatever `inverse_penalty` says.

    Where classes are equally large, permuted labels find the axes of the training patterns as they are;
    else these are found anew each time, since the patterns' weights move with the labels.
    """
    held: list[Axes] = []

    def decide(classes: Int[Array, " train"], n_classes: int) -> Int[Array, " test"]:
        weights = balanced_weights(classes, n_classes)
        if not held or not np.array_equal(held[0].weights, weights):
            held[:] = [feature_axes(train, test, weights)]
        return np.argmax(ridge_scores(held[0], indicators(classes, n_classes)), axis=1)

    return decide


def logistic_decoder(
    train: Float[Array, "train unit"], test: Float[Array, "test unit"], inverse_penalty: float
) -> Decide:
    """Multinomial logistic regression, scikit-learn's, all classes weighing alike."""

    def decide(classes: Int[Array, " train"], n_classes: int) -> Int[Array, " test"]:
        model = LogisticRegression(C=inverse_penalty, class_weight="balanced", max_iter=1000)
        return model.fit(train, classes).predict(test)

    return decide


DECODERS: dict[str, Callable[[Array, Array, float], Decide]] = {
    "ridge": ridge_decoder,
    "logistic": logistic_decoder,
}
