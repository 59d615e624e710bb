"""Facts of the reaches that adapt: two groups, whose curves cross when the target changes its size."""

import numpy as np
import pytest
from scipy.io import loadmat

from brainalign.data.cards import find_card
from brainalign.data.load import load_recording
from brainalign.trajectory.behaviour import learning_curves
from brainalign.trajectory.half_ceilings import half_ceilings

pytestmark = pytest.mark.data


@pytest.fixture
def curves(mirror):
    return learning_curves(load_recording("kim2019"), "hand_angle", step="cycle")


def test_people_cycles_and_groups(curves, mirror):
    assert dict(curves.sizes) == {"subject": 24, "step": 220}
    assert curves.notnull().all()
    card, _ = find_card("kim2019")
    content = loadmat(mirror / card.files[0].url.removeprefix("https://"))
    for group, key in (("small_to_big", "handAngle_s2b"), ("big_to_small", "handAngle_b2s")):
        np.testing.assert_array_equal(curves[curves["group"] == group].values, content[key])


def test_groups_cross(curves):
    mean = curves.groupby("group").mean()
    first = mean.sel(step=slice(121, 130)).mean("step")
    second = mean.sel(step=slice(201, 210)).mean("step")
    np.testing.assert_allclose(first.sel(group=["big_to_small", "small_to_big"]), [13.2, 23.5], atol=0.05)
    np.testing.assert_allclose(second.sel(group=["big_to_small", "small_to_big"]), [20.2, 17.8], atol=0.05)
    assert abs(mean.sel(step=slice(1, 10))).mean() < 1.5


def test_phases_are_those_of_the_cycles(mirror):
    table = load_recording("kim2019").behaviour
    spans = table.groupby("phase")["cycle"].agg(["min", "max"])
    assert spans.loc["clamp_first_target"].tolist() == [11, 130]
    assert spans.loc["clamp_second_target"].tolist() == [131, 210]
    # The hand comes back in the washout, and not before.
    mean = table.groupby("cycle")["hand_angle"].mean()
    assert (mean[131:210] > 15).all()
    assert mean[220] < mean[210] / 3


def test_halves_of_a_group_agree(curves):
    for group in ("small_to_big", "big_to_small"):
        found = half_ceilings(curves[curves["group"] == group], 50, np.random.default_rng(0))
        assert found.n_subjects == 12
        assert 0.95 < found.ceiling < 1
        assert 1 < found.rms_floor < 3
