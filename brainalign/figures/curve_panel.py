"""One panel of scores over training: curves with their bands, levels and ceiling."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from brainalign.errors import BrainalignError
from brainalign.figures.around import DASHES, draw_ceiling, middle_of, name_levels, padded
from brainalign.figures.curve_table import UNTRAINED
from brainalign.figures.curves import CurvePanel, Level
from brainalign.figures.style import COLOURS, FAINT, MARKERS

Dash = Literal["-"] | tuple[int, tuple[float | int, ...]]

SOLID: Dash = "-"
MOST_RULES = 2 * len(COLOURS)
LEARNER_DASHES: tuple[Dash, ...] = (SOLID, (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)))
REFERENCE_DASHES = ((0, (6, 1.5, 1, 1.5)), (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (2, 3)))
N_MARKERS = 7
FAR = 2.0
"""A ceiling higher than this many times all that is drawn would flatten the curves: it is named, not drawn."""


@dataclass(frozen=True)
class CurveLooks:
    """What tells curves apart, the same in every panel."""

    rules: Mapping[str, tuple[str, str]]
    learners: Mapping[tuple[str, str], Dash]
    references: Mapping[str, Dash]


def curve_looks(panels: Sequence[CurvePanel]) -> CurveLooks:
    """Give each rule a colour and a marker, each network and task a dash.

    Raises
    ------
    BrainalignError
        More rules, or more networks and tasks, than can be told apart.
    """
    curves = [curve for panel in panels for curve in panel.curves]
    rules = list(dict.fromkeys(curve.name for curve in curves))
    learners = list(dict.fromkeys(curve.learner for curve in curves))
    levels = [level for panel in panels for level in panel.levels]
    references = list(dict.fromkeys(level.name for level in levels if not level.control))
    _check_number("rules", rules, MOST_RULES, "rule")
    _check_number(
        "networks and tasks", [" on ".join(each) for each in learners], len(LEARNER_DASHES), "network"
    )
    _check_number("networks without checkpoints", references, len(REFERENCE_DASHES), "network")
    return CurveLooks(
        {
            name: (COLOURS[i % len(COLOURS)], MARKERS[(i + i // len(COLOURS)) % len(MARKERS)])
            for i, name in enumerate(rules)
        },
        dict(zip(learners, LEARNER_DASHES, strict=False)),
        dict(zip(references, REFERENCE_DASHES, strict=False)),
    )


def _check_number(what: str, names: Sequence[str], most: int, coordinate: str) -> None:
    if len(names) > most:
        raise BrainalignError(
            f"The table holds {len(names)} {what} ({', '.join(names)}); one figure tells {most} apart. Select "
            f"some: scores.isel(cell=scores[{coordinate!r}].isin([…]).values)."
        )


def curve_style(name: str, looks: CurveLooks, dash: Dash = SOLID) -> dict:
    """Give matplotlib's options for one rule."""
    colour, marker = looks.rules[name]
    return {"color": colour, "marker": marker, "markersize": 2.6, "markeredgewidth": 0.4, "linestyle": dash}


def level_style(level: Level, looks: CurveLooks) -> dict:
    """Give matplotlib's options for a network that is not followed over training."""
    dash = DASHES[level.network.partition(":")[0]] if level.control else looks.references[level.name]
    return {"color": FAINT, "linestyle": dash, "linewidth": 0.9}


def named_beside(level: Level, looks: CurveLooks) -> str:
    """Give the name that fits beside a level, empty where the legend must name it."""
    if level.control:
        return level.name
    alone = len([name for name in looks.references if name.endswith(f"@{UNTRAINED}")]) == 1
    return UNTRAINED if alone and level.name.endswith(f"@{UNTRAINED}") else ""


def draw_curves(axes: Axes, panel: CurvePanel, looks: CurveLooks, limits: tuple[float, float]) -> None:
    """Draw the ceiling, then the levels, then each curve with its band."""
    draw_ceiling(axes, panel.ceiling)
    for level in panel.levels:
        axes.axhline(level.value, zorder=1.5, **level_style(level, looks))
    for curve in panel.curves:
        style = curve_style(curve.name, looks, looks.learners[curve.learner])
        every = max(1, -(-len(curve.steps) // N_MARKERS))
        first = list(looks.rules).index(curve.name) % every
        axes.fill_between(curve.steps, curve.low, curve.high, color=style["color"], alpha=0.18, linewidth=0)
        axes.plot(curve.steps, curve.mean, markevery=(first, every), zorder=3, **style)
    if not any(np.isfinite(curve.mean).any() for curve in panel.curves):
        axes.text(0.5, 0.5, "no score", transform=axes.transAxes, ha="center", va="center", color=FAINT)
    axes.set_ylim(*limits)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))


def name_values(axes: Axes, panel: CurvePanel, looks: CurveLooks, height: float) -> None:
    """Name controls, random weights and the ceiling right of the panel; `height` in millimetres."""
    levels = [(named_beside(level, looks), level.value) for level in panel.levels]
    levels = [(name, value) for name, value in levels if name]
    name_levels(axes, [*levels, ("ceiling", middle_of(panel.ceiling))], height)


def limits_by_scale(panels: Sequence[CurvePanel]) -> dict[tuple[str, str], tuple[float, float]]:
    """Give the ordinate's range for each metric and scale: all that is drawn, and 0."""
    limits = {}
    for key in dict.fromkeys((panel.metric, panel.scale) for panel in panels):
        values: list[float] = []
        for panel in panels:
            if (panel.metric, panel.scale) == key:
                values += [*panel.ceiling, *_values(panel)]
        limits[key] = padded(values)
    return limits


def without_far_ceilings(places: Sequence[Mapping[str, CurvePanel]]) -> list[dict[str, CurvePanel]]:
    """Say the ceiling in words where it would flatten the curves of its metric and scale."""
    highest: dict[tuple[str, str], float] = {}
    for panel in (panel for place in places for panel in place.values()):
        key = panel.metric, panel.scale
        highest[key] = max([highest.get(key, 0.0), *_values(panel)])
    return [
        {
            metric: _without_ceiling(panel) if panel.ceiling[1] > FAR * highest[metric, panel.scale] else panel
            for metric, panel in place.items()
        }
        for place in places
    ]


def _without_ceiling(panel: CurvePanel) -> CurvePanel:
    lower, upper = panel.ceiling
    bounds = f"{lower:.2f}–{upper:.2f}" if np.isfinite(lower) else f"{upper:.2f}"
    return replace(panel, ceiling=(np.nan, np.nan), facts=[*panel.facts, f"ceiling {bounds}: above the axis"])


def _values(panel: CurvePanel) -> list[float]:
    """Give all finite values that are drawn but for the ceiling."""
    values = [level.value for level in panel.levels]
    for curve in panel.curves:
        values += [*curve.mean, *curve.low, *curve.high]
    return [float(value) for value in values if np.isfinite(value)]
