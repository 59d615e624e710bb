"""One panel of a layer profile: lines, levels and ceiling."""

from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from brainalign.figures.around import DASHES, draw_ceiling, middle_of, name_levels, padded
from brainalign.figures.profile_lines import Line, Panel
from brainalign.figures.style import COLOURS, FAINT, MARKERS, SMALL_CHARACTER, shortened

FIRST_MARK, MARK_STEP = 1.07, 0.055  # marks right of the last layer, in units of relative depth

Looks = Mapping[str, tuple[str, str]]


def looks_of(panels: Iterable[Panel]) -> Looks:
    """Give each architecture a colour and a marker, the same in every panel."""
    architectures = dict.fromkeys(
        line.architecture for panel in panels for line in panel.lines if not line.control
    )
    return {
        name: (COLOURS[i % len(COLOURS)], MARKERS[(i + i // len(COLOURS)) % len(MARKERS)])
        for i, name in enumerate(architectures)
    }


def line_style(line: Line, looks: Looks) -> dict:
    """Give matplotlib's options for one network: solid and filled if trained, dashed and hollow if not."""
    if line.control:
        return {"color": FAINT, "linestyle": DASHES[line.network.partition(":")[0]], "linewidth": 0.9}
    colour, marker = looks[line.architecture]
    return {
        "color": colour,
        "marker": marker,
        "markersize": 2.6,
        "markeredgewidth": 0.6,
        "markerfacecolor": "white" if line.untrained else colour,
        "linestyle": (0, (3, 1.5)) if line.untrained else "-",
    }


def draw_panel(axes: Axes, panel: Panel, looks: Looks, limits: tuple[float, float], width: float) -> None:
    """Draw the ceiling, then the lines, then the marks right of the last layer; `width` in millimetres."""
    draw_ceiling(axes, panel.ceiling)
    marks: list[tuple[Line, tuple[float, float, float]]] = []
    for line in panel.lines:
        _draw_line(axes, line, looks)
        if line.committed:
            marks.append((line, line.committed))
    marks += [(line, (line.raw[0], line.low[0], line.high[0])) for line in panel.lines if len(line.layers) == 1]
    for i, (line, value) in enumerate(marks):
        _draw_mark(axes, FIRST_MARK + i * MARK_STEP, value, line, looks)
    if not any(np.isfinite(line.raw).any() or line.committed for line in panel.lines):
        axes.text(0.5, 0.5, "no score", transform=axes.transAxes, ha="center", va="center", color=FAINT)
    axes.set_xlim(-0.03, FIRST_MARK + (len(marks) - 0.4) * MARK_STEP if marks else 1.03)
    axes.set_ylim(*limits)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    _name_depths(axes, panel, width)


def _draw_line(axes: Axes, line: Line, looks: Looks) -> None:
    if len(line.layers) == 1:
        style = {**line_style(line, looks), "marker": ""}
        axes.hlines(line.raw[0], 0, 1, color=style["color"], linestyle=style["linestyle"], linewidth=0.9)
        return
    depth = np.linspace(0, 1, len(line.layers))
    style = line_style(line, looks)
    axes.fill_between(depth, line.low, line.high, color=style["color"], alpha=0.18, linewidth=0, zorder=1)
    axes.plot(depth, line.raw, zorder=3, **style)


def _draw_mark(axes: Axes, x: float, value: tuple[float, float, float], line: Line, looks: Looks) -> None:
    """Draw an interval, with a diamond where it is the committed layer's."""
    raw, low, high = value
    style = line_style(line, looks)
    axes.vlines(x, low, high, color=style["color"], linewidth=0.9)
    marker, size = ("D", 3.4) if line.committed else ("_", 4)
    axes.plot(
        [x],
        [raw],
        marker=marker,
        markersize=size,
        color=style["color"],
        markerfacecolor=style.get("markerfacecolor"),
        markeredgewidth=0.7,
    )


def _name_depths(axes: Axes, panel: Panel, width: float) -> None:
    """Name the first and last layer where all lines share them, else give relative depth."""
    left, right = axes.get_xlim()
    axes.set_xlabel("Relative depth", labelpad=1.5, x=(0.5 - left) / (right - left))
    ends = {(line.layers[0], line.layers[-1]) for line in panel.lines if len(line.layers) > 1}
    if len(ends) != 1:
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        return
    most = int(width / (right - left) / SMALL_CHARACTER)
    first, last = (shortened(name, most) for name in ends.pop())
    if len(first) + len(last) >= most:
        last = f"\n{last}"
    axes.set_xticks([0, 1], [first, last])
    for label, side in zip(axes.get_xticklabels(), ("left", "right"), strict=True):
        label.set_horizontalalignment(side)


def name_lines(axes: Axes, panel: Panel, height: float) -> None:
    """Name the controls and the ceiling right of the panel; `height` in millimetres."""
    levels = [(line.network, line.raw[0]) for line in panel.lines if line.control]
    name_levels(axes, [*levels, ("ceiling", middle_of(panel.ceiling))], height)


def limits_of(panels: Iterable[Panel]) -> tuple[float, float]:
    """Give the ordinate's range over panels of one metric: all that is drawn, and 0."""
    values: list[float] = []
    for panel in panels:
        values += panel.ceiling
        for line in panel.lines:
            values += [*line.raw, *line.low, *line.high, *(line.committed or ())]
    return padded(values)
