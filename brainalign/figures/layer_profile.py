"""The layer profile: every network's scores from its first layer to its last, held against the ceiling."""

import json
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from brainalign.figures.profile_lines import Panel, panels_of, read_cells
from brainalign.figures.profile_panel import (
    TEXT_LINE,
    TITLE_LINE,
    Looks,
    draw_panel,
    limits_of,
    line_style,
    looks_of,
    name_levels,
    write_header,
)
from brainalign.figures.style import (
    FAINT,
    LABEL_CHARACTER,
    ONE_COLUMN,
    SMALL_CHARACTER,
    TWO_COLUMNS,
    in_style,
    save,
    shortened,
)

MOST_COLUMNS = 3
PANEL_HEIGHT = {1: 45.0, 2: 45.0, 3: 36.0}
LEFT, BETWEEN, BOTTOM = 11.0, 17.0, 11.0  # millimetres; between panels stand level names and tick labels


def layer_profile(
    scores: xr.Dataset,
    metric: str | None = None,
    path: str | Path | Iterable[str | Path] | None = None,
) -> Figure:
    """Draw scores from the first layer to the last: a panel a region, a row a metric, a line a network.

    The ordinate is ``raw`` with its 95 % interval; the ceiling, on the same scale, is a grey band between
    its bounds (a line where there is one value). Layers stand in the table's order, evenly spaced. A colour is
    an architecture; random weights are dashed, and their seeds are one line, the mean, with a band over
    the range. Pixels and the Gabor bank are horizontal lines. A diamond right of the last layer is the
    committed layer, scored on other images than it was chosen on. Cells without a score are left out
    and counted.

    Parameters
    ----------
    scores
        The table that `score` returns. Its attribute ``metric_labels`` (JSON) says what each metric's
        values are.
    metric
        The metric to draw; by default all of the table's.
    path
        Where to save, see `brainalign.figures.style.save`; ``v4.pdf`` also writes ``v4.png``.

    Raises
    ------
    BrainalignError
        A table without cells, or one that lacks a variable, or a file name of unknown ending.
    UnknownNameError
        A metric that the table does not hold.
    """
    places = panels_of(read_cells(scores, metric))
    with in_style():
        figure = _draw(places, scores.attrs)
    if path is not None:
        save(figure, path)
    return figure


@dataclass(frozen=True)
class _Grid:
    """Where panels stand, in millimetres."""

    columns: int
    rows: int
    header: float
    below: float

    @property
    def width(self) -> float:
        return ONE_COLUMN if self.columns == 1 else TWO_COLUMNS

    @property
    def pitch(self) -> float:
        return (self.width - LEFT) / self.columns

    @property
    def panel_width(self) -> float:
        return self.pitch - BETWEEN

    @property
    def panel_height(self) -> float:
        return PANEL_HEIGHT[self.columns]

    @property
    def row_height(self) -> float:
        return self.header + self.panel_height + BOTTOM

    @property
    def height(self) -> float:
        return self.below + self.row_height * self.rows

    def add_axes(self, figure: Figure, row: int, column: int) -> Axes:
        left = LEFT + column * self.pitch + BETWEEN / 2 - 2
        bottom = self.height - (row + 1) * self.row_height + BOTTOM
        size = self.panel_width / self.width, self.panel_height / self.height
        return figure.add_axes((left / self.width, bottom / self.height, *size))


def _draw(places: list[dict[str, Panel]], attrs: Mapping) -> Figure:
    """Draw the panels, up to three a row, with legend and footnote below them."""
    panels = [panel for place in places for panel in place.values()]
    metrics = list(dict.fromkeys(panel.metric for panel in panels))
    columns = min(MOST_COLUMNS, len(places))
    rows = [(places[i : i + columns], metric) for i in range(0, len(places), columns) for metric in metrics]
    grid = _Grid(columns, len(rows), 0.0, 0.0)
    headers = {id(panel): _header(panel, grid.pitch - 6) for panel in panels}
    looks = looks_of(panels)
    figure = Figure(figsize=(grid.width / 25.4, 1))
    FigureCanvasAgg(figure)
    legend, legend_height = _legend(figure, panels, looks, grid.width)
    footnote = textwrap.wrap(_footnote(panels, attrs), int((grid.width - 4) / SMALL_CHARACTER))
    foot = TEXT_LINE * len(footnote) + 1
    simulated = bool(attrs.get("simulated", 0))
    header = TITLE_LINE * (1 + simulated) + TEXT_LINE * max(map(len, headers.values())) + 2
    grid = _Grid(columns, len(rows), header, foot + legend_height + 2)
    figure.set_size_inches(grid.width / 25.4, grid.height / 25.4)
    figure.text(2 / grid.width, 1 / grid.height, "\n".join(footnote), fontsize=6, color=FAINT, va="bottom")
    legend.set_bbox_to_anchor((0.5, foot / grid.height), figure.transFigure)
    limits = {metric: limits_of(panel for panel in panels if panel.metric == metric) for metric in metrics}
    for row, (block, metric) in enumerate(rows):
        for column, place in enumerate(block):
            if metric in place:
                panel = place[metric]
                axes = grid.add_axes(figure, row, column)
                draw_panel(axes, panel, looks, limits[metric], grid.panel_width)
                name_levels(axes, panel, grid.panel_height)
                write_header(axes, panel, headers[id(panel)], simulated)
                if column == 0:
                    axes.set_ylabel(_ordinate(metric, attrs, grid.panel_height))
    return figure


def _ordinate(metric: str, attrs: Mapping, height: float) -> str:
    """Name the metric and, where the table says it, what its values are."""
    label = json.loads(attrs.get("metric_labels", "{}")).get(metric, "")
    name = metric.replace(",", ", ")  # a place to break the line
    words = label if metric.lower() in label.lower() else ": ".join(filter(None, (name, label)))
    return "\n".join(textwrap.wrap(words, int(height / LABEL_CHARACTER)))


def _header(panel: Panel, width: float) -> list[str]:
    """Break the facts that stand above a panel into lines of `width` millimetres."""
    most = int(width / SMALL_CHARACTER)
    return [part for fact in panel.facts for part in textwrap.wrap(fact, most)]


def _legend(figure: Figure, panels: list[Panel], looks: Looks, width: float) -> tuple[Legend, float]:
    """Make the legend as wide as the figure allows; give it and its height in millimetres."""
    handles: dict[str, Line2D] = {}
    for panel in panels:
        for line in panel.lines:
            if not line.control and line.label not in handles:
                words = shortened(line.label, int((width - 15) / LABEL_CHARACTER))
                handles[line.label] = Line2D([], [], label=words, **line_style(line, looks))
    options = {"loc": "lower center", "frameon": False, "borderaxespad": 0, "columnspacing": 1.2}
    columns = max(1, len(handles))
    legend = figure.legend(handles=list(handles.values()), ncols=columns, **options)
    while columns > 1 and legend.get_window_extent().width / figure.dpi * 25.4 > width - 4:
        legend.remove()
        columns -= 1
        legend = figure.legend(handles=list(handles.values()), ncols=columns, **options)
    return legend, legend.get_window_extent().height / figure.dpi * 25.4


def _footnote(panels: list[Panel], attrs: Mapping) -> str:
    """Say what bands, dashes and diamonds stand for, and how the interval was had."""
    lines = [line for panel in panels for line in panel.lines]
    parts = [f"Bands and bars: {attrs.get('interval') or '95 % interval'}."]
    if any(line.n_seeds > 1 for line in lines):
        parts.append("Over seeds: mean and range.")
    if any(line.committed for line in lines):
        parts.append("Diamonds: committed layer, scored on other images than it was chosen on.")
    if any(len(line.layers) == 1 for line in lines):
        parts.append("Horizontal lines: networks of one layer.")
    return " ".join(parts)
