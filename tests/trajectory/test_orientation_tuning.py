"""Tuning to orientation: of curves that are known, and of units that are planted."""

import math

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.tasks import find_task
from brainalign.tasks.orientation import gabors
from brainalign.trajectory.orientation_tuning import ORIENTATIONS, tuning_curves, tuning_statistics

GRID = np.array(ORIENTATIONS, dtype=float)


def curves_of(*means, variance=1.0, grid=GRID) -> xr.Dataset:
    mean = np.array(means, dtype=float)
    return xr.Dataset(
        {"mean": (("unit", "orientation"), mean), "variance": (("unit", "orientation"), 0 * mean + variance)},
        {"orientation": grid, "layer": ("unit", ["a"] * len(mean)), "number": ("unit", range(len(mean)))},
    )


def cosine(preferred):
    return 1 + np.cos(2 * np.deg2rad(GRID - preferred))


@pytest.mark.parametrize("preferred", [45.0, 0.0, 175.0, 90.0, 135.0])
@pytest.mark.parametrize("at", [0.0, 45.0, 175.0])
def test_slope_preferred_orientation_and_bandwidth_of_a_cosine(preferred, at):
    found = tuning_statistics(curves_of(cosine(preferred)), at).iloc[0]
    # The difference over ± 5 degrees of a cosine of 2θ is its derivative times sin 10° / 10°.
    derivative = abs(2 * math.sin(2 * math.radians(at - preferred))) * math.pi / 180
    shortened = math.sin(math.radians(10)) / math.radians(10)
    assert found["slope"] == pytest.approx(derivative * shortened, abs=1e-14)
    assert found["relative_slope"] == pytest.approx(found["slope"] / 2, abs=1e-14)
    assert found["preferred"] == preferred
    assert found["distance"] == min(abs(at - preferred), 180 - abs(at - preferred))
    assert found["bandwidth"] == pytest.approx(45, abs=1e-10)


@pytest.mark.parametrize("concentration", [1.0, 3.0, 8.0])
def test_bandwidth_and_slope_of_a_von_mises_curve_as_the_grid_grows_fine(concentration):
    grid = np.arange(0, 180, 0.5)
    turn = 2 * np.deg2rad(grid - 60)
    found = tuning_statistics(curves_of(np.exp(concentration * (np.cos(turn) - 1)), grid=grid), 75.0).iloc[0]
    half = (1 + math.exp(-2 * concentration)) / 2
    assert found["bandwidth"] == pytest.approx(
        math.degrees(math.acos(1 + math.log(half) / concentration)) / 2, abs=0.01
    )
    at = math.radians(30)
    slope = concentration * math.sin(at) * math.exp(concentration * (math.cos(at) - 1)) * 2 * math.pi / 180
    assert found["slope"] == pytest.approx(slope, rel=1e-3)


def test_scaling_changes_slopes_alone_and_flat_or_silent_units_are_none():
    found = tuning_statistics(curves_of(cosine(30), 5 * cosine(30), 0 * GRID, 3 + 0 * GRID), 45.0)
    assert found["slope"][1] == pytest.approx(5 * found["slope"][0])
    for name in ("relative_slope", "bandwidth", "preferred"):
        assert found[name][1] == pytest.approx(found[name][0])
    assert found[["relative_slope", "bandwidth", "fano"]].iloc[2].isna().all()
    assert np.isnan(found["bandwidth"][3]) and found["slope"][3] == 0
    np.testing.assert_allclose(found["fano"][[0, 1, 3]], [1, 0.2, 1 / 3])


class Energies(nn.Module):
    """Two planted energy units, tuned to 30 and 120 degrees, and the mean of all pixels."""

    def __init__(self, size: int = 16):
        super().__init__()
        turns = torch.tensor([30.0, 30.0, 120.0, 120.0], dtype=torch.float64)
        phases = torch.tensor([0.0, math.pi / 2] * 2, dtype=torch.float64)
        self.filters = nn.Parameter(gabors(turns, phases, size, 3.0, 0.2))
        self.energy, self.mean = nn.Identity(), nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give the energies."""
        self.mean(x.flatten(1).mean(1, keepdim=True))
        products = torch.einsum("nij,kij->nk", x[:, 0], self.filters)
        return self.energy(products.view(-1, 2, 2).square().sum(2))


@pytest.fixture
def task():
    return find_task("orientation:digits,size=16,noise=0,scale=unit,contrast=0.8")


def test_a_planted_unit_has_the_curve_that_it_must(task):
    """Its energy by the sums of sines and cosines in float64, without bytes: within their rounding."""
    network = Energies()
    curves = tuning_curves(network, task, "energy", repeats=40)
    grey = network.filters.sum((1, 2)) / 2
    oracle = []
    for orientation in ORIENTATIONS:
        phases = 2 * math.pi * torch.rand(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        shown = gabors(torch.full((40,), float(orientation), dtype=torch.float64), phases, 16, 3.0, 0.2)
        products = grey + 0.4 * torch.einsum("nij,kij->nk", shown, network.filters)
        oracle.append(products.view(-1, 2, 2).square().sum(2).mean(0).detach().numpy())
    np.testing.assert_allclose(curves["mean"], np.array(oracle).T, rtol=0, atol=0.01 * np.max(oracle))
    found, expected = tuning_statistics(curves, 45), tuning_statistics(curves_of(*np.array(oracle).T), 45)
    assert found["preferred"].tolist() == [30, 120]
    np.testing.assert_allclose(found["bandwidth"], expected["bandwidth"], rtol=0.02)
    np.testing.assert_allclose(found["slope"][0], expected["slope"][0], rtol=0.02)
    assert found["slope"][0] > 5 * found["slope"][1]


def test_variability_is_that_of_the_noise():
    task = find_task("orientation:digits,size=16,noise=0.2,scale=unit,contrast=0.001")
    curves = tuning_curves(Energies(), task, "mean", orientations=(0, 60, 120), repeats=2000)
    # Pixels from 0 to 1 have half of the noise; the unit is a mean of 256.
    np.testing.assert_allclose(curves["variance"], (0.1**2 + 1 / 12 / 255**2) / 256, rtol=5 * (2 / 2000) ** 0.5)
    np.testing.assert_allclose(curves["mean"], 0.5, atol=1e-3)


def test_units_are_named_by_layer_and_maps_by_their_centre(task):
    network = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.Flatten(), nn.Linear(3 * 256, 4))
    curves = tuning_curves(network, task, ["0", "2"], orientations=(0, 60, 120), repeats=2)
    assert curves["layer"].to_numpy().tolist() == ["0"] * 3 + ["2"] * 4
    assert curves["number"].to_numpy().tolist() == [0, 1, 2, 0, 1, 2, 3]
    shown = task.preprocessing.standardised(
        task.pixels(torch.full((2,), 60.0, dtype=torch.float64), torch.Generator().manual_seed(0))
    )
    expected = network[0](shown)[:, :, 8, 8].double().mean(0).detach()
    np.testing.assert_allclose(curves["mean"].sel(orientation=60)[:3], expected, rtol=1e-6)


def test_seeds_decide_and_the_network_is_left_as_it_was(task):
    network = Energies().train()
    first, again, other = (
        tuning_curves(network, task, "energy", orientations=(0, 60, 120), repeats=3, seed=seed)
        for seed in (0, 0, 1)
    )
    xr.testing.assert_identical(first, again)
    assert not first["mean"].equals(other["mean"]) and network.training


def test_what_cannot_be_measured_is_refused(task):
    with pytest.raises(BrainalignError, match="1 repeats have no variance"):
        tuning_curves(Energies(), task, repeats=1)
    with pytest.raises(BrainalignError, match="0, 10, 50 are no grid"):
        tuning_curves(Energies(), task, orientations=(0, 10, 50))
    with pytest.raises(UnknownNameError, match="Unknown layer 'energi'. Did you mean 'energy'"):
        tuning_curves(Energies(), task, "energi")
    with pytest.raises(BrainalignError, match="Orientation 47 is none of those measured"):
        tuning_statistics(curves_of(cosine(30)), 47.0)
