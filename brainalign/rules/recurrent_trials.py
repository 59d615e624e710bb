"""Trials of a recurrent network as its synapses see them: activity forward in time, and errors of each step."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import NeedsError
from brainalign.networks.local_dynamics import Local
from brainalign.networks.recurrent import LeakyNetwork, RecurrentNetwork, State
from brainalign.rules.rule import Update
from brainalign.tasks.task import Batch, Task


@dataclass(frozen=True)
class Trials:
    r"""What a network did in a batch of trials, and how the cost would change with what it gave at each step.

    Parameters
    ----------
    inputs
        What entered each step.
    before
        The states that the steps began with.
    rates
        The units' activity after each step.
    output_errors
        :math:`\varepsilon_t = \partial C / \partial y_t`, C the mean cost of the trials, through the body but
        not through the network.
    rate_errors
        :math:`\partial C / \partial r_t` of what the cost holds of the rates themselves.
    """

    inputs: Float[Tensor, "time sample input"]
    before: Float[Tensor, "time sample state"]
    rates: Float[Tensor, "time sample unit"]
    output_errors: Float[Tensor, "time sample output"]
    rate_errors: Float[Tensor, "time sample unit"]


def run_trials(network: RecurrentNetwork, task: Task, batch: Batch) -> Trials:
    """Run a task's trials without a graph of the network, and give what its synapses can know.

    Outputs and rates are leaves of the cost's graph. In open loop their errors are all that the past of the
    network can be blamed for. In closed loop an output also changes what the body senses, and with it the
    network's own later inputs: that path is cut, so that errors are as if later outputs stayed as they are.
    """
    parted = _PartedSteps(network)
    with torch.enable_grad():
        cost = task.weight(batch.step) * task.cost(task.rollout(parted, batch), batch).mean()
        found = torch.autograd.grad(
            cost, [*parted.outputs, *parted.activity], allow_unused=True, materialize_grads=True
        )
    n = len(parted.outputs)
    activity = torch.stack(parted.activity).detach()
    return Trials(
        torch.stack(parted.inputs),
        torch.stack(parted.before),
        activity,
        torch.stack(found[:n]),
        torch.stack(found[n:]),
    )


class _PartedSteps(RecurrentNetwork):
    """A network whose outputs and rates are leaves of the graph; it reads out the state after each step."""

    def __init__(self, network: RecurrentNetwork):
        super().__init__(network.n_inputs, network.n_units, network.n_outputs)
        self.of = network
        self.inputs: list[Tensor] = []
        self.before: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.activity: list[Tensor] = []

    def initial(self, n: int) -> State:
        return self.of.initial(n)

    @torch.no_grad()
    def step(self, x: Float[Tensor, "sample input"], state: State) -> State:
        self.inputs.append(x.detach())
        self.before.append(state)
        state = self.of.step(x, state)
        self.outputs.append(self.of.readout(state).requires_grad_())
        self.activity.append(self.of.rates(state).clone().requires_grad_())
        return state

    def rates(self, state: State) -> Float[Tensor, "sample unit"]:
        return self.activity[-1]

    def readout(self, state: State) -> Float[Tensor, "sample output"]:
        return self.outputs[-1]


def through_readout(network: Local, trials: Trials) -> Float[Tensor, "time sample unit"]:
    """Give the errors of the rates at each step: the outputs', back through the read-out, and their own."""
    rates = trials.rates.clone().requires_grad_()
    with torch.enable_grad():
        # A view, for torch counts no multiply-adds of a module whose input is a leaf.
        outputs = network.head(rates.view_as(rates))
        (errors,) = torch.autograd.grad(outputs, rates, trials.output_errors)
    return errors + trials.rate_errors


def readout_gradient(trials: Trials) -> Update:
    """Give the gradient of the read-out's weights and biases: errors times rates, at each step."""
    errors = trials.output_errors.flatten(0, 1)
    return {"head.weight": errors.T @ trials.rates.flatten(0, 1), "head.bias": errors.sum(0)}


def check_recurrent(rule: str, network: nn.Module) -> None:
    """Raise unless a network has a state.

    Raises
    ------
    NeedsError
        It has none.
    """
    if not isinstance(network, RecurrentNetwork):
        raise NeedsError(
            f"Rule {rule!r} trains recurrent networks over time, such as rnn; found a "
            f"{type(network).__name__}. Choose a recurrent network and a task over time, or backprop."
        )


def check_steps(rule: str, task: Task) -> None:
    """Raise where a cost is of something other than outputs and rates, step by step.

    Raises
    ------
    NeedsError
        Costs at layers, or a cost that holds derivatives of the network.
    """
    if task.at_layers or task.differentiates_network:
        raise NeedsError(
            f"Rule {rule!r} sees errors of outputs and of rates alone; task {task.name!r} has costs within the "
            "network. Choose another task, or bptt."
        )


def leaky_network(rule: str, network: nn.Module) -> LeakyNetwork:
    """Take a network as one of leaky rate units.

    Raises
    ------
    NeedsError
        It is none.
    """
    check_recurrent(rule, network)
    if not isinstance(network, LeakyNetwork):
        raise NeedsError(
            f"Rule {rule!r} needs a network of leaky rate units, such as rnn or ei_rnn; found a "
            f"{type(network).__name__}. Choose such a network, or bptt."
        )
    return network
