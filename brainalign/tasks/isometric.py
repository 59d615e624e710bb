"""A hand that is held fast: what is made is force, shown by a cursor."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from brainalign.tasks.body import BodyState, Controls, Position

NEWTONS_PER_METRE = 15.0
"""Force over the cursor's displacement: 1.5 N for 10 cm."""


class Isometric:
    r"""Force of a hand that cannot move. In place of the hand stands a cursor, at force over 15 N/m.

    Controls u are forces in N that the muscles are asked for; they follow with a lag,

    .. math:: \tau \dot F = u - F

    solved exactly over each step. Force is sensed, in N.

    Parameters
    ----------
    dt
        Time step in seconds.
    lag
        Time constant in seconds; 0.05 is that of a muscle's deactivation (Thelen 2003).

    Examples
    --------
    >>> body = Isometric(0.01)
    >>> state = body.rest(1, torch.zeros(()))
    >>> for _ in range(100):
    ...     state = body.step(state, torch.tensor([[1.5, 0.0]]))
    >>> [round(each, 4) for each in body.hand(state)[0][0].tolist()]
    [0.1, 0.0]
    """

    n_controls = 2
    n_feedback = 2
    bounds = None

    def __init__(self, dt: float, lag: float = 0.05):
        self.dt, self.kept = dt, math.exp(-dt / lag)

    def rest(self, n: int, like: Tensor) -> BodyState:
        """Give no force."""
        return like.new_zeros(n, 4)

    def step(self, state: BodyState, controls: Controls) -> BodyState:
        """Follow the forces that are asked for."""
        before, asked = state[:, :2], controls / NEWTONS_PER_METRE
        cursor = asked + self.kept * (before - asked)
        return torch.cat([cursor, (cursor - before) / self.dt], 1)

    def hand(self, state: BodyState) -> tuple[Position, Position]:
        """Give the cursor's position and velocity."""
        return state[:, :2], state[:, 2:]

    def feedback(self, state: BodyState) -> Float[Tensor, "sample feedback"]:
        """Give the force, in N."""
        return NEWTONS_PER_METRE * state[:, :2]
