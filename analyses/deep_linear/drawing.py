"""The figures of this analysis: modes under each rule, and items of a tree drawing apart."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from brainalign.figures.style import COLOURS, STYLE
from brainalign.trajectory.deep_linear import mode_curves

Seeds = list[tuple[float, np.ndarray, np.ndarray]]
"""Of each seed the time constant, the steps, and the strengths (step, mode)."""


def draw_rules(curves: dict[str, Seeds], s: np.ndarray, start: float, depth: int, path: Path) -> None:
    """Draw every rule's modes, each as a share of its singular value, in the rule's own time."""
    n_rows = -(-len(curves) // 4)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(n_rows, 4, figsize=(7.1, 1.4 * n_rows + 0.7), sharex=True, sharey=True)
        _panels(figure, grid, curves, s, start, depth, [f"s = {each:g}" for each in s.round(3)], until=6.0)
        figure.savefig(path, dpi=200)
        plt.close(figure)


def draw_tree(
    curves: dict[str, Seeds],
    s: np.ndarray,
    start: float,
    answers: Sequence[tuple[str, np.ndarray]],
    path: Path,
) -> None:
    """Draw inner products of the answers to items, with titles, and the levels of the tree under each rule."""
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.1, 5.2))
        above, below = figure.subfigures(2, 1, height_ratios=(1, 2.3))
        for axes, (title, products) in zip(above.subplots(1, len(answers)), answers, strict=True):
            axes.imshow(products, vmin=0, vmax=products[0, 0] or 1, cmap="Greys")
            axes.set(xticks=[], yticks=[])
            axes.set_title(title, fontsize=6.5)
        above.suptitle(
            "Inner products of the answers to the eight items, as shares of an answer's own", fontsize=7
        )
        above.subplots_adjust(left=0.06, right=0.99, top=0.72, bottom=0.02)
        grid = below.subplots(2, 4, sharex=True, sharey=True)
        names = [f"level {level}, s = {each:.3g}" for level, each in enumerate(s)]
        _panels(below, grid, curves, s, start, 2, names, until=14.0)
        figure.savefig(path, dpi=200)
        plt.close(figure)


def _panels(
    figure: Figure | SubFigure,
    grid: np.ndarray,
    curves: dict[str, Seeds],
    s: np.ndarray,
    start: float,
    depth: int,
    names: Sequence[str],
    until: float,
) -> None:
    for axes, (label, seeds) in zip(grid.flat, curves.items(), strict=False):
        _panel(axes, seeds, s, start, depth, until)
        axes.set_title(label, fontsize=6.5)
    for axes in grid.flat[len(curves) :]:
        axes.axis("off")
    lines = [plt.Line2D([], [], color=colour) for colour in COLOURS[: len(names)]]
    lines.append(plt.Line2D([], [], color="black", ls="--", lw=0.8))
    labels = [*names, "theory of gradient descent"]
    height = figure.bbox.height / figure.dpi if isinstance(figure, Figure) else 3.6
    figure.legend(lines, labels, loc="upper center", ncols=len(labels), frameon=False)
    figure.supxlabel("time in units of the rule's own τ", fontsize=7, y=0.05 / height)
    figure.supylabel("strength, as a share of s", fontsize=7, x=0.01)
    figure.subplots_adjust(
        left=0.075, right=0.99, bottom=0.36 / height, top=1 - 0.42 / height, hspace=0.35, wspace=0.08
    )


def _panel(axes: Axes, seeds: Seeds, s: np.ndarray, start: float, depth: int, until: float) -> None:
    """Draw one rule: seeds as lines, the theory dashed."""
    times = np.linspace(0.0, until, 300)
    predicted = mode_curves(times, s, np.full(len(s), start), 1.0, depth) / s
    for mode, colour in zip(range(len(s)), COLOURS, strict=False):
        for tau, steps, strengths in seeds:
            axes.plot(steps / tau, strengths[:, mode] / s[mode], color=colour, lw=0.6, alpha=0.7)
        axes.plot(times, predicted[:, mode], "--", color="black", lw=0.8)
    axes.set(xlim=(0, until), ylim=(-0.15, 1.3), yticks=[0, 0.5, 1])
