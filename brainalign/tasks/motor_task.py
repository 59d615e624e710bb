"""What the tasks that move a body share: trials in closed loop, their cost, and a recording's conditions."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.data import StimulusSet, make_responses
from brainalign.errors import BrainalignError, DivergedError, NeedsError
from brainalign.networks import Preprocessing
from brainalign.networks.recurrent import RecurrentNetwork
from brainalign.tasks.bodies import find_body
from brainalign.tasks.body import Body, Position
from brainalign.tasks.image_task import options_of
from brainalign.tasks.sensitivity import sensitivity
from brainalign.tasks.task import Batch, Task

N_BATCHES = 100
"""Batches of an epoch, as trials are drawn without end."""

Course = Float[Tensor, "sample time feature"]


@dataclass(frozen=True)
class MotorTask(Task):
    r"""Move a body's hand. A subclass says what is seen in a trial, and where the hand is to be.

    A recurrent network sees the trial's inputs and what the body senses, and its outputs move the body:

    .. math::
        c_i = \frac{1}{T} \sum_t \Bigl( \frac{w_t}{d^2} \lVert p_t - p^*_t \rVert^2 + \frac{\lambda_u}{M} \lVert
        u_t \rVert^2 + \frac{\lambda_r}{N} \lVert h_t \rVert^2 + \lambda_s R_t \Bigr)

    p is the hand's position, d the distance of targets, u the M controls, h the rates of the N units,
    R what `sensitivity` gives. Effort and rates are regularised as in Lillicrap & Scott (2013), rates and the
    dynamics' sensitivity as in Sussillo et al. (2015); weights are by the optimiser's ``weight_decay``.

    Parameters
    ----------
    body
        What is moved: ``velocity`` (open loop: outputs are the hand's velocity in m/s), ``point_mass``,
        ``torque_arm``, or ``arm``, which has muscles.
    n_targets
        Targets, at equal angles.
    distance
        Distance of the targets from where the hand rests, in m.
    effort, rate, sensitivity
        Weights :math:`\lambda_u`, :math:`\lambda_r` and :math:`\lambda_s`.
    tolerance
        A reach that ends within it, in m, counts as right.
    dt
        Time step in seconds.
    batch_size
        Trials of a training batch.
    """

    key: ClassVar[str]
    variant: ClassVar[str] = ""
    source: ClassVar[str]
    from_zero: ClassVar[frozenset[str]] = frozenset({"effort", "rate", "sensitivity", "delay"})

    body: str = "point_mass"
    n_targets: int = 8
    distance: float = 0.1
    effort: float = 1e-3
    rate: float = 1e-3
    sensitivity: float = 0.0
    tolerance: float = 0.01
    dt: float = 0.01
    batch_size: int = 64

    def __post_init__(self):
        for option, field in options_of(type(self)).items():
            value = getattr(self, field.name)
            if isinstance(value, int | float) and (value < 0 or (value == 0 and option not in self.from_zero)):
                raise BrainalignError(f"Option {option} of {self.key} is {value}; expected more.")
        find_body(self.body, self.dt)

    @abstractmethod
    def trials(
        self, conditions: Float[Tensor, "trial ..."], generator: torch.Generator | None
    ) -> tuple[Float[Tensor, "trial time input"], Float[Tensor, "trial time 3"]]:
        """Make trials of conditions.

        Parameters
        ----------
        conditions
            What each trial's condition is: the target's angle in radians, unless a task says otherwise.
        generator
            For what is drawn of each trial, such as its delay; None for the trial as it is evaluated.

        Returns
        -------
        tuple
            What is seen at each step, and, as (x, y, weight), where the hand is to be then and how much that
            counts.
        """

    @property
    @abstractmethod
    def target_time(self) -> float:
        """When the target is shown, in seconds from the start of a trial."""

    @property
    @abstractmethod
    def go_time(self) -> float:
        """When movement is asked for, in seconds from the start of a trial as it is evaluated."""

    @property
    @abstractmethod
    def movement_time(self) -> float:
        """When movement is to begin, in seconds from the start of a trial as it is evaluated."""

    @property
    @abstractmethod
    def n_seen(self) -> int:
        """Inputs of a trial at each step, without what the body senses."""

    @cached_property
    def of_body(self) -> Body:
        """The body."""
        return find_body(self.body, self.dt)

    @property
    def name(self) -> str:
        """Name with the options that are not the default."""
        changed = [
            f"{option}={getattr(self, field.name):g}"
            if isinstance(field.default, float)
            else f"{option}={getattr(self, field.name)}"
            for option, field in options_of(type(self)).items()
            if getattr(self, field.name) != field.default
        ]
        return f"{self.key}:{','.join(changed)}" if changed else self.key

    @property
    def n_inputs(self) -> int:
        """Inputs of the network at each step: of the trial, then of the body."""
        return self.n_seen + self.of_body.n_feedback

    @property
    def n_outputs(self) -> int:
        """Controls of the body."""
        return self.of_body.n_controls

    @property
    def preprocessing(self) -> Preprocessing:
        """Nothing to prepare: there are no images."""
        return Preprocessing(1, (0.0,), (1.0,))

    @property
    def n_batches(self) -> int:
        """Batches that are called an epoch."""
        return N_BATCHES

    def batches(self, generator: torch.Generator) -> Iterator[Batch]:
        """Give an epoch of trials of conditions drawn at random."""
        seed = int(torch.randint(2**62, (), generator=generator))
        own = torch.Generator().manual_seed(seed)
        for _ in range(N_BATCHES):
            chosen = torch.randint(len(self.conditions), (self.batch_size,), generator=own)
            yield self._batch(self.conditions[chosen], own)

    def held_out(self, limit: int | None = None) -> Iterator[Batch]:
        """Give each condition's trial as it is evaluated."""
        return self.seen(limit)

    def seen(self, limit: int | None = None) -> Iterator[Batch]:
        """Give each condition's trial as it is evaluated; there are no others that stay the same."""
        if limit is not None and limit < 1:
            raise BrainalignError(f"At most {limit} trials were asked for; ask for 1 or more, or None for all.")
        yield self._batch(self.conditions[:limit], None)

    @property
    def differentiates_network(self) -> bool:
        """Whether the network's sensitivity has a cost."""
        return self.sensitivity > 0

    def rollout(self, network: nn.Module, batch: Batch) -> Course:
        """Let the network move the body.

        Returns
        -------
        Tensor
            At each step the hand's position and velocity, the controls, and what the rates cost.

        Raises
        ------
        NeedsError
            A network that is not recurrent, or that has other numbers of inputs and outputs.
        """
        return self.course(network, batch)[0]

    def course(self, network: nn.Module, batch: Batch, keep_rates: bool = False) -> tuple[Course, list[Tensor]]:
        """Run trials as `rollout` does, and keep the units' rates where they are wanted."""
        recurrent = self._recurrent(network)
        state, body = recurrent.initial(len(batch)), self.of_body.rest(len(batch), batch.inputs)
        course, kept = [], []
        for seen in batch.inputs.unbind(1):
            x = torch.cat([seen, self.of_body.feedback(body)], 1)
            paid = self.sensitivity * sensitivity(recurrent, x, state) if self.sensitivity else 0
            state = recurrent.step(x, state)
            controls = self._controls(recurrent.readout(state))
            body = self.of_body.step(body, controls)
            rates = recurrent.rates(state)
            paid = paid + self.rate * rates.square().mean(1)
            course.append(torch.cat([*self.of_body.hand(body), controls, paid[:, None]], 1))
            if keep_rates:
                kept.append(rates)
        return torch.stack(course, 1), kept

    def cost(self, outputs: Course, batch: Batch) -> Float[Tensor, " sample"]:
        """Give each trial's cost: distance from where the hand is to be, effort and rates."""
        wanted, weight = self._wanted(batch)
        away = (outputs[..., :2] - wanted).square().sum(-1) / self.distance**2
        effort = outputs[..., 4:-1].square().mean(-1)
        return (weight * away + self.effort * effort + outputs[..., -1]).mean(1)

    def correct(self, outputs: Course, batch: Batch) -> Float[Tensor, " sample"]:
        """Say which reaches end within the tolerance."""
        return (self.endpoint_error(outputs, batch) < self.tolerance).to(outputs.dtype)

    def endpoint_error(self, outputs: Course, batch: Batch) -> Float[Tensor, " sample"]:
        """Give the distance of the hand from the target at the end of each trial, in m."""
        wanted, _ = self._wanted(batch)
        return (outputs[:, -1, :2] - wanted[:, -1]).norm(dim=1)

    def further(self, outputs: Course, batch: Batch) -> dict[str, Float[Tensor, " sample"]]:
        """Give the end-point error, in m.

        Raises
        ------
        DivergedError
            Trials that leave all numbers.
        """
        self._check_numbers(outputs)
        return {"endpoint_error": self.endpoint_error(outputs, batch)}

    @torch.no_grad()
    def answers(self, network: nn.Module, stimuli: StimulusSet, event: str = "go") -> dict[str, xr.DataArray]:
        """Answer the conditions of a recording: at their angles, or at as many equal ones as there are.

        Returns
        -------
        dict
            ``units``, ``outputs``, and as a control the ``hand``'s position and velocity, each of dims
            (stimulus, unit, time), in seconds from the event: ``target``, when it is shown, ``go``, when
            movement is asked for, or ``movement``, when it is to begin. Where the conditions have no angles,
            rows correspond to them in number only.
        """
        ids = stimuli.ids
        parameter = next(network.parameters())
        batch = self._batch(self.conditions_of(stimuli), None).to(parameter.device)
        course, rates = self.course(network.eval(), batch, keep_rates=True)
        self._check_numbers(course)
        zero = {"target": self.target_time, "go": self.go_time, "movement": self.movement_time}[event]
        times = self.dt * np.arange(1, course.shape[1] + 1) - zero
        layers = {"units": torch.stack(rates, 1), "outputs": course[..., 4:-1], "hand": course[..., :4]}
        return {
            layer: make_responses(
                values.transpose(1, 2).cpu().numpy(),
                ids,
                region=layer,
                dims=("stimulus", "unit", "time"),
                time=times,
            )
            for layer, values in layers.items()
        }

    @cached_property
    def conditions(self) -> Float[Tensor, "condition ..."]:
        """What each condition is, as `trials` takes it."""
        return equal_angles(self.n_targets)

    def conditions_of(self, stimuli: StimulusSet) -> Float[Tensor, "stimulus ..."]:
        """Give what a recording's conditions are: their angles, or as many equal ones where it has none."""
        if "angle" in stimuli.metadata.columns:
            return torch.deg2rad(torch.tensor(stimuli.metadata["angle"].to_numpy(dtype=float))).float()
        return equal_angles(len(stimuli.ids))

    def _batch(self, conditions: Tensor, generator: torch.Generator | None) -> Batch:
        seen, wanted = self.trials(conditions, generator)
        return Batch(seen, wanted)

    def _controls(self, outputs: Tensor) -> Tensor:
        """Bring outputs into the bounds of the body's controls."""
        if self.of_body.bounds is None:
            return outputs
        low, high = self.of_body.bounds
        return low + (high - low) * torch.sigmoid(outputs)

    def _wanted(self, batch: Batch) -> tuple[Tensor, Tensor]:
        assert batch.targets is not None
        return batch.targets[..., :2], batch.targets[..., 2]

    def _check_numbers(self, outputs: Course) -> None:
        # Not in a rollout, which rules that perturb run under vmap: there no value can be looked at.
        bad = (~torch.isfinite(outputs)).any(2).any(0)
        if bad.any():
            raise DivergedError(
                f"Task {self.key!r}: the network, or the body {self.body!r} that it moves, gives no numbers "
                f"from time step {int(bad.nonzero()[0])} of {len(bad)} on. Lower the learning rate, or dt."
            )

    def _recurrent(self, network: nn.Module) -> RecurrentNetwork:
        if not isinstance(network, RecurrentNetwork):
            raise NeedsError(
                f"Task {self.key!r} needs a recurrent network, such as rnn or gru; found a "
                f"{type(network).__name__}."
            )
        found = network.n_inputs, network.n_outputs
        if found != (self.n_inputs, self.n_outputs):
            raise NeedsError(
                f"Task {self.key!r} with the body {self.body!r} needs {self.n_inputs} inputs and "
                f"{self.n_outputs} outputs; the {type(network).__name__} has {found[0]} and {found[1]}. Build "
                "it for this task."
            )
        return network


def equal_angles(n: int) -> Float[Tensor, " target"]:
    """Give n equal angles in radians, counter-clockwise from the x-axis.

    Examples
    --------
    >>> torch.rad2deg(equal_angles(4)).tolist()
    [0.0, 90.0, 180.0, 270.0]
    """
    return torch.arange(n) * (2 * math.pi / n)


def directions(angles: Float[Tensor, " trial"]) -> Position:
    """Give the unit vectors of angles in radians."""
    return torch.stack([angles.cos(), angles.sin()], 1)


def minimum_jerk(progress: Tensor) -> Tensor:
    r"""Give the share of a reach that is done: :math:`10 s^3 - 15 s^4 + 6 s^5` (Flash & Hogan 1985).

    Examples
    --------
    >>> minimum_jerk(torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0])).tolist()
    [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    s = progress.clamp(0, 1)
    return s**3 * (10 - 15 * s + 6 * s**2)


def steps_of(seconds: Sequence[float], dt: float) -> list[int]:
    """Give times in whole steps."""
    return [round(each / dt) for each in seconds]
