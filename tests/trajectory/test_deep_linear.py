"""The theory of deep linear networks, against simulation and against real training."""

import numpy as np
import pytest
import torch

from brainalign.errors import BrainalignError
from brainalign.tasks import find_task
from brainalign.training import train
from brainalign.trajectory.deep_linear import (
    crossing_times,
    deep_curves,
    half_times,
    integrated_curves,
    mode_curves,
    shallow_curves,
    steepest_share,
    transition_widths,
)
from brainalign.trajectory.linear_modes import (
    DeepLinear,
    Modes,
    balanced_network,
    layer_weights,
    mode_maps,
    mode_strengths,
    network_map,
    task_modes,
)
from brainalign.trajectory.mode_departures import coupling, departures, first_crossing, own_tau

TASK, START, LR, STEPS = "singular_modes:values=1-0.6,size=2,outputs=5", 0.05, 1e-3, 4000
S = np.array([3.0, 2.0, 1.0])
STARTS = np.full(3, 0.05)


@pytest.fixture(scope="module")
def modes() -> Modes:
    return task_modes(find_task(TASK))


def trained(modes: Modes, out, rule: str = "backprop", hidden: tuple[int, ...] = (4,), steps: int = STEPS):
    """Train from balanced weights, and give the maps at checkpoints."""
    network = balanced_network(modes, START, hidden)
    at = range(0, steps + 1, 50)
    run = train(
        network, TASK, rule, optimizer="sgd", lr=LR, steps=steps, checkpoints=at, out=out, progress=False
    )
    return mode_maps(run, modes)


def euler_chain(depth: int, dt: float, times: np.ndarray) -> np.ndarray:
    """Scalar chains of weights under Euler steps of τẇ_l = (Π of the others)(s − Π w), τ = 1."""
    weights = np.tile(STARTS ** (1 / depth), (depth, 1))
    at, found = np.round(times / dt).astype(int), []
    for step in range(at[-1] + 1):
        product = weights.prod(0)
        if step in set(at.tolist()):
            found.append(product)
        weights = weights + dt * (product / weights) * (S - product)
    return np.stack(found)


def test_the_closed_form_of_two_matrices_is_within_a_thousandth_of_euler_steps():
    times = np.linspace(0.0, 3.0, 7)
    found = euler_chain(2, 1e-4, times) - deep_curves(times, S, STARTS, 1.0)
    assert np.abs(found).max() < 1e-3


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_euler_steps_converge_to_the_curves(depth):
    times = np.linspace(0.0, 3.0, 7)
    exact = mode_curves(times, S, STARTS, 1.0, depth)
    coarse, fine = (euler_chain(depth, dt, times) for dt in (5e-4, 2.5e-4))
    assert np.abs(coarse - exact).max() / np.abs(fine - exact).max() == pytest.approx(2, rel=0.05)
    np.testing.assert_allclose(2 * fine - coarse, exact, atol=1e-4)


@pytest.mark.parametrize("depth", [1, 2])
def test_integration_is_the_closed_form_at_one_and_two_matrices(depth):
    times = np.linspace(1.0, 8.0, 40)
    closed = (shallow_curves if depth == 1 else deep_curves)(times, S, STARTS, 2.0)
    np.testing.assert_allclose(integrated_curves(times, S, STARTS, 2.0, depth), closed, atol=1e-6)


def test_the_closed_form_holds_from_tiny_starts_and_for_long():
    late = deep_curves(np.array([0.0, 1e6]), S, np.full(3, 1e-12), 1.0)
    np.testing.assert_allclose(late, [np.full(3, 1e-12), S], rtol=1e-3)


def test_half_times_widths_and_their_ratios_are_those_of_the_formulae():
    tau = 7.0
    np.testing.assert_allclose(half_times(S, STARTS, tau), tau / (2 * S) * np.log(S / STARTS - 1), rtol=1e-9)
    np.testing.assert_allclose(transition_widths(S, STARTS, tau), tau * np.log(9) / S, rtol=1e-9)
    shallow = tau * np.log(2 - 2 * STARTS / S)
    np.testing.assert_allclose(half_times(S, STARTS, tau, depth=1), shallow, rtol=1e-9)
    np.testing.assert_allclose(transition_widths(S, STARTS, tau, depth=1), tau * np.log(9), rtol=1e-9)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_curves_pass_where_crossing_times_say(depth):
    for share in (0.1, 0.5, 0.9):
        at = crossing_times(share, S, STARTS, 3.0, depth)
        curves = [mode_curves(np.array([0.0, t]), S, STARTS, 3.0, depth)[1] for t in at]
        np.testing.assert_allclose(np.diag(curves), share * S, rtol=1e-6)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_curves_are_steepest_at_the_share_that_is_said(depth):
    times = np.linspace(0.0, 8.0, 8001)
    curve = mode_curves(times, np.array([2.0]), np.array([0.05]), 1.0, depth)[:, 0]
    assert curve[np.gradient(curve, times).argmax()] / 2 == pytest.approx(steepest_share(depth), abs=2e-3)


def test_modes_that_start_beyond_a_share_have_no_time():
    found = half_times(np.array([1.0, 1.0, 1.0]), np.array([0.6, 0.0, 0.4]), 1.0)
    assert np.isnan(found).tolist() == [True, True, False]


def test_a_task_s_modes_are_its_correlations_singular_vectors(modes):
    batch = next(find_task(TASK).seen())
    x, y = batch.inputs.flatten(1).double().numpy(), batch.targets.double().numpy()
    np.testing.assert_allclose(modes.s, [1, 0.6], rtol=1e-6)
    rebuilt = modes.u[:, :2] * modes.s @ modes.v[:, :2].T
    np.testing.assert_allclose(x @ rebuilt.T, y, atol=1e-6)


@pytest.mark.parametrize("hidden", [(), (2,), (6, 4), (5, 9, 3)])
def test_balanced_networks_are_balanced_and_diagonal(modes, hidden):
    network = balanced_network(modes, START, hidden, seed=3)
    maps = layer_weights(network)
    for below, above in zip(maps[:-1], maps[1:], strict=True):
        np.testing.assert_allclose(above.T @ above, below @ below.T, atol=1e-7)
    expected = np.zeros((5, 4))
    expected[range(2), range(2)] = START
    np.testing.assert_allclose(modes.u.T @ network_map(network) @ modes.v, expected, atol=1e-7)


def test_backprop_of_two_matrices_follows_the_closed_form(modes, tmp_path):
    maps = trained(modes, tmp_path / "run")
    strengths = mode_strengths(maps, 2).values
    exact = deep_curves(maps["checkpoint"].values.astype(float), modes.s, np.full(2, START), 1 / LR)
    assert np.abs(strengths - exact).max() < 1e-3
    table = departures(maps, modes)
    np.testing.assert_allclose(table["deviation"], np.abs(strengths - exact).max(0) / modes.s, rtol=1e-4)
    assert table["coupling"].max() < 1e-6
    assert own_tau(maps, modes) == pytest.approx(1 / LR, rel=2e-3)
    # Steps of size η delay growth by sη / 2 of it, and curves bend between checkpoints.
    half = np.log(modes.s / START - 1) / (2 * modes.s * LR)
    np.testing.assert_allclose(table["half_time"], half, rtol=2e-3)
    np.testing.assert_allclose(table["width"] * modes.s, np.log(9) / LR, rtol=2e-3)
    np.testing.assert_allclose(table["steepest"], 0.5, atol=0.03)


def test_one_matrix_has_no_sigmoid(modes, tmp_path):
    table = departures(trained(modes, tmp_path / "run", hidden=(), steps=2500), modes)
    assert (table["deviation"] * table["s"]).max() < 1e-3
    np.testing.assert_allclose(table["width"], np.log(9) / LR, rtol=2e-3)
    np.testing.assert_allclose(table["half_time"], np.log(2 - 2 * START / modes.s) / LR, rtol=2e-3)
    assert (table["steepest"] < 0.12).all() and (table["predicted_steepest"] == 0).all()


def test_gradient_descent_of_three_matrices_follows_the_integration_and_not_the_closed_form_of_two(modes):
    network, step = balanced_network(modes, START, (4, 3)).double(), 4e-4
    weights = [layer.linear.weight for layer in network.layers]
    target = torch.from_numpy(modes.u[:, :2] * modes.s @ modes.v[:, :2].T)
    found = []
    for count in range(12_001):
        product = weights[2] @ weights[1] @ weights[0]
        if count % 1000 == 0:
            found.append(np.diag(modes.u.T @ product.detach().numpy() @ modes.v)[:2])
        slopes = torch.autograd.grad(0.5 * (product - target).square().sum(), weights)
        with torch.no_grad():
            for weight, slope in zip(weights, slopes, strict=True):
                weight -= step * slope
    times, starts = step * np.arange(0.0, 12_001, 1000), np.full(2, START)
    np.testing.assert_allclose(found, mode_curves(times, modes.s, starts, 1.0, 3), atol=1e-3)
    assert np.abs(found - deep_curves(times, modes.s, starts, 1.0)).max() > 0.1


def test_feedback_alignment_departs_even_in_its_own_time(modes, tmp_path):
    maps = trained(modes, tmp_path / "run", "feedback_alignment:scale=3", steps=2500)
    table = departures(maps, modes, own_tau(maps, modes))
    assert table["half_time"][0] == pytest.approx(table["predicted_half_time"][0], rel=1e-9)
    assert (table["deviation"] > 1e-2).all() and table["deviation"].max() > 0.1
    assert table["coupling"].max() > 1e-3


def test_a_tree_s_levels_are_learned_from_the_broadest_to_the_finest(tmp_path):
    name = "singular_modes:variant=hierarchy"
    modes = task_modes(find_task(name))
    network = balanced_network(modes, 0.01, (12,))
    run = train(
        network, name, optimizer="sgd", lr=0.01, steps=800, checkpoints=range(0, 801, 10), out=tmp_path / "run"
    )
    table = departures(mode_maps(run, modes), modes)
    np.testing.assert_allclose(table["half_time"], table["predicted_half_time"], rtol=0.02)
    level = np.repeat(range(4), (1, 1, 2, 4))
    halves = [table["half_time"][level == each] for each in range(4)]
    assert all(above.max() < below.min() for above, below in zip(halves[:-1], halves[1:], strict=True))


def test_coupling_is_the_energy_of_row_and_column_without_the_mode_itself():
    found = coupling(np.array([[[5.0, 1.0, 2.0], [3.0, 7.0, 0.0]]]), 2)
    np.testing.assert_array_equal(found, [[1 + 4 + 9, 9 + 1]])


def test_a_curve_that_never_gets_there_or_starts_there_has_no_crossing():
    times = np.array([0.0, 1.0, 2.0])
    assert np.isnan(first_crossing(times, np.array([0.0, 0.1, 0.2]), 0.5))
    assert np.isnan(first_crossing(times, np.array([0.6, 0.7, 0.8]), 0.5))
    assert first_crossing(times, np.array([0.0, 1.0, 0.0]), 0.5) == 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": np.array([1.0, 0.5])}, "Times of learning curves must ascend"),
        ({"times": np.array([-1.0, 0.5])}, "from 0 or later"),
        ({"tau": 0.0}, "tau=0.0, depth=2 .* must all be positive"),
        ({"s": np.array([1.0, -1.0, 1.0])}, "must all be positive"),
        ({"depth": 0}, "depth=0 and singular values"),
        ({"start": np.array([0.1, 0.0, 0.1])}, "Modes that start at 0 never move by this theory"),
    ],
)
def test_curves_that_cannot_be(change, message):
    given = {"times": np.array([0.0, 1.0]), "s": S, "start": STARTS, "tau": 1.0, "depth": 2} | change
    with pytest.raises(BrainalignError, match=message):
        mode_curves(**given)


def test_shares_outside_of_0_to_1():
    with pytest.raises(BrainalignError, match="shares between 0 and 1 of its singular value; 1.0 was given"):
        crossing_times(1.0, S, STARTS, 1.0)


@pytest.mark.parametrize(
    ("task", "message"),
    [("classification:digits", "no vectors as targets"), ("autoencoding:digits", "are not white: .* away")],
)
def test_tasks_that_the_theory_is_not_about(task, message):
    with pytest.raises(BrainalignError, match=message):
        task_modes(find_task(task))


def test_networks_that_the_theory_is_not_about(modes, tmp_path):
    with pytest.raises(BrainalignError, match="MLP is no stack of linear maps"):
        run = train("mlp:hidden=4", TASK, steps=1, checkpoints=2, out=tmp_path / "relu")
        mode_maps(run, modes)
    with pytest.raises(BrainalignError, match="Sequential is no stack of linear maps"):
        network_map(torch.nn.Sequential(torch.nn.Linear(2, 2)))
    with pytest.raises(BrainalignError, match="maps 16 inputs to 10 outputs; these modes have 4 and 5"):
        run = train(DeepLinear(16, 10), "singular_modes", steps=1, checkpoints=2, out=tmp_path / "other")
        mode_maps(run, modes)


def test_balanced_networks_that_cannot_be(modes):
    with pytest.raises(BrainalignError, match="Hidden layers of 1 units cannot hold 2 modes"):
        balanced_network(modes, START, (8, 1))
    with pytest.raises(BrainalignError, match="start at 0 are never learned"):
        balanced_network(modes, 0.0, (8,))
