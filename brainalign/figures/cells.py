"""The cells of a scores table that figures read, and the facts that stand above a panel."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import xarray as xr

from brainalign.errors import BrainalignError
from brainalign.figures.style import span
from brainalign.names import unknown_name

CONTROLS = ("pixels", "gabor")
COMMITTED = "committed"


class Cell(NamedTuple):
    """What figures read of one cell of the scores table."""

    recording: str
    region: str
    subject: str
    network: str
    layer: str
    metric: str
    task: str
    rule: str
    seed: int
    checkpoint: int
    raw: float
    low: float
    high: float
    score: float
    ceiling: float
    ceiling_lower: float
    n_stimuli: int
    n_units: int
    n_units_masked: int
    note: str


def read_cells(scores: xr.Dataset, metric: str | None) -> list[Cell]:
    """Give the cells of one metric, or of all.

    Raises
    ------
    BrainalignError
        No cell, or a missing variable or coordinate.
    UnknownNameError
        A metric that the table does not hold.
    """
    missing = [name for name in Cell._fields if name not in scores.variables]
    if missing:
        raise BrainalignError(
            f"The table lacks {', '.join(missing)}; a figure is drawn from the table that `score` returns."
        )
    cells = [
        Cell(*values) for values in zip(*(scores[name].values.tolist() for name in Cell._fields), strict=True)
    ]
    if not cells:
        raise BrainalignError("The scores table has no cell, so there is nothing to draw.")
    if metric is None:
        return cells
    metrics = {cell.metric for cell in cells}
    if metric not in metrics:
        raise unknown_name("metric in the table", metric, metrics)
    return [cell for cell in cells if cell.metric == metric]


def ceiling_of(cells: Sequence[Cell]) -> tuple[float, float]:
    """Lower and upper bound; the lower one is NaN where the table gives a single value."""
    cells = [cell for cell in cells if cell.layer != COMMITTED] or cells
    uppers = [cell.ceiling for cell in cells if np.isfinite(cell.ceiling)]
    lowers = [cell.ceiling_lower for cell in cells if np.isfinite(cell.ceiling_lower)]
    if not uppers:
        return np.nan, np.nan
    lower = min(lowers or uppers)
    return lower if lower < max(uppers) else np.nan, max(uppers)


def facts_of(cells: Sequence[Cell], scale: Literal["raw", "score"] = "raw") -> list[str]:
    """Say how many stimuli and units there are, and how many values on the scale are missing and why."""
    compared = [cell for cell in cells if cell.n_stimuli > 0] or cells
    counts = f"{span([cell.n_stimuli for cell in compared])} stimuli"
    with_units = [cell for cell in compared if cell.n_units >= 0]
    if with_units:
        masked = span([cell.n_units_masked for cell in with_units])
        left_out = "" if masked == "0" else f" ({masked} left out)"
        counts += f", {span([cell.n_units for cell in with_units])} units{left_out}"
    facts = [counts]
    if not any(np.isfinite(cell.ceiling) for cell in cells):
        facts.append(_no_ceiling([cell.note for cell in cells]))
    n_missing = sum(not np.isfinite(getattr(cell, scale)) for cell in cells)
    if n_missing:
        facts.append(f"{n_missing} of {len(cells)} cells without a score")
    return facts


def _no_ceiling(notes: Sequence[str]) -> str:
    """Take the reason from the notes: the part, between semicolons, that speaks of the ceiling."""
    parts = [part.strip() for note in notes for part in note.split(";")]
    told = next((part for part in parts if "ceiling" in part), "the table gives no reason")
    return told if told.startswith("no ceiling") else f"no ceiling: {told}"
