"""The plane of representations: the paths that networks take while they learn, and where the brain lies."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from brainalign.errors import BrainalignError
from brainalign.figures.around import wrapped, write_header
from brainalign.figures.curve_panel import MOST_RULES
from brainalign.figures.grid import Grid, open_figure
from brainalign.figures.style import COLOURS, FAINT, MARKERS, in_style, save
from brainalign.names import unknown_name

NEEDED = ("position", "kind", "rule", "seed", "checkpoint", "layer", "region")
ATTRS = ("embedding", "stress", "kept_distances", "metric", "recording", "n_stimuli", "simulated")


class _PlaneGrid(Grid):
    """One square panel."""

    @property
    def panel_height(self) -> float:
        """Height of the panel's axes: as high as wide."""
        return self.panel_width


def path_plane(paths: xr.Dataset, path: str | Path | None = None, *, layer: str | None = None) -> Figure:
    """Draw the plane that `in_plane` found: a line a rule, its arrow the way of time, stars for regions.

    The thick line joins the mean places over seeds at each checkpoint, thin ones are the seeds; an open circle
    is the start. A star is a region, its subjects pooled; the small stars joined to it are halves of its data,
    whose distance is that of noise. A square is the pixels. Both axes are on one scale. What the plane loses
    stands above it: the stress, and for each region the correlation of distances to it in the plane with those
    in the whole space.

    Parameters
    ----------
    paths
        The table that `brainalign.trajectory.embedding.in_plane` returns.
    path
        Where to save, see `brainalign.figures.style.save`.
    layer
        The layer whose paths to draw, where the table has several.

    Raises
    ------
    BrainalignError
        A table without positions or without paths, several layers and none named, more rules than can be told
        apart; a file name of unknown ending.
    UnknownNameError
        A layer that the table does not hold.
    """
    _check(paths)
    drawn = _at_layer(paths, layer)
    looks = _looks(drawn["rule"].values[drawn["kind"].values == "network"])
    with in_style():
        figure = _draw(drawn, looks)
    if path is not None:
        save(figure, path)
    return figure


def _check(paths: xr.Dataset) -> None:
    missing = [name for name in NEEDED if name not in paths.variables]
    missing += [name for name in ATTRS if name not in paths.attrs]
    if missing:
        raise BrainalignError(
            f"The table lacks {', '.join(missing)}; a plane is drawn from what `in_plane` returns."
        )


def _at_layer(paths: xr.Dataset, layer: str | None) -> xr.Dataset:
    """Take the points that have a place, those of networks at one layer."""
    network = paths["kind"].values == "network"
    layers = list(dict.fromkeys(paths["layer"].values[network].tolist()))
    if not layers:
        raise BrainalignError("The table holds no point of a network, so there is no path to draw.")
    if layer is None and len(layers) > 1:
        raise BrainalignError(f"The table holds the layers {', '.join(layers)}; name one as layer.")
    if layer is not None and layer not in layers:
        raise unknown_name("layer in the table", layer, layers)
    kept = ~network | (paths["layer"].values == (layer or layers[0]))
    placed = np.isfinite(paths["position"].values).all(axis=1)
    return paths[["position"]].isel(point=np.flatnonzero(kept & placed))


def _looks(rules: Iterable[str]) -> dict[str, dict]:
    """Give each rule a colour and a marker, as learning curves do."""
    names = list(dict.fromkeys(rules))
    if len(names) > MOST_RULES:
        raise BrainalignError(
            f"The table holds {len(names)} rules ({', '.join(names)}); one figure tells {MOST_RULES} apart. "
            "Give the paths of fewer."
        )
    return {
        name: {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[(i + i // len(COLOURS)) % len(MARKERS)]}
        for i, name in enumerate(names)
    }


def _draw(drawn: xr.Dataset, looks: Mapping[str, dict]) -> Figure:
    attrs = drawn.attrs
    grid = replace(_PlaneGrid.of(1, 1, bool(attrs["simulated"])), levels=2.0)
    facts = _facts(drawn)
    figure, grid = open_figure(grid.with_facts([facts]), _handles(drawn, looks), _footnote(drawn))
    axes = grid.add_axes(figure, 0, 0)
    for rule, look in looks.items():
        _draw_rule(axes, drawn, rule, look)
    _draw_brain(axes, drawn)
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.08)
    axes.set_xlabel(f"{attrs['embedding']}, axis 1", labelpad=1.5)
    axes.set_ylabel("axis 2 (same scale)", labelpad=1.5)
    write_header(axes, attrs["recording"], wrapped(facts, grid.fact_width), grid.simulated)
    return figure


def _draw_rule(axes: Axes, drawn: xr.Dataset, rule: str, look: Mapping) -> None:
    """Draw each seed thinly, then the mean over seeds, with an arrow to its last checkpoint."""
    own = drawn.isel(point=np.flatnonzero((drawn["kind"].values == "network") & (drawn["rule"].values == rule)))
    places, seeds, steps = own["position"].values, own["seed"].values, own["checkpoint"].values
    colour = look["color"]
    if len(set(seeds.tolist())) > 1:
        for seed in dict.fromkeys(seeds.tolist()):
            mine = np.flatnonzero(seeds == seed)
            mine = mine[np.argsort(steps[mine])]
            axes.plot(*places[mine].T, color=colour, alpha=0.3, linewidth=0.5, zorder=2)
    line = np.array([places[steps == step].mean(axis=0) for step in np.unique(steps)])
    axes.plot(*line[:-1].T, zorder=4, markersize=2.6, markeredgewidth=0.4, **look)
    axes.plot(*line[0], "o", markersize=5, markerfacecolor="none", markeredgecolor=colour, zorder=4)
    arrow = {
        "arrowstyle": "-|>",
        "color": colour,
        "linewidth": 1.1,
        "mutation_scale": 7,
        "shrinkA": 0,
        "shrinkB": 0,
    }
    axes.annotate("", tuple(line[-1]), tuple(line[-2]), arrowprops=arrow, zorder=5)
    axes.update_datalim(line)


def _draw_brain(axes: Axes, drawn: xr.Dataset) -> None:
    """Draw regions as stars, joined to the halves of their data, and the pixels."""
    kind, region, places = drawn["kind"].values, drawn["region"].values, drawn["position"].values
    for star in np.flatnonzero(kind == "region"):
        for half in np.flatnonzero((kind == "half") & (region == region[star])):
            axes.plot(*places[[star, half]].T, color=FAINT, linewidth=0.5, zorder=1)
            axes.plot(*places[half], "*", color=FAINT, markersize=3.5, markeredgewidth=0, zorder=3)
        axes.plot(*places[star], "*", color="black", markersize=8, markeredgewidth=0, zorder=6)
    for pixels in np.flatnonzero(kind == "pixels"):
        axes.plot(*places[pixels], "s", color=FAINT, markersize=4, zorder=3)
    named = np.flatnonzero(np.isin(kind, ("region", "pixels")))
    apart = np.linalg.norm(places[named, None] - places[named], axis=2)
    np.fill_diagonal(apart, np.inf)
    for point, distances in zip(named, apart, strict=True):
        # Away from the nearest neighbour, whose name would meet this one.
        below = np.isfinite(distances.min()) and places[named[distances.argmin()], 1] > places[point, 1]
        offset, alignment = ((0, -4), "top") if below else ((0, 4), "bottom")
        words = str(region[point] or "pixels").replace("_", " ")
        style: dict = {"textcoords": "offset points", "fontsize": 6, "ha": "center", "zorder": 7}
        axes.annotate(words, tuple(places[point]), offset, va=alignment, **style)


def _facts(drawn: xr.Dataset) -> list[str]:
    attrs, networks = drawn.attrs, drawn["kind"].values == "network"
    kept = ", ".join(f"{region} {r:.2f}" for region, r in json.loads(attrs["kept_distances"]).items())
    layer = drawn["layer"].values[networks][0]
    return [
        f"{attrs['metric']}, layer {layer}, {attrs['n_stimuli']} stimuli, {drawn.sizes['point']} points",
        f"stress {attrs['stress']:.2f}; distances kept (r): {kept or 'no region'}",
    ]


def _handles(drawn: xr.Dataset, looks: Mapping[str, dict]) -> list[Line2D]:
    handles = []
    for rule, look in looks.items():
        n = len(set(drawn["seed"].values[drawn["rule"].values == rule].tolist()))
        label = f"{rule}, {n} seed{'s' * (n > 1)}"
        handles.append(Line2D([], [], label=label, markersize=2.6, markeredgewidth=0.4, **look))
    return handles


def _footnote(drawn: xr.Dataset) -> str:
    steps = np.unique(drawn["checkpoint"].values[drawn["kind"].values == "network"])
    return (
        f"Thick lines: mean over seeds, thin: seeds, from step {steps[0]} (circle) to {steps[-1]} (arrow). "
        "Stars: regions, subjects pooled; small stars: halves of the region's data. A plane cannot keep all "
        "distances: read it with its stress."
    )
