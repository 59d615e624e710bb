import numpy as np
import pytest
import torch
from torch import nn

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.tasks import find_task
from brainalign.tasks.total_cost import gradient
from brainalign.training import CheckpointError, Run, train
from brainalign.training.checkpoint_file import checkpoint_path
from brainalign.trajectory.gradient_by_sample import gradient_by_sample
from brainalign.trajectory.gradient_motion import ALL, compared, moves_along_gradient, without
from brainalign.trajectory.resumed import network_at
from brainalign.trajectory.retargeted import next_category, permuted_targets

TASK = find_task("classification:digits,batch_size=64")
FEW = {"permutations": 200, "samples": 200}


def orders(n: int, count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randperm(n, generator=generator) for _ in range(count)]


@pytest.fixture(scope="module")
def apart(digits_runs):
    """The gradient of an untrained network, sample by sample."""
    return gradient_by_sample(network_at(digits_runs["backprop"], 0), TASK, next(TASK.seen(200)))


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Flatten(), nn.Linear(64, 7), nn.Tanh(), nn.Linear(7, 10)),
        nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 10)),
    ],
    ids=["linear", "convolution"],
)
def test_errors_and_activity_make_the_gradient(network):
    batch = next(TASK.seen(40))
    found, expected = gradient_by_sample(network, TASK, batch), gradient(network, TASK, batch)
    for name, each in found.true().items():
        torch.testing.assert_close(each, expected[name], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(found.permuted(torch.arange(40))[name], each)
        assert not torch.allclose(found.permuted(orders(40, 1)[0])[name], each, rtol=0.1)


def test_descent_passes_and_ascent_fails(apart):
    downhill = {name: -each for name, each in apart.true().items()}
    for sign in (1, -1):
        rows, _ = compared(apart, {name: sign * each for name, each in downhill.items()}, orders(200, 99))
        for row in rows.values():
            assert row["cosine"] == pytest.approx(sign, abs=1e-6)
            assert row["cosine_apart"] == pytest.approx(sign, abs=1e-6)
            assert row["angle"] == pytest.approx(0 if sign == 1 else 180, abs=0.1)
            assert row["p_permuted"] == (0.01 if sign == 1 else 1.0)


def test_random_errors_pass_the_isotropic_null_and_fail_the_permuted_one(apart):
    generator = torch.Generator().manual_seed(1)
    isotropic, permuted = [], []
    for _ in range(40):
        errors = [torch.randn(each.shape, generator=generator) for each in apart.errors]
        rows, _ = compared(apart, {n: -each for n, each in apart.by(errors).items()}, orders(200, 99))
        isotropic.append(abs(rows[ALL]["z_isotropic"]) > 1.96)
        permuted.append(rows[ALL]["p_permuted"] <= 0.05)
    # Of an isotropic update 5 % would lie so far out; binomial 99.9 % bound for 40 draws: 8.
    assert sum(isotropic) > 15
    assert sum(permuted) <= 8


def test_errors_of_other_samples_have_uniform_p(apart):
    p = []
    for order in orders(200, 140)[100:]:
        rows, _ = compared(apart, {n: -each for n, each in apart.permuted(order).items()}, orders(200, 99))
        assert rows[ALL]["z_isotropic"] > 5
        p.append(rows[ALL]["p_permuted"])
    # Binomial 99.9 % bounds for 40 draws.
    assert sum(each <= 0.05 for each in p) <= 8
    assert 10 <= sum(each <= 0.5 for each in p) <= 30


def test_motion_along_the_mean_activity_alone_is_no_motion_of_this_kind(apart):
    rows, _ = compared(apart, apart.activity(), orders(200, 20))
    assert np.isnan(rows[ALL]["cosine_apart"])
    assert not np.isnan(rows[ALL]["cosine"])


def test_without_is_a_projection():
    generator = torch.Generator().manual_seed(0)
    weights, direction = (torch.randn(5, 3, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    rest = without(weights, direction)
    torch.testing.assert_close((rest * direction.flatten(1)).sum(1), torch.zeros(5, dtype=torch.float64))
    torch.testing.assert_close(without(rest, direction), rest)


def test_updates_of_backprop_are_the_gradient(digits_runs):
    found = moves_along_gradient(digits_runs["backprop"], motion="updates", **FEW)
    assert float(found["angle"].max()) < 0.1
    assert found.attrs["passes"] == 1
    assert list(found["layer"].values) == ["blocks.0.linear", "head", "all"]


@pytest.mark.parametrize(
    ("rule", "motion"),
    [("backprop", "checkpoints"), ("feedback_alignment", "updates"), ("pepita", "checkpoints")],
)
def test_rules_that_learn_move_along_their_own_cost_alone(digits_runs, rule, motion, tmp_path):
    run = digits_runs[rule]
    own = moves_along_gradient(run, motion=motion, **FEW)
    assert own.attrs["p"] <= 0.01
    for other in (next_category(TASK), permuted_targets(TASK)):
        found = moves_along_gradient(run, other, motion=motion, **FEW)
        assert found.attrs["passes"] == 0
    # The isotropic null is refused at the start even by a cost that says nothing of the images.
    assert float(found["z_isotropic"].sel(layer=ALL)[0]) > 5
    own.to_netcdf(tmp_path / "own.nc", engine="h5netcdf")


def test_what_does_not_move_fails(digits_runs):
    for motion in ("checkpoints", "updates"):
        found = moves_along_gradient(digits_runs["untrained"], motion=motion, **FEW)
        assert found.attrs["verdict"] == "does not move along the gradient: nothing moves"
        assert found.attrs["passes"] == 0
        assert found["cosine"].isnull().all()


def test_a_run_on_permuted_targets_does_not_follow_the_true_ones(digits_runs):
    found = moves_along_gradient(digits_runs["permuted"], TASK, **FEW)
    assert found.attrs["passes"] == 0


def test_bad_input(digits_runs, tmp_path):
    run = digits_runs["backprop"]
    with pytest.raises(UnknownNameError, match="Unknown motion 'weights'"):
        moves_along_gradient(run, motion="weights")
    with pytest.raises(BrainalignError, match="100 permutations cannot tell"):
        moves_along_gradient(run, permutations=100)
    with pytest.raises(BrainalignError, match="give it again"):
        moves_along_gradient(digits_runs["permuted"])
    short = train("mlp:hidden=8", steps=1, checkpoints=2, out=tmp_path, progress=False)
    checkpoint_path(tmp_path, 1).unlink()
    with pytest.raises(CheckpointError, match="cannot be tested because motion needs two checkpoints"):
        moves_along_gradient(Run.open(short.path))
