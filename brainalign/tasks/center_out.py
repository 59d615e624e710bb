"""Reach from the centre to one of several targets, at once or after a delay."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from brainalign.tasks.motor_task import MotorTask, directions, minimum_jerk


@dataclass(frozen=True)
class CenterOut(MotorTask):
    r"""Reach from the centre to a target at :math:`d (\cos \theta, \sin \theta)` when told to go.

    The hand is to stay, then to follow the minimum-jerk course to the target, which takes `movement` seconds
    and begins `reaction` seconds after the go cue, and to stay there for `hold` seconds, when errors count
    tenfold. Inputs are the target's direction, as (cos θ, sin θ), from `cue` seconds on, and a hold signal that
    is 1 until the go cue. In training the delay between the target and the go cue is drawn between half and one
    and a half of `delay`.

    Parameters
    ----------
    cue, delay, reaction, movement, hold
        Durations in seconds.

    Examples
    --------
    >>> batch = next(CenterOut(n_targets=4).held_out())
    >>> batch.inputs.shape, batch.targets[0, -1].tolist()
    (torch.Size([4, 75, 3]), [0.10000000149011612, 0.0, 10.0])
    """

    key: ClassVar[str] = "center_out"
    source: ClassVar[str] = "Georgopoulos et al. 1982, J Neurosci 2:1527"

    cue: float = 0.05
    delay: float = 0.0
    reaction: float = 0.1
    movement: float = 0.4
    hold: float = 0.2

    @property
    def target_time(self) -> float:
        """When the target is shown, in seconds from the start."""
        return self.cue

    @property
    def go_time(self) -> float:
        """When movement is asked for, in seconds from the start."""
        return self.cue + self.delay

    @property
    def movement_time(self) -> float:
        """When movement is to begin, in seconds from the start."""
        return self.go_time + self.reaction

    @property
    def n_seen(self) -> int:
        """The target's direction, and whether to hold."""
        return 3

    def trials(
        self, conditions: Float[Tensor, "trial ..."], generator: torch.Generator | None
    ) -> tuple[Float[Tensor, "trial time input"], Float[Tensor, "trial time 3"]]:
        """Make trials of conditions."""
        n = len(conditions)
        drawn = torch.ones(n) if generator is None else 0.5 + torch.rand(n, generator=generator)
        longest = 1.0 if generator is None else 1.5
        after = self.reaction + self.movement + self.hold
        n_steps = round((self.cue + longest * self.delay + after) / self.dt)
        time = self.dt * torch.arange(n_steps)
        go = (self.cue + self.delay * drawn)[:, None]
        shown = (time >= self.cue - self.dt / 2)[None, :, None] * self.shown(conditions)[:, None]
        hold = (time < go - self.dt / 2).float()[..., None]
        begin = go + self.reaction
        wanted = self.distance * self.path(conditions, (time + self.dt - begin) / self.movement)
        weight = torch.where(time + self.dt > begin + self.movement + self.dt / 2, 10.0, 1.0)
        return torch.cat([shown, hold], 2), torch.cat([wanted, weight[..., None]], 2)

    def shown(self, conditions: Float[Tensor, "trial ..."]) -> Float[Tensor, "trial input"]:
        """Give what is seen of conditions from the cue on."""
        return directions(conditions)

    def path(
        self, conditions: Float[Tensor, "trial ..."], progress: Float[Tensor, "#trial time"]
    ) -> Float[Tensor, "trial time 2"]:
        """Give where the hand is to be, over the target's distance, at shares of the movement, from 0 to 1."""
        return minimum_jerk(progress)[..., None] * directions(conditions)[:, None]


@dataclass(frozen=True)
class DelayedReach(CenterOut):
    """Reach to a target that is shown before the go cue, after a delay in which to prepare.

    Examples
    --------
    >>> round(DelayedReach().go_time, 2)
    0.45
    """

    key: ClassVar[str] = "delayed_reach"
    source: ClassVar[str] = "Churchland et al. 2012, Nature 487:51; Sussillo et al. 2015, Nat Neurosci 18:1025"

    delay: float = 0.4
