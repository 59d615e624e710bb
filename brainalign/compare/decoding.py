"""Decoding of stimulus labels from layers, with the region's own responses as the ceiling."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int

from brainalign.compare.comparison import Facts, Outcome, mean_over_splits
from brainalign.compare.held_out import centred_blocks, fold_weights, outcome_over_folds
from brainalign.compare.patterns import Patterns, check_enough_stimuli, find_patterns
from brainalign.compare.resampling import Resamples
from brainalign.compare.splits import labels
from brainalign.errors import NeedsError, ResponsesError
from brainalign.metrics.decoding import (
    balanced_accuracy,
    balanced_weights,
    chance_accuracy,
    feature_axes,
    indicators,
    ridge_scores,
)
from brainalign.metrics.metric import Metric
from brainalign.names import snake_case, unknown_name
from brainalign.probing import Representation

Array = np.ndarray

N_FOLDS = 4
"""A quarter of the stimuli is held out at a time."""

N_INNER_FOLDS = 3
"""The layer is chosen by thirds of the training stimuli, each decoded from the rest of them."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Stimuli with a label: their ids, sorted, the class of each as a number, and the classes' names."""

    stimuli: tuple[str, ...]
    classes: Int[Array, " stimulus"]
    names: tuple[str, ...]
    n_without: int = 0


@dataclass(frozen=True, eq=False)
class NestedFold:
    """Rows of one fold: training and test, and pairs of training rows, to fit on and to choose a layer by."""

    train: Int[Array, " train"]
    test: Int[Array, " test"]
    inner: tuple[tuple[Array, Array], ...]


class Decoding:
    """A region's stimuli with labels, to be decoded from layers.

    Four stratified folds, in each of which a quarter of the stimuli is held out; the balanced accuracy in
    each; the mean over folds. A layer is chosen by its accuracy in three folds of the training stimuli.
    The ceiling is what the same decoder reaches in the same folds on the region's mean responses; a layer may
    exceed it. The bootstrap resamples the held-out stimuli within their folds; the variance of the fit is left
    out.
    """

    def __init__(
        self,
        metric: Metric,
        region: xr.DataArray,
        owner: str,
        n_resamples: int,
        seed: int,
        metadata: pd.DataFrame | None = None,
    ):
        self._decide = metric.kernel
        patterns = None if "other_stimulus" in region.dims else find_patterns(region, owner)
        found = labelled(metadata, str(metric.options["label"]), region["stimulus"].values.tolist(), owner)
        check_enough_stimuli(len(found.stimuli), f"{owner}, of those with a label,")
        raise_if_few(found, N_FOLDS, owner)
        self._classes, self._n_classes = found.classes, len(found.names)
        self._chance = chance_accuracy(found.classes)
        self.resamples = Resamples.draw(n_resamples, len(found.stimuli), 0, seed)
        self._folds = draw_stratified_folds(found, labels(metadata, "image", found.stimuli), seed)
        ceiling, ceiling_note = self._ceiling(found, patterns)
        subjects = set(patterns.subjects) if patterns else set()
        notes = [f"chance {self._chance:.3g}: {self._n_classes} classes"]
        if found.n_without:
            notes.append(f"{found.n_without} stimuli without a label left out")
        self.facts = Facts(
            stimuli=found.stimuli,
            subject=subjects.pop() if len(subjects) == 1 else "",
            n_units=len(patterns.units) if patterns else -1,
            n_units_masked=patterns.n_masked if patterns else 0,
            ceiling=ceiling,
            notes=(*notes, *ceiling_note),
        )

    def outcomes(self, layers: Sequence[Representation]) -> list[Outcome]:
        """Decode the labels from each layer."""
        return [self._outcome(layer.gram) for layer in layers]

    def normalise(self, raw: float) -> float:
        """Express what is above chance as a share of what the ceiling is above chance."""
        return (raw - self._chance) / (self.facts.ceiling - self._chance)

    def _outcome(self, gram: Float[Array, "n n"]) -> Outcome:
        choosing = [
            mean_over_splits(np.array([self._accuracy(gram, *inner) for inner in fold.inner]))
            for fold in self._folds
        ]
        scoring = [self._accuracy(gram, fold.train, fold.test) for fold in self._folds]
        return outcome_over_folds(np.array(choosing), np.array(scoring))

    def _accuracy(self, gram: Float[Array, "n n"], train: Array, test: Array) -> Float[Array, " value"]:
        """Balanced accuracy on the test stimuli: observed, then in each bootstrap sample."""
        blocks = centred_blocks(gram, train, test)
        decided = self._decide(*blocks, self._classes[train], self._n_classes)
        weights = fold_weights(self.resamples, test)
        return balanced_accuracy(self._classes[test], decided, weights, self._n_classes)

    def _ceiling(self, found: Labelled, patterns: Patterns | None) -> tuple[float, tuple[str, ...]]:
        """Accuracy of the same decoder on the region's mean responses, and why there is none."""
        if patterns is None:
            return float("nan"), ("no ceiling: the region is given as dissimilarities, without responses",)
        place = {stimulus: row for row, stimulus in enumerate(patterns.stimuli)}
        responses = patterns.mean[[place[stimulus] for stimulus in found.stimuli]]
        accuracies = []
        for fold in self._folds:
            weights = balanced_weights(self._classes[fold.train], self._n_classes)
            axes = feature_axes(responses[fold.train], responses[fold.test], weights)
            scores = ridge_scores(axes, indicators(self._classes[fold.train], self._n_classes))
            once = np.ones((1, len(fold.test)))
            truth = self._classes[fold.test]
            accuracies.append(balanced_accuracy(truth, np.argmax(scores, axis=1), once, self._n_classes)[0])
        ceiling = float(np.nanmean(accuracies))
        if ceiling <= self._chance:
            return float("nan"), ("no ceiling: the region itself decodes no better than chance",)
        return ceiling, ()


def labelled(metadata: pd.DataFrame | None, label: str, stimuli: Sequence[str], owner: str) -> Labelled:
    """Find the class of each stimulus in a column of the metadata; those without (NaN) are left out.

    Raises
    ------
    NeedsError
        No such column (the closest is named), or fewer than two classes.
    """
    columns = {} if metadata is None else {snake_case(str(column)): column for column in metadata}
    if metadata is None or snake_case(label) not in columns:
        raise NeedsError(f"{owner} has no such label: {unknown_name('column of the metadata', label, columns)}")
    values = metadata[columns[snake_case(label)]].loc[sorted(stimuli)]
    known = values[values.notna()].astype(str)
    names, classes = np.unique(known.to_numpy(dtype=str), return_inverse=True)
    if len(names) < 2:
        raise NeedsError(
            f"{owner} has {len(names)} classes in the column {label!r}; decoding needs two at least. Name "
            "another column."
        )
    return Labelled(tuple(known.index), classes, tuple(names.tolist()), len(values) - len(known))


def raise_if_few(found: Labelled, n_folds: int, owner: str) -> None:
    """Raise if a class has not a stimulus for each fold."""
    counts = np.bincount(found.classes)
    if counts.min() < n_folds:
        raise NeedsError(
            f"{owner} has {counts.min()} stimuli of class {found.names[counts.argmin()]!r}, of "
            f"{len(found.names)} classes; {n_folds} folds need {n_folds} of each. Name a column with fewer "
            "classes, or leave those stimuli without a label."
        )


def stratified_folds(
    classes: Int[Array, " row"], groups: Array | None, n_folds: int, generator: np.random.Generator
) -> Int[Array, " row"]:
    """Deal rows to folds at random, each class evenly; rows of one group fall into one fold.

    Examples
    --------
    >>> classes = np.array([0, 0, 0, 0, 1, 1])
    >>> folds = stratified_folds(classes, None, 2, np.random.default_rng(0))
    >>> np.bincount(folds[:4]).tolist(), np.bincount(folds[4:]).tolist()
    ([2, 2], [1, 1])
    """
    names = np.arange(len(classes)) if groups is None else groups
    _, first, group = np.unique(names, return_index=True, return_inverse=True)
    order = generator.permutation(len(first))
    order = order[np.argsort(classes[first][order], kind="stable")]
    fold = np.empty(len(first), dtype=np.int64)
    fold[order] = np.arange(len(first)) % n_folds
    return fold[group]


def draw_stratified_folds(found: Labelled, groups: Array | None, seed: int) -> list[NestedFold]:
    """Split labelled stimuli into four parts to test on, and each rest into three to choose a layer by."""
    generator = np.random.default_rng(seed)
    fold = stratified_folds(found.classes, groups, N_FOLDS, generator)
    folds = []
    for k in range(N_FOLDS):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        of_train = None if groups is None else groups[train]
        part = stratified_folds(found.classes[train], of_train, N_INNER_FOLDS, generator)
        inner = tuple((train[part != k], train[part == k]) for k in range(N_INNER_FOLDS))
        folds.append(NestedFold(train, test, inner))
        if not all(len(rows) for rows in (test, *(rows for pair in inner for rows in pair))):
            raise ResponsesError(
                "Only 0 stimuli are left to fit a decoder to, or to test it on, once stimuli that show the "
                "same image are kept together. The column 'image' of the metadata names for each stimulus the "
                "image that it shows; give images that differ different names, or leave the column out."
            )
    return folds
