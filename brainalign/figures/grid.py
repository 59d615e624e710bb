"""Panels in rows of a journal's width, with the legend and the footnote below them; sizes in millimetres."""

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from brainalign.figures.around import TEXT_LINE, TITLE_LINE, wrapped
from brainalign.figures.style import FAINT, LABEL_CHARACTER, ONE_COLUMN, SMALL_CHARACTER, TWO_COLUMNS

MOST_COLUMNS = 3
PANEL_HEIGHT = {1: 45.0, 2: 45.0, 3: 36.0}
LEFT, BOTTOM = 11.0, 11.0
TICKS, LEVELS = 6.5, 10.5  # left of each panel its tick labels, right of it the names of levels
MM = 25.4

Place = TypeVar("Place")


@dataclass(frozen=True)
class Grid:
    """Where panels stand: up to three a row, all places of one row under each metric in turn."""

    columns: int
    rows: int
    simulated: bool
    header: float = 0.0
    below: float = 0.0
    ticks: float = TICKS
    levels: float = LEVELS

    @classmethod
    def of(cls, n_places: int, n_metrics: int, simulated: bool, most: int = MOST_COLUMNS) -> "Grid":
        """Make the grid of so many places and metrics, at most so many panels a row."""
        columns = min(most, n_places)
        return cls(columns, -(-n_places // columns) * n_metrics, simulated)

    @property
    def width(self) -> float:
        """Width of the figure: one column of a journal or two."""
        return ONE_COLUMN if self.columns == 1 else TWO_COLUMNS

    @property
    def pitch(self) -> float:
        """From one panel to the next."""
        return (self.width - LEFT) / self.columns

    @property
    def fact_width(self) -> float:
        """Width of the facts that stand above a panel."""
        return self.pitch - 6

    @property
    def panel_width(self) -> float:
        """Width of a panel's axes."""
        return self.pitch - self.ticks - self.levels

    @property
    def panel_height(self) -> float:
        """Height of a panel's axes."""
        return PANEL_HEIGHT[self.columns]

    @property
    def row_height(self) -> float:
        """From one row to the next."""
        return self.header + self.panel_height + BOTTOM

    @property
    def height(self) -> float:
        """Height of the figure."""
        return self.below + self.row_height * self.rows

    def with_facts(self, facts: Iterable[Iterable[str]]) -> "Grid":
        """Leave room above each panel for its title, SIMULATED where it is, and its facts."""
        lines = max(len(wrapped(each, self.fact_width)) for each in facts)
        return replace(self, header=TITLE_LINE * (1 + self.simulated) + TEXT_LINE * lines + 2)

    def blocks(self, places: Sequence[Place], metrics: Sequence[str]) -> list[tuple[Sequence[Place], str]]:
        """Give each row's places and its metric."""
        starts = range(0, len(places), self.columns)
        return [(places[start : start + self.columns], metric) for start in starts for metric in metrics]

    def add_axes(self, figure: Figure, row: int, column: int) -> Axes:
        """Add a panel's axes to the figure."""
        left = LEFT + column * self.pitch + self.ticks
        bottom = self.height - (row + 1) * self.row_height + BOTTOM
        size = self.panel_width / self.width, self.panel_height / self.height
        return figure.add_axes((left / self.width, bottom / self.height, *size))


def open_figure(grid: Grid, handles: Sequence[Line2D], footnote: str) -> tuple[Figure, Grid]:
    """Open a figure with legend and footnote at its foot; give it and the grid that stands above them."""
    figure = Figure(figsize=(grid.width / MM, 1))
    FigureCanvasAgg(figure)
    legend, legend_height = _legend(figure, handles, grid.width)
    words = textwrap.wrap(footnote, int((grid.width - 4) / SMALL_CHARACTER))
    foot = TEXT_LINE * len(words) + 1
    grid = replace(grid, below=foot + legend_height + 2)
    figure.set_size_inches(grid.width / MM, grid.height / MM)
    figure.text(2 / grid.width, 1 / grid.height, "\n".join(words), fontsize=6, color=FAINT, va="bottom")
    legend.set_bbox_to_anchor((0.5, foot / grid.height), figure.transFigure)
    return figure, grid


def _legend(figure: Figure, handles: Sequence[Line2D], width: float) -> tuple[Legend, float]:
    """Make the legend as wide as the figure allows; give it and its height in millimetres."""
    options = {"loc": "lower center", "frameon": False, "borderaxespad": 0, "columnspacing": 1.2}
    columns = max(1, len(handles))
    legend = figure.legend(handles=list(handles), ncols=columns, **options)
    while columns > 1 and legend.get_window_extent().width / figure.dpi * MM > width - 4:
        legend.remove()
        columns -= 1
        legend = figure.legend(handles=list(handles), ncols=columns, **options)
    return legend, legend.get_window_extent().height / figure.dpi * MM


def ordinate(metric: str, attrs: Mapping, height: float, scale: str = "") -> str:
    """Name the metric, what its values are where the table says it, and the scale; `height` in millimetres."""
    label = json.loads(attrs.get("metric_labels", "{}")).get(metric, "")
    name = metric.replace(",", ", ")  # a place to break the line
    words = label if metric.lower() in label.lower() else ": ".join(filter(None, (name, label)))
    return in_lines(" ".join(filter(None, (words, scale))), height)


def in_lines(words: str, height: float) -> str:
    """Break an ordinate's name into lines of `height` millimetres."""
    return "\n".join(textwrap.wrap(words, int(height / LABEL_CHARACTER)))
