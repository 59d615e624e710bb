"""Search a rule's learning rate in a stated budget, the same for every rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brainalign.errors import BrainalignError
from brainalign.names import snake_case
from brainalign.rules import find_rule
from brainalign.tasks import ImageTask, Schedule, draws_trials, find_task
from brainalign.training.optimizers import find_optimizer
from brainalign.training.train import train
from brainalign.training.trainer import DivergedError

DECADES = (-2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0)
"""Rates that are tried, as powers of ten times the optimiser's own: eight, down to 1/300 of it."""

VALIDATION = 0.1
"""Share of the training images that is set apart to choose by."""


@dataclass(frozen=True)
class Search:
    """What a search found.

    Parameters
    ----------
    best
        The rate with the lowest loss.
    table
        Each rate with its loss (`loss_of`) and accuracy on images set apart from training, and a note where it
        diverged.
    note
        A warning where the best is the lowest or highest rate tried.
    """

    best: float
    table: pd.DataFrame
    note: str


def default_rates(rule: str, optimizer: str | None = None) -> list[float]:
    """Give the rates that are tried: eight, half a decade apart, about the optimiser's own.

    Examples
    --------
    >>> [f"{rate:.2g}" for rate in default_rates("backprop", "momentum")]
    ['3.2e-05', '0.0001', '0.00032', '0.001', '0.0032', '0.01', '0.032', '0.1']
    """
    own = find_optimizer(optimizer or find_rule(rule).optimizer).lr
    return [float(f"{own * 10**decade:.3g}") for decade in DECADES]


def search_learning_rate(
    network: str,
    task: str,
    rule: str,
    *,
    out: str | Path,
    rates: Sequence[float] | None = None,
    validation: int | None = None,
    optimizer: str | None = None,
    **options,
) -> Search:
    """Train once at each rate, and choose by the loss on training images that are set apart.

    Test images are never looked at. The budget is the same for every rule: as many rates, and as many steps.

    Parameters
    ----------
    network, task, rule, optimizer, **options
        As of `train`.
    out
        Folder of the runs, which can be gone on from.
    rates
        Rates to try; `default_rates` unless given.
    validation
        Training images to set apart; a tenth unless given.

    Raises
    ------
    BrainalignError
        Training diverged at every rate.
    """
    if all(weight == 0 for _, weight in Schedule.parse(str(options.get("cost_weight", "1"))).points):
        raise BrainalignError("A rate is chosen by the outputs' cost, whose weight is 0 here; give the rate.")
    if not find_rule(rule).learns:
        raise BrainalignError(f"Nothing learns under {rule!r}, so there is no rate to search.")
    if not (find_rule(rule).trains_readout or find_task(task).categories):
        raise BrainalignError(
            f"Under {rule!r} the outputs learn nothing, and the images of {task!r} have no categories to "
            "choose a rate by; give the rate."
        )
    rates = default_rates(rule, optimizer) if rates is None else sorted(rates)
    apart = validating(task, validation)
    rows = []
    for rate in rates:
        row = {"lr": rate, "loss": np.nan, "accuracy": np.nan, "note": ""}
        try:
            run = train(
                network,
                apart,
                rule,
                lr=rate,
                optimizer=optimizer,
                checkpoints=2,
                out=Path(out) / f"{rate:g}",
                **options,
            )
            last = run.table.iloc[-1]
            row |= {"loss": loss_of(last.to_dict(), rule), "accuracy": last["accuracy"]}
        except DivergedError as error:
            row["note"] = str(error).partition(". ")[0]
        rows.append(row)
    table = pd.DataFrame(rows)
    best, note = choose_rate(table["lr"].tolist(), table["loss"].tolist())
    return Search(best, table, note)


def loss_of(last: Mapping[str, Any], rule: str) -> float:
    """Give what a rate is chosen by, from the last row of a run's table.

    It is the loss of the outputs; of a rule whose outputs learn nothing, the share of images that a read-out
    fitted apart gets wrong, NaN where nothing was measured, for training diverged.
    """
    return last["loss"] if find_rule(rule).trains_readout else 1 - last.get("readout_accuracy", np.nan)


def choose_rate(rates: Sequence[float], losses: Sequence[float]) -> tuple[float, str]:
    """Choose the rate with the lowest loss (of equal ones the lowest), and warn where it is at an end.

    Raises
    ------
    BrainalignError
        No loss is a number.

    Examples
    --------
    >>> choose_rate([0.01, 0.1, 1.0], [2.0, 0.5, float("nan")])
    (0.1, '')
    """
    known = [(loss, rate) for rate, loss in zip(rates, losses, strict=True) if np.isfinite(loss)]
    if not known:
        raise BrainalignError(
            f"Training diverged at every rate from {min(rates):g} to {max(rates):g}; try lower ones."
        )
    best = min(known)[1]
    side = "lowest" if best == min(rates) else "highest" if best == max(rates) else ""
    note = f"the best rate is the {side} tried" if side and len(rates) > 1 else ""
    return best, note


def validating(task: str, validation: int | None = None) -> str:
    """Give a task's name with training images set apart to choose by; tasks that draw trials have none.

    Examples
    --------
    >>> validating("classification:mnist", 5000)
    'classification:mnist,validation=5000'
    """
    if draws_trials(task):
        return task
    if validation is None:
        found = find_task(task)
        if not isinstance(found, ImageTask):
            raise BrainalignError(f"Task {task!r} sets no images apart to choose a rate by; give the rate.")
        validation = max(round(VALIDATION * len(found.images.train_images)), 1)
    key, _, rest = task.partition(":")
    return f"{snake_case(key)}:{rest or 'digits'},validation={validation}"
