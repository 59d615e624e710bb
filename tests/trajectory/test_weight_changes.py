"""Changes of weights, on weights that are planted in a run's checkpoints."""

import numpy as np
import pandas as pd
import pytest

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.training import Run, train
from brainalign.training.checkpoint_file import load_checkpoint, save_checkpoint
from brainalign.trajectory.weight_changes import centres, half_times, weight_changes

STEPS = [0, 2, 4, 8]
FACTORS = {"blocks.0.linear": [1, 1, 2, 4], "blocks.1.linear": [1, 2, 2, -1], "head": [1, -1, 1, 1]}
"""Of the first weights: by powers of two and signs, changes are exact."""


@pytest.fixture
def planted(tmp_path) -> Run:
    options = {"checkpoints": STEPS, "evaluate_on": 20, "out": tmp_path / "run", "progress": False}
    run = train("mlp:hidden=6-5", rule="untrained", steps=8, **options)
    first = load_checkpoint(run.path, 0)["network"]
    for place, step in enumerate(STEPS):
        parts = load_checkpoint(run.path, step)
        for layer, factors in FACTORS.items():
            parts["network"][f"{layer}.weight"] = first[f"{layer}.weight"] * factors[place]
        save_checkpoint(run.path, step, parts)
    return run


def test_changes_are_those_planted_in_the_networks_order(planted):
    found = weight_changes(planted)
    assert list(found["layer"].unique()) == list(FACTORS) and set(found["index"]) == {0, 1, 2}
    assert set(found["seed"]) == {0} and set(found["rule"]) == {"untrained"}
    for layer, factors in FACTORS.items():
        of_layer = found[found["layer"] == layer]
        assert of_layer["step"].tolist() == STEPS
        np.testing.assert_allclose(of_layer["change"], [abs(each - 1) for each in factors], rtol=1e-14)


def test_half_times_are_interpolated_to_the_first_crossing(planted):
    found = half_times(weight_changes(planted)).set_index("layer")["half_time"]
    # 0, 0, 1, 3 reaches 1.5 a quarter of the way from step 4 to step 8; 0, 1, 1, 2 reaches 1 at step 2.
    assert found["blocks.0.linear"] == 5.0
    assert found["blocks.1.linear"] == 2.0
    assert np.isnan(found["head"])


def test_centres_are_mean_indices(planted):
    found = centres(weight_changes(planted)).set_index("step")["centre"]
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[[2, 4, 8]], [(1 * 1 + 2 * 2) / 3, 1 / 2, 2 / 5], rtol=1e-14)
    blocks = centres(weight_changes(planted, ["blocks.0.linear", "blocks.1.linear"])).set_index("step")[
        "centre"
    ]
    np.testing.assert_allclose(blocks[[2, 4, 8]], [1, 1 / 2, 2 / 5], rtol=1e-14)


def test_layers_may_be_counted_in_an_order_of_ones_own(planted):
    found = weight_changes(planted, ["head", "blocks.0.linear"])
    assert found.groupby("layer")["index"].first().to_dict() == {"head": 0, "blocks.0.linear": 1}


def test_several_runs_are_kept_apart(planted):
    one = weight_changes(planted)
    other = one.assign(seed=1, change=one["change"] * one["index"])
    both = pd.concat([one, other], ignore_index=True)
    for function in (half_times, centres):
        apart = pd.concat([function(one), function(other)], ignore_index=True)
        key = [name for name in apart.columns if name not in ("half_time", "centre")]
        pd.testing.assert_frame_equal(
            function(both).sort_values(key, ignore_index=True), apart.sort_values(key, ignore_index=True)
        )


def test_what_has_no_change_is_refused(planted):
    with pytest.raises(UnknownNameError, match="Unknown layer with weights 'blocks.7'"):
        weight_changes(planted, ["blocks.7"])
    parts = load_checkpoint(planted.path, 0)
    parts["network"]["head.weight"] *= 0
    save_checkpoint(planted.path, 0, parts)
    with pytest.raises(BrainalignError, match="weights of 'head' are 0 at first"):
        weight_changes(planted)
    for step in STEPS[1:]:
        (planted.path / "checkpoints" / f"{step:08d}.safetensors").unlink()
    with pytest.raises(BrainalignError, match="has one checkpoint alone"):
        weight_changes(planted)
