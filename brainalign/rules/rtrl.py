"""Real-time recurrent learning: the gradient, forward in time, by what each weight has done to each unit."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.networks.local_dynamics import local_dynamics
from brainalign.networks.recurrent import LeakyNetwork
from brainalign.rules.perturbations import chunks
from brainalign.rules.recurrent_trials import (
    Trials,
    check_steps,
    leaky_network,
    readout_gradient,
    run_trials,
    through_readout,
)
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.tasks.task import Batch, Task


@dataclass(frozen=True)
class RTRL(LearningRule):
    r"""Real-time recurrent learning (Williams & Zipser 1989; Murray 2019, eq. 4), on leaky rate units.

    .. math::
        P^j_{ab}(t) = (1 - \alpha) P^j_{ab}(t-1) + \alpha f'(u_j(t)) \Bigl( \delta_{ja} h_b(t-1)
        + \sum_k W_{jk} P^k_{ab}(t-1) \Bigr), \qquad
        \Delta W_{ab} = -\eta \sum_t \sum_j [W_{out}^\top \varepsilon_t]_j P^j_{ab}(t)

    Online, and in open loop equal to backprop through time, at :math:`O(N^4)` multiply-adds a step and
    :math:`O(N^3)` memory for N units (`passes` is of 32): for small networks. In closed loop the path through
    what the body senses is cut, see `run_trials`. Inputs and biases learn as W does.
    """

    name = "rtrl"
    family = "gradient"
    feedback = "each step's output error through the read-out's weights, transposed"
    locality = "none: a synapse must know what it did to every unit"
    phases = 1
    passes = 1000.0
    source = "Williams & Zipser 1989, Neural Comput 1:270; Murray 2019, eLife 8:e43299"
    optimizer = "adam:lr=0.003"
    of_time: ClassVar[bool] = True

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the units are leaky rate units, and errors are of outputs and rates."""
        leaky_network(self.name, network)
        check_steps(self.name, task)

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give the gradient."""
        leaky = leaky_network(self.name, network)
        trials = run_trials(leaky, task, batch)
        yield _forward_gradient(leaky, trials, through_readout(leaky, trials)) | readout_gradient(trials)


@torch.no_grad()
def _forward_gradient(
    network: LeakyNetwork, trials: Trials, errors: Float[Tensor, "time sample unit"]
) -> Update:
    """Carry P through time, for as many trials at once as memory allows."""
    n_steps, n, n_units = errors.shape
    local = local_dynamics(network, trials.inputs.flatten(0, 1), trials.before.flatten(0, 1))
    drive = local.drive.view(n_steps, n, n_units, 1)
    ones = torch.ones_like(trials.inputs[..., :1])
    # What each synapse carries: of recurrent weights, inputs, and the bias.
    carried = torch.cat([trials.before, trials.inputs, ones], 2)
    n_carried = carried.shape[2]
    total = errors.new_zeros(n_units, n_carried)
    start = 0
    for size in chunks(n, 3 * n_units**2 * n_carried * errors.element_size()):
        part = slice(start, start + size)
        influence = errors.new_zeros(size, n_units, n_units * n_carried)
        for t in range(n_steps):
            moved = network.recurrent.weight @ influence
            moved.view(size, n_units, n_units, n_carried).diagonal(0, 1, 2).add_(carried[t, part, :, None])
            influence = torch.addcmul((1 - network.alpha) * influence, drive[t, part], moved)
            total += (errors[t, part, None] @ influence).sum(0).view(n_units, n_carried)
        start += size
    recurrent, inputs, bias = total.split([n_units, network.n_inputs, 1], 1)
    return {"recurrent.weight": recurrent, "input.weight": inputs, "input.bias": bias[:, 0]}
