"""How single units are tuned to orientation: curves, slopes, bandwidths, and variability in noise."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import BrainalignError
from brainalign.tasks.orientation import Orientation
from brainalign.trajectory.layer_answers import layer_answers

ORIENTATIONS = tuple(range(0, 180, 5))


def tuning_curves(
    network: nn.Module,
    task: Orientation,
    layers: str | Sequence[str] | None = None,
    *,
    orientations: Sequence[int | float] = ORIENTATIONS,
    repeats: int = 100,
    seed: int = 0,
) -> xr.Dataset:
    """Measure each unit's answer to Gabors of many orientations.

    Contrast, noise and place are the task's; phase and noise are drawn for each repeat, the same ones at every
    orientation, so that curves are smooth. Of a feature map the units at its centre are measured, one a
    channel.

    Parameters
    ----------
    network
        A network that takes the task's images.
    task
        Says what is shown.
    layers
        Globs over names; the network's blocks by default.
    orientations
        In degrees, evenly spaced over 180.
    repeats
        Gabors of each orientation, 2 or more.
    seed
        Of phases and noise.

    Returns
    -------
    xr.Dataset
        ``mean`` and ``variance`` (over repeats, unbiased), dims (unit, orientation), float64; coordinates
        ``layer`` and ``number`` (in the layer) on ``unit``.

    Raises
    ------
    BrainalignError
        Fewer than two repeats, or orientations that are no even grid over 180 degrees.
    UnknownNameError
        A glob that no module's name matches.
    """
    if repeats < 2:
        raise BrainalignError(f"{repeats} repeats have no variance; give 2 or more.")
    _check_grid(np.asarray(orientations, dtype=float))
    parts: dict[str, list] = {"mean": [], "variance": []}
    names: list[str] = []
    numbers: list[int] = []
    for orientation in orientations:
        wanted = torch.full((repeats,), float(orientation), dtype=torch.float64)
        shown = task.preprocessing.standardised(task.pixels(wanted, torch.Generator().manual_seed(seed)))
        answers = {name: central(each) for name, each in layer_answers(network, shown, layers).items()}
        units = torch.cat(list(answers.values()), dim=1).double().cpu().numpy()
        parts["mean"].append(units.mean(0))
        parts["variance"].append(units.var(0, ddof=1))
        names = [name for name, each in answers.items() for _ in range(each.shape[1])]
        numbers = [number for each in answers.values() for number in range(each.shape[1])]
    return xr.Dataset(
        {name: (("unit", "orientation"), np.stack(part, axis=1)) for name, part in parts.items()},
        {
            "orientation": np.asarray(orientations, dtype=float),
            "layer": ("unit", names),
            "number": ("unit", numbers),
        },
    )


def central(answer: Float[Tensor, "sample ..."]) -> Float[Tensor, "sample unit"]:
    """Give the units at the centre of a map, one a channel; all of a layer without places.

    Examples
    --------
    >>> central(torch.arange(9.0).view(1, 1, 3, 3))
    tensor([[4.]])
    """
    if answer.ndim == 4:
        answer = answer[:, :, answer.shape[2] // 2, answer.shape[3] // 2]
    return answer.flatten(1)


def tuning_statistics(curves: xr.Dataset, at: int | float) -> pd.DataFrame:
    r"""Describe each unit's tuning.

    Parameters
    ----------
    curves
        As `tuning_curves` gives them.
    at
        The trained orientation, in degrees: one of the grid.

    Returns
    -------
    pd.DataFrame
        A row a unit: ``layer, number``;
        ``slope``, magnitude of the curve's slope at the trained orientation, by the difference of its
        neighbours on the grid, a degree;
        ``relative_slope``, slope over the curve's maximum, NaN where that is not above 0;
        ``preferred``, orientation of the maximum;
        ``distance``, of the preferred orientation from the trained one, 0 to 90 degrees;
        ``bandwidth``, half width at half height between minimum and maximum, in degrees, the mean of both
        sides, linear between orientations; NaN for a flat curve;
        ``fano``, mean over orientations of the variance over that of the mean; NaN where the mean is not
        above 0.

    Raises
    ------
    BrainalignError
        An orientation that is not of the grid.

    Notes
    -----
    Slope at the trained orientation and bandwidth are the measures of Schoups et al. (2001, V1) and Raiguel
    et al. (2006, V4), to which Wenliang & Seitz (2018) compare their units. Variance over mean is a Fano factor
    in form alone: units give no counts, so its scale depends on the weights'.
    """
    grid, mean = curves["orientation"].to_numpy(), curves["mean"].to_numpy()
    _check_grid(grid)
    place = np.flatnonzero(np.isclose(grid, at))
    if not len(place):
        raise BrainalignError(f"Orientation {at:g} is none of those measured: {_listed(grid)}.")
    spacing, here = 180 / len(grid), int(place[0])
    slope = np.abs(mean[:, (here + 1) % len(grid)] - mean[:, here - 1]) / (2 * spacing)
    preferred = grid[mean.argmax(1)]
    apart = np.abs(preferred - at)
    average, highest = mean.mean(1), mean.max(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return pd.DataFrame(
            {
                "layer": curves["layer"].to_numpy(),
                "number": curves["number"].to_numpy(),
                "slope": slope,
                "relative_slope": np.where(highest > 0, slope / highest, np.nan),
                "preferred": preferred,
                "distance": np.minimum(apart, 180 - apart),
                "bandwidth": [_half_width(curve, spacing) for curve in mean],
                "fano": np.where(average > 0, curves["variance"].to_numpy().mean(1) / average, np.nan),
            }
        )


def _half_width(curve: Float[np.ndarray, " orientation"], spacing: float) -> float:
    """Give the half width at half height of a curve that goes round."""
    low, high = curve.min(), curve.max()
    if high == low:
        return float("nan")
    half = (low + high) / 2
    peak = int(curve.argmax())
    widths = []
    for way in (np.roll(curve, -peak), np.roll(curve[::-1], peak + 1)):
        below = int(np.flatnonzero(way <= half)[0])
        part = (way[below - 1] - half) / (way[below - 1] - way[below])
        widths.append(spacing * (below - 1 + part))
    return float(np.mean(widths))


def _check_grid(grid: Float[np.ndarray, " orientation"]) -> None:
    if len(grid) < 3 or not np.allclose(np.diff(grid), 180 / len(grid)):
        raise BrainalignError(
            f"The orientations {_listed(grid)} are no grid: give three or more, evenly spaced over 180 "
            "degrees, such as range(0, 180, 5)."
        )


def _listed(grid: Float[np.ndarray, " orientation"]) -> str:
    return ", ".join(f"{each:g}" for each in grid)
