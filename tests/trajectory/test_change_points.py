"""Change-points: parts of a curve, against planted ones."""

import numpy as np

from brainalign.trajectory.change_points import change_points

STEPS = 2.0 ** np.arange(40) - 1  # straight in log steps
PLACES = np.arange(40)
RAMP = np.clip((PLACES - 12) / 15, 0, 1)


def test_planted_parts_are_found_with_their_kinds():
    noise = 0.01 * np.random.default_rng(0).normal(size=(6, 40))
    found = change_points(RAMP + noise, STEPS)
    assert found["kind"].values.tolist() == ["plateau", "rise", "plateau"]
    ends = np.searchsorted(STEPS, found["end"])
    np.testing.assert_allclose(ends, [12, 27, 39], atol=1)
    assert (found["slope_low"] <= found["slope"]).all() and (found["slope"] <= found["slope_high"]).all()


def test_a_line_is_one_part_and_a_fall_is_a_fall():
    noise = 0.01 * np.random.default_rng(1).normal(size=(6, 40))
    found = change_points(-PLACES / 40 + noise, STEPS)
    assert found.sizes["part"] == 1 and found["kind"].item() == "fall"


def test_one_seed_has_slopes_without_kinds():
    found = change_points(RAMP[None], STEPS)
    assert set(found["kind"].values) == {"unknown"} and np.isnan(found["slope_low"]).all()
