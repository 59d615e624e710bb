"""The learning rate of each rule, chosen from the search's runs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from brainalign.errors import BrainalignError
from brainalign.sweep.experiment import Experiment
from brainalign.sweep.plan import Combination, Plan, TrainingCell, searched
from brainalign.sweep.store import Store
from brainalign.training.search import choose_rate, loss_of

COLUMNS = ("network", "task", "rule", "lr", "loss", "seeds", "chosen", "note")


def choose_rates(
    experiment: Experiment, plan: Plan, store: Store
) -> tuple[dict[Combination, float | None], pd.DataFrame]:
    """Choose each combination's rate by the mean held-out loss over seeds; a run without one counts as worst.

    Returns
    -------
    dict
        The rate of each combination; None where no rate gave a loss.
    pandas.DataFrame
        Every rate with its loss; `chosen` marks the one that is used, `note` warns where it is the lowest or
        the highest that was tried.
    """
    if experiment.search is None:
        return {}, pd.DataFrame(columns=list(COLUMNS))
    rates = sorted(experiment.search.rates)
    per_rate = len(plan.search) // max(len(searched(experiment)), 1)
    found: dict[Combination, float | None] = {}
    rows = []
    for place, combination in enumerate(searched(experiment)):
        cells = plan.search[place * per_rate : (place + 1) * per_rate]
        losses = [_mean_loss([cell for cell in cells if cell.lr == rate], store) for rate in rates]
        try:
            found[combination], note = choose_rate(rates, losses)
        except BrainalignError as error:
            found[combination], note = None, str(error)
        for rate, loss in zip(rates, losses, strict=True):
            chosen = rate == found[combination]
            said = note if chosen or found[combination] is None else ""
            rows.append((*combination, rate, loss, len(experiment.search.seeds), chosen, said))
    return found, pd.DataFrame(rows, columns=list(COLUMNS))


def _mean_loss(cells: Sequence[TrainingCell], store: Store) -> float:
    losses = []
    for cell in cells:
        stored = store.read(cell.key)
        losses.append(float("nan") if stored is None else _last_loss(stored, cell.rule))
    return float(np.mean(losses))


def _last_loss(stored: dict, rule: str) -> float:
    return float(loss_of(dict(zip(stored["columns"], stored["rows"][-1], strict=True)), rule))
