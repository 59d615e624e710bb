"""The lines and panels of a layer profile, gathered from a scores table."""

import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from brainalign.errors import BrainalignError
from brainalign.figures.cells import COMMITTED, CONTROLS, Cell, ceiling_of, facts_of


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
    facts = [origin, *facts_of(scored)]
    return Panel(recording, region, metric, _lines(scored, len(subjects) > 1), ceiling_of(scored), facts)


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
