"""What a network can move: the shape that every body has."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

Position = Float[Tensor, "sample 2"]
BodyState = Float[Tensor, "sample state"]
Controls = Float[Tensor, "sample control"]


@runtime_checkable
class Body(Protocol):
    """A body in a plane; its hand rests at the origin. Positions in m, velocities in m/s.

    All that changes is in the state, never in place: steps can be differentiated, and taken again.
    """

    n_controls: int
    n_feedback: int

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Lowest and highest control that the body can be given; a task squashes outputs to them."""
        ...

    def rest(self, n: int, like: Tensor) -> BodyState:
        """Give the state at rest of a number of bodies, on the device and in the type of a tensor."""
        ...

    def step(self, state: BodyState, controls: Controls) -> BodyState:
        """Advance by one time step."""
        ...

    def hand(self, state: BodyState) -> tuple[Position, Position]:
        """Give the hand's position and velocity."""
        ...

    def feedback(self, state: BodyState) -> Float[Tensor, "sample feedback"]:
        """Give what is sensed of the state."""
        ...
