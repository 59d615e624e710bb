"""Reward-modulated Hebbian learning: what a unit did by chance is kept where a trial went better than usual."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from brainalign.errors import NeedsError
from brainalign.names import unknown_name
from brainalign.networks.recurrent import LeakyNetwork, RecurrentNetwork
from brainalign.networks.recurrent import State as Rates
from brainalign.rules.recurrent_trials import check_steps, leaky_network
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.tasks.task import Batch, Task

METHODS = ("deltax", "nodepert")
TYPES, USUAL = "types", "usual_cost"

KEPT = 0.05
"""What of a potential's running mean is kept from one step to the next."""
UNDISTURBED = 3
"""Steps at the start of a trial without perturbation."""
NODEPERT_FACTOR = 0.01
"""Learning rate of node perturbation over that of ``deltax``."""
CLIP = 3e-3
"""Largest update of a weight under ``deltax``, before the learning rate."""

Pair = tuple[Float[Tensor, "time sample unit"], Float[Tensor, "time sample unit"]]


@dataclass(frozen=True)
class RewardModulatedHebb(LearningRule):
    r"""Reward-modulated Hebbian learning (Miconi 2017), of the recurrent weights of leaky rate units.

    .. math::
        \Delta W_{ij} = -\eta\, \bar C\, (C - \bar C)\, E_{ij}, \qquad
        E_{ij} = \sum_t \bigl( r_j(t-1)\, (x_i(t) - \bar x_i(t-1)) \bigr)^3, \qquad
        \bar x(t) = 0.05\, \bar x(t-1) + 0.95\, x(t)

    C is a trial's cost, the reward its opposite, :math:`\bar C` the running mean of the cost of trials of that
    type, which is the target that they end at. Each unit now and then gets a kick, drawn evenly between
    ±`amplitude`, in its potential x. A leaky unit here filters after its activation,
    :math:`h_t = (1 - \alpha) h_{t-1} + \alpha f(u_t)`, where Miconi's filters before; its x is the same filter
    of its drive, :math:`x_t = (1 - \alpha) x_{t-1} + \alpha u_t`, and a kick of x enters as one of u that is
    1/α as large. The cube is of a product, so E needs no trace for each trial.

    Under ``method=nodepert``, :math:`E_{ij} = \sum_t r_j(t-1)\, \xi_i(t)` with the kicks ξ of u (Fiete & Seung
    2006), whose mean is along the gradient as kicks grow small, at a hundredth of the learning rate. Only the
    recurrent weights learn. A batch, whose trials are averaged, has ten times Miconi's learning rate for a
    trial, and his bound on the change of a weight: 0.003 a batch at the default learning rate. :math:`\bar C`
    starts at the cost without kicks, in place of trials without learning.

    Parameters
    ----------
    method
        ``deltax`` or ``nodepert``.
    probability
        Of a kick, for each unit and each step: 0.003 in 1 ms.
    amplitude
        Largest kick of a potential.
    decay
        What of the running mean of a type's cost is kept from one batch to the next.
    """

    method: str = "deltax"
    probability: float = 0.03
    amplitude: float = 0.5
    decay: float = 0.75

    name = "reward_modulated_hebb"
    family = "scalar feedback"
    feedback = "each trial's cost over its running mean, one number for all units"
    locality = "presynaptic rate, the unit's departure from its recent potential, and a number for all"
    phases = 1
    passes = 2.0
    source = "Miconi 2017, eLife 6:e20899; Fiete & Seung 2006, Phys Rev Lett 97:048104"
    optimizer = "sgd:lr=1"
    of_time: ClassVar[bool] = True
    from_zero = frozenset({"decay"})

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless units are leaky, trials end at targets, and options are what they must be."""
        leaky_network(self.name, network)
        check_steps(self.name, task)
        if self.method not in METHODS:
            raise unknown_name(f"method of {self.name}", self.method, METHODS)
        if max(self.probability, self.decay) > 1:
            raise NeedsError(
                f"Rule {self.name!r} was given probability={self.probability:g} and decay={self.decay:g}; "
                "both are 1 at most."
            )
        targets = next(task.held_out(1)).targets
        if targets is None or targets.ndim != 3:
            raise NeedsError(
                f"Rule {self.name!r} compares a trial with others of its type, by the target of its last step; "
                f"task {task.name!r} has no targets over time. Choose another task, or node_perturbation."
            )

    @torch.no_grad()
    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Give each type of trial its cost without kicks."""
        batch = next(task.held_out()).to(next(network.parameters()).device)
        return {TYPES: _last(batch), USUAL: task.cost(task.rollout(network, batch), batch)}

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give the mean of the trials' updates, and move the running means."""
        of_type = torch.cdist(_last(batch), state[TYPES]).argmin(1)
        usual = state[USUAL][of_type]
        costs, weight = self.estimate(network, task, batch, usual, generator)
        state[USUAL] = self._moved(state[USUAL], of_type, costs)
        bound = CLIP / self.learning_rate_factor("recurrent.weight")
        yield {"recurrent.weight": task.weight(batch.step) * weight.clamp(-bound, bound)}

    @torch.no_grad()
    def estimate(
        self,
        network: nn.Module,
        task: Task,
        batch: Batch,
        usual: Float[Tensor, " sample"],
        generator: torch.Generator,
    ) -> tuple[Float[Tensor, " sample"], Float[Tensor, "unit unit"]]:
        """Run the trials with kicks; give their costs and the update of the recurrent weights, not clipped."""
        kicked = _Kicked(leaky_network(self.name, network), self, generator)
        costs = task.cost(task.rollout(kicked, batch), batch)
        factor = usual * (costs - usual) / len(batch)
        before, post = kicked.nodepert() if self.method == "nodepert" else kicked.deltax()
        return costs, (factor[:, None] * post).flatten(0, 1).T @ before.flatten(0, 1)

    def learning_rate_factor(self, name: str) -> float:
        """Give node perturbation a hundredth of the learning rate."""
        return NODEPERT_FACTOR if self.method == "nodepert" else 1.0

    def _moved(
        self, usual: Float[Tensor, " type"], of_type: Int[Tensor, " sample"], costs: Float[Tensor, " sample"]
    ) -> Float[Tensor, " type"]:
        """Move the running means of the types that occurred."""
        member = nn.functional.one_hot(of_type, len(usual)).to(costs.dtype)
        count = member.sum(0)
        mean = (costs @ member) / count.clamp(min=1)
        return torch.where(count > 0, self.decay * usual + (1 - self.decay) * mean, usual)


class _Kicked(RecurrentNetwork):
    """A network whose units get kicks, and that keeps what its synapses need."""

    def __init__(self, network: LeakyNetwork, rule: RewardModulatedHebb, generator: torch.Generator):
        super().__init__(network.n_inputs, network.n_units, network.n_outputs)
        self.of, self.rule, self.generator = network, rule, generator
        self.before: list[Tensor] = []
        self.drive: list[Tensor] = []
        self.kicks: list[Tensor] = []

    def initial(self, n: int) -> Rates:
        return self.of.initial(n)

    def step(self, x: Float[Tensor, "sample input"], state: Rates) -> Rates:
        kicks = self._kicks(state) * (len(self.kicks) >= UNDISTURBED)
        drive = self.of.preactivation(x, state) + kicks
        self.before.append(state)
        self.drive.append(drive)
        self.kicks.append(kicks)
        return state + self.of.alpha * (self.of.activation(drive) - state)

    def _kicks(self, state: Rates) -> Rates:
        chance, size = torch.rand(2, *state.shape, generator=self.generator, dtype=state.dtype).to(state.device)
        largest = self.rule.amplitude / self.of.alpha
        return largest * (2 * size - 1) * (chance < self.rule.probability)

    def rates(self, state: Rates) -> Rates:
        return self.of.rates(state)

    def readout(self, state: Rates) -> Float[Tensor, "sample output"]:
        return self.of.readout(state)

    def nodepert(self) -> Pair:
        """Give presynaptic rates, and kicks."""
        return torch.stack(self.before), torch.stack(self.kicks)

    def deltax(self) -> Pair:
        """Give presynaptic rates, and departures of the potential from its running mean, both cubed."""
        x = mean = torch.zeros_like(self.drive[0])
        departures = []
        for drive in self.drive:
            x = x + self.of.alpha * (drive - x)
            departures.append(x - mean)
            mean = KEPT * mean + (1 - KEPT) * x
        return torch.stack(self.before) ** 3, torch.stack(departures) ** 3


def _last(batch: Batch) -> Float[Tensor, "sample feature"]:
    """Give what is wanted at the last step, by which trials are told apart."""
    assert batch.targets is not None
    return batch.targets[:, -1]
