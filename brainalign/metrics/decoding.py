"""Linear decoding of stimulus labels: ridge classification, from features or from their Gram matrix."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from brainalign.metrics.metric import Metric

Array = np.ndarray

N_ALPHAS = 11
"""Penalties to choose from: a decade apart, from 10⁻⁵ to 10⁵ times the mean eigenvalue."""


@dataclass(frozen=True, eq=False)
class Axes:
    """Principal axes of weighted training stimuli X = √w (X − μ), μ the weighted mean: X Xᵀ = Q Λ Qᵀ.

    Parameters
    ----------
    eigenvalues, train
        Λ and Q, directions that are only rounding left out.
    test
        Where the test stimuli lie: (X_test − μ) Xᵀ Q Λ⁻¹.
    weights
        Weight of each training stimulus.
    """

    eigenvalues: Float[Array, " axis"]
    train: Float[Array, "train axis"]
    test: Float[Array, "test axis"]
    weights: Float[Array, " train"]


def gram_axes(
    train_gram: Float[Array, "train train"],
    cross_gram: Float[Array, "test train"],
    weights: Float[Array, " train"],
) -> Axes:
    """Find the axes from inner products of the features, centred on any one point; O(train³)."""
    share = weights / weights.sum()
    towards_mean, shift = train_gram @ share, float(share @ train_gram @ share)
    root = np.sqrt(weights)
    centred = train_gram - (towards_mean[:, None] + towards_mean[None, :] - shift)
    across = cross_gram - (cross_gram @ share)[:, None] - towards_mean[None, :] + shift
    eigenvalues, axes = np.linalg.eigh(centred * np.outer(root, root))
    held = eigenvalues > len(weights) * np.finfo(float).eps * eigenvalues[-1]
    eigenvalues, axes = eigenvalues[held], axes[:, held]
    return Axes(eigenvalues, axes, (across * root) @ axes / eigenvalues, weights)


def feature_axes(
    train: Float[Array, "train unit"], test: Float[Array, "test unit"], weights: Float[Array, " train"]
) -> Axes:
    """Find the axes from the features; cheaper where there are fewer units than stimuli."""
    mean = weights @ train / weights.sum()
    left, lengths, right = np.linalg.svd(np.sqrt(weights)[:, None] * (train - mean), full_matrices=False)
    held = lengths**2 > len(weights) * np.finfo(float).eps * lengths[:1] ** 2
    left, lengths, right = left[:, held], lengths[held], right[held]
    return Axes(lengths**2, left, (test - mean) @ right.T / lengths, weights)


def ridge_scores(axes: Axes, targets: Float[Array, "train class"]) -> Float[Array, "test class"]:
    """Score each class by ridge regression on its indicator, one penalty for all by leave-one-out.

    The penalty leaves the least weighted squared error of predicting each training stimulus from the
    others, exactly and with the intercept: a residual grows by 1/(1 − Hᵢᵢ) when its stimulus is left out.
    Equal to scikit-learn's ``RidgeClassifierCV(alphas)`` with these weights of samples.

    Parameters
    ----------
    axes
        Of the training and test stimuli.
    targets
        1 where a stimulus is of a class, else 0.

    References
    ----------
    Golub, Heath & Wahba (1979), Technometrics 21; Rifkin, Yeo & Poggio (2003), on classification.
    """
    share = axes.weights / axes.weights.sum()
    mean = share @ targets
    centred = np.sqrt(axes.weights)[:, None] * (targets - mean)
    projected = axes.train.T @ centred
    alphas = np.logspace(-5, 5, N_ALPHAS) * axes.eigenvalues.sum() / len(share)
    # What a penalty leaves of each axis, so that nothing is a small difference of large numbers.
    left = alphas / (axes.eigenvalues[:, None] + alphas)
    squared = axes.train**2
    unexplained = (1 - share - squared.sum(axis=1))[:, None] + squared @ left
    residual = np.tensordot(axes.train, left[:, :, None] * projected[:, None, :], axes=1)
    residual += (centred - axes.train @ projected)[:, None, :]
    errors = np.sum((residual / unexplained[:, :, None]) ** 2, axis=(0, 2))
    alpha = alphas[np.argmin(errors)]
    return axes.test @ ((axes.eigenvalues / (axes.eigenvalues + alpha))[:, None] * projected) + mean


def balanced_weights(classes: Int[Array, " train"], n_classes: int) -> Float[Array, " train"]:
    """Weigh stimuli so that all classes count alike: n / (classes × stimuli of the class).

    Examples
    --------
    >>> balanced_weights(np.array([0, 0, 0, 1]), 2).round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    counts = np.bincount(classes, minlength=n_classes)
    return len(classes) / (np.count_nonzero(counts) * counts[classes])


def indicators(classes: Int[Array, " stimulus"], n_classes: int) -> Float[Array, "stimulus class"]:
    """Give 1 where a stimulus is of a class, else 0."""
    return np.eye(n_classes)[classes]


def decide_from_gram(
    train_gram: Float[Array, "train train"],
    cross_gram: Float[Array, "test train"],
    classes: Int[Array, " train"],
    n_classes: int,
) -> Int[Array, " test"]:
    """Decode the class of test stimuli from inner products of their features, all classes weighing alike."""
    axes = gram_axes(train_gram, cross_gram, balanced_weights(classes, n_classes))
    return np.argmax(ridge_scores(axes, indicators(classes, n_classes)), axis=1)


def balanced_accuracy(
    classes: Int[Array, " test"],
    decided: Int[Array, " test"],
    weights: Float[Array, "value test"],
    n_classes: int,
) -> Float[Array, " value"]:
    """Share of the stimuli of a class that are decided right, averaged over classes, by rows of weights.

    Over the classes of which some stimulus has weight; NaN where none has.

    Examples
    --------
    >>> truth, decided = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    >>> balanced_accuracy(truth, decided, np.ones((1, 4)), 2).round(3).tolist()
    [0.833]
    """
    of_class = indicators(classes, n_classes)
    total = weights @ of_class
    right = weights @ (of_class * (classes == decided)[:, None])
    shown = total > 0
    recall = np.divide(right, total, out=np.zeros_like(total), where=shown)
    n_shown = shown.sum(axis=1)
    return np.where(n_shown > 0, recall.sum(axis=1) / np.maximum(n_shown, 1), np.nan)


def chance_accuracy(classes: Array) -> float:
    """Balanced accuracy of any decision that does not depend on the stimulus: 1 / number of classes."""
    return 1 / len(np.unique(classes))


def decoding(label: str = "category") -> Metric:
    """Held-out accuracy of a linear decoder of the stimuli's labels from the layer."""
    return Metric(
        name="decoding",
        family="decoding",
        kernel=decide_from_gram,
        needs=frozenset({"gram", "labels"}),
        range=(0.0, 1.0),
        symmetric=False,
        invariances=frozenset({"rotation", "scaling", "translation"}),
        chance=chance_accuracy,
        label=f"balanced accuracy of decoding {label}, ridge classification, held out",
        citation="Hung et al. 2005; Majaj et al. 2015; ridge classification: Rifkin, Yeo & Poggio 2003",
        options={"label": label},
    )
