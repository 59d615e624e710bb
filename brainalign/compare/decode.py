"""Decode stimulus labels from a brain's own responses, region by region, without any network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int
from tqdm import tqdm

from brainalign.compare.decoded_patterns import DecodedPatterns, decoded_patterns
from brainalign.compare.decoders import DECODERS
from brainalign.compare.decoding import labelled
from brainalign.compare.patterns import find_patterns
from brainalign.compare.resampling import interval
from brainalign.data import Recording, load_recording
from brainalign.errors import AlignmentError, BrainalignError, NeedsError
from brainalign.metrics.decoding import balanced_accuracy
from brainalign.names import unknown_name

Array = np.ndarray

ROUNDING = 1e-12
"""Accuracies closer than this are equal."""


def decode(
    recording: str | Recording | xr.DataArray,
    labels: str | Mapping[str, object],
    *,
    subset: Mapping[str, str] | None = None,
    held_out: str = "stimulus",
    single_trials: bool = False,
    decoder: str = "ridge",
    inverse_penalty: float = 0.01,
    standardise: bool = True,
    n_folds: int = 4,
    n_permutations: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Decode labels of stimuli from each region's responses; images are not needed.

    Balanced accuracy, over all held-out patterns, of a linear decoder in which all classes weigh alike.
    The interval is accuracy ± t·SE, stimuli resampled within their classes (in closed form); the variance of
    the fit is left out, and where all are decoded right, or all wrong, it has no width.
    p = (1 + #{permuted ≥ observed}) / (1 + permutations): labels change places within each fold, those of
    whole stimuli unless repeats are held out, and the decoder is fitted anew each time.

    Parameters
    ----------
    recording
        A recording or its name, or responses alone.
    labels
        A column of the stimuli's metadata, or a label for each stimulus id. Stimuli without are left out.
    subset
        Values that columns of the metadata must have: ``{"variation": "V6"}``.
    held_out
        What training and test patterns do not share. ``stimulus``: no stimulus is in both (nor, where the
        metadata have a column ``image``, any image). ``repeat``: all stimuli are in both, no presentation
        is, which asks for what is told apart rather than for what generalises. A column of the metadata:
        each of its values is held out in turn, as for generalising from positions to another one.
    single_trials
        Decode single presentations instead of their mean, those in which no unit is missing. Units that were
        recorded one after the other then make up pseudo-trials. Always so if repeats are held out.
    decoder
        ``ridge``: ridge classification, the penalty chosen by leave-one-out on the training patterns.
        ``logistic``: multinomial logistic regression with scikit-learn's C = `inverse_penalty`; slower by
        far where labels are permuted.
    standardise
        Divide each unit by its standard deviation over the training patterns.
    n_folds
        Folds, of which each is held out once; without use for a column.
    n_permutations
        Permutations behind p; with 0 it is NaN.
    seed
        Seed of folds and permutations.

    Returns
    -------
    pandas.DataFrame
        A row a region: ``recording, region, labels, decoder, held_out, accuracy, low, high, chance, p,
        n_stimuli, n_patterns, n_units, n_classes, note``.

    Raises
    ------
    NeedsError
        No responses, no such labels, too few stimuli of a class, no repeats where single ones are asked for, or
        a class that is in one fold alone.
    UnknownNameError
        A column, a value or a decoder that does not exist.
    AlignmentError
        Labels for other stimuli than the recording's.

    Examples
    --------
    >>> from brainalign.data import make_responses
    >>> ids = [f"s{i:02d}" for i in range(20)]
    >>> category = {stimulus: "face" if i % 2 else "house" for i, stimulus in enumerate(ids)}
    >>> values = np.random.default_rng(0).normal(size=(20, 5)) + 4 * (np.arange(20) % 2)[:, None]
    >>> table = decode(make_responses(values, ids, region="IT"), category, n_permutations=99)
    >>> table[["accuracy", "chance", "p"]].values.tolist()
    [[1.0, 0.5, 0.01]]
    """
    if decoder not in DECODERS:
        raise unknown_name("decoder", decoder, DECODERS)
    if n_folds < 2 or n_permutations < 0 or not inverse_penalty > 0:
        raise BrainalignError(
            f"{n_folds} folds, {n_permutations} permutations and an inverse penalty of {inverse_penalty} were "
            "asked for; decoding takes two folds or more, no negative number, and a penalty above 0."
        )
    how = _How(held_out, single_trials, decoder, inverse_penalty, standardise, n_folds, n_permutations, seed)
    found, metadata, label = _with_labels(recording, labels)
    if not found.responses:
        raise NeedsError(
            f"Recording {found.name!r} has dissimilarities alone; to decode takes responses. Hold networks "
            "against it by the metric 'decoding', or choose another recording."
        )
    metadata = _subset(metadata, subset or {}, found.name)
    rows = []
    for region in found.regions:
        row: dict[str, Any]
        if region in found.responses:
            row = _decoded(found, region, metadata, label, how)
        else:
            row = {**dict.fromkeys(VALUES, float("nan")), **dict.fromkeys(COUNTS, 0)}
            row |= {"note": "no responses, only dissimilarities"}
        if found.provenance.simulated:
            row["note"] = "; ".join(["SIMULATED", *filter(None, [row["note"]])])
        identity = {"recording": found.name, "region": region, "labels": label}
        rows.append(identity | {"decoder": decoder, "held_out": held_out} | row)
    return pd.DataFrame(rows)


VALUES = ("accuracy", "low", "high", "chance", "p")
COUNTS = ("n_stimuli", "n_patterns", "n_units", "n_classes")


@dataclass(frozen=True)
class _How:
    held_out: str
    single_trials: bool
    decoder: str
    inverse_penalty: float
    standardise: bool
    n_folds: int
    n_permutations: int
    seed: int


def _decoded(
    recording: Recording, region: str, metadata: pd.DataFrame, label: str, how: _How
) -> dict[str, Any]:
    """Decode the labels from one region's responses."""
    owner = f"Region {region!r} of {recording.name!r}"
    patterns = find_patterns(recording.responses[region], owner)
    shown = [stimulus for stimulus in patterns.stimuli if stimulus in metadata.index]
    classes = labelled(metadata, label, shown, owner)
    drawn = decoded_patterns(
        patterns, classes, metadata, how.held_out, how.single_trials, how.n_folds, how.seed, owner
    )
    task = _Task(drawn, len(classes.names), how.decoder, how.inverse_penalty, how.standardise)
    generator = np.random.default_rng(how.seed)
    return {
        **task.values(how.n_permutations, generator, f"{recording.name} {region}"),
        "n_stimuli": drawn.n_stimuli,
        "n_patterns": len(drawn.values),
        "n_units": drawn.values.shape[1],
        "n_classes": len(classes.names),
        "note": "; ".join(drawn.notes),
    }


def _with_labels(
    recording: str | Recording | xr.DataArray, labels: str | Mapping[str, object]
) -> tuple[Recording, pd.DataFrame | None, str]:
    """Give the recording, the table with the labels, and the labels' column."""
    if isinstance(recording, str):
        recording = load_recording(recording)
    if isinstance(recording, xr.DataArray):
        regions = dict.fromkeys(recording["region"].values.tolist())
        parts = {region: recording.isel(unit=recording["region"].values == region) for region in regions}
        recording = Recording("responses", responses=parts)
    recording.require_regions()
    metadata = None if recording.stimuli is None else recording.stimuli.metadata
    if isinstance(labels, str):
        return recording, metadata, labels
    answered = {i for region in recording.regions for i in recording[region]["stimulus"].values.tolist()}
    if not answered & set(labels):
        raise AlignmentError(
            f"None of the {len(labels)} stimuli with a label is among the {len(answered)} of "
            f"{recording.name!r}, such as {min(answered)!r}; label stimuli by their ids."
        )
    index = pd.Index(sorted(answered), name="stimulus", dtype=object)
    table = pd.DataFrame(index=index) if metadata is None else metadata.copy()
    table["label"] = pd.Series(dict(labels), dtype=object).reindex(table.index)
    return recording, table, "label"


def _subset(metadata: pd.DataFrame | None, subset: Mapping[str, str], name: str) -> pd.DataFrame:
    """Leave the stimuli whose columns have the values asked for."""
    if metadata is None:
        raise NeedsError(f"Recording {name!r} has no metadata to take labels from; give a label for each id.")
    keep = np.ones(len(metadata), dtype=bool)
    for column, value in subset.items():
        if column not in metadata:
            raise unknown_name("column of the metadata", column, map(str, metadata.columns))
        values = metadata[column].astype(str).to_numpy(dtype=str)
        if str(value) not in values:
            raise unknown_name(f"value of {column}", str(value), set(values.tolist()))
        keep &= values == str(value)
    if not keep.any():
        raise NeedsError(f"Recording {name!r} has no stimulus with all of {dict(subset)}; ask for less.")
    return metadata.loc[keep]


class _Task:
    """Patterns to decode, with a decoder made ready for each fold."""

    def __init__(
        self, drawn: DecodedPatterns, n_classes: int, decoder: str, inverse_penalty: float, standardise: bool
    ):
        self._drawn, self._n_classes = drawn, n_classes
        fold = drawn.fold[drawn.group]
        self._folds = []
        for k in np.unique(fold):
            train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            sides = _scaled(drawn.values[train], drawn.values[test], standardise)
            self._folds.append((train, test, DECODERS[decoder](*sides, inverse_penalty)))

    def values(self, n_permutations: int, generator: np.random.Generator, name: str) -> dict[str, float]:
        """Give accuracy, interval, chance and p."""
        drawn = self._drawn
        correct = self._correct(drawn.classes)
        accuracy = self._accuracy(drawn.classes, correct)
        low, high = interval(accuracy, *self._variance(correct))
        n_reached = 0
        for _ in tqdm(range(n_permutations), name, unit="permutation", delay=2, leave=False, disable=None):
            permuted = drawn.classes.copy()
            for k in np.unique(drawn.fold):
                rows = np.flatnonzero(drawn.fold == k)
                permuted[rows] = generator.permutation(permuted[rows])
            n_reached += self._accuracy(permuted, self._correct(permuted)) >= accuracy - ROUNDING
        p = (1 + n_reached) / (1 + n_permutations) if n_permutations else float("nan")
        chance = 1 / self._n_classes
        return {"accuracy": accuracy, "low": max(low, 0.0), "high": min(high, 1.0), "chance": chance, "p": p}

    def _correct(self, classes: Int[Array, " group"]) -> np.ndarray:
        """Say of each pattern whether it is decoded right while it is held out."""
        truth = classes[self._drawn.group]
        correct = np.empty(len(truth), dtype=bool)
        for train, test, decide in self._folds:
            correct[test] = decide(truth[train], self._n_classes) == truth[test]
        return correct

    def _accuracy(self, classes: Int[Array, " group"], correct: np.ndarray) -> float:
        truth = classes[self._drawn.group]
        decided = np.where(correct, truth, -1)
        return float(balanced_accuracy(truth, decided, np.ones((1, len(truth))), self._n_classes)[0])

    def _variance(self, correct: np.ndarray) -> tuple[float, float]:
        """Give the variance of the accuracy, groups drawn anew within classes, and its degrees of freedom."""
        drawn = self._drawn
        n_groups = len(drawn.classes)
        shown = np.bincount(drawn.group, minlength=n_groups)
        right = np.bincount(drawn.group, weights=correct, minlength=n_groups)
        variances = []
        for k in range(self._n_classes):
            own = drawn.classes == k
            recall, m = right[own].sum() / shown[own].sum(), int(own.sum())
            off = right[own] - recall * shown[own]
            variances.append(m / (m - 1) * np.sum(off**2) / shown[own].sum() ** 2)
        return float(np.sum(variances)) / self._n_classes**2, float(n_groups - self._n_classes)


def _scaled(
    train: Float[Array, "train unit"], test: Float[Array, "test unit"], standardise: bool
) -> tuple[Float[Array, "train unit"], Float[Array, "test unit"]]:
    """Divide each unit by its standard deviation over the training patterns, unless it is constant."""
    mean = train.mean(axis=0)
    scale = np.where(np.ptp(train, axis=0) > 0, train.std(axis=0), 1.0) if standardise else 1.0
    return (train - mean) / scale, (test - mean) / scale
