"""When stages happen: a row a curve, a bar a stage, from its onset to its end."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brainalign.errors import BrainalignError
from brainalign.figures.steps_axis import scale_steps
from brainalign.figures.style import COLOURS, FAINT, LABEL_CHARACTER, TWO_COLUMNS, in_style, save, shortened

MOST_ROWS, LONGEST_LABEL = 80, 60
ROW, AROUND = 4.2, 16.0  # millimetres
NOT_LABELS = ("verdict", "reason", "clock", "best_without", "interval")


def stage_chart(table: pd.DataFrame, path: str | Path | None = None) -> Figure:
    """Draw the stages of learning curves.

    A bar goes from a stage's onset to its end, its dot is the half-time, its whisker the 95 % interval of the
    onset over seeds (none below five seeds). Blue stages rise, orange ones fall. Rows without stages name the
    course that explains them as well.

    Parameters
    ----------
    table
        What ``stage_table`` gives: a row a stage.
    path
        Where to save, see `brainalign.figures.style.save`.

    Raises
    ------
    BrainalignError
        An empty table, or one of more curves than one figure can show.
    """
    if not len(table):
        raise BrainalignError("There is no curve to draw stages of.")
    curves = _by_curve(table)
    if len(curves) > MOST_ROWS:
        raise BrainalignError(f"{len(curves)} curves are more than the {MOST_ROWS} that one figure can show.")
    names = [shortened(name, LONGEST_LABEL) for name in curves]
    room = max(map(len, names)) * LABEL_CHARACTER + 3
    height = ROW * len(curves) + AROUND
    with in_style():
        figure = Figure(figsize=(TWO_COLUMNS / 25.4, height / 25.4))
        axes = figure.add_axes(
            (room / TWO_COLUMNS, 11 / height, 1 - (room + 4) / TWO_COLUMNS, 1 - AROUND / height)
        )
        last = float(np.nanmax([*(table["onset"] + table["width"]), 10.0]))
        scale_steps(axes, np.array([0.0, 1.0, last]))
        for row, rows in enumerate(curves.values()):
            _draw_curve(axes, row, rows)
        axes.set_yticks(range(len(curves)), names)
        axes.set_ylim(len(curves) - 0.4, -0.6)
        axes.set_xlabel("Training step (bar: a tenth to nine tenths of the stage; whisker: 95 % of the onset)")
    if path is not None:
        save(figure, path)
    return figure


def _by_curve(table: pd.DataFrame) -> dict[str, list[dict]]:
    """Give the rows of each curve, by the labels in which curves differ."""
    texts = [str(name) for name in table if name not in NOT_LABELS and isinstance(table[name].iloc[0], str)]
    differing = [name for name in texts if len(set(table[name])) > 1] or texts[-1:]
    curves: dict[str, list[dict]] = {}
    for row in table.to_dict("records"):
        name = ", ".join(str(row[label]) for label in differing if row[label])
        curves.setdefault(name, []).append(row)
    return curves


def _draw_curve(axes: Axes, row: int, stages: list[dict]) -> None:
    for stage in stages:
        if not stage["stage"]:
            words = f"{stage['verdict']}: {stage['best_without'] or stage['reason'].split(';')[0]}"
            room = axes.get_yaxis_transform()
            axes.text(0.01, row, words, transform=room, va="center", color=FAINT, fontsize=6)
            continue
        colour = COLOURS[0] if stage["gain"] > 0 else COLOURS[1]
        end = stage["onset"] + stage["width"]
        axes.plot(
            [stage["onset"], end], [row, row], color=colour, linewidth=4, solid_capstyle="butt", alpha=0.5
        )
        axes.plot([stage["half_time"]], [row], "o", color=colour, markersize=3)
        if np.isfinite(stage["onset_low"]):
            whisker = [stage["onset_low"], stage["onset_high"]]
            axes.plot(whisker, [row, row], color="black", linewidth=0.8, marker="|", markersize=4)
