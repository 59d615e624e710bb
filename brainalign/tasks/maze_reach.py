"""Reach round barriers: curved reaches to several targets, each by several ways."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from brainalign.data import StimulusSet
from brainalign.tasks.center_out import CenterOut
from brainalign.tasks.motor_task import directions, equal_angles, minimum_jerk

N_WAYS = 3
"""Ways to each target: straight, and round a barrier on either side."""

Conditions = Float[Tensor, "trial 2"]


@dataclass(frozen=True)
class MazeReach(CenterOut):
    r"""Reach to a target straight, or by a via-point on one or the other side, after a delay.

    The via-point is level with the middle of the straight way, :math:`b d` away from it; b is drawn for each
    bent way, between half of `bend` and `bend`. The hand is to take the minimum-jerk course through it (Flash &
    Hogan 1985, J Neurosci 5:1688), which passes it half-way in time:

    .. math::
        p(s) = d \bigl( m(s)\, e + b\, \delta(s)\, e_\perp \bigr), \qquad
        \delta(s) = \tfrac{1}{3} \bigl( 160 s^3 - 400 s^4 + 256 s^5 - 512 (s - \tfrac12)_+^5 \bigr)

    with m the minimum-jerk course of a straight reach and e the target's direction. Inputs are the target's and
    the via-point's position over d, from `cue` on, and the hold signal. There are three conditions a target: 36
    targets give 108, as many as monkeys were shown.

    Parameters
    ----------
    bend
        Largest distance of a via-point from the straight way, over the distance of targets.
    seed
        Of the via-points.

    Examples
    --------
    >>> task = MazeReach(n_targets=4)
    >>> batch = next(task.held_out())
    >>> batch.inputs.shape, task.go_time
    (torch.Size([12, 135, 5]), 0.45)
    """

    key: ClassVar[str] = "maze_reach"
    source: ClassVar[str] = "Churchland et al. 2012, Nature 487:51; Kaufman et al. 2013, J Neurophysiol 110:817"
    from_zero: ClassVar[frozenset[str]] = CenterOut.from_zero | {"seed"}

    n_targets: int = 9
    delay: float = 0.4
    movement: float = 0.6
    bend: float = 0.5
    seed: int = 0

    @property
    def n_seen(self) -> int:
        """The target, the via-point, and whether to hold."""
        return 5

    def shown(self, conditions: Conditions) -> Float[Tensor, "trial 4"]:
        """Give the target and the via-point, in units of the target's distance."""
        half = torch.full((len(conditions), 1), 0.5)
        return torch.cat([directions(conditions[:, 0]), self.path(conditions, half)[:, 0]], 1)

    def path(
        self, conditions: Conditions, progress: Float[Tensor, "#trial time"]
    ) -> Float[Tensor, "trial time 2"]:
        """Give where the hand is to be, in units of the target's distance."""
        along = directions(conditions[:, 0])[:, None]
        across = torch.stack([-along[..., 1], along[..., 0]], -1)
        bent = conditions[:, 1, None] * detour(progress)
        return minimum_jerk(progress)[..., None] * along + bent[..., None] * across

    def conditions_of(self, stimuli: StimulusSet) -> Conditions:
        """Give straight reaches at a recording's angles, or as many conditions where it has no angles."""
        if "angle" in stimuli.metadata.columns:
            angles = super().conditions_of(stimuli)
            return torch.stack([angles, torch.zeros_like(angles)], 1)
        return self.ways(-(-len(stimuli.ids) // N_WAYS))[: len(stimuli.ids)]

    def ways(self, n_targets: int) -> Conditions:
        """Give the angle in radians and b of each way to targets: straight, to the left, to the right."""
        drawn = np.random.default_rng(self.seed).uniform(0.5, 1, (n_targets, N_WAYS))
        b = torch.from_numpy(self.bend * drawn * [0, 1, -1]).float()
        return torch.stack([equal_angles(n_targets).repeat_interleave(N_WAYS), b.flatten()], 1)

    @cached_property
    def conditions(self) -> Conditions:
        """All the ways."""
        return self.ways(self.n_targets)


def detour(progress: Tensor) -> Tensor:
    r"""Give how far from the straight way a minimum-jerk reach by a via-point is; there, half-way, it is 1.

    Examples
    --------
    >>> detour(torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0])).tolist()
    [0.0, 0.0, 1.0, 0.0, 0.0]
    """
    s = progress.clamp(0, 1)
    return (s**3 * (160 - 400 * s + 256 * s**2) - 512 * (s - 0.5).clamp(min=0) ** 5) / 3
