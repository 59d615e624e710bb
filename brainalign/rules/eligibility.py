"""What rules by eligibility share: errors of each step through feedback weights, times a synapse's memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import NeedsError
from brainalign.networks.local_dynamics import Local, local_dynamics
from brainalign.rules.recurrent_trials import (
    Trials,
    check_recurrent,
    check_steps,
    readout_gradient,
    run_trials,
    through_readout,
)
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.tasks.task import Batch, Task

FEEDBACK = "feedback"

Errors = Float[Tensor, "time sample unit"]


@dataclass(frozen=True)
class EligibilityRule(LearningRule):
    """A rule by eligibility; a subclass says of which networks.

    Parameters
    ----------
    symmetric
        Whether errors come back through the read-out's own weights, rather than through fixed random ones,
        which are drawn once, Gaussian, with the standard deviation of the read-out's.
    """

    symmetric: bool = False

    family = "eligibility"
    phases = 1
    passes = 3.0
    optimizer = "adam:lr=0.003"
    of_time: ClassVar[bool] = True

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless each unit's own dynamics are known, and errors are of outputs and rates."""
        local_network(self.name, network)
        check_steps(self.name, task)

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Draw the feedback weights."""
        if self.symmetric:
            return {}
        weight = local_network(self.name, network).head.weight.detach()
        drawn = torch.randn(weight.shape, generator=generator, dtype=weight.dtype).to(weight.device)
        return {FEEDBACK: weight.std() * drawn}

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give errors times eligibility, and the read-out's true gradient."""
        local = local_network(self.name, network)
        trials = run_trials(local, task, batch)
        if self.symmetric:
            errors = through_readout(local, trials)
        else:
            errors = trials.output_errors @ state[FEEDBACK] + trials.rate_errors
        yield synaptic_gradient(local, trials, errors) | readout_gradient(trials)


@torch.no_grad()
def synaptic_gradient(network: Local, trials: Trials, errors: Errors) -> Update:
    r"""Give the sum over steps and trials of each unit's error times its synapses' eligibility.

    The eligibility of a synapse is what has come to it, filtered by its unit alone, which is linear. So the sum
    is also that of what came, times the unit's errors filtered backwards in time:

    .. math::
        \sum_t L_t \frac{\partial r_t}{\partial s_t} \epsilon_t
        = \sum_t \Bigl( \frac{\partial s_t}{\partial u_t} \cdot \lambda_t \Bigr) r_{pre, t}, \qquad
        \lambda_t = \frac{\partial r_t}{\partial s_t} L_t
        + \Bigl(\frac{\partial s_{t+1}}{\partial s_t}\Bigr)^\top \lambda_{t+1}

    which needs no trace for each synapse and each trial. A synapse works online, by its trace; the sum is the
    same.

    Parameters
    ----------
    network
        Whose inputs and recurrent weights are to change.
    trials
        What it did.
    errors
        L, of each unit's rate at each step.
    """
    x, before = trials.inputs.flatten(0, 1), trials.before.flatten(0, 1)
    local, shape = local_dynamics(network, x, before), errors.shape[:2]
    # Hidden variables to the front: sums over them are then of whole arrays.
    decay = local.decay.permute(2, 3, 0, 1).unflatten(2, shape)
    drive, rate = (each.movedim(-1, 0).unflatten(1, shape) for each in (local.drive, local.rate))
    came = rate * errors
    filtered = torch.zeros_like(came[:, 0])
    deltas = torch.empty_like(errors)
    for t in range(len(errors) - 1, -1, -1):
        filtered += came[:, t]
        torch.sum(drive[:, t] * filtered, 0, out=deltas[t])
        filtered = (decay[:, :, t] * filtered[:, None]).sum(0)
    delta = deltas.flatten(0, 1)
    return {
        "input.weight": delta.T @ x,
        "input.bias": delta.sum(0),
        "recurrent.weight": delta.T @ local.presynaptic,
    }


def local_network(rule: str, network: nn.Module) -> Local:
    """Take a network as one whose units' own dynamics are known.

    Raises
    ------
    NeedsError
        They are not.
    """
    check_recurrent(rule, network)
    if not isinstance(network, Local):
        raise NeedsError(
            f"Rule {rule!r} needs to know how each unit's own state moves, which a "
            f"{type(network).__name__} does not say. Choose a network of leaky or spiking units, such as rnn "
            "or alif, or bptt."
        )
    return network
