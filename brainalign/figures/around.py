"""What stands around a panel: its title and facts above, named levels at its right, its ceiling behind."""

import textwrap
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes

from brainalign.figures.style import BAND, FAINT, POINTS_PER_MM, SMALL_CHARACTER, WARNING, spread_apart

TEXT_LINE, TITLE_LINE = 2.7, 3.6  # millimetres from one line of text to the next
DASHES = {"pixels": (0, (1, 1.5)), "gabor": (0, (4, 2))}


def draw_ceiling(axes: Axes, ceiling: tuple[float, float]) -> None:
    """Draw a band between the bounds, or a line where there is one value."""
    lower, upper = ceiling
    if np.isfinite(lower) and lower < upper:
        axes.axhspan(lower, upper, color=BAND, linewidth=0, zorder=0)
    elif np.isfinite(upper):
        axes.axhline(upper, color="#A0A0A0", linewidth=1.5, zorder=0)


def middle_of(ceiling: tuple[float, float]) -> float:
    """Give the height at which a ceiling is named."""
    lower, upper = ceiling
    return (lower + upper) / 2 if np.isfinite(lower) else upper


def name_levels(axes: Axes, levels: Iterable[tuple[str, float]], height: float) -> None:
    """Name levels right of the panel, apart from each other; `height` in millimetres, NaN is left out."""
    levels = [(name, value) for name, value in levels if np.isfinite(value)]
    if not levels:
        return
    bottom, top = axes.get_ylim()
    heights = np.array([(value - bottom) / (top - bottom) * height for _, value in levels], dtype=float)
    placed = spread_apart(heights, gap=TEXT_LINE, bottom=1.0, top=height - 1.0)
    for (name, _), at in zip(levels, placed, strict=True):
        axes.text(
            1.015, at / height, name, transform=axes.transAxes, fontsize=6, color=FAINT, va="center", ha="left"
        )


def wrapped(facts: Iterable[str], width: float) -> list[str]:
    """Break the facts that stand above a panel into lines of `width` millimetres."""
    most = int(width / SMALL_CHARACTER)
    return [part for fact in facts for part in textwrap.wrap(fact, most)]


def write_header(axes: Axes, title: str, words: Sequence[str], simulated: bool) -> None:
    """Write the title, SIMULATED where it is, and the facts above the panel; sizes in millimetres."""
    at = 1.5 + TEXT_LINE * len(words)
    _above(axes, title, at, fontsize=8, fontweight="bold")
    if simulated:
        _above(axes, "SIMULATED", at + TITLE_LINE, fontsize=7, fontweight="bold", color=WARNING)
    for i, line in enumerate(reversed(words)):
        _above(axes, line, 1.5 + TEXT_LINE * i, fontsize=6, color=FAINT)


def _above(axes: Axes, words: str, millimetres: float, **style) -> None:
    offset = (0, millimetres * POINTS_PER_MM)
    axes.annotate(words, (0, 1), offset, xycoords="axes fraction", textcoords="offset points", **style)


def padded(values: Iterable[float]) -> tuple[float, float]:
    """Give the ordinate's range: all finite values, and 0."""
    finite = np.array([0.0, *(value for value in values if np.isfinite(value))])
    low, high = float(finite.min()), float(finite.max())
    margin = 0.04 * (high - low or 1.0)
    return (low - margin if low < 0 else 0.0), high + margin
