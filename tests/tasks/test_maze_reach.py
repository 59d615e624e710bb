"""Reaches round barriers: the courses are minimum-jerk, and conditions differ by target and way."""

import numpy as np
import pandas as pd
import pytest
import torch

from brainalign.data import StimulusSet
from brainalign.networks.rnn import RNN
from brainalign.tasks import find_task
from brainalign.tasks.center_out import DelayedReach
from brainalign.tasks.maze_reach import MazeReach, detour
from brainalign.tasks.motor_task import minimum_jerk


def conditions(n, angles=None):
    index = pd.Index([f"c{number}" for number in range(n)], name="stimulus", dtype=object)
    return StimulusSet("conditions", pd.DataFrame({} if angles is None else {"angle": angles}, index=index))


def derivatives(course, s, n):
    """A course and its derivatives with respect to s."""
    s = s.clone().requires_grad_()
    found = [course(s)]
    for _ in range(n):
        (after,) = torch.autograd.grad(found[-1].sum(), s, create_graph=True)
        found.append(after)
    return [each.detach() for each in found]


def test_a_detour_begins_and_ends_at_rest_and_passes_the_via_point_smoothly():
    place = torch.tensor([1e-9, 0.5 - 1e-9, 0.5 + 1e-9, 1 - 1e-9], dtype=torch.float64)
    position, speed, acceleration, jerk, snap = derivatives(detour, place, 4)
    assert position.tolist() == pytest.approx([0, 1, 1, 0], abs=1e-6)
    assert speed.tolist() == pytest.approx([0, 0, 0, 0], abs=1e-5)
    assert acceleration[[0, 3]].tolist() == pytest.approx([0, 0], abs=1e-4)
    for each in (acceleration, jerk, snap):
        assert float(each[1]) == pytest.approx(float(each[2]), abs=1e-3)


@pytest.mark.parametrize("course", [detour, minimum_jerk])
def test_no_other_course_through_the_via_point_has_less_jerk(course):
    """The first variation of squared jerk vanishes for all changes that keep ends and via-point."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    s = torch.from_numpy(np.concatenate([(nodes + 1) / 4, (nodes + 3) / 4]))
    weights = torch.from_numpy(np.tile(weights, 2) / 4)
    jerk = derivatives(course, s, 3)[3]
    size = float((weights * jerk**2).sum())
    for power in range(5):
        change = derivatives(lambda s, power=power: (s * (1 - s)) ** 3 * (s - 0.5) * s**power, s, 3)[3]
        scale = (size * float((weights * change**2).sum())) ** 0.5
        assert abs(float((weights * jerk * change).sum())) < 1e-10 * scale
    # a change that does not keep the via-point is felt by a detour, which is pushed there
    change = derivatives(lambda s: (s * (1 - s)) ** 3, s, 3)[3]
    felt = abs(float((weights * jerk * change).sum())) / (size * float((weights * change**2).sum())) ** 0.5
    assert felt > 0.5 if course is detour else felt < 1e-10


def test_the_hand_is_to_pass_the_via_point_half_way_and_end_at_the_target():
    task = MazeReach(n_targets=4, dt=0.01)
    batch = next(task.held_out())
    target, via = batch.inputs[:, -1, :2], batch.inputs[:, -1, 2:4]
    half = round((task.go_time + task.reaction + task.movement / 2) / task.dt) - 1
    torch.testing.assert_close(batch.targets[:, half, :2], 0.1 * via, rtol=0, atol=1e-6)
    torch.testing.assert_close(batch.targets[:, -1, :2], 0.1 * target, rtol=0, atol=1e-6)
    assert (batch.inputs[:, :5, :4] == 0).all()


def test_each_target_has_a_straight_way_and_one_on_either_side():
    task = MazeReach(n_targets=5, bend=0.4)
    angles, b = task.conditions.unflatten(0, (5, 3)).unbind(2)
    assert (angles == angles[:, :1]).all() and len(angles[:, 0].unique()) == 5
    assert (b[:, 0] == 0).all()
    assert (b[:, 1] >= 0.2).all() and (b[:, 1] <= 0.4).all()
    assert (b[:, 2] <= -0.2).all() and (b[:, 2] >= -0.4).all()
    assert len(b[:, 1:].abs().unique()) == 10
    left = next(task.held_out()).inputs[1, -1]
    assert left[0] * left[3] - left[1] * left[2] > 0


def test_straight_ways_are_those_of_a_delayed_reach():
    maze = next(MazeReach(n_targets=4, movement=0.4).held_out())
    straight = next(DelayedReach(n_targets=4).held_out())
    torch.testing.assert_close(maze.targets[::3], straight.targets)
    torch.testing.assert_close(maze.inputs[::3][..., [0, 1, 4]], straight.inputs)


def test_via_points_follow_from_the_seed():
    first, again, other = MazeReach(seed=1), MazeReach(seed=1), MazeReach(seed=2)
    assert torch.equal(first.conditions, again.conditions)
    assert not torch.equal(first.conditions, other.conditions)


def test_training_sees_every_way(generator):
    task = MazeReach(n_targets=3, batch_size=200, dt=0.05)
    batch = next(task.batches(generator))
    vias = {tuple(round(each, 4) for each in trial) for trial in batch.inputs[:, -1, :4].tolist()}
    assert len(vias) == 9


def test_conditions_of_a_recording():
    task = find_task("maze_reach:n_targets=2,dt=0.05")
    torch.manual_seed(0)
    network = RNN(task.n_inputs, task.n_outputs, units=8)
    without = task.answers(network, conditions(10))["units"]
    assert without.shape == (10, 8, 27) and len(np.unique(without.values[..., -1], axis=0)) == 10
    straight = task.conditions_of(conditions(3, [0.0, 90.0, 30.0]))
    torch.testing.assert_close(torch.rad2deg(straight[:, 0]), torch.tensor([0.0, 90.0, 30.0]))
    assert (straight[:, 1] == 0).all()
