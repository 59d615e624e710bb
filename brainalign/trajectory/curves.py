"""Curves over training: of each score in a table of scores, of each column in a table of training."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from brainalign.errors import BrainalignError

OF_SCORES = ("recording", "region", "subject", "network", "layer", "metric", "task", "rule")
OF_TRAINING = ("network", "task", "rule")
QUANTITIES = ("loss", "accuracy")
"""Columns of a training table, with those of single categories, that are curves of performance."""
LABELS = (*OF_SCORES, "quantity")


@dataclass(frozen=True)
class Curve:
    """One quantity over training, for each seed.

    Parameters
    ----------
    labels
        What it is of, by `LABELS`; empty where one does not apply.
    values
        The quantity; NaN where a seed lacks a checkpoint or a value.
    steps
        Training steps of the checkpoints, increasing.
    seeds
        Seeds of the rows.
    """

    labels: dict[str, str]
    values: Float[np.ndarray, "seed checkpoint"]
    steps: Float[np.ndarray, " checkpoint"]
    seeds: tuple[int, ...]

    @property
    def name(self) -> str:
        """What tells it from other curves, in words."""
        return ", ".join(filter(None, (self.labels[label] for label in LABELS)))


def score_curves(scores: xr.Dataset) -> list[Curve]:
    """Give a curve for each recording, region, layer, metric, network, task and rule with checkpoints.

    The quantity is ``score``, normalised by the ceiling, where every checkpoint that has a ``raw`` value has
    one, else ``raw``; `Curve.labels` says which. Cells without checkpoint (controls) are left out.

    Raises
    ------
    BrainalignError
        Where the table follows nothing over training, or holds a cell twice.
    """
    table = scores.to_dataframe().reset_index(drop=True).query("checkpoint >= 0")
    if table.empty:
        raise BrainalignError(
            "Stages were asked of a table of scores without checkpoints. Score a trained run's folder, which "
            "brings all its checkpoints: `brainalign score DIR --on RECORDING --out scores.nc`."
        )
    return [
        _curve(part, "score" if _normalised(part) else "raw", labels, "checkpoint")
        for labels, part in _parted(table, OF_SCORES)
    ]


def training_curves(table: pd.DataFrame) -> list[Curve]:
    """Give a curve for the loss, the accuracy and each category's accuracy, from a ``training.csv``.

    Raises
    ------
    BrainalignError
        Where a column is missing, or a step is there twice.
    """
    if "step" not in table:
        raise BrainalignError(
            f"A training table has a column 'step'; this one has {', '.join(map(str, table)) or 'none'}."
        )
    table = table.assign(**{name: "" for name in OF_TRAINING if name not in table})
    table = table.assign(seed=table.get("seed", 0))
    wanted = [name for name in map(str, table) if name in QUANTITIES or name.startswith(f"{QUANTITIES[1]}.")]
    return [
        _curve(part, quantity, labels, "step")
        for labels, part in _parted(table, OF_TRAINING)
        for quantity in wanted
        if np.isfinite(part[quantity].to_numpy(float)).any()
    ]


def choose(curves: Sequence[Curve], **labels: str) -> Curve:
    """Give the one curve with these labels.

    Raises
    ------
    BrainalignError
        Where none or several have them.
    """
    found = [curve for curve in curves if all(curve.labels[name] == value for name, value in labels.items())]
    if len(found) != 1:
        wanted = ", ".join(f"{name}={value}" for name, value in labels.items())
        raise BrainalignError(f"{len(found)} of {len(curves)} curves have {wanted}; labels must name one.")
    return found[0]


def _parted(table: pd.DataFrame, names: Sequence[str]) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """Give the rows of each combination of labels, in the order in which they come."""
    key = table[list(names)].fillna("").apply(tuple, axis=1)
    for labels in dict.fromkeys(key):
        yield dict(zip(names, labels, strict=True)), table.loc[[each == labels for each in key]]


def _normalised(table: pd.DataFrame) -> bool:
    score, raw = (np.isfinite(table[name].to_numpy(float)) for name in ("score", "raw"))
    return bool(score.any() and (score | ~raw).all())


def _curve(table: pd.DataFrame, quantity: str, labels: dict[str, str], step: str) -> Curve:
    twice = table.duplicated(["seed", step])
    if twice.any():
        first = table[twice].iloc[0]
        raise BrainalignError(
            f"A table holds seed {first['seed']} at {step} {first[step]} twice for {_words(labels)}."
        )
    wide = table.pivot(index="seed", columns=step, values=quantity).sort_index().sort_index(axis=1)
    return Curve(
        dict.fromkeys(LABELS, "") | labels | {"quantity": quantity},
        wide.to_numpy(float),
        wide.columns.to_numpy(float),
        tuple(int(seed) for seed in wide.index),
    )


def _words(labels: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in labels.items() if value) or "a run"
