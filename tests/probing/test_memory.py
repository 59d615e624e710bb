"""The memory budget decides how often stimuli are shown, never what comes out."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from brainalign.data.stimuli import StimulusSet
from brainalign.errors import BrainalignError
from brainalign.networks import Preprocessing
from brainalign.probing import probe
from brainalign.probing.pieces import Size, pack

N = 11
SIZE = 10


class Counting(nn.Sequential):
    """Counts how many stimuli it has been shown."""

    shown = 0

    def forward(self, x):
        self.shown += len(x)
        return super().forward(x)


def _network(dtype=torch.float32):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        relu = nn.ReLU(inplace=True)
        return Counting(nn.Conv2d(3, 5, 3), relu, nn.Conv2d(5, 7, 3), relu, nn.Flatten(), nn.Linear(252, 4)).to(
            dtype
        )


def _stimuli():
    pixels = np.random.default_rng(1).integers(0, 256, (N, SIZE, SIZE, 3), dtype=np.uint8)
    return StimulusSet.from_ids([f"image{i}" for i in range(N)], list(pixels))


def _probe(network, memory, layers="*", **options):
    options |= {"preprocessing": Preprocessing(SIZE), "memory": memory, "cache": False, "batch_size": 4}
    return probe(network, _stimuli(), layers, **options)


@pytest.mark.parametrize("dtype,tolerance", [(torch.float32, 1e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("units", [10_000, 700, 100, 33])
@pytest.mark.parametrize("reduction", ["whole", "pool:3"])
def test_budget_does_not_matter(dtype, tolerance, units, reduction):
    """Down to budgets that cut every feature map into pieces."""
    network = _network(dtype)
    plenty = _probe(network, None, reduction=reduction)
    shown = network.shown
    found = _probe(network, units * N * dtype.itemsize, reduction=reduction)
    assert list(found) == list(plenty) == ["0", "1[0]", "2", "1[1]", "4", "5"]
    assert network.shown - shown > shown or units == 10_000 or (units == 700 and reduction != "whole")
    for name, layer in found.items():
        for field in ("gram", "mean_products", "mean_norm", "row_sums"):
            expected = getattr(plenty[name], field)
            scale = np.abs(plenty[name].gram).max() if field != "row_sums" else np.abs(expected).max()
            np.testing.assert_allclose(getattr(layer, field), expected, rtol=0, atol=tolerance * scale)
        assert layer.n_units == plenty[name].n_units


def test_budget_does_not_matter_to_projected_layers():
    network = _network(torch.float64)
    plenty, scarce = (_probe(network, memory, reduction="project:0.9") for memory in (None, 8 * N * 20))
    assert any(layer.n_units > 60 for layer in plenty.values())
    for name, layer in scarce.items():
        np.testing.assert_allclose(layer.gram, plenty[name].gram, rtol=0, atol=1e-12 * plenty[name].gram.max())
        np.testing.assert_allclose(layer.row_sums, plenty[name].row_sums, rtol=1e-9, atol=1e-9)


def test_budget_of_one_unit():
    options = {"layers": ["2", "5"], "reduction": "pool:1"}
    found, plenty = (_probe(_network(), memory, **options) for memory in (4 * N, None))
    for name, layer in found.items():
        np.testing.assert_allclose(layer.gram, plenty[name].gram, rtol=0, atol=1e-6 * plenty[name].gram.max())


@pytest.mark.parametrize("memory", [4 * N - 1, 0, -5])
def test_budget_too_small(memory):
    with pytest.raises(
        BrainalignError, match=rf"A memory budget of {memory} bytes holds not one.*\(44 bytes\); raise"
    ):
        _probe(_network(), memory)


def test_features_that_do_not_fit():
    with pytest.raises(
        BrainalignError, match=r"The features of 6 layers on 11 stimuli take .* GB.*Raise the memory"
    ):
        _probe(_network(), 1000, keep_features=True)


def test_features_that_fit_are_whole():
    for layer in _probe(_network(), 10**8, keep_features=True).values():
        assert layer.features.shape == (N, layer.n_units)


WIDTHS = st.lists(st.integers(1, 60), min_size=1, max_size=6)


@given(WIDTHS, st.integers(1, 80), st.integers(1, 9), st.sampled_from(["float32", "float64"]))
def test_packing_covers_every_column_once_within_the_budget(widths, columns, n_stimuli, dtype):
    dtype = np.dtype(dtype)
    sizes = {(f"layer{i}", 0): Size(width, width, dtype) for i, width in enumerate(widths)}
    budget = columns * n_stimuli * dtype.itemsize
    passes = list(pack(sizes, n_stimuli, budget))
    covered = {output: [] for output in sizes}
    for pieces in passes:
        assert 0 < sum(piece.stop - piece.start for piece in pieces) <= columns
        for piece in pieces:
            covered[piece.output] += range(piece.start, piece.stop)
    assert covered == {output: list(range(size.width)) for output, size in sizes.items()}


@given(WIDTHS, st.integers(1, 80))
def test_packing_cuts_only_what_does_not_fit_whole(widths, columns):
    sizes = {(f"layer{i}", 0): Size(width, width, np.dtype("float32")) for i, width in enumerate(widths)}
    for pieces in pack(sizes, 1, 4 * columns):
        for piece in pieces:
            width = sizes[piece.output].width
            assert piece.stop - piece.start == width or width > columns
