"""From the retina to the head: what is shown and asked for, and that a network can learn it."""

import math

import numpy as np
import pytest
import torch

from brainalign.errors import BrainalignError
from brainalign.tasks import Batch
from brainalign.tasks.coordinate_transform import CoordinateTransform

TASK = CoordinateTransform()


def test_a_target_on_a_field_excites_it_fully_and_others_by_distance():
    shown = TASK.encode(torch.tensor([[40.0, -40.0]]), torch.zeros(1, 2)).flatten()
    retina = shown[:64].view(8, 8)
    spacing = 80 / 7
    assert retina[7, 0] == 1
    assert float(retina[6, 0]) == pytest.approx(math.exp(-(spacing**2) / (2 * 15**2)), abs=1e-5)
    assert float(retina[7, 1]) == pytest.approx(float(retina[6, 0]), abs=1e-6)
    assert (shown[96:] == 0).all() and shown.numel() == 100


def test_eye_units_rise_or_fall_with_one_angle():
    angles = torch.linspace(-40, 40, 9)
    for column, (rising, falling) in enumerate((((64, 72), (80, 88)), ((72, 80), (88, 96)))):
        eye = torch.zeros(9, 2)
        eye[:, column] = angles
        shown = TASK.encode(None, eye).flatten(1)
        assert (shown[:, :64] == 0).all()
        assert (shown[:, slice(*rising)].diff(dim=0) > 0).all()
        assert (shown[:, slice(*falling)].diff(dim=0) < 0).all()
        other = (slice(72, 80), slice(64, 72))[column]
        assert (shown[:, other].diff(dim=0) == 0).all()
    half = TASK.encode(None, torch.full((1, 2), 40.0)).flatten()
    assert float(half[71]) == pytest.approx(0.5, abs=1e-6)


def test_the_answer_is_the_sum_of_both_angles():
    batch = next(TASK.seen())
    assert batch.inputs.shape == (500, 1, 10, 10) and batch.targets.shape == (500, 64)
    corner = TASK._batch(torch.tensor([[40.0, -40.0]]), torch.tensor([[40.0, -40.0]]))
    assert corner.targets.view(8, 8)[7, 0] == 1
    same = TASK._batch(torch.tensor([[10.0, 5.0], [0.0, -5.0]]), torch.tensor([[-10.0, 5.0], [0.0, 15.0]]))
    torch.testing.assert_close(same.targets[0], same.targets[1])
    assert not torch.equal(same.inputs[0], same.inputs[1])


def test_positions_are_read_off_the_outputs():
    retinal, eye = torch.tensor([[10.0, -5.0], [-20.0, 0.0]]), torch.tensor([[5.0, 10.0], [0.0, 20.0]])
    batch = TASK._batch(retinal, eye)
    torch.testing.assert_close(TASK.position(batch.targets), retinal + eye, atol=1.5, rtol=0)
    assert TASK.further(batch.targets, batch)["position_error"].abs().max() == 0
    off = TASK._batch(retinal, eye + torch.tensor([10.0, 0.0]))
    found = TASK.further(off.targets, batch)["position_error"]
    torch.testing.assert_close(found, torch.tensor([10.0, 10.0]), atol=1.5, rtol=0)


def test_the_cost_is_half_the_squared_error():
    outputs, targets = torch.randn(3, 64).double(), torch.randn(3, 64).double()
    found = TASK.cost(outputs, Batch(outputs, targets))
    expected = [0.5 * float(np.sum((outputs[i].numpy() - targets[i].numpy()) ** 2)) for i in range(3)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_samples_are_drawn_by_the_generator_alone_and_fixed_ones_differ():
    first, again, other = (next(TASK.batches(torch.Generator().manual_seed(s))).inputs for s in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert not torch.equal(next(TASK.seen()).inputs, next(TASK.held_out()).inputs)
    assert torch.equal(next(TASK.held_out(5)).inputs, next(TASK.held_out()).inputs[:5])


def test_names_and_options():
    assert TASK.name == "coordinate_transform"
    assert CoordinateTransform(side=4, width=20.0).name == "coordinate_transform:side=4,width=20"
    assert CoordinateTransform(side=4, eye_units=2).preprocessing.size == 5


@pytest.mark.parametrize(("option", "value"), [("side", 1), ("eye_units", 0), ("width", -1.0), ("reach", 0.0)])
def test_options_that_cannot_be_used(option, value):
    with pytest.raises(
        BrainalignError, match=f"Option {option} of coordinate_transform is {value}; expected more"
    ):
        CoordinateTransform(**{option: value})


def test_no_samples_are_none():
    with pytest.raises(BrainalignError, match="At most 0 samples were asked for"):
        next(TASK.seen(0))
