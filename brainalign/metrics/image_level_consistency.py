"""Image-level consistency: whether a model finds the same images of a class hard as people do."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from brainalign.errors import ResponsesError
from brainalign.metrics.error_consistency import decisions
from brainalign.metrics.reliability import spearman_brown

Array = np.ndarray


@dataclass(frozen=True)
class ImageLevelConsistency:
    """Consistency of a model's pattern of accuracies over images with people's.

    Parameters
    ----------
    raw
        Pearson's r of the two patterns, class means removed.
    reliability
        Of people's pattern: Spearman–Brown-corrected correlation of random halves of their decisions.
    corrected
        ``raw`` / √reliability; NaN if the reliability is not above 0.
    n_stimuli
        Images compared: those with two decisions or more, and one of the model.
    note
        Why a value is NaN.
    """

    raw: float
    reliability: float
    corrected: float
    n_stimuli: int
    note: str = ""


def image_level_consistency(
    choices: pd.DataFrame,
    model: Mapping[str, float],
    *,
    n_splits: int = 100,
    seed: int = 0,
) -> ImageLevelConsistency:
    r"""Correlate a model's and people's accuracy image by image, less the mean of each image's class.

    .. math:: \tilde\rho = \frac{\rho(m, h)}{\sqrt{\rho(h, h)}},

    after i1n of Rajalingham et al. (2018), in accuracies in place of d′: what is left is which images of a
    class are harder than others. The model's own accuracies count as free of noise, as those of a
    deterministic network are.

    Parameters
    ----------
    choices
        One row a decision: ``subject, stimulus, choice, truth``. Decisions of all subjects are pooled;
        several of one subject on one stimulus count singly.
    model
        The model's accuracy on each stimulus id: the probability that it gives the right choice, or 1 and 0.
    n_splits
        Random halves of the decisions on each stimulus.
    seed
        Seed of the halves.

    Raises
    ------
    ResponsesError
        Columns that are missing, empty cells, no three images with two decisions and one of the model, or
        accuracies outside 0 to 1.

    References
    ----------
    Rajalingham et al. (2018), J. Neurosci. 38:7255.
    """
    table = decisions(choices)
    if n_splits < 1:
        raise ResponsesError(f"{n_splits} splits of the decisions were asked for; at least one is needed.")
    shown = np.unique(table["stimulus"].to_numpy(dtype=str), return_counts=True)
    several = {i for i, count in zip(*shown, strict=True) if count >= 2 and np.isfinite(model.get(i, np.nan))}
    if len(several) < 3:
        raise ResponsesError(
            f"{len(several)} stimuli have two decisions and an accuracy of the model; give three at least."
        )
    # Sorted, so that the halves do not depend on the order of the trials.
    kept = sorted(
        (str(stimulus), str(truth), choice == truth)
        for _, stimulus, choice, truth in table.itertuples(index=False)
        if str(stimulus) in several
    )
    stimuli, first, image = np.unique([row[0] for row in kept], return_index=True, return_inverse=True)
    answers = np.array([model[stimulus] for stimulus in stimuli], dtype=float)
    if answers.min() < 0 or answers.max() > 1:
        raise ResponsesError(
            f"The model's accuracies run from {answers.min():.3g} to {answers.max():.3g}; give probabilities "
            "of the right choice, from 0 to 1."
        )
    right = np.array([row[2] for row in kept], dtype=float)
    of_class = np.unique([kept[row][1] for row in first], return_inverse=True)[1]
    people = _within_class(np.bincount(image, right) / np.bincount(image), of_class)
    raw = _correlation(people, _within_class(answers, of_class))
    halves = [_halves(right, image, generator) for generator in np.random.default_rng(seed).spawn(n_splits)]
    agreement = np.mean([_correlation(*(_within_class(half, of_class) for half in pair)) for pair in halves])
    reliability = float(spearman_brown(np.array([agreement]))[0])
    note = ""
    if np.isnan(raw):
        note = "within each class all images are equally hard, for people or for the model"
    elif not reliability > 0:
        note = "people's halves do not agree on which images are hard"
    corrected = raw / np.sqrt(reliability) if reliability > 0 else float("nan")
    return ImageLevelConsistency(raw, reliability, float(corrected), len(stimuli), note)


def _halves(
    right: Float[Array, " decision"], image: Int[Array, " decision"], generator: np.random.Generator
) -> tuple[Float[Array, " image"], Float[Array, " image"]]:
    """Accuracy on each image in two random halves of its decisions; of an odd number one half has one more."""
    order = np.lexsort([generator.random(len(image)), image])
    start = np.searchsorted(image[order], np.arange(image.max() + 1))
    rank = np.arange(len(image)) - start[image[order]]
    # Which of the halves is the larger one is drawn anew for each image.
    odd = (rank + generator.integers(2, size=len(start))[image[order]]) % 2 == 1
    both = []
    for half in (odd, ~odd):
        rows = order[half]
        n = len(start)
        both.append(np.bincount(image[rows], right[rows], minlength=n) / np.bincount(image[rows], minlength=n))
    return both[0], both[1]


def _within_class(values: Float[Array, " image"], of_class: Int[Array, " image"]) -> Float[Array, " image"]:
    """Remove the mean of each class."""
    return values - (np.bincount(of_class, values) / np.bincount(of_class))[of_class]


def _correlation(x: Float[Array, " image"], y: Float[Array, " image"]) -> float:
    """Pearson's r of two patterns whose mean is 0; NaN where one is constant."""
    scale = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / scale) if scale > 1e-12 else float("nan")
