"""Learning curves: how each rule's scores move over training, held against the ceiling and the controls."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from brainalign.figures.around import wrapped, write_header
from brainalign.figures.cells import COMMITTED, read_cells
from brainalign.figures.curve_panel import (
    CurveLooks,
    curve_looks,
    curve_style,
    draw_curves,
    level_style,
    limits_by_scale,
    name_values,
    named_beside,
    without_far_ceilings,
)
from brainalign.figures.curves import CurvePanel, curve_panels, seeds_in_words
from brainalign.figures.grid import Grid, in_lines, open_figure, ordinate
from brainalign.figures.steps_axis import scale_steps, step_in_words
from brainalign.figures.style import LABEL_CHARACTER, in_style, save, shortened

LEVELS = 12.5  # millimetres right of a panel for the names of levels
SCALE_NAME = (
    4.0  # millimetres left of a panel for its scale, where it differs from that of the panel at its left
)


def learning_curves(
    scores: xr.Dataset,
    path: str | Path | None = None,
    *,
    layer: str | None = None,
    metric: str | None = None,
) -> Figure:
    """Draw scores over training: a panel a region of a recording, a row a metric, a line a learning rule.

    The ordinate is ``score``, normalised by the ceiling, where the recording allows one, else ``raw``; the
    panel says which. A line is the mean over seeds, its band the 95 % t-interval over seeds; a single seed
    has no band. The abscissa is logarithmic from the first checkpoint after step 0 on. The ceiling is a grey
    band or line; one that would flatten the curves is named instead. Pixels, the Gabor bank and networks
    that are not followed over training are horizontal lines. A dash is a network and task. Cells without a
    score are left out and counted. `brainalign.figures.curve_table.curve_table` gives the numbers.

    Parameters
    ----------
    scores
        The table that `score` returns for trained runs, with their checkpoints.
    path
        Where to save, see `brainalign.figures.style.save`; ``curves.pdf`` also writes ``curves.png``.
    layer
        The layer to draw; by default the one committed on other stimuli, anew at each checkpoint.
    metric
        The metric to draw; by default all of the table's.

    Raises
    ------
    BrainalignError
        A table without cells or checkpoints, or one that lacks a variable, holds a cell twice or holds more
        than one figure can show; a file name of unknown ending.
    UnknownNameError
        A metric or a layer that the table does not hold.
    """
    places = without_far_ceilings(curve_panels(read_cells(scores, metric), layer))
    with in_style():
        figure = _draw(places, scores.attrs, layer)
    if path is not None:
        save(figure, path)
    return figure


def _draw(places: list[dict[str, CurvePanel]], attrs: Mapping, layer: str | None) -> Figure:
    """Draw the panels, up to three a row, with legend and footnote below them."""
    metrics = list(dict.fromkeys(metric for place in places for metric in place))
    panels = [panel for place in places for panel in place.values()]
    looks, limits = curve_looks(panels), limits_by_scale(panels)
    steps = np.unique(np.concatenate([curve.steps for panel in panels for curve in panel.curves]))
    grid = _grid(places, metrics, bool(attrs.get("simulated", 0)))
    footnote = _footnote(panels, steps.tolist(), layer)
    figure, grid = open_figure(grid, _handles(panels, looks, grid.width), footnote)
    for row, (block, metric) in enumerate(_rows(grid, places, metrics)):
        shown = {column: place[metric] for column, place in enumerate(block)}
        facts = {column: wrapped(panel.facts, grid.fact_width) for column, panel in shown.items()}
        most = max(map(len, facts.values()), default=0)
        scale = ""
        for column, panel in shown.items():
            axes = grid.add_axes(figure, row, column)
            scale_steps(axes, steps)
            axes.set_xlabel("Training step", labelpad=1.5)
            draw_curves(axes, panel, looks, limits[metric, panel.scale])
            name_values(axes, panel, looks, grid.panel_height)
            words = facts[column] + [""] * (most - len(facts[column]))  # so that titles stand in line
            write_header(axes, panel.region, words, grid.simulated)
            if panel.scale != scale:
                axes.set_ylabel(_ordinate(panel, attrs, grid.panel_height, full=not scale))
            scale = panel.scale
    return figure


def _grid(places: list[dict[str, CurvePanel]], metrics: Sequence[str], simulated: bool) -> Grid:
    """Make room for names of levels, and for the scale's name where panels of one row differ in it."""
    grid = replace(Grid.of(len(places), len(metrics), simulated, 2 if len(places) == 4 else 3), levels=LEVELS)
    rows = _rows(grid, places, metrics)
    grid = replace(grid, rows=len(rows))
    mixed = any(len({place[metric].scale for place in block}) > 1 for block, metric in rows)
    if mixed:
        grid = replace(grid, ticks=grid.ticks + SCALE_NAME)
    return grid.with_facts(panel.facts for place in places for panel in place.values())


def _rows(
    grid: Grid, places: list[dict[str, CurvePanel]], metrics: Sequence[str]
) -> list[tuple[Sequence[dict[str, CurvePanel]], str]]:
    """Give each row's places and its metric; where places differ in their metrics, close the gaps."""
    if all(metric in place for place in places for metric in metrics):
        return grid.blocks(places, metrics)
    having = {metric: [place for place in places if metric in place] for metric in metrics}
    return [row for metric in metrics for row in grid.blocks(having[metric], [metric])]


def _ordinate(panel: CurvePanel, attrs: Mapping, height: float, full: bool) -> str:
    """Name the metric and the scale, or, right of a panel of the same metric, the scale alone."""
    if not full:
        return "normalised" if panel.scale == "score" else "raw"
    if panel.scale == "score":
        return in_lines(f"{panel.metric.replace(',', ', ')}, normalised by the ceiling", height)
    return ordinate(panel.metric, attrs, height, "(raw)")


def _handles(panels: Sequence[CurvePanel], looks: CurveLooks, width: float) -> list[Line2D]:
    """Give the legend's lines: each rule, then networks and tasks where there are several, then references."""
    most = int((width - 15) / LABEL_CHARACTER)
    curves = [curve for panel in panels for curve in panel.curves]
    labels = {
        name: f"{name}, {seeds_in_words(curve for curve in curves if curve.name == name)}"
        for name in looks.rules
    }
    handles = [
        Line2D([], [], label=shortened(labels[name], most), **curve_style(name, looks)) for name in labels
    ]
    if len(looks.learners) > 1:
        for learner, dash in looks.learners.items():
            label = shortened(" on ".join(filter(None, learner)), most)
            handles.append(Line2D([], [], label=label, color="black", linestyle=dash))
    references = {level.name: level for panel in panels for level in panel.levels}
    for level in references.values():
        if not named_beside(level, looks):
            label = shortened(level.name, most)
            handles.append(Line2D([], [], label=label, **level_style(level, looks)))
    return handles


def _footnote(panels: Sequence[CurvePanel], steps: Sequence[float], layer: str | None) -> str:
    """Say what lines and bands stand for, which layer is drawn, and how the abscissa runs."""
    curves = [curve for panel in panels for curve in panel.curves]
    if any((curve.n_seeds > 1).any() for curve in curves):
        parts = ["Lines: mean over seeds; bands: 95 % t-interval over seeds, for these stimuli."]
    else:
        parts = ["Lines: one seed, so no interval over seeds."]
    learners = {" on ".join(filter(None, curve.learner)) for curve in curves}
    if len(learners) == 1:
        parts.append(f"Network: {learners.pop()}.")
    if layer in (None, COMMITTED):
        parts.append("Layer: committed at each step on other stimuli than it is scored on.")
    else:
        parts.append(f"Layer: {layer}, at every step.")
    if any(panel.levels for panel in panels):
        parts.append("Horizontal lines: networks not followed over training.")
    positive = [step for step in steps if step > 0]
    if len(positive) < len(steps) and positive:
        parts.append(f"Steps: logarithmic from {step_in_words(positive[0])} on; step 0 is before training.")
    return " ".join(parts)
