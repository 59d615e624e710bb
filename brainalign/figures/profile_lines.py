"""The lines and panels of a layer profile, gathered from a scores table."""

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from brainalign.errors import BrainalignError
from brainalign.figures.style import span
from brainalign.names import unknown_name

CONTROLS = ("pixels", "gabor")
COMMITTED = "committed"


class Cell(NamedTuple):
    """What a layer profile reads of one cell of the scores table."""

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
    ceiling: float
    ceiling_lower: float
    n_stimuli: int
    n_units: int
    n_units_masked: int
    note: str


@dataclass(frozen=True)
class Line:
    """One network's scores in one panel, in the table's order of layers; several seeds as mean and range."""

    network: str
    label: str
    layers: list[str]
    raw: Float[np.ndarray, " layer"]
    low: Float[np.ndarray, " layer"]
    high: Float[np.ndarray, " layer"]
    committed: tuple[float, float, float] | None
    n_seeds: int

    @property
    def architecture(self) -> str:
        """The network's name without the mark of random weights: both get one colour."""
        return self.network.removesuffix("@untrained")

    @property
    def untrained(self) -> bool:
        """Whether the weights are random."""
        return self.network.endswith("@untrained")

    @property
    def control(self) -> bool:
        """Whether this is a control of a single layer."""
        return self.network.partition(":")[0] in CONTROLS and len(self.layers) == 1


@dataclass(frozen=True)
class Panel:
    """One region of one recording under one metric; `ceiling` is (lower, upper), NaN where there is none."""

    recording: str
    region: str
    metric: str
    lines: list[Line]
    ceiling: tuple[float, float]
    facts: list[str]


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
            f"The table lacks {', '.join(missing)}; a layer profile is drawn from the table that `score` "
            "returns."
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


def panels_of(cells: list[Cell]) -> list[dict[str, Panel]]:
    """Group the cells by region of a recording, then by metric, in the table's order."""
    regions: dict[tuple[str, str], dict[str, list[Cell]]] = {}
    for cell in cells:
        by_metric = regions.setdefault((cell.recording, cell.region), {})
        by_metric.setdefault(cell.metric, []).append(cell)
    return [
        {metric: _panel(*region, metric, group) for metric, group in by_metric.items()}
        for region, by_metric in regions.items()
    ]


def _panel(recording: str, region: str, metric: str, cells: list[Cell]) -> Panel:
    # A metric whose needs the recording does not meet has cells of no layer, which only hold the reason.
    scored = [cell for cell in cells if cell.layer]
    if not scored:
        reasons = dict.fromkeys(cell.note for cell in cells)
        return Panel(recording, region, metric, [], (np.nan, np.nan), [recording, *reasons])
    subjects = list(dict.fromkeys(cell.subject for cell in scored))
    named = subjects[0] if len(subjects) == 1 and subjects[0] != recording else ""
    origin = f"{recording}, {named}" if named else recording
    facts = [origin, *_facts(scored)]
    return Panel(recording, region, metric, _lines(scored, len(subjects) > 1), _ceiling(scored), facts)


def _lines(cells: list[Cell], several_subjects: bool) -> list[Line]:
    """Gather cells into lines; cells that differ in their seed alone are one line."""
    groups: dict[tuple[str, str, str, str, int], list[Cell]] = {}
    for cell in cells:
        network = re.sub(r"@untrained:.*$", "@untrained", cell.network)
        key = (network, cell.subject, cell.task, cell.rule, cell.checkpoint)
        groups.setdefault(key, []).append(cell)
    return [_line(network, group, several_subjects) for (network, *_), group in groups.items()]


def _line(network: str, cells: list[Cell], name_subject: bool) -> Line:
    _check_unique(cells)
    layers: dict[str, list[Cell]] = {}
    for cell in cells:
        layers.setdefault(cell.layer, []).append(cell)
    n_seeds = len({(cell.network, cell.seed) for cell in cells})
    values = {layer: _value(group, n_seeds > 1) for layer, group in layers.items()}
    committed = values.pop(COMMITTED, None)
    raw, low, high = np.array(list(values.values()), dtype=float).reshape(-1, 3).T
    first = cells[0]
    parts = [
        network if n_seeds > 1 else first.network,
        first.subject if name_subject else "",
        first.task,
        "" if first.rule in network else first.rule,
        f"step {first.checkpoint}" if first.checkpoint >= 0 else "",
        _seeds(first, n_seeds),
    ]
    if len(values) == 1:
        committed = None  # there was nothing to choose from
    return Line(network, ", ".join(filter(None, parts)), list(values), raw, low, high, committed, n_seeds)


def _seeds(cell: Cell, n_seeds: int) -> str:
    if n_seeds > 1:
        return f"{n_seeds} seeds"
    named = cell.seed < 0 or cell.network.endswith(f":{cell.seed}")
    return "" if named else f"seed {cell.seed}"


def _check_unique(cells: list[Cell]) -> None:
    seen = set()
    for cell in cells:
        if (key := (cell.network, cell.seed, cell.layer)) in seen:
            raise BrainalignError(
                f"The table holds {cell.network!r}, layer {cell.layer!r}, twice for {cell.region} of "
                f"{cell.recording!r} under {cell.metric!r}; select one of the two before drawing."
            )
        seen.add(key)


def _value(cells: list[Cell], over_seeds: bool) -> tuple[float, float, float]:
    """Score of one layer with its interval; over seeds their mean and range."""
    scored = [cell for cell in cells if np.isfinite(cell.raw)]
    if not scored:
        return np.nan, np.nan, np.nan
    if not over_seeds:
        return scored[0].raw, scored[0].low, scored[0].high
    raw = [cell.raw for cell in scored]
    return float(np.mean(raw)), min(raw), max(raw)


def _ceiling(cells: list[Cell]) -> tuple[float, float]:
    """Lower and upper bound; the lower one is NaN where the table gives a single value."""
    cells = [cell for cell in cells if cell.layer != COMMITTED] or cells
    uppers = [cell.ceiling for cell in cells if np.isfinite(cell.ceiling)]
    lowers = [cell.ceiling_lower for cell in cells if np.isfinite(cell.ceiling_lower)]
    if not uppers:
        return np.nan, np.nan
    lower = min(lowers or uppers)
    return lower if lower < max(uppers) else np.nan, max(uppers)


def _facts(cells: list[Cell]) -> list[str]:
    """Say how many stimuli and units there are, and what is missing and why."""
    counts = f"{span([cell.n_stimuli for cell in cells])} stimuli"
    with_units = [cell for cell in cells if cell.n_units >= 0]
    if with_units:
        masked = span([cell.n_units_masked for cell in with_units])
        left_out = "" if masked == "0" else f" ({masked} left out)"
        counts += f", {span([cell.n_units for cell in with_units])} units{left_out}"
    facts = [counts]
    if not any(np.isfinite(cell.ceiling) for cell in cells):
        facts.append(_no_ceiling([cell.note for cell in cells]))
    n_missing = sum(not np.isfinite(cell.raw) for cell in cells)
    if n_missing:
        facts.append(f"{n_missing} of {len(cells)} cells without a score")
    return facts


def _no_ceiling(notes: list[str]) -> str:
    """Take the reason from the notes: the part, between semicolons, that speaks of the ceiling."""
    parts = [part.strip() for note in notes for part in note.split(";")]
    told = next((part for part in parts if "ceiling" in part), "the table gives no reason")
    return told if told.startswith("no ceiling") else f"no ceiling: {told}"
