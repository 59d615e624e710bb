from dataclasses import replace

import numpy as np
import pytest

from brainalign.errors import BrainalignError, NeedsError
from brainalign.tasks import find_task
from brainalign.training import train
from brainalign.trajectory.imposed_cost import imposes_cost
from brainalign.trajectory.retargeted import permuted_targets, retargeted

TASK = find_task("classification:digits,batch_size=64")


@pytest.mark.parametrize("rule", ["backprop", "feedback_alignment", "pepita"])
def test_errors_of_a_chosen_cost_impose_it(digits_runs, rule, tmp_path):
    found = imposes_cost(digits_runs[rule], records=3)
    assert found.attrs["verdict"] == "imposed"
    last = found.isel(step=-1)
    assert last["follows"].sel(arm="imposed") > 0.6
    assert last["follows"].sel(arm="permuted") < 0.3
    assert last["own_follows"].sel(arm="imposed") < 0.3
    found.to_netcdf(tmp_path / "found.nc", engine="h5netcdf")


def test_the_controls_errors_are_as_large_and_its_cost_falls_too(digits_runs):
    found = imposes_cost(digits_runs["backprop"], records=3)
    first, last = found.isel(step=0), found.isel(step=-1)
    sizes = first["error_size"].values
    assert sizes[1] / sizes[0] == pytest.approx(
        0.9, abs=0.08
    )  # a tenth of permuted targets are right by chance
    cost = found["cost"].sel(arm="permuted")
    assert cost.isel(step=-1) < cost.isel(step=0) - 1
    # To that of an answer which is always the same: the entropy of ten categories.
    assert float(last["cost"].sel(arm="permuted")) == pytest.approx(np.log(10), abs=0.3)


def test_without_learning_nothing_is_imposed(digits_runs):
    found = imposes_cost(digits_runs["untrained"], steps=5)
    assert found.attrs["passes"] == 0
    assert found.attrs["fall"] == 0


def test_errors_without_information_impose_nothing(digits_runs):
    found = imposes_cost(digits_runs["backprop"], permuted_targets(TASK))
    assert found.attrs["passes"] == 0


def test_a_cost_without_right_answers_is_judged_by_the_cost_alone(tmp_path):
    run = train(
        "mlp:hidden=32",
        "autoencoding:digits,batch_size=64",
        steps=100,
        checkpoints=2,
        out=tmp_path,
        lr=1.0,
        evaluate_on=100,
        progress=False,
    )
    negative = retargeted(
        find_task("autoencoding:digits,batch_size=64"), lambda targets, _: -targets, "negated"
    )
    found = imposes_cost(run, negative)
    assert found.attrs["verdict"] == "imposed"
    assert np.isnan(found.attrs["obedience"])
    with pytest.raises(NeedsError, match="does not name categories"):
        imposes_cost(run)


def test_training_that_gives_no_numbers_imposes_nothing(digits_runs):
    run = digits_runs["backprop"]
    found = imposes_cost(replace(run, settings=replace(run.settings, lr=1e30)), records=3)
    assert found["cost"].isel(step=-1).isnull().all()
    assert found.attrs["passes"] == 0


def test_bad_input(digits_runs):
    with pytest.raises(BrainalignError, match="0 steps impose nothing"):
        imposes_cost(digits_runs["backprop"], steps=0)
    with pytest.raises(BrainalignError, match="cannot be tested because it is of images"):
        imposes_cost(digits_runs["backprop"], "rotation:digits")
    with pytest.raises(BrainalignError, match="give it again"):
        imposes_cost(digits_runs["permuted"])
