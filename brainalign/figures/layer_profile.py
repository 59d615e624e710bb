"""The layer profile: every network's scores from its first layer to its last, held against the ceiling."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from brainalign.figures.around import wrapped, write_header
from brainalign.figures.cells import read_cells
from brainalign.figures.grid import Grid, open_figure, ordinate
from brainalign.figures.profile_lines import Panel, panels_of
from brainalign.figures.profile_panel import Looks, draw_panel, limits_of, line_style, looks_of, name_lines
from brainalign.figures.style import LABEL_CHARACTER, in_style, save, shortened


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


def _draw(places: list[dict[str, Panel]], attrs: Mapping) -> Figure:
    """Draw the panels, up to three a row, with legend and footnote below them."""
    panels = [panel for place in places for panel in place.values()]
    metrics = list(dict.fromkeys(panel.metric for panel in panels))
    looks = looks_of(panels)
    grid = Grid.of(len(places), len(metrics), bool(attrs.get("simulated", 0)))
    grid = grid.with_facts(panel.facts for panel in panels)
    figure, grid = open_figure(grid, _handles(panels, looks, grid.width), _footnote(panels, attrs))
    limits = {metric: limits_of(panel for panel in panels if panel.metric == metric) for metric in metrics}
    for row, (block, metric) in enumerate(grid.blocks(places, metrics)):
        for column, place in enumerate(block):
            if metric in place:
                panel = place[metric]
                axes = grid.add_axes(figure, row, column)
                draw_panel(axes, panel, looks, limits[metric], grid.panel_width)
                name_lines(axes, panel, grid.panel_height)
                write_header(axes, panel.region, wrapped(panel.facts, grid.fact_width), grid.simulated)
                if column == 0:
                    axes.set_ylabel(ordinate(metric, attrs, grid.panel_height))
    return figure


def _handles(panels: list[Panel], looks: Looks, width: float) -> list[Line2D]:
    """Give the legend's lines: each network once, but for the controls, which are named beside their level."""
    handles: dict[str, Line2D] = {}
    for panel in panels:
        for line in panel.lines:
            if not line.control and line.label not in handles:
                words = shortened(line.label, int((width - 15) / LABEL_CHARACTER))
                handles[line.label] = Line2D([], [], label=words, **line_style(line, looks))
    return list(handles.values())


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
