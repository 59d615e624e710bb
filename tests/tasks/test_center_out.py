"""Reaches from the centre: what is seen when, and where the hand is to be."""

import pytest
import torch

from brainalign.tasks.center_out import CenterOut, DelayedReach


def test_targets_are_at_equal_angles_and_at_the_distance():
    batch = next(CenterOut(n_targets=6, distance=0.07).held_out())
    ends = batch.targets[:, -1, :2]
    assert ends.norm(dim=1).tolist() == pytest.approx([0.07] * 6)
    angles = torch.rad2deg(torch.atan2(ends[:, 1], ends[:, 0])) % 360
    assert angles.tolist() == pytest.approx([0, 60, 120, 180, 240, 300], abs=1e-3)


def test_a_trial_goes_as_its_times_say():
    task = CenterOut(cue=0.1, delay=0.3, reaction=0.1, movement=0.4, hold=0.2, dt=0.02)
    batch = next(task.held_out())
    assert batch.inputs.shape == (8, 55, 3) and task.go_time == pytest.approx(0.4)
    seen = batch.inputs[1]
    assert (seen[:5, :2] == 0).all() and (seen[5:, :2] == seen[-1, :2]).all()
    assert seen[-1, :2].norm() == pytest.approx(1)
    assert seen[:, 2].tolist() == [1] * 20 + [0] * 35
    # the state after step t is that at time (t + 1) dt
    away = batch.targets[1, :, :2].norm(dim=1)
    assert (away[:25] == 0).all() and (away[25:] > 0).all()
    assert away[34] == pytest.approx(0.05) and away[44:].tolist() == pytest.approx([0.1] * 11)
    assert batch.targets[1, :, 2].tolist() == [1.0] * 45 + [10.0] * 10


def test_the_hand_is_to_move_with_minimum_jerk():
    """Flash & Hogan's solution: speed peaks half-way at 1.875 times its mean, and jerk is quadratic in time."""
    task = CenterOut(n_targets=1, movement=0.4, dt=0.001)
    course = next(task.held_out()).targets[0, 149:550, 0].double()
    speed = course.diff() / 0.001
    assert speed.argmax() in (199, 200)
    assert float(speed.max()) == pytest.approx(1.875 * 0.1 / 0.4, rel=1e-3)
    assert speed[0] < 1e-3 and speed[-1] < 1e-3


def test_delays_are_drawn_in_training_and_fixed_in_evaluation(generator):
    task = DelayedReach(batch_size=200)
    batch = next(task.batches(generator))
    go = batch.inputs[..., 2].sum(1) * task.dt
    assert go.min() >= 0.05 + 0.2 - 0.006 and go.max() <= 0.05 + 0.6 + 0.006
    assert go.std() == pytest.approx(0.4 / 12**0.5, rel=0.2)
    begun = (batch.targets[..., :2].norm(dim=2) > 0).float().argmax(1) * task.dt
    assert (begun - go - task.reaction).abs().max() <= 0.5 * task.dt + 1e-6 + task.dt
    for first, second in zip(task.held_out(), task.seen(), strict=True):
        assert torch.equal(first.inputs, second.inputs)
        assert (first.inputs[..., 2].sum(1) * task.dt - task.go_time).abs().max() < 1e-6


def test_the_same_generator_draws_the_same_trials(generator):
    task = DelayedReach(batch_size=4)
    state = generator.get_state()
    first = next(task.batches(generator))
    after = next(task.batches(generator))
    generator.set_state(state)
    again = next(task.batches(generator))
    assert torch.equal(first.inputs, again.inputs) and torch.equal(first.targets, again.targets)
    assert not torch.equal(first.inputs, after.inputs)
