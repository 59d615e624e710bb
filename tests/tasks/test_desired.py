"""What outputs should be: a body moved by them is where it is to be, at each step."""

from dataclasses import replace

import pytest
import torch

from brainalign.errors import NeedsError
from brainalign.tasks import find_task
from brainalign.tasks.desired import desired


@pytest.mark.parametrize("name", ["center_out", "delayed_reach"])
@pytest.mark.parametrize("body", ["velocity", "point_mass"])
def test_a_body_that_is_moved_by_them_follows_the_wanted_course(name, body):
    task = find_task(f"{name}:body={body},n_targets=5")
    batch = next(task.batches(torch.Generator().manual_seed(0)))
    batch = replace(batch, inputs=batch.inputs.double(), targets=batch.targets.double())
    controls = desired(task, batch)
    assert controls.shape == (*batch.inputs.shape[:2], task.n_outputs)
    state = task.of_body.rest(len(batch), batch.inputs)
    for each, wanted in zip(controls.unbind(1), batch.targets[..., :2].unbind(1), strict=True):
        state = task.of_body.step(state, each)
        torch.testing.assert_close(task.of_body.hand(state)[0], wanted, rtol=0, atol=1e-12)


def test_the_velocity_is_that_of_minimum_jerk():
    task = find_task("center_out:body=velocity,n_targets=1,dt=0.001")
    speed = desired(task, next(task.seen())).norm(dim=2)[0]
    # Its peak is 15/8 of the mean velocity, half-way (Flash & Hogan 1985).
    assert float(speed.max()) == pytest.approx(15 / 8 * task.distance / task.movement, rel=1e-3)
    half_way = task.go_time + task.reaction + task.movement / 2
    assert float(speed.argmax()) * task.dt == pytest.approx(half_way, abs=2e-3)


def test_tasks_that_do_not_say_are_refused():
    task = find_task("classification:digits")
    with pytest.raises(
        NeedsError, match="What the outputs should be is not known of task 'classification:digits'"
    ):
        desired(task, next(task.seen(2)))
