"""Burstprop: the probability that an event is a burst carries errors down, events carry the input up."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import NeedsError
from brainalign.networks.layered import Layer
from brainalign.rules.hebbian_rule import by_place
from brainalign.rules.output_error import output_error
from brainalign.rules.rule import TRAINABLE, LearningRule, State, Update
from brainalign.rules.stack_needs import needs_outputs_cost, stack_of
from brainalign.tasks.task import Batch, Task

FEEDBACK = "feedback."
RECURRENT = TRAINABLE + "recurrent."


@dataclass(frozen=True)
class Burstprop(LearningRule):
    r"""Burst-dependent plasticity (Payeur et al. 2021), as rates, on a stack of sigmoid layers.

    .. math::
        \delta_l = -(b^t_l - b_l), \quad b = p \circ e, \quad \Delta W_l = -\eta\, \delta_l e_{l-1}^\top;
        \qquad
        p_L = p_b, \quad p^t_L = p_b \Big(1 - \frac{\partial C}{\partial a_L} \Big/ e_L\Big);
        \qquad
        p_l = \sigma(u_l), \quad u_l = (1 - e_l) \circ (Y_{l+1}^\top b_{l+1}) - p_b R_l e_l

    with event rates e = σ(a), the same in both phases, b burst rates before and b^t with the teacher. At the
    outputs δ is p_b ∂C/∂a, so that under sigmoid outputs and half the squared error
    :math:`p^t = p_b [(t - e)(1 - e) + 1]` (probabilities stay within 0 and 1). In a hidden layer with
    Y = W and u = 0, δ becomes ¼ of what backprop makes of the δ above, as errors get small. The recurrent
    weights R bring u towards 0 (:math:`\Delta R = \eta r \langle u\, (p_b e)^\top \rangle`), where σ is
    steepest. Read-outs without an activation have events σ(a) as well.

    Parameters
    ----------
    baseline
        p_b, the probability of bursts of the outputs without a teacher.
    scale
        Standard deviation of Y.
    recurrent_scale
        R starts uniform between 0 and this.
    recurrent_rate
        r, the learning rate of R over that of the network; 0 to leave R as it starts.
    """

    baseline: float = 0.2
    scale: float = 1.0
    recurrent_scale: float = 0.01
    recurrent_rate: float = 0.001

    name = "burstprop"
    family = "dendritic"
    feedback = "burst rates of the layer above through fixed random weights, onto apical dendrites"
    locality = "presynaptic events, and the postsynaptic unit's events and bursts"
    phases = 2
    passes = 6.2
    source = "Payeur et al. 2021, Nat. Neurosci. (doi:10.1038/s41593-021-00857-x)"
    optimizer = "momentum:lr=0.1,beta=0.8,weight_decay=1e-6"
    activation = "sigmoid"
    from_zero = frozenset({"recurrent_scale", "recurrent_rate"})

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network is a stack of sigmoid layers, and the cost is of its outputs."""
        needs_outputs_cost(self.name, task)
        for layer in stack_of(self.name, network).layers[:-1]:
            if not isinstance(layer.activation, nn.Sigmoid):
                raise NeedsError(
                    f"Rule {self.name!r} takes activity for rates of events between 0 and 1; layer "
                    f"{layer.name!r} has a {type(layer.activation).__name__}. Choose activation=sigmoid."
                )

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Draw Y for each layer but the first, and R for each but the last."""
        layers, state = stack_of(self.name, network).layers, {}
        for place, layer in enumerate(layers):
            weight = layer.linear.weight
            if place > 0:
                normal = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
                state[FEEDBACK + layer.name] = (self.scale * normal).to(weight.device)
            if place < len(layers) - 1:
                n = len(weight)
                uniform = torch.rand(n, n, generator=generator, dtype=weight.dtype)
                state[RECURRENT + layer.name] = (self.recurrent_scale * uniform).to(weight.device)
        return state

    def learning_rate_factor(self, name: str) -> float:
        """Give the recurrent weights their own rate."""
        return self.recurrent_rate if name.startswith(RECURRENT) else 1.0

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Send bursts down, with and without a teacher, and give what they differ by."""
        stack, n = stack_of(self.name, network), len(batch)
        with torch.no_grad():
            preactivations, answers = stack.activity(batch.inputs)
            error, update = output_error(task, batch, answers[-1])
            delta = stack.layers[-1].before_activation(error, preactivations[-1], answers[-1])
            bursts, taught = self.output_bursts(preactivations[-1], delta)
            for place in reversed(range(len(stack.layers))):
                layer = stack.layers[place]
                update |= layer.weight_gradient((bursts - taught) / n, answers[place])
                if place > 0:
                    below, e = stack.layers[place - 1], answers[place]
                    potential = self.potential(layer, e, bursts, state)
                    excess = self.baseline * through(state[RECURRENT + below.name], e)
                    taught = e * torch.sigmoid(self.potential(layer, e, taught, state) - excess)
                    bursts = e * torch.sigmoid(potential - excess)
                    update |= self.recurrent_update(below, potential - excess, e)
        yield update

    def output_bursts(
        self, a: Float[Tensor, "sample output"], error: Float[Tensor, "sample output"]
    ) -> tuple[Float[Tensor, "sample output"], Float[Tensor, "sample output"]]:
        """Give b and b^t of the outputs, from their preactivations and ∂C/∂a."""
        e = torch.sigmoid(a)
        bursts = self.baseline * e
        return bursts, torch.minimum((bursts - self.baseline * error).clamp(min=0), e)

    def potential(
        self, layer: Layer, e: Float[Tensor, "sample ..."], above: Float[Tensor, "sample ..."], state: State
    ) -> Float[Tensor, "sample ..."]:
        """Give what the bursts of a layer send to the dendrites of that below, whose events are e."""
        return (1 - e) * layer.transpose(above, e, weight=state[FEEDBACK + layer.name])

    def recurrent_update(
        self, layer: Layer, u: Float[Tensor, "sample ..."], e: Float[Tensor, "sample ..."]
    ) -> Update:
        """Give −⟨u (p_b e)ᵀ⟩."""
        rows = by_place(self.baseline * e)
        return {RECURRENT + layer.name: -by_place(u).T @ rows / len(rows)}


def through(
    weight: Float[Tensor, "unit unit"], e: Float[Tensor, "sample unit ..."]
) -> Float[Tensor, "sample unit ..."]:
    """Give R e at each place."""
    return (e.movedim(1, -1) @ weight.T).movedim(-1, 1)
