from dataclasses import replace

import pytest
import torch

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.networks import MLP
from brainalign.tasks import find_task
from brainalign.trajectory.constant_answer import cost_of_constant
from brainalign.trajectory.push_return import returns_after_push
from brainalign.trajectory.pushes import move, push_readout, random_direction, readout_names
from brainalign.trajectory.resumed import network_at
from brainalign.trajectory.retargeted import permuted_targets

TASK = find_task("classification:digits")
QUICK = {"steps": 60, "pushes": 3, "records": 3}


def test_a_direction_is_as_long_as_each_parameter_and_can_be_taken_back(digits_runs):
    network = network_at(digits_runs["backprop"], 500)
    before = {name: each.clone() for name, each in network.state_dict().items()}
    direction = random_direction(network, torch.Generator().manual_seed(0))
    move(network, direction, 0.3)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close((parameter - before[name]).norm(), 0.3 * before[name].norm())
    move(network, direction, -0.3)
    torch.testing.assert_close(dict(network.named_parameters()), before)


def test_no_output_stays_where_it_was():
    network = MLP(8, 10, 1, hidden=(5,))
    assert readout_names(network, TASK) == ["head.weight", "head.bias"]
    with torch.no_grad():
        network.head.bias.copy_(torch.arange(10))
    before = network.head.weight.clone()
    push_readout(network, TASK, 1.0, torch.Generator().manual_seed(0))
    moved = network.head.bias.long()
    assert sorted(moved.tolist()) == list(range(10))
    assert not (moved == torch.arange(10)).any()
    torch.testing.assert_close(network.head.weight, before[moved])


@pytest.mark.parametrize("rule", ["backprop", "feedback_alignment"])
def test_a_push_is_recovered_by_learning_the_same_cost_alone(digits_runs, rule, tmp_path):
    found = returns_after_push(digits_runs[rule], **QUICK)
    assert found.attrs["passes"] == 1
    assert found.attrs["control_passes"] == 0
    last = found.isel(step=-1).mean("push")
    assert last["recovered_cost"].sel(arm="own") > 0.8
    assert last["recovered_cost"].sel(arm="other") < 0.2
    still = found.sel(arm="still")
    assert (still["cost"] == still["cost"].isel(step=0)).all()
    assert (still["travelled"] == 0).all()
    found.to_netcdf(tmp_path / "found.nc", engine="h5netcdf")


def test_shares_are_one_where_nothing_was_pushed_and_zero_after_the_push(digits_runs):
    first = returns_after_push(digits_runs["backprop"], **QUICK).sel(step=0)
    for quantity in ("cost", "weights", "representation"):
        share = first[f"recovered_{quantity}"]
        assert share.sel(arm="unpushed").values == pytest.approx(1, abs=1e-9)
        pushed = share.sel(arm=["own", "other", "still"]).values.ravel()
        # A push may have made the cost worse than that of an answer which is always the same.
        assert (pushed <= 1e-9).all() if quantity == "cost" else pushed == pytest.approx(0, abs=1e-9)
    assert first["distance"].sel(arm="own").values == pytest.approx(1)
    assert first["cka"].sel(arm="unpushed").values.ravel() == pytest.approx(1)


def test_a_new_readout_is_learned_around_and_stays(digits_runs):
    found = returns_after_push(digits_runs["backprop"], "readout", steps=120, records=2)
    assert found.attrs["passes"] == 1
    assert found.attrs["recovered"] == "cost"
    assert list(found["layer"].values) == ["blocks.0.linear"]
    # Hidden layers were not pushed, and can only have gone away.
    assert (found["cka"].sel(arm="own").isel(step=0) > 1 - 1e-9).all()
    assert (found["cka"].sel(arm="own").isel(step=-1) < 0.999).all()


def test_coming_down_to_a_constant_answer_recovers_nothing(digits_runs):
    found = returns_after_push(digits_runs["backprop"], "readout", other=permuted_targets(TASK), **QUICK)
    other = found.sel(arm="other")
    assert (other["cost"].isel(step=-1) < other["cost"].isel(step=0) / 2).all()
    assert (other["recovered_cost"].isel(step=-1) < 0.1).all()
    assert found.attrs["control_passes"] == 0


def test_the_constant_answer_is_the_entropy_or_the_mean():
    batch = next(TASK.seen(150))
    shares = batch.targets.bincount().double() / 150
    assert cost_of_constant(TASK, batch) == pytest.approx(float(-(shares * shares.log()).sum()), rel=1e-4)
    task = find_task("autoencoding:digits")
    batch = next(task.seen(150))
    variance = batch.targets.double().var(0, correction=0).mean()
    assert cost_of_constant(task, batch) == pytest.approx(float(variance / 2), rel=1e-4)
    assert cost_of_constant(find_task("autoencoding:digits,variant=sparse"), batch) == float("inf")


def test_without_learning_nothing_returns(digits_runs):
    for push in ("weights", "readout"):
        found = returns_after_push(digits_runs["untrained"], push, **QUICK)
        assert found.attrs["passes"] == 0
        assert found.attrs["recovered"] == ""


def test_learning_another_cost_with_the_same_name_of_arm_fails(digits_runs):
    # The run's own cost is permuted targets: what is "recovered" of the categories' cost is none of its doing.
    found = returns_after_push(digits_runs["permuted"], task=TASK, other=TASK, **QUICK)
    assert found.attrs["passes"] == 0


def test_training_that_gives_no_numbers_does_not_return(digits_runs):
    run = digits_runs["backprop"]
    wild = replace(run, settings=replace(run.settings, lr=1e30))
    found = returns_after_push(wild, **QUICK)
    assert found["cost"].sel(arm="own").isel(step=-1).isnull().all()
    assert found.attrs["passes"] == 0


def test_bad_input(digits_runs):
    run = digits_runs["backprop"]
    with pytest.raises(UnknownNameError, match="Unknown push 'inputs'"):
        returns_after_push(run, "inputs")
    with pytest.raises(BrainalignError, match="2 pushes of size 1.0"):
        returns_after_push(run, pushes=2)
    with pytest.raises(BrainalignError, match="size 0"):
        returns_after_push(run, size=0.0)
