"""A two-link arm without muscles, moved by torques at its joints."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from brainalign.errors import BrainalignError
from brainalign.tasks.body import BodyState, Controls, Position

REST = (math.pi / 4, math.pi / 2)
"""Angles of shoulder and elbow at rest."""

LENGTHS = (0.30, 0.33)
"""Of upper arm and forearm, in m."""

INERTIAS = (0.025 + 0.045 + 1.0 * 0.30**2, 1.0 * 0.30 * 0.16, 0.045)
"""I₁ + I₂ + m₂ l₁², m₂ l₁ s₂ and I₂, in kg m², where s₂ is from the elbow to the forearm's centre of mass."""

FRICTION = ((0.05, 0.025), (0.025, 0.05))
"""B, in N m s."""

Joints = Float[Tensor, "sample 2"]


class TorqueArm:
    r"""Two links in the horizontal plane.

    .. math::
        M(\theta) \ddot\theta + C(\theta, \dot\theta) + B \dot\theta = \tau

    .. math::
        M = \begin{pmatrix} a_1 + 2 a_2 \cos\theta_2 & a_3 + a_2 \cos\theta_2 \\
        a_3 + a_2 \cos\theta_2 & a_3 \end{pmatrix}, \qquad
        C = a_2 \sin\theta_2 \begin{pmatrix} -\dot\theta_2 (2 \dot\theta_1 + \dot\theta_2) \\
        \dot\theta_1^2 \end{pmatrix}

    with the parameters of Li & Todorov (2007, Int J Control 80:1439). Controls are the torques, in N m. Steps
    are semi-implicit Euler's. The state is the joints' angles and velocities; both are sensed, angles from
    those at rest.

    Parameters
    ----------
    dt
        Time step in seconds.
    friction
        By how much B is multiplied.

    Examples
    --------
    >>> arm = TorqueArm(0.01)
    >>> before = arm.rest(1, torch.zeros(()))
    >>> after = arm.step(before, torch.tensor([[0.5, -0.25]]))
    >>> [round(each, 4) for each in arm.inverse(before, after)[0].tolist()]
    [0.5, -0.25]
    """

    n_controls = 2
    n_feedback = 4
    bounds = None

    def __init__(self, dt: float, friction: float = 1.0):
        self.dt, self.friction = dt, friction

    def rest(self, n: int, like: Tensor) -> BodyState:
        """Give arms at rest."""
        return like.new_tensor([[*REST, 0.0, 0.0]]).expand(n, -1)

    def step(self, state: BodyState, controls: Controls) -> BodyState:
        """Accelerate, then move."""
        velocity = state[:, 2:] + self.dt * self.acceleration(state, controls)
        return torch.cat([state[:, :2] + self.dt * velocity, velocity], 1)

    def hand(self, state: BodyState) -> tuple[Position, Position]:
        """Give the hand's position, from where it rests, and velocity."""
        links = _links(state[:, :2])
        turning = state[:, 2:].cumsum(1)[:, :, None] * torch.stack([-links[..., 1], links[..., 0]], 2)
        origin = _links(state.new_tensor([REST])).sum(1)
        return links.sum(1) - origin, turning.sum(1)

    def feedback(self, state: BodyState) -> Float[Tensor, "sample feedback"]:
        """Give angles from those at rest in rad, and velocities in rad/s."""
        return torch.cat([state[:, :2] - state.new_tensor(REST), state[:, 2:]], 1)

    def inertia(self, state: BodyState) -> Float[Tensor, "sample 2 2"]:
        """Give M."""
        a1, a2, a3 = INERTIAS
        coupled = a2 * state[:, 1].cos()
        across, of_elbow = a3 + coupled, torch.full_like(coupled, a3)
        return torch.stack([torch.stack([a1 + 2 * coupled, across], 1), torch.stack([across, of_elbow], 1)], 1)

    def acceleration(self, state: BodyState, controls: Controls) -> Joints:
        """Give the joints' acceleration under torques, in rad/s²."""
        return torch.linalg.solve(self.inertia(state), controls - self._resistance(state))

    def inverse(self, state: BodyState, next_state: BodyState) -> Controls:
        """Give the torques that lead from a state to the velocities of the next one in one step."""
        acceleration = (next_state[:, 2:] - state[:, 2:]) / self.dt
        return (self.inertia(state) @ acceleration[..., None])[..., 0] + self._resistance(state)

    def controls_for(self, course: Float[Tensor, "sample time 2"]) -> Float[Tensor, "sample time 2"]:
        """Give the torques with which the hand, at rest before, is where a course has it after each step.

        Raises
        ------
        BrainalignError
            A course that goes out of reach.
        """
        angles = self.angles(course.flatten(0, 1)).unflatten(0, course.shape[:2])
        angles = torch.cat([course.new_tensor(REST).expand(len(course), 1, 2), angles], 1)
        velocity = torch.diff(angles, dim=1, prepend=angles[:, :1]) / self.dt
        states = torch.cat([angles, velocity], 2)
        torques = self.inverse(states[:, :-1].flatten(0, 1), states[:, 1:].flatten(0, 1))
        return torques.unflatten(0, course.shape[:2])

    def angles(self, position: Position) -> Joints:
        """Give the joints' angles, the elbow flexed, at which the hand is at a position.

        Raises
        ------
        BrainalignError
            A position out of reach.
        """
        upper, fore = LENGTHS
        x, y = (position + _links(position.new_tensor([REST])).sum(1)).unbind(1)
        cosine = (x**2 + y**2 - upper**2 - fore**2) / (2 * upper * fore)
        if (cosine.abs() > 1).any():
            far = position[cosine.abs().argmax()].tolist()
            raise BrainalignError(
                f"The hand cannot be at ({far[0]:g}, {far[1]:g}) m from where it rests; the arm's links are "
                f"{upper:g} and {fore:g} m long."
            )
        elbow = cosine.acos()
        shoulder = torch.atan2(y, x) - torch.atan2(fore * elbow.sin(), upper + fore * elbow.cos())
        return torch.stack([shoulder, elbow], 1)

    def _resistance(self, state: BodyState) -> Joints:
        """Give C and friction, in N m."""
        shoulder, elbow = state[:, 2], state[:, 3]
        centrifugal = torch.stack([-elbow * (2 * shoulder + elbow), shoulder**2], 1)
        friction = state[:, 2:] @ (self.friction * state.new_tensor(FRICTION))
        return INERTIAS[1] * state[:, 1:2].sin() * centrifugal + friction


def _links(angles: Joints) -> Float[Tensor, "sample 2 2"]:
    """Give the vectors along upper arm and forearm, shape (sample, link, xy), in m."""
    direction = angles.cumsum(1)
    return torch.stack([direction.cos(), direction.sin()], 2) * angles.new_tensor(LENGTHS)[:, None]
