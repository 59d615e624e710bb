"""Learning rules side by side: brain scores after the same steps, and at the same performance."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from brainalign.errors import BrainalignError
from brainalign.figures.curve_panel import MOST_RULES
from brainalign.figures.steps_axis import scale_steps
from brainalign.figures.style import COLOURS, FAINT, TWO_COLUMNS, in_style, save

NEEDED = ("panel", "by", "place", "rule", "mean", "low", "high")
ROWS = {"step": "Training step", "performance": "Accuracy"}
"""What rules are matched by, a row of panels each, and the name of its axis."""
PANEL_HEIGHT, AROUND, A_LEGEND_ROW = 42.0, 24.0, 4.0  # millimetres
IN_A_ROW = 4
"""Names in a row of the legend."""
A_NAME = 0.06
"""Height of a control's name, over its panel's."""


def matched_rules(
    table: pd.DataFrame, ordinate: str, path: str | Path | None = None, *, controls: pd.DataFrame | None = None
) -> Figure:
    """Draw each rule's brain score, a column of panels a region: above over steps, below over performance.

    A line is the mean over seeds, its band the 95 % t-interval; a line ends where its rule does.

    Parameters
    ----------
    table
        A row a point, with the columns `NEEDED`: ``panel`` titles a column of panels, ``by`` is ``step`` or
        ``performance``, ``place`` the abscissa. ``low`` and ``high`` may be NaN.
    ordinate
        Name of the vertical axes.
    path
        Where to save, see `brainalign.figures.style.save`.
    controls
        Horizontal lines: ``panel``, ``name`` and ``value`` of each.

    Raises
    ------
    BrainalignError
        A table without rows or without a column, or with more rules than can be told apart.
    """
    missing = [name for name in NEEDED if name not in table]
    if missing or table.empty:
        raise BrainalignError(f"The table lacks {', '.join(missing) or 'rows'}, so no rule can be drawn.")
    rules, panels = list(dict.fromkeys(table["rule"])), list(dict.fromkeys(table["panel"]))
    if len(rules) > MOST_RULES:
        raise BrainalignError(f"The table holds {len(rules)} rules; one figure tells {MOST_RULES} apart.")
    rows = [by for by in ROWS if by in set(table["by"])]
    legend = A_LEGEND_ROW * -(-len(rules) // IN_A_ROW)
    height = PANEL_HEIGHT * len(rows) + AROUND + legend
    with in_style():
        figure = Figure(figsize=(TWO_COLUMNS / 25.4, height / 25.4))
        grid = figure.subplots(len(rows), len(panels), sharey="col", squeeze=False)
        figure.subplots_adjust(0.07, (11 + legend) / height, 0.99, 1 - 6 / height, 0.28, 0.36)
        for by, line in zip(rows, grid, strict=True):
            for panel, axes in zip(panels, line, strict=True):
                _draw_panel(axes, table.loc[(table["by"] == by) & (table["panel"] == panel)], rules, by)
                axes.set_xlabel(ROWS[by])
                if controls is not None:
                    _draw_controls(axes, controls.loc[controls["panel"] == panel])
        for panel, axes in zip(panels, grid[0], strict=True):
            axes.set_title(panel, fontsize=7)
        for line in grid:
            line[0].set_ylabel(ordinate)
        handles = [Line2D([], [], label=rule, **_look(i)) for i, rule in enumerate(rules)]
        figure.legend(handles=handles, loc="lower center", ncols=IN_A_ROW, frameon=False)
    if path is not None:
        save(figure, path)
    return figure


def _draw_panel(axes: Axes, points: pd.DataFrame, rules: list[str], by: str) -> None:
    for number, rule in enumerate(rules):
        own = points.loc[points["rule"] == rule].dropna(subset=["mean"]).sort_values("place")
        look = _look(number)
        axes.plot(own["place"], own["mean"], **look)
        axes.fill_between(own["place"], own["low"], own["high"], color=look["color"], alpha=0.15, linewidth=0)
    if by == "step":
        scale_steps(axes, np.sort(points["place"].unique().astype(float)))


def _draw_controls(axes: Axes, controls: pd.DataFrame) -> None:
    ordered = controls.sort_values("value")
    values = ordered["value"].to_numpy(float)
    for value in values:
        axes.axhline(value, color=FAINT, linewidth=0.6, linestyle=(0, (1, 2)))
    # Where the next line is too near for a name between the two, the name goes below.
    near = np.diff(values, append=np.inf) < A_NAME * np.ptp(axes.get_ylim())
    for name, value, below in zip(ordered["name"], values, near, strict=True):
        place = {"xycoords": ("axes fraction", "data"), "va": "top" if below else "bottom"}
        axes.annotate(name, (0.02, value), fontsize=5.5, color=FAINT, **place)


def _look(number: int) -> dict:
    """Give a line its colour, and dashes after the colours have all been used."""
    styles = ("-", "--", ":")
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": styles[number // len(COLOURS) % len(styles)]}
