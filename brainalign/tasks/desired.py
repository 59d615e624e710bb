"""What a network's outputs should be at each step, for rules that are told."""

import torch
from jaxtyping import Float
from torch import Tensor

from brainalign.errors import NeedsError
from brainalign.tasks.bodies import PointMass, VelocityBody
from brainalign.tasks.motor_task import MotorTask
from brainalign.tasks.task import Batch, Task


def desired(task: Task, batch: Batch) -> Float[Tensor, "sample time output"]:
    r"""Give the outputs with which the task would be done without an error.

    Of a task with a method ``desired(batch)`` what that gives. Of a hand that is to be at :math:`p_t`, and
    rests at the origin before, finite differences: the velocity :math:`v_t = (p_t - p_{t-1}) / dt`, or of a
    mass the force

    .. math::
        F_t = m \frac{v_t - v_{t-1}}{dt} + b v_{t-1}

    which undoes the body's step exactly.

    Raises
    ------
    NeedsError
        Neither is known of the task.

    Examples
    --------
    >>> from brainalign.tasks import find_task
    >>> task = find_task("center_out:body=velocity")
    >>> desired(task, next(task.seen())).shape
    torch.Size([8, 75, 2])
    """
    if hasattr(task, "desired"):
        return task.desired(batch)  # pyright: ignore[reportAttributeAccessIssue]
    body = task.of_body if isinstance(task, MotorTask) else None
    if not isinstance(body, VelocityBody | PointMass) or batch.targets is None:
        raise NeedsError(
            f"What the outputs should be is not known of task {task.name!r}. Choose one that moves a "
            "body=velocity or a body=point_mass, or give the task a method desired(batch)."
        )
    velocity = _rates_of_change(batch.targets[..., :2], body.dt)
    if isinstance(body, VelocityBody):
        return velocity
    before = torch.cat([torch.zeros_like(velocity[:, :1]), velocity[:, :-1]], 1)
    return body.mass * _rates_of_change(velocity, body.dt) + body.friction * before


def _rates_of_change(course: Float[Tensor, "sample time 2"], dt: float) -> Float[Tensor, "sample time 2"]:
    """Give finite differences over dt, from 0 before the first step."""
    return torch.diff(course, dim=1, prepend=torch.zeros_like(course[:, :1])) / dt
