"""Trials of a network whose units are noisy, as a recording would have them, with the errors of its outputs."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from brainalign.errors import BrainalignError, NeedsError
from brainalign.networks.recurrent import LeakyNetwork, RecurrentNetwork, State
from brainalign.tasks.motor_task import MotorTask

Array = np.ndarray


class NoisyUnits(RecurrentNetwork):
    """A leaky network with noise of each unit at each step, which keeps its outputs.

    Parameters
    ----------
    network
        The network.
    noise
        Standard deviation of what is added to a rate at each step.
    generator
        Draws the noise.
    """

    def __init__(self, network: LeakyNetwork, noise: float, generator: torch.Generator):
        super().__init__(network.n_inputs, network.n_units, network.n_outputs)
        self.network, self.noise, self.generator = network, noise, generator
        self.outputs: list[Tensor] = []

    def initial(self, n: int) -> State:
        """Give the network's."""
        return self.network.initial(n)

    def step(self, x: Float[Tensor, "sample input"], state: State) -> State:
        """Advance the network, then add noise."""
        drawn = torch.randn(state.shape, generator=self.generator, dtype=state.dtype)
        return self.network.step(x, state) + self.noise * drawn.to(state.device)

    def rates(self, state: State) -> State:
        """Give the network's."""
        return self.network.rates(state)

    def readout(self, state: State) -> Float[Tensor, "sample output"]:
        """Give the network's, and keep it."""
        self.outputs.append(self.network.readout(state))
        return self.outputs[-1]


@dataclass(frozen=True, eq=False)
class Trials:
    r"""What happened in trials.

    Parameters
    ----------
    rates
        Of the units.
    outputs
        Of the network.
    errors
        :math:`-\partial c / \partial y_t`, what each output should have been more, by the task's cost.
    conditions
        Number of each trial's target.
    """

    rates: Float[Array, "trial time unit"]
    outputs: Float[Array, "trial time output"]
    errors: Float[Array, "trial time output"]
    conditions: Array


def record_trials(
    network: RecurrentNetwork, task: MotorTask, repeats: int, noise: float, generator: torch.Generator
) -> Trials:
    """Run each condition of a task several times with noise in the units.

    Parameters
    ----------
    network
        A network of leaky units.
    task
        The task; its trials are those it is evaluated on.
    repeats
        Trials of each condition.
    noise
        Standard deviation of what is added to a rate at each step.
    generator
        Draws the noise.

    Raises
    ------
    NeedsError
        Units whose state is not their rate.
    BrainalignError
        No repeats, or noise below 0.

    Examples
    --------
    >>> from brainalign.networks.rnn import RNN
    >>> from brainalign.tasks.bci_cursor import BCICursor
    >>> record_trials(RNN(3, 2, units=5), BCICursor(n_targets=4), 3, 0.1, torch.Generator()).rates.shape
    (12, 75, 5)
    """
    if not isinstance(network, LeakyNetwork):
        raise NeedsError(
            f"Noise is added to rates that are the network's state; a {type(network).__name__} has another. "
            "Give an rnn."
        )
    if repeats < 1 or noise < 0:
        raise BrainalignError(
            f"{repeats} repeats with noise {noise} were asked for; give 1 or more, and 0 or more."
        )
    batch = next(task.seen())
    n = len(batch)
    assert batch.targets is not None
    batch = replace(
        batch, inputs=batch.inputs.repeat(repeats, 1, 1), targets=batch.targets.repeat(repeats, 1, 1)
    )
    noisy = NoisyUnits(network, noise, generator)
    course, rates = task.course(noisy, batch, keep_rates=True)
    slopes = torch.autograd.grad(task.cost(course, batch).sum(), noisy.outputs)
    stacked = (
        torch.stack(list(each), 1).detach().double().cpu().numpy() for each in (rates, noisy.outputs, slopes)
    )
    kept, outputs, errors = stacked
    return Trials(kept, outputs, -errors, np.arange(len(batch)) % n)
