"""Patterns to decode: means or single presentations, and which of them are held out together."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from brainalign.compare.decoding import Labelled, stratified_folds
from brainalign.compare.patterns import Patterns
from brainalign.compare.splits import labels
from brainalign.errors import NeedsError
from brainalign.names import unknown_name

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class DecodedPatterns:
    """What is decoded: one pattern a row, in groups that are held out, relabelled and resampled as one.

    Parameters
    ----------
    values
        Responses.
    group
        Group of each row: the presentations of a stimulus (or of all stimuli that show one image), or each
        presentation by itself.
    classes, fold
        Class and fold of each group.
    n_stimuli
        Stimuli behind the rows.
    notes
        What was left out.
    """

    values: Float[Array, "pattern unit"]
    group: Int[Array, " pattern"]
    classes: Int[Array, " group"]
    fold: Int[Array, " group"]
    n_stimuli: int
    notes: tuple[str, ...] = ()


def decoded_patterns(
    patterns: Patterns,
    found: Labelled,
    metadata: pd.DataFrame,
    held_out: str,
    single_trials: bool,
    n_folds: int,
    seed: int,
    owner: str,
) -> DecodedPatterns:
    """Take the patterns of labelled stimuli, and hold out stimuli, repeats, or values of a column in turn.

    Raises
    ------
    NeedsError
        No repeats where single presentations are asked for, too few groups of a class, a class that is in one
        fold alone, or stimuli of one image under different labels.
    UnknownNameError
        A column that does not exist.
    """
    generator = np.random.default_rng(seed)
    values, stimulus, found, notes = _values(patterns, found, single_trials or held_out == "repeat", owner)
    group, classes = stimulus, found.classes
    if held_out == "repeat":
        group, classes = np.arange(len(values)), classes[stimulus]
        _raise_if_few(classes, found, n_folds, f"{owner} has {{}} complete presentations")
        fold = stratified_folds(stimulus, None, n_folds, generator)
    elif held_out == "stimulus":
        _raise_if_few(classes, found, n_folds, f"{owner} has {{}} stimuli")
        image, classes = _images(found, metadata, owner)
        group = image[stimulus]
        fold = stratified_folds(classes, None, n_folds, generator)
    else:
        _raise_if_few(classes, found, 2, f"{owner} has {{}} stimuli")
        fold = _column(metadata, held_out, found)
    drawn = DecodedPatterns(values, group, classes, fold, len(found.stimuli), notes)
    _raise_if_alone(drawn, found, held_out, owner)
    return drawn


def _values(
    patterns: Patterns, found: Labelled, single_trials: bool, owner: str
) -> tuple[Float[Array, "pattern unit"], Int[Array, " pattern"], Labelled, tuple[str, ...]]:
    """Give patterns, the number of the stimulus of each, the stimuli that are left, and what was left out."""
    notes = (f"{found.n_without} stimuli without a label left out",) if found.n_without else ()
    place = {stimulus: row for row, stimulus in enumerate(patterns.stimuli)}
    rows = np.array([place[stimulus] for stimulus in found.stimuli])
    if not single_trials:
        return patterns.mean[rows], np.arange(len(rows)), found, notes
    if patterns.repeats is None:
        raise NeedsError(
            f"{owner} has no repeats, or of fewer than ten stimuli; decode mean responses instead."
        )
    presentations = patterns.repeats[rows].transpose(0, 2, 1)
    missing = np.isnan(presentations)
    if missing.any(axis=2).all():
        raise NeedsError(
            f"{owner} has no presentation in which no unit is missing; leave out units, or decode mean "
            "responses."
        )
    complete, partial = ~missing.any(axis=2), missing.any(axis=2) & ~missing.all(axis=2)
    if partial.any():
        notes += (f"{int(partial.sum())} presentations in which units are missing left out",)
    shown, stimulus = np.unique(np.nonzero(complete)[0], return_inverse=True)
    left = Labelled(tuple(found.stimuli[row] for row in shown), found.classes[shown], found.names)
    return presentations[complete], stimulus, left, notes


def _images(
    found: Labelled, metadata: pd.DataFrame, owner: str
) -> tuple[Int[Array, " stimulus"], Int[Array, " image"]]:
    """Give the number of the image that each stimulus shows, and the class of each image."""
    names = labels(metadata, "image", found.stimuli)
    _, first, image = np.unique(
        np.array(found.stimuli) if names is None else names, return_index=True, return_inverse=True
    )
    classes = found.classes[first]
    if (classes[image] != found.classes).any():
        raise NeedsError(f"{owner} has stimuli that show the same image under different labels; mend either.")
    return image, classes


def _column(metadata: pd.DataFrame, column: str, found: Labelled) -> Int[Array, " stimulus"]:
    if column not in metadata:
        choices = ["stimulus", "repeat", *map(str, metadata.columns)]
        raise unknown_name("thing to hold out", column, choices)
    return np.unique(metadata[column].loc[list(found.stimuli)].astype(str), return_inverse=True)[1]


def _raise_if_few(classes: Int[Array, " group"], found: Labelled, n_folds: int, words: str) -> None:
    counts = np.bincount(classes, minlength=len(found.names))
    if counts.min() < n_folds:
        raise NeedsError(
            f"{words.format(counts.min())} of class {found.names[counts.argmin()]!r}, of {len(found.names)} "
            f"classes; {n_folds} folds need {n_folds} of each. Take fewer folds, other labels, or leave those "
            "stimuli without a label."
        )


def _raise_if_alone(drawn: DecodedPatterns, found: Labelled, held_out: str, owner: str) -> None:
    for fold in np.unique(drawn.fold):
        alone = np.setdiff1d(drawn.classes, drawn.classes[drawn.fold != fold])
        if len(alone):
            raise NeedsError(
                f"{owner}: class {found.names[alone[0]]!r} is in one fold alone when {held_out!r} is held "
                "out, so a decoder would never have met it. Hold out something else, or leave those stimuli "
                "without a label."
            )
