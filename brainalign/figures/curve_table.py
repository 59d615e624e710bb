"""Scores over training as a tidy table: mean and interval over seeds at each checkpoint."""

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from scipy import stats

from brainalign.errors import BrainalignError
from brainalign.figures.cells import COMMITTED, CONTROLS, Cell, read_cells
from brainalign.names import unknown_name

UNTRAINED = "untrained"
Scale = Literal["raw", "score"]


class Summary(NamedTuple):
    """Mean over seeds of one network under one rule at one checkpoint, with the ends of its 95 % interval."""

    recording: str
    region: str
    subject: str
    metric: str
    scale: Scale
    network: str
    task: str
    rule: str
    checkpoint: int
    mean: float
    low: float
    high: float
    n_seeds: int
    n_missing: int


def is_control(network: str) -> bool:
    """Say whether a network is a control that has nothing to learn."""
    return network.partition(":")[0] in CONTROLS


def over_seeds(values: Sequence[float] | Float[np.ndarray, " seed"]) -> tuple[float, float, float]:
    """Mean over seeds, and the ends of its 95 % t-interval.

    The interval is :math:`m ± t_{0.975, n-1} s / √n`, with s the standard deviation (n − 1) over seeds.
    NaN is left out; with one seed the interval is NaN.

    Examples
    --------
    >>> [round(end, 3) for end in over_seeds([0.1, 0.2, 0.3])]
    [0.2, -0.048, 0.448]
    """
    known = np.asarray([value for value in values if np.isfinite(value)], dtype=np.float64)
    if not len(known):
        return np.nan, np.nan, np.nan
    mean = float(known.mean())
    if len(known) == 1:
        return mean, np.nan, np.nan
    half = float(stats.t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known)))
    return mean, mean - half, mean + half


def curve_table(scores: xr.Dataset, layer: str | None = None, metric: str | None = None) -> pd.DataFrame:
    """Mean and 95 % t-interval over seeds at each checkpoint.

    Parameters
    ----------
    scores
        The table that `score` returns for trained runs.
    layer
        The layer; by default the one committed on other stimuli. Pixels and the Gabor bank bring their
        only layer.
    metric
        The metric; by default all of the table's.

    Returns
    -------
    pandas.DataFrame
        A row for each region of a recording, metric, network, task, rule and checkpoint (−1: not followed
        over training), with ``scale`` (``score`` where the region has a ceiling, else ``raw``), ``mean``,
        ``low``, ``high``, ``n_seeds`` and ``n_missing`` (seeds without a value).

    Raises
    ------
    BrainalignError
        A table without cells or checkpoints, or one that lacks a variable or holds a cell twice.
    UnknownNameError
        A metric or a layer that the table does not hold.
    """
    groups = by_panel(read_cells(scores, metric), layer)
    rows = [row for cells in groups.values() for row in summarise(at_layer(cells, layer))]
    return pd.DataFrame(rows, columns=pd.Index(Summary._fields))


def by_panel(cells: list[Cell], layer: str | None) -> dict[tuple[str, str, str, str], list[Cell]]:
    """Check that there is training to show, and group the cells by panel."""
    if not any(_followed(cell) for cell in cells):
        raise BrainalignError(
            "The table holds no checkpoint of a trained network (all are −1), so there is no training to "
            "draw; score the folder of a run, or draw `layer_profile`."
        )
    layers = dict.fromkeys(cell.layer for cell in cells if cell.layer and _followed(cell))
    if (layer or COMMITTED) not in layers:
        raise unknown_name("layer in the table", layer or COMMITTED, layers)
    # A metric whose needs a recording does not meet has cells of no layer, and these name no subject.
    named = {(cell.recording, cell.region): cell.subject for cell in reversed(cells) if cell.layer}
    groups: dict[tuple[str, str, str, str], list[Cell]] = {}
    for cell in cells:
        subject = cell.subject if cell.layer else named.get((cell.recording, cell.region), "")
        groups.setdefault((cell.recording, cell.region, subject, cell.metric), []).append(cell)
    return groups


def _followed(cell: Cell) -> bool:
    return cell.checkpoint >= 0 and cell.rule != UNTRAINED and not is_control(cell.network)


def at_layer(cells: list[Cell], layer: str | None) -> list[Cell]:
    """Take one layer of each network; a control has one of its own. A failed cell, of no layer, stays."""
    wanted = layer or COMMITTED
    held = {cell.network for cell in cells if cell.layer == wanted}
    alone = {cell.network for cell in cells if is_control(cell.network)} - held
    own = {name: {cell.layer for cell in cells if cell.network == name} - {COMMITTED, ""} for name in alone}
    taken = [
        cell
        for cell in cells
        if cell.layer in (wanted, "")
        or (len(own.get(cell.network, ())) == 1 and cell.layer in own[cell.network])
    ]
    return taken if any(cell.layer for cell in taken) else []


def summarise(cells: list[Cell]) -> list[Summary]:
    """Summarise the cells of one panel over seeds."""
    scale = scale_of(cells)
    groups: dict[tuple[str, str, str, int], list[Cell]] = {}
    for cell in cells:
        network = re.sub(rf"@{UNTRAINED}:.*$", f"@{UNTRAINED}", cell.network)
        groups.setdefault((network, cell.task, cell.rule, cell.checkpoint), []).append(cell)
    rows = []
    for (network, task, rule, checkpoint), group in groups.items():
        _check_unique(group)
        place = next((cell for cell in cells if cell.layer), group[0])
        values = np.array([getattr(cell, scale) for cell in group], dtype=float)
        mean, low, high = over_seeds(values)
        n_seeds = int(np.isfinite(values).sum())
        counts = n_seeds, len(values) - n_seeds
        who = place.recording, place.region, place.subject, place.metric
        rows.append(Summary(*who, scale, network, task, rule, checkpoint, mean, low, high, *counts))
    return rows


def _check_unique(cells: list[Cell]) -> None:
    seen = set()
    for cell in cells:
        if (key := (cell.network, cell.seed)) in seen:
            raise BrainalignError(
                f"The table holds {cell.network!r}, rule {cell.rule!r}, seed {cell.seed}, layer "
                f"{cell.layer!r}, twice at checkpoint {cell.checkpoint} for {cell.region} of "
                f"{cell.recording!r} under {cell.metric!r}; select one of the two before drawing."
            )
        seen.add(key)


def scale_of(cells: Iterable[Cell]) -> Scale:
    """Take the normalised scale where the ceiling allows one."""
    return "score" if any(np.isfinite(cell.score) for cell in cells) else "raw"
