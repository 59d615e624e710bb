"""Routes of features through memory and disk: the cheapest that fits is taken, and no digit depends on it."""

import logging

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from brainalign.data.stimuli import StimulusSet
from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.networks import Preprocessing
from brainalign.probing import plan as planning
from brainalign.probing import probe, represent
from brainalign.probing.gram_sums import BLOCK
from brainalign.probing.pieces import Size
from brainalign.probing.plan import Costs, make_plan

N, PIXELS = 7, 20
FLOAT = np.dtype("float32")


def sizes_of(*widths):
    return {(f"layer{i}", 0): Size(width, width, FLOAT, place=i) for i, width in enumerate(widths)}


def costs(sizes, seconds, per_byte=1e-9, disk=10**12):
    reach = np.cumsum(seconds) if np.ndim(seconds) else [seconds * (i + 1) for i in range(len(sizes))]
    return Costs(dict(zip(sizes, map(float, reach), strict=True)), per_byte, disk)


def held_bytes(each, sizes):
    return sum((p.stop - p.start) * N * sizes[p.output].dtype.itemsize for p in each.pieces)


@given(
    st.lists(st.integers(1, 9000), min_size=1, max_size=7),
    st.integers(1, 60_000),
    st.floats(1e-12, 1e-3),
    st.integers(0, 10**6),
)
def test_every_column_is_kept_once_within_memory_and_disk(widths, columns, per_byte, disk):
    sizes = sizes_of(*widths)
    budget = 4 * N * columns
    plan = make_plan(sizes, N, budget, lambda: costs(sizes, 1.0, per_byte, disk))
    kept = {output: [] for output in sizes}
    for each in plan:
        assert held_bytes(each, sizes) <= budget
        for piece in each.pieces:
            kept[piece.output] += range(piece.start, piece.stop)
        for output in each.spooled:
            kept[output] += range(sizes[output].width)
    assert kept == {output: list(range(size.width)) for output, size in sizes.items()}
    spooled = sum(4 * N * sizes[output].width for each in plan for output in each.spooled)
    assert spooled <= planning.DISK_SHARE * disk


def test_what_fits_is_one_pass_and_asks_for_no_costs():
    sizes = sizes_of(100, 50)
    (only,) = make_plan(sizes, N, 4 * N * 150, lambda: pytest.fail("measured for nothing"))
    assert only.outputs == list(sizes)
    assert not only.spooled


def test_wide_layers_cheap_to_reach_are_reached_again_and_the_rest_is_spooled():
    sizes = sizes_of(40_000, 5000, 5000, 5000)
    known = costs(sizes, [0.01, 1.0, 1.0, 1.0], per_byte=1e-7)
    plan = make_plan(sizes, N, 4 * N * 10_000, lambda: known)
    *early, late = plan
    assert {output for each in early for output in each.outputs} == {("layer0", 0)}
    assert len(early) == 5  # of two blocks of 4096 columns each
    assert late.last(sizes) == ("layer3", 0)
    assert len(late.spooled) == 1
    assert planning.seconds(plan, sizes, N, known) == pytest.approx(5 * 0.01 + 3.01 + 1e-7 * 4 * N * 5000)


def test_a_slow_disk_or_a_full_one_is_not_spooled_to():
    sizes = sizes_of(5000, 5000, 5000)
    for per_byte, disk in [(1.0, 10**12), (1e-12, 1000)]:
        known = costs(sizes, 1.0, per_byte, disk)
        assert not any(each.spooled for each in make_plan(sizes, N, 4 * N * 6000, lambda known=known: known))
    known = costs(sizes, 1.0, 1e-12)
    assert any(each.spooled for each in make_plan(sizes, N, 4 * N * 6000, lambda: known))


@given(st.lists(st.integers(1, 9000), min_size=2, max_size=6), st.integers(3000, 20_000))
def test_no_plan_of_its_kind_is_cheaper_than_the_one_taken(widths, columns):
    sizes = sizes_of(*widths)
    known = costs(sizes, 1.0, 1e-6)
    budget = 4 * N * columns
    taken = planning.seconds(make_plan(sizes, N, budget, lambda: known), sizes, N, known)
    never = Costs(known.reach, known.spool, 0)
    by_passes = make_plan(sizes, N, budget, lambda: never)
    assert taken <= planning.seconds(by_passes, sizes, N, known) + 1e-12
    everything = known.reach[list(sizes)[-1]] + known.spool * sum(4 * N * w for w in widths)
    assert taken <= everything + 1e-12


class Counting(nn.Sequential):
    """Wide at first; counts the stimuli that each layer is shown."""

    def __init__(self, in_place=True):
        super().__init__(
            nn.Conv2d(3, 16, 3, padding=1),
            nn.ReLU(inplace=in_place),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 24, 3, padding=1),
            nn.BatchNorm2d(24),
            nn.ReLU6(inplace=in_place),
            nn.Flatten(),
            nn.Linear(2400, 5),
        )
        self.shown = 0
        with torch.no_grad():
            generator = torch.Generator().manual_seed(0)
            for tensor in self.parameters():
                tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator))

    def forward(self, x):
        self.shown += len(x)
        return super().forward(x)


STIMULI = StimulusSet.from_ids(
    [f"image{i}" for i in range(N)],
    list(np.random.default_rng(1).integers(0, 256, (N, PIXELS, PIXELS, 3), dtype=np.uint8)),
)


def run(network, **options):
    options = {"preprocessing": Preprocessing(PIXELS), "cache": False, "batch_size": 3} | options
    return probe(network.eval(), STIMULI, "*", **options)


@pytest.fixture
def routes(monkeypatch):
    """Make passes or spooling look free, so that the plan takes that route."""

    def prefer(route):
        per_byte = {"passes": 1e3, "spool": 0.0}[route]
        monkeypatch.setattr(represent, "seconds_per_byte", lambda folder: per_byte)

    return prefer


@pytest.mark.parametrize("route", ["passes", "spool"])
@pytest.mark.parametrize("columns", [BLOCK, 2 * BLOCK, 12_000])
@pytest.mark.parametrize("precision", ["single", "double"])
def test_no_digit_depends_on_the_route(routes, assert_same, tmp_path, caplog, route, columns, precision):
    plenty = run(Counting(), precision=precision)
    routes(route)
    with caplog.at_level(logging.INFO, "brainalign"):
        scarce = run(Counting(), precision=precision, memory=4 * N * columns, spool=tmp_path / "spool")
    assert_same(scarce, plenty)
    assert ("0 GB spooled to disk" in caplog.text) == (route == "passes")
    assert not list(tmp_path.glob("spool/*"))


@pytest.mark.parametrize("precision,tolerance", [("single", 1e-4), ("double", 1e-6)])
@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_gram_matrices_are_those_of_the_features(precision, tolerance, batch_size):
    """Whatever the batch size: the oracle multiplies whole features in float64."""
    found = run(Counting(), precision=precision, batch_size=batch_size, memory=4 * N * BLOCK)
    kept = run(Counting(), keep_features=True)
    for name, layer in kept.items():
        features = layer.features.astype(np.float64)
        centred = features - features.mean(axis=0)
        scale = np.abs(centred @ centred.T).max()
        np.testing.assert_allclose(found[name].gram, centred @ centred.T, rtol=0, atol=tolerance * scale)
        np.testing.assert_allclose(found[name].row_sums, features.sum(axis=1), rtol=0, atol=tolerance * scale)


def test_passes_over_early_layers_stop_there(routes):
    routes("passes")
    network = Counting()
    calls = []
    network[7].register_forward_hook(lambda *_: calls.append(1))
    run(network, memory=4 * N * BLOCK)
    per_showing = -(-N // 3)
    assert network.shown > 3 * N
    assert 1 + 1 + per_showing <= len(calls) < network.shown / N * per_showing


@pytest.mark.parametrize("in_place", [True, False])
def test_a_relu_follows_from_what_it_is_given(caplog, in_place):
    with caplog.at_level(logging.INFO, "brainalign"):
        found = run(Counting(in_place))
    assert "2 more follow from them" in caplog.text
    kept = run(Counting(in_place), keep_features=True)
    for name in ("1", "5"):
        np.testing.assert_allclose(found[name].gram, kept[name].gram, rtol=0, atol=1e-5 * kept[name].gram.max())
        assert found[name].place == kept[name].place
        assert found[name].n_units == kept[name].n_units


class Between(nn.Module):
    """Does something to the convolution's answer, in place or not, before the ReLU."""

    def __init__(self, change):
        super().__init__()
        self.conv, self.relu, self.again, self.change = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.ReLU6(), change

    def forward(self, x):
        return self.again(self.relu(self.change(self.conv(x))))


@pytest.mark.parametrize("change", [lambda x: x + 0.1, lambda x: x.add_(0.1), lambda x: x.flip(0)])
def test_a_relu_of_something_else_does_not_follow(change):
    torch.manual_seed(0)
    network = Between(change)
    found, kept = run(network), run(network, keep_features=True)
    for name, layer in kept.items():
        np.testing.assert_allclose(found[name].gram, layer.gram, rtol=0, atol=1e-5 * layer.gram.max())


def test_a_relu_after_a_relu():
    network = Between(lambda x: 10 * x)
    found, kept = run(network), run(network, keep_features=True)
    for name, layer in kept.items():
        np.testing.assert_allclose(found[name].gram, layer.gram, rtol=0, atol=1e-5 * layer.gram.max())
    assert not np.allclose(found["relu"].gram, found["again"].gram)


def test_half_precision_only_on_request():
    single, half = run(Counting()), run(Counting(), precision="half")
    for name, layer in single.items():
        error = np.abs(half[name].gram - layer.gram).max() / layer.gram.max()
        assert 1e-6 < error < 0.05, name


def test_precisions_do_not_share_the_cache(cache):
    values = {p: run(Counting(), precision=p, cache=True)["0"].gram for p in ("single", "double", "half")}
    again = {p: run(Counting(), precision=p, cache=True)["0"].gram for p in ("half", "double", "single")}
    for precision, gram in values.items():
        np.testing.assert_array_equal(again[precision], gram)
    assert len({gram.tobytes() for gram in values.values()}) == 3


def test_unknown_precision():
    with pytest.raises(UnknownNameError, match="precision 'singel'.*'single'"):
        run(Counting(), precision="singel")


def test_budget_too_small_for_one_unit():
    with pytest.raises(BrainalignError, match="holds not one unit's answers"):
        run(Counting(), memory=3)
