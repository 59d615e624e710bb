"""Gain fields: planted ones are found, shifts and sums are none."""

import numpy as np
import pytest
import torch

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.networks.mlp import MLP
from brainalign.tasks.coordinate_transform import CoordinateTransform
from brainalign.trajectory.gain_fields import ANGLES, evoked_activity, gain_fields, grid

RETINAL, EYE = grid(np.linspace(-40, 40, 9)), grid(ANGLES)


def field(centre=(10.0, -20.0), width=15.0):
    return np.exp(-((RETINAL - centre) ** 2).sum(1) / (2 * width**2))


def units(*each):
    return np.stack(each, axis=2)


def test_a_planar_gain_is_found_with_its_slopes():
    gain = 1 + 0.01 * EYE[:, 0] - 0.02 * EYE[:, 1]
    found = gain_fields(units(5 * field()[:, None] * gain), RETINAL, EYE).iloc[0]
    assert (found["best_x"], found["best_y"]) == (10, -20)
    assert found["r2"] == pytest.approx(1, abs=1e-12) and found["separable"] == pytest.approx(1, abs=1e-12)
    # As shares of the largest gain, 1.6.
    assert found["slope_x"] == pytest.approx(0.01 / 1.6, abs=1e-12)
    assert found["slope_y"] == pytest.approx(-0.02 / 1.6, abs=1e-12)
    assert found["depth"] == pytest.approx(1.2 / 1.6, abs=1e-12) and found["planar"]


def test_no_gain_a_weak_gain_and_a_peaked_gain_are_not_planar():
    flat, weak = np.ones(9) + 1e-6 * (np.arange(9) % 2), 1 + 0.002 * EYE[:, 0]
    peaked = 1 + np.exp(-(EYE**2).sum(1) / 200)
    found = gain_fields(units(*(field()[:, None] * gain for gain in (flat, weak, peaked))), RETINAL, EYE)
    assert found["planar"].tolist() == [False, False, False]
    assert found["p"].iloc[1] < 1e-6 and found["depth"].iloc[1] < 0.1
    assert found["depth"].iloc[2] > 0.4 and found["p"].iloc[2] > 0.5


def test_a_field_that_moves_with_the_eyes_is_not_separable():
    head_centred = np.exp(-((RETINAL[:, None] + EYE[None]) ** 2).sum(2) / (2 * 15**2))
    scaled = field()[:, None] * (1 + 0.02 * EYE[:, 0])
    found = gain_fields(units(head_centred, scaled), RETINAL, EYE)
    assert found["separable"].iloc[0] < 0.6 < 0.999 < found["separable"].iloc[1]


def test_a_plane_of_chance_is_found_as_often_as_p_says():
    rng = np.random.default_rng(0)
    noise = 1 + 0.5 * rng.normal(size=(1, 9, 2000))
    found = gain_fields(noise, RETINAL[:1], EYE)
    assert (found["p"] < 0.05).mean() == pytest.approx(0.05, abs=0.015)


def test_evoked_activity_is_what_the_target_adds():
    task, torch_seed = CoordinateTransform(side=3, eye_units=2), 0
    torch.manual_seed(torch_seed)
    network = MLP(task.preprocessing.size, 9, 1, hidden=(4,), activation="sigmoid")
    retinal, eye = grid((-10.0, 20.0)), grid((0.0, 15.0))
    found = evoked_activity(network, task, "blocks.0.activation", retinal, eye)
    assert found.shape == (4, 4, 4)
    where, looking = torch.tensor(retinal[2:3]).float(), torch.tensor(eye[1:2]).float()
    hidden = network.blocks[0]
    with torch.no_grad():
        expected = hidden(task.encode(where, looking).flatten(1)) - hidden(
            task.encode(None, looking).flatten(1)
        )
    np.testing.assert_allclose(found[2, 1], expected[0].numpy(), atol=1e-6)


def test_linear_units_have_no_gain_field_whatever_their_weights():
    task = CoordinateTransform(side=3, eye_units=2)
    torch.manual_seed(1)
    network = MLP(task.preprocessing.size, 9, 1, hidden=(6,), activation="linear")
    with torch.no_grad():
        network.get_parameter("blocks.0.linear.weight").mul_(20)
    found = gain_fields(evoked_activity(network, task, "blocks.0.linear", RETINAL, EYE), RETINAL, EYE)
    assert not found["planar"].any() and found["depth"].max() < 1e-4


def test_bad_input():
    with pytest.raises(BrainalignError, match=r"Evoked activity \(81, 8, 2\) does not fit 81 places and 9 eye"):
        gain_fields(np.ones((81, 8, 2)), RETINAL, EYE)
    line = np.stack([np.arange(9.0), np.zeros(9)], 1)
    with pytest.raises(BrainalignError, match="not on one line; found 9"):
        gain_fields(np.ones((81, 9, 2)), RETINAL, line)
    task = CoordinateTransform(side=3, eye_units=2)
    with pytest.raises(UnknownNameError, match="hidden"):
        evoked_activity(MLP(task.preprocessing.size, 9, 1, (4,)), task, "hidden", RETINAL, EYE)
