"""The curves and levels of each panel of scores over training, gathered from a scores table."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from brainalign.figures.cells import COMMITTED, Cell, ceiling_of, facts_of
from brainalign.figures.curve_table import (
    UNTRAINED,
    Scale,
    Summary,
    at_layer,
    by_panel,
    is_control,
    scale_of,
    summarise,
)
from brainalign.figures.style import span


@dataclass(frozen=True)
class Curve:
    """One rule's scores over training in one panel: the mean over seeds with its interval at each step."""

    network: str
    task: str
    rule: str
    steps: Float[np.ndarray, " checkpoint"]
    mean: Float[np.ndarray, " checkpoint"]
    low: Float[np.ndarray, " checkpoint"]
    high: Float[np.ndarray, " checkpoint"]
    n_seeds: Int[np.ndarray, " checkpoint"]

    @property
    def learner(self) -> tuple[str, str]:
        """What learned, and what: network and task."""
        return self.network, self.task

    @property
    def name(self) -> str:
        """The rule, or the network where the table names none."""
        return self.rule or self.network


@dataclass(frozen=True)
class Level:
    """A network that is not followed over training; its value is the mean over seeds."""

    network: str
    name: str
    value: float

    @property
    def control(self) -> bool:
        """Whether this is pixels or the Gabor bank."""
        return is_control(self.network)


@dataclass(frozen=True)
class CurvePanel:
    """One region of one recording under one metric; `ceiling` is (lower, upper) on the panel's scale."""

    region: str
    metric: str
    scale: Scale
    curves: list[Curve]
    levels: list[Level]
    ceiling: tuple[float, float]
    facts: list[str]


def curve_panels(cells: list[Cell], layer: str | None) -> list[dict[str, CurvePanel]]:
    """Gather the panels, by region of a recording (and subject, where it has several), then by metric."""
    groups = by_panel(cells, layer)
    subjects: dict[tuple[str, str], set[str]] = {}
    for recording, region, subject, _ in groups:
        subjects.setdefault((recording, region), set()).add(subject)
    places: dict[tuple[str, str, str], dict[str, CurvePanel]] = {}
    for (recording, region, subject, metric), group in groups.items():
        shown = subject if len(subjects[recording, region]) > 1 or subject != recording else ""
        origin = ", ".join(filter(None, (recording, shown)))
        places.setdefault((recording, region, subject), {})[metric] = _panel(group, layer, origin)
    return list(places.values())


def _panel(cells: list[Cell], layer: str | None, origin: str) -> CurvePanel:
    first, drawn = cells[0], at_layer(cells, layer)
    if not drawn:
        reasons = dict.fromkeys(cell.note for cell in cells if not cell.layer)
        facts = [origin, *(reasons or [f"no cell of layer {layer or COMMITTED}"])]
        return CurvePanel(first.region, first.metric, "raw", [], [], (np.nan, np.nan), facts)
    scale = scale_of(drawn)
    facts = [origin, *facts_of(drawn, scale)]
    ceiling = (np.nan, 1.0) if scale == "score" else ceiling_of(cells)
    if scale == "raw" and np.isfinite(ceiling[1]):
        facts.append("not normalised: no score at this layer")
    curves: dict[tuple[str, str, str], list[Summary]] = {}
    for row in summarise(drawn):
        curves.setdefault((row.network, row.task, row.rule), []).append(row)
    levels = [_level(row) for rows in curves.values() for row in rows if _is_level(row, rows)]
    followed = [[row for row in rows if not _is_level(row, rows)] for rows in curves.values()]
    return CurvePanel(
        first.region,
        first.metric,
        scale,
        [_curve(rows) for rows in followed if rows],
        [level for level in levels if np.isfinite(level.value)],
        ceiling,
        facts,
    )


def _is_level(row: Summary, rows: list[Summary]) -> bool:
    """Find controls, networks without checkpoints, and random weights at a single one."""
    random = row.rule == UNTRAINED and len(rows) == 1
    return row.checkpoint < 0 or random or is_control(row.network)


def _curve(rows: list[Summary]) -> Curve:
    rows = sorted(rows, key=lambda row: row.checkpoint)
    values = ([getattr(row, name) for row in rows] for name in ("checkpoint", "mean", "low", "high"))
    steps, mean, low, high = np.array(list(values), dtype=float)
    n_seeds = np.array([row.n_seeds for row in rows])
    return Curve(rows[0].network, rows[0].task, rows[0].rule, steps, mean, low, high, n_seeds)


def _level(row: Summary) -> Level:
    if is_control(row.network) or row.network.endswith(f"@{UNTRAINED}"):
        name = row.network
    elif row.rule == UNTRAINED:
        name = f"{row.network}@{UNTRAINED}"
    else:
        name = ", ".join(filter(None, (row.network, row.task, row.rule)))
    return Level(row.network, name, row.mean)


def seeds_in_words(curves: Iterable[Curve]) -> str:
    """Write how many seeds stand behind curves, a span where it differs between steps."""
    counts = [int(count) for curve in curves for count in curve.n_seeds if count]
    if not counts:
        return "no seed"
    return "1 seed" if set(counts) == {1} else f"{span(counts)} seeds"
