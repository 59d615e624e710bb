"""What a network moves: bodies that turn outputs into movement of a hand, differentiably."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from brainalign.names import unknown_name
from brainalign.tasks.arm import MuscleArm
from brainalign.tasks.body import Body, BodyState, Position
from brainalign.tasks.isometric import Isometric
from brainalign.tasks.torque_arm import TorqueArm


class VelocityBody:
    """A cursor whose velocity is the controls, in m/s: open loop, since nothing is sensed.

    Parameters
    ----------
    dt
        Time step in seconds.
    """

    n_controls = 2
    n_feedback = 0
    bounds = None

    def __init__(self, dt: float):
        self.dt = dt

    def rest(self, n: int, like: Tensor) -> BodyState:
        """Give cursors at rest at the origin."""
        return like.new_zeros(n, 4)

    def step(self, state: BodyState, controls: Float[Tensor, "sample control"]) -> BodyState:
        """Move by the velocity."""
        return torch.cat([state[:, :2] + self.dt * controls, controls], 1)

    def hand(self, state: BodyState) -> tuple[Position, Position]:
        """Give the cursor's position and velocity."""
        return state[:, :2], state[:, 2:]

    def feedback(self, state: BodyState) -> Float[Tensor, "sample feedback"]:
        """Give nothing."""
        return state[:, :0]


class PointMass:
    r"""A mass in a plane with friction, moved by a force: :math:`m \ddot x = F - b \dot x`.

    Semi-implicit Euler steps. Position and velocity are sensed, in units of a reach of 10 cm and of 1 m/s.

    Parameters
    ----------
    dt
        Time step in seconds.
    mass
        m, in kg.
    friction
        b, in N s/m.
    """

    n_controls = 2
    n_feedback = 4
    bounds = None

    def __init__(self, dt: float, mass: float = 1.0, friction: float = 5.0):
        self.dt, self.mass, self.friction = dt, mass, friction

    def rest(self, n: int, like: Tensor) -> BodyState:
        """Give masses at rest at the origin."""
        return like.new_zeros(n, 4)

    def step(self, state: BodyState, controls: Float[Tensor, "sample control"]) -> BodyState:
        """Accelerate, then move."""
        position, velocity = state[:, :2], state[:, 2:]
        velocity = velocity + self.dt * (controls - self.friction * velocity) / self.mass
        return torch.cat([position + self.dt * velocity, velocity], 1)

    def hand(self, state: BodyState) -> tuple[Position, Position]:
        """Give position and velocity."""
        return state[:, :2], state[:, 2:]

    def feedback(self, state: BodyState) -> Float[Tensor, "sample feedback"]:
        """Give position in units of 0.1 m, and velocity in m/s."""
        return torch.cat([10 * state[:, :2], state[:, 2:]], 1)


BODIES: dict[str, Callable[[float], Body]] = {
    "velocity": VelocityBody,
    "point_mass": PointMass,
    "torque_arm": TorqueArm,
    "arm": MuscleArm,
    "isometric": Isometric,
}
"""The bodies by name: what makes one, given its time step."""


def find_body(name: str, dt: float) -> Body:
    """Make a body by its name.

    Raises
    ------
    UnknownNameError
        No body of that name.

    Examples
    --------
    >>> find_body("point_mass", 0.01).n_controls
    2
    """
    if name not in BODIES:
        raise unknown_name("body", name, BODIES)
    return BODIES[name](dt)
