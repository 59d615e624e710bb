import numpy as np
import pytest
import torch
from torch import nn

from brainalign.errors import BrainalignError, NeedsError
from brainalign.tasks import find_task
from brainalign.training import Run, train
from brainalign.training.checkpoint_file import load_checkpoint, save_checkpoint
from brainalign.trajectory.optimum import at_optimum, sign_flip_p
from brainalign.trajectory.retargeted import next_category, permuted_targets

FAST = {"which": "last", "random_states": 19, "directions": 5}
QUADRATIC = "classification:digits,batch_size=64,cost=squared_error"


@pytest.fixture(scope="module")
def least_squares(tmp_path_factory) -> Run:
    """A linear network whose second checkpoint is the least-squares solution: a minimum, exactly."""
    folder = tmp_path_factory.mktemp("least_squares")
    network, task = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), find_task(QUADRATIC)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network[1].reset_parameters()
    run = train(network, task, steps=1, checkpoints=2, evaluate_on=50, out=folder, lr=1e-3, progress=False)
    batches = list(task.batches(torch.Generator().manual_seed(0)))
    x = torch.cat([batch.inputs for batch in batches]).flatten(1).double()
    y = nn.functional.one_hot(torch.cat([batch.targets for batch in batches]), 10).double()
    solved = torch.linalg.lstsq(torch.cat([x, torch.ones(len(x), 1)], 1), y, driver="gelsd").solution.float()
    parts = load_checkpoint(folder, 1)
    parts["network"] = {"1.weight": solved[:-1].T.contiguous(), "1.bias": solved[-1]}
    save_checkpoint(folder, 1, parts)
    return run


def test_least_squares_is_an_optimum_and_where_it_began_is_not(least_squares):
    found = at_optimum(least_squares, QUADRATIC, random_states=19, directions=5)
    assert found["at_optimum"].values.tolist() == [False, True]
    assert found["gradient_of_initial"][-1] < 1e-4
    assert found["p_noise"][-1] > 0.9
    assert found["p_noise"][0] == 0.001


def test_the_rise_around_a_minimum_is_half_the_curvature(least_squares):
    found = at_optimum(least_squares, QUADRATIC, which="last", random_states=19, directions=150, radius=0.1)
    weights = load_checkpoint(least_squares.path, 1)["network"]
    x = torch.cat([b.inputs for b in find_task(QUADRATIC).batches(torch.Generator().manual_seed(0))]).flatten(1)
    # E d'Hd over directions d with the norms of W and b: the Hessian is that of |(W + D) x + b|² / 2.
    expected = weights["1.weight"].norm() ** 2 * x.square().sum(1).mean() / 64 + weights["1.bias"].norm() ** 2
    assert float(found["curvature"][0]) == pytest.approx(float(expected), rel=0.05)
    assert float(found["rise"][0]) == pytest.approx(0.005 * float(expected), rel=0.05)


def test_a_trained_network_is_at_the_optimum_of_its_own_cost_alone(digits_runs):
    run = digits_runs["backprop"]
    own = find_task("classification:digits,batch_size=64")
    found = at_optimum(run, **FAST | {"which": [0, 500]})
    assert found["at_optimum"].values.tolist() == [False, True]
    assert found.attrs["passes"] == 1
    assert found.attrs["verdict"] == "at an optimum"
    for other in (next_category(own), permuted_targets(own), QUADRATIC):
        found = at_optimum(run, other, **FAST)
        assert found.attrs["passes"] == 0
        assert found["gradient_of_initial"][0] > 1


def test_untrained_and_wrongly_trained_networks_are_at_none(digits_runs):
    cost = "classification:digits,batch_size=64"
    found = at_optimum(digits_runs["untrained"], cost, **FAST)
    assert found.attrs["passes"] == 0
    assert "stands out of the noise" in found.attrs["verdict"]
    assert at_optimum(digits_runs["permuted"], cost, **FAST).attrs["passes"] == 0


def test_dead_units_are_no_optimum(digits_runs):
    # All gradients vanish where the cost is flat: it must rise too.
    run = digits_runs["untrained"]
    parts = load_checkpoint(run.path, 200)
    kept = {part: dict(each) for part, each in parts.items()}
    parts["network"] = {name: torch.zeros_like(each) for name, each in parts["network"].items()}
    save_checkpoint(run.path, 200, parts)
    try:
        found = at_optimum(run, **FAST)
    finally:
        save_checkpoint(run.path, 200, kept)
    assert found.attrs["passes"] == 0
    assert "does not rise" in found.attrs["verdict"]


def test_sign_flips_are_calibrated_and_find_a_mean():
    generator = torch.Generator().manual_seed(0)
    null = [sign_flip_p(torch.randn(16, 30, generator=generator), generator) for _ in range(200)]
    # Binomial 99.9 % bounds for 200 draws at 0.05 and at 0.5.
    assert sum(p <= 0.05 for p in null) <= 21
    assert 78 <= sum(p <= 0.5 for p in null) <= 122
    there = torch.randn(16, 30, generator=generator) + 1
    assert sign_flip_p(there, generator) == 0.001
    assert sign_flip_p(there - there.mean(0), generator) > 0.99


def test_the_network_is_left_as_it_was_and_the_answer_is_the_same_again(digits_runs, tmp_path):
    run = digits_runs["feedback_alignment"]
    first, second = (at_optimum(run, **FAST) for _ in range(2))
    assert first.identical(second)
    first.to_netcdf(tmp_path / "first.nc", engine="h5netcdf")
    assert np.isfinite(first["curvature_downhill"]).all()


def test_bad_input(digits_runs):
    with pytest.raises(NeedsError, match="noise of batches needs 6 of them"):
        at_optimum(digits_runs["backprop"], "classification:digits,batch_size=400")
    with pytest.raises(BrainalignError, match="test nothing; give 19"):
        at_optimum(digits_runs["backprop"], random_states=5)
    with pytest.raises(BrainalignError, match="no run's folder"):
        at_optimum("nowhere")
