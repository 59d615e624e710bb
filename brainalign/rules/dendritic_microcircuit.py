"""Dendritic microcircuits: apical dendrites are silent while interneurons predict, and else hold an error."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from brainalign.names import unknown_name
from brainalign.rules.local_heads import drawn
from brainalign.rules.microcircuit import DOWN, INTERNEURON, LATERAL, Microcircuit
from brainalign.rules.output_error import output_error
from brainalign.rules.relaxation import RESIDUAL, Activities
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.rules.stack_needs import needs_outputs_cost, stack_of
from brainalign.rules.symmetric_stack import settled_network
from brainalign.tasks.task import Batch, Task

STARTS = ("self_predicting", "random")


@dataclass(frozen=True)
class DendriticMicrocircuit(LearningRule):
    r"""Dendritic cortical microcircuits (Sacramento et al. 2018), settled, on a stack of layers.

    .. math::
        \Delta W_l = \frac{\eta}{\lambda} \big(f(u_l) - f(\hat v_l)\big) r_{l-1}^\top, \qquad
        \Delta S_{l+1} = \frac{\eta\, \rho}{\lambda_I} \big(f(u^I_l) - f(\hat v^I_l)\big) r_l^\top, \qquad
        \Delta P_{l+1} = -\eta\, \rho\, (r^I_l v_l^{A\top})

    as of `Microcircuit`, with :math:`\hat v` = W r + b and :math:`\hat v^I` = S r + s. A teacher nudges the
    outputs by −λ ∂C/∂u, λ = g_T / (g_L + g_B + g_T). In the self-predicting state (P = −D, S = W) apical
    potentials are 0 without a teacher and nothing learns; under a weak one they are Dᵀ f′ (u − v̂) of the layer
    above, so that with D = W updates are backprop's as λ → 0, each layer's times κ (1 − λ_I) for each layer
    above it. Interneurons learn in a first phase without a teacher, the pyramidal cells' synapses in a second
    with one. The equations are solved for where they settle; the authors run them in time. What is
    probed has settled without a teacher.

    Parameters
    ----------
    leak, basal, apical, teaching
        Conductances g_L, g_B, g_A and g_T: κ = g_A / (g_L + g_B + g_A), and λ_I = λ.
    scale
        Standard deviation of D times the root of its fan-in.
    start
        ``self_predicting``, or ``random``: S and P drawn as D is.
    interneuron_rate
        ρ, the interneurons' learning rate over that of the network.
    tolerance
        Largest change of a potential by a sweep, over 1 + its size, at which the circuit is settled; 0 takes
        `limit` sweeps, and keeps the largest change of the last in the state as ``residual``.
    limit
        Sweeps at most.
    """

    leak: float = 0.1
    basal: float = 1.0
    apical: float = 0.8
    teaching: float = 0.8
    scale: float = 1.0
    start: str = "self_predicting"
    interneuron_rate: float = 1.0
    tolerance: float = 1e-5
    limit: int = 500

    name = "dendritic_microcircuit"
    family = "dendritic"
    feedback = "rates of the layer above through fixed random weights, less what interneurons predict of them"
    locality = "presynaptic rate, and the somatic and dendritic potentials of the postsynaptic cell"
    phases = 2
    passes = 39.0
    source = "Sacramento, Costa, Bengio & Senn 2018, NeurIPS (arXiv:1810.11393)"
    optimizer = "sgd:lr=0.05"
    activation = "tanh"
    from_zero = frozenset({"leak", "tolerance"})

    def __post_init__(self):
        if self.start not in STARTS:
            raise unknown_name("start", self.start, STARTS)

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network is a stack with hidden layers and the cost is of its outputs."""
        stack_of(self.name, network, hidden=1)
        needs_outputs_cost(self.name, task)

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Draw the weights that come down, and make the interneurons'."""
        layers = stack_of(self.name, network).layers
        state = {RESIDUAL: layers[0].linear.weight.detach().new_zeros(())}
        for layer in layers[1:]:
            weight, bias = layer.linear.weight.detach(), layer.linear.bias
            down = drawn(tuple(weight.shape), generator, weight, self.scale)
            predicting = self.start == "self_predicting"
            lateral = -down if predicting else drawn(tuple(weight.shape), generator, weight, self.scale)
            interneuron = weight.clone() if predicting else drawn(tuple(weight.shape), generator, weight)
            state |= {DOWN + layer.name: down, LATERAL + layer.name: lateral}
            state[f"{INTERNEURON}{layer.name}.weight"] = interneuron
            if bias is not None:
                state[f"{INTERNEURON}{layer.name}.bias"] = bias.detach().clone()
        return state

    def learning_rate_factor(self, name: str) -> float:
        """Give the interneurons their own rate."""
        return self.interneuron_rate if name.startswith((INTERNEURON, LATERAL)) else 1.0

    def nudging(self) -> float:
        """Give λ, which is λ_I as well."""
        return self.teaching / (self.leak + self.basal + self.teaching)

    def circuit(self, network: nn.Module, state: State) -> Microcircuit:
        """Give the network with its interneurons."""
        return Microcircuit(
            stack_of(self.name, network).layers,
            tolerance=self.tolerance,
            limit=self.limit,
            weights=state,
            coupling=self.apical / (self.leak + self.basal + self.apical),
            nudging=self.nudging(),
        )

    def inference(self, network: nn.Module, state: State) -> nn.Module:
        """Give the network as it settles without a teacher."""
        return settled_network(stack_of(self.name, network), self.circuit(network, state))

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give the interneurons' updates without a teacher, then the network's with one."""
        circuit = self.circuit(network, state)
        with torch.no_grad():
            free = circuit.settle(circuit.forward_activities(batch.inputs))
            of_interneurons = self.interneuron_updates(circuit, free.activities)
        yield of_interneurons
        of_task: list[Update] = []

        def taught(u: Tensor, _before: Tensor) -> Tensor:
            last = circuit.layers[-1]
            error, found = output_error(task, batch, last.activation.forward(u))
            of_task[:] = [found]
            return u - last.before_activation(self.nudging() * error, u)

        with torch.no_grad():
            nudged = circuit.settle(free.activities, taught)
            state[RESIDUAL] = torch.maximum(free.residual, nudged.residual)
            of_network = self.network_updates(circuit, nudged.activities)
        yield of_task[0] | of_network

    def network_updates(self, circuit: Microcircuit, potentials: Activities) -> Update:
        """Give the updates of W and b."""
        rates, scale = circuit.all_rates(potentials), self.nudging() * len(potentials[0])
        update: Update = {}
        for place, layer in enumerate(circuit.layers):
            missing = layer.activation.forward(circuit.basal(place, potentials)) - rates[place + 1]
            update |= layer.weight_gradient(missing / scale, rates[place])
        return update

    def interneuron_updates(self, circuit: Microcircuit, potentials: Activities) -> Update:
        """Give the updates of S, s and P."""
        rates, n = circuit.all_rates(potentials), len(potentials[0])
        update: Update = {}
        for place, above in enumerate(circuit.layers[1:]):
            rate, activation = rates[place + 1], above.activation.forward
            predicted = circuit.predicted(place, rate)
            answer = activation(circuit.interneurons(predicted, potentials[place + 2]))
            missing = activation(predicted) - answer
            found = above.weight_gradient(missing / (n * circuit.nudging), rate)
            update |= {INTERNEURON + name: each for name, each in found.items()}
            of_lateral = above.weight_gradient(answer / n, circuit.apical(place, potentials, rates))
            update[LATERAL + above.name] = of_lateral[f"{above.name}.weight"]
        return update
