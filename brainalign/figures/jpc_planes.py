"""Trajectories of model and brain side by side, each in the plane in which its own dynamics rotate."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from brainalign.errors import BrainalignError
from brainalign.figures.around import wrapped, write_header
from brainalign.figures.grid import Grid, open_figure
from brainalign.figures.style import FAINT, in_style, save

DIMS = ("stimulus", "time", "axis")
ATTRS = ("frequency", "share", "ratio", "n_units", "event", "simulated")
COLOURS = matplotlib.colormaps["cividis"]
PALEST = 0.85
"""How far the colours go: beyond, they are too pale on white."""


class _SquareGrid(Grid):
    """Square panels."""

    @property
    def panel_height(self) -> float:
        """Height of a panel's axes: as high as wide."""
        return self.panel_width


def jpc_planes(planes: Mapping[str, xr.DataArray], path: str | Path | None = None) -> Figure:
    """Draw each population's trajectories in its jPC plane, up to three a row.

    A line is a condition: a dot is its first time, an arrow its last. Its colour goes by where it starts along
    the first axis, from dark, left, to light, right. Both axes of a panel are on one scale; panels of different
    populations are not.

    Parameters
    ----------
    planes
        For each population, by the name that stands above it, projections with dims ``(stimulus, time, axis)``,
        two axes and ``time`` in seconds, as of `brainalign.metrics.jpca.RotationPlane`. Their attrs:
        ``frequency`` in Hz and ``share`` of variance of the plane, ``ratio`` (R² of the skew fit over that of
        the free one), ``n_units``, ``event`` (what time is counted from), ``simulated`` (0 or 1), and, where
        there was a test, ``p``.
    path
        Where to save, see `brainalign.figures.style.save`.

    Raises
    ------
    BrainalignError
        No plane, or one that lacks a dimension, an attribute or finite values; a file name of unknown ending.
    """
    if not planes:
        raise BrainalignError("There is no plane to draw; give the projections of one population or more.")
    for name, plane in planes.items():
        _check(name, plane)
    with in_style():
        figure = _draw(planes)
    if path is not None:
        save(figure, path)
    return figure


def _check(name: str, plane: xr.DataArray) -> None:
    if set(plane.dims) != set(DIMS) or plane.sizes["axis"] != 2 or "time" not in plane.coords:
        raise BrainalignError(
            f"The plane of {name!r} has the dimensions {dict(plane.sizes)}; expected {', '.join(DIMS)}, two "
            "axes and the coordinate time."
        )
    missing = [attr for attr in ATTRS if attr not in plane.attrs]
    if missing:
        raise BrainalignError(f"The plane of {name!r} lacks the attributes {', '.join(missing)}.")
    if not np.isfinite(plane.values).all():
        raise BrainalignError(
            f"The plane of {name!r} holds NaN or infinite values; leave out those conditions."
        )


def _draw(planes: Mapping[str, xr.DataArray]) -> Figure:
    simulated = any(plane.attrs["simulated"] for plane in planes.values())
    grid = replace(_SquareGrid.of(len(planes), 1, simulated), levels=3.0)
    facts = [_facts(plane) for plane in planes.values()]
    figure, grid = open_figure(grid.with_facts(facts), _handles(), _footnote(planes))
    for place, (name, plane) in enumerate(planes.items()):
        axes = grid.add_axes(figure, *divmod(place, grid.columns))
        _draw_plane(axes, plane.transpose(*DIMS).values)
        axes.set_xlabel("jPC 1", labelpad=1.5)
        axes.set_ylabel("jPC 2 (same scale)", labelpad=1.5)
        write_header(axes, name, wrapped(facts[place], grid.fact_width), bool(plane.attrs["simulated"]))
    return figure


def _draw_plane(axes: Axes, places: np.ndarray) -> None:
    order = np.argsort(np.argsort(places[:, 0, 0], kind="stable"), kind="stable")
    for rank, line in zip(order, places, strict=True):
        colour = COLOURS(PALEST * rank / max(1, len(places) - 1))
        axes.plot(*line.T, color=colour, linewidth=0.9)
        axes.plot(*line[0], "o", color=colour, markersize=3, markeredgewidth=0)
        arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 0.9, "mutation_scale": 6, "shrinkA": 0}
        axes.annotate("", tuple(line[-1]), tuple(line[-2]), arrowprops=arrow | {"shrinkB": 0})
    axes.plot(0, 0, "+", color=FAINT, markersize=4, markeredgewidth=0.6)
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.08)


def _facts(plane: xr.DataArray) -> list[str]:
    attrs, times = plane.attrs, 1000 * plane["time"].values
    # A minus sign, not a hyphen, as on the axes.
    first, last = (f"{time:.0f}".replace("-", "\N{MINUS SIGN}") for time in (times[0], times[-1]))
    p = f", p = {attrs['p']:.2g}" if "p" in attrs else ""
    return [
        f"{plane.sizes['stimulus']} conditions, {attrs['n_units']} units, {first} to {last} ms from "
        f"{attrs['event']}",
        f"{attrs['frequency']:.2f} Hz, {100 * attrs['share']:.0f} % of the variance; R² skew / free "
        f"{attrs['ratio']:.2f}{p}",
    ]


def _handles() -> Sequence[Line2D]:
    return [
        Line2D([], [], color=COLOURS(0.0), marker="o", markersize=3, label="starts left"),
        Line2D([], [], color=COLOURS(PALEST), marker="o", markersize=3, label="starts right"),
    ]


def _footnote(planes: Mapping[str, xr.DataArray]) -> str:
    words = (
        "Lines: conditions, from the first time (dot) to the last (arrow); each population in its own plane."
    )
    if any("p" in plane.attrs for plane in planes.values()):
        words += " p: share of surrogates with the data's mean and covariances whose ratio is as large."
    return words
