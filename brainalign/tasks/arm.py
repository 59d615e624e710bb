"""A two-link arm that six muscles move, simulated by MotorNet."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from brainalign.networks.extras import import_extra
from brainalign.tasks.body import BodyState, Controls, Position

REST = (math.pi / 4, math.pi / 2)
"""Angles of shoulder and elbow at rest: the hand is straight in front of the shoulder, 45 cm away."""

N_JOINT, N_MUSCLES = 4, 6


class MuscleArm:
    r"""MotorNet's arm in the horizontal plane: two links, and six Hill muscles with rigid tendons.

    Controls are the muscles' excitations, from 0 to 1. Activation follows them with time constants of 15 ms up
    and 50 ms down, and a muscle's force is

    .. math:: F = F_{max} \bigl( a\, f_L(l) f_V(\dot l) + f_{PE}(l) \bigr)

    (Thelen 2003). Moment arms are polynomials of the joints' angles (Nijhof & Kouwenhoven 2000). The muscles
    are pectoralis, deltoid, brachioradialis, lateral triceps, biceps and long triceps. Joints stop at their
    limits, 0 to 135° and 0 to 155°. Steps are Euler's, and forces act one step late, both as in MotorNet; its
    objects are driven by their pure functions. The state is the joints' angles and velocities, then MotorNet's
    seven numbers of each muscle.

    Sensed are, one step late, each muscle's length over its optimal one, less 1, and velocity in optimal
    lengths a second; then the hand's position in units of 0.1 m.

    Parameters
    ----------
    dt
        Time step in seconds.

    Raises
    ------
    BrainalignError
        MotorNet is not installed.

    References
    ----------
    Codol, Michaels, Kashefi, Pruszynski & Gribble 2024, eLife 12:RP88591.

    Examples
    --------
    >>> arm = MuscleArm(0.01)
    >>> state = arm.step(arm.rest(3, torch.zeros(())), torch.full((3, 6), 0.1))
    >>> [tuple(each.shape) for each in (*arm.hand(state), arm.feedback(state))]
    [(3, 2), (3, 2), (3, 14)]
    """

    n_controls = N_MUSCLES
    n_feedback = 2 * N_MUSCLES + 2
    bounds = (0.0, 1.0)

    def __init__(self, dt: float):
        self.dt = dt
        self._motornet = import_extra("motornet", "motor", "arm")
        self._plants: dict[tuple[torch.device, torch.dtype], tuple[Any, Tensor]] = {}

    def rest(self, n: int, like: Tensor) -> BodyState:
        """Give arms at rest, their muscles as little active as they can be."""
        plant, _ = self._plant(like)
        joint = _rest(like).expand(n, -1)
        active = plant.muscle.min_activation.expand(n, 1, N_MUSCLES)
        muscle = plant.muscle.integrate(self.dt, torch.zeros_like(active), active, plant.get_geometry(joint))
        return torch.cat([joint, muscle.flatten(1)], 1)

    def step(self, state: BodyState, controls: Controls) -> BodyState:
        """Excite the muscles, and let their forces move the joints."""
        plant, _ = self._plant(state)
        joint, muscle = _parts(state)
        states = {"joint": joint, "muscle": muscle, "geometry": plant.get_geometry(joint)}
        change = plant.ode(controls, states, plant.default_endpoint_load, plant.default_joint_load)
        muscle = plant.muscle.integrate(self.dt, change["muscle"], muscle, states["geometry"])
        joint = plant.skeleton.integrate(self.dt, change["joint"], joint)
        return torch.cat([joint, muscle.flatten(1)], 1)

    def hand(self, state: BodyState) -> tuple[Position, Position]:
        """Give the hand's position, from where it rests, and velocity."""
        plant, origin = self._plant(state)
        there = plant.joint2cartesian(state[:, :N_JOINT])
        return there[:, :2] - origin, there[:, 2:]

    def feedback(self, state: BodyState) -> Float[Tensor, "sample feedback"]:
        """Give the muscles' lengths and velocities, and the hand's position."""
        plant, _ = self._plant(state)
        _, muscle = _parts(state)
        optimal = plant.muscle.l0_ce[0]
        return torch.cat([muscle[:, 1] / optimal - 1, muscle[:, 2] / optimal, 10 * self.hand(state)[0]], 1)

    def _plant(self, like: Tensor) -> tuple[Any, Position]:
        """Give MotorNet's arm on the device and in the type of a tensor, and where its hand rests."""
        key = like.device, like.dtype
        if key not in self._plants:
            # Tensors that are made in inference mode could never be differentiated through.
            with torch.inference_mode(False), torch.no_grad():
                muscle = self._motornet.muscle.RigidTendonHillMuscleThelen()
                plant = self._motornet.effector.RigidTendonArm26(muscle, timestep=self.dt)
                plant = plant.to(device=like.device, dtype=like.dtype)
                joint = torch.tensor([[*REST, 0.0, 0.0]], device=like.device, dtype=like.dtype)
                self._plants[key] = plant, plant.joint2cartesian(joint)[:, :2]
        return self._plants[key]


def _rest(like: Tensor) -> Float[Tensor, "1 4"]:
    return like.new_tensor([[*REST, 0.0, 0.0]])


def _parts(state: BodyState) -> tuple[Float[Tensor, "sample 4"], Float[Tensor, "sample 7 muscle"]]:
    return state[:, :N_JOINT], state[:, N_JOINT:].unflatten(1, (-1, N_MUSCLES))
