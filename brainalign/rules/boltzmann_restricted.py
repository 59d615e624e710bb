"""Restricted Boltzmann machines: each hidden layer learns the distribution of what it is given."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.names import unknown_name
from brainalign.networks.layered import Layer
from brainalign.rules.binary_units import drawn_binary, needs_chances, needs_sigmoid
from brainalign.rules.rule import TRAINABLE, LearningRule, State, Update
from brainalign.rules.stack_needs import needs_inputs_alone, stack_of
from brainalign.tasks.task import Batch, Task

VISIBLE = ("gaussian", "binary")
VISIBLE_BIAS = f"{TRAINABLE}visible_bias."
CHAIN = "chain."


@dataclass(frozen=True)
class BoltzmannRestricted(LearningRule):
    r"""A stack of restricted Boltzmann machines, by contrastive divergence (Hinton 2002; Hinton et al. 2006).

    .. math::
        p(v, h) \propto e^{-E}, \quad E = -h^\top (W v + b) - c^\top v, \qquad
        \Delta W = \eta \left( \langle \sigma(W v + b)\, v^\top \rangle_0
        - \langle \sigma(W v + b)\, v^\top \rangle_k \right)

    with v what a hidden layer is given and h its binary units: 0 at the data, k after as many sweeps of Gibbs
    sampling from there. As k → ∞ it is the gradient of :math:`\log p(v)`. The layer above is given
    σ(W v + b). At the input v is Gaussian with variance 1 (:math:`E` has :math:`\lVert v \rVert^2 / 2`
    more), for inputs that are standardised, or binary; between layers it is binary, the layer's answers being
    its chance. The biases c of what is given are the rule's own. Targets are not used, the read-out does not
    learn.

    Parameters
    ----------
    sweeps
        k.
    visible
        Units at the input: ``gaussian`` or ``binary``.
    chains
        Chains of samples that go on from batch to batch, in place of new ones from the data (persistent
        contrastive divergence, Tieleman 2008); 0 for none.
    steps
        Steps of each layer, after which the one above takes its turn, to the last, which goes on; 0 for all
        layers at once.
    """

    sweeps: int = 1
    visible: str = "gaussian"
    chains: int = 0
    steps: int = 0

    name = "boltzmann_restricted"
    family = "unsupervised"
    feedback = "the layer's own weights, transposed, from its hidden units to what it is given"
    locality = "coincidences of pre- and postsynaptic activity, driven by the data and by the layer itself"
    phases = 2
    passes = 5.9
    source = "Hinton 2002, Neural Comput; Hinton et al. 2006, Neural Comput; Tieleman 2008, ICML"
    optimizer = "sgd:lr=0.01"
    activation = "sigmoid"
    true_gradient = False
    trains_readout = False
    from_zero = frozenset({"chains", "steps"})

    def __post_init__(self):
        if self.visible not in VISIBLE:
            raise unknown_name("visible units of a restricted Boltzmann machine", self.visible, VISIBLE)

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network is a stack of sigmoid units, shown inputs that its units can be."""
        layers = stack_of(self.name, network, hidden=1).layers
        needs_inputs_alone(self.name, task)
        needs_sigmoid(self.name, layers[:-1])
        if self.visible == "binary":
            needs_chances(self.name, task)

    @torch.no_grad()
    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Give the biases of what layers are given, at 0, and the chains, at random."""
        stack = stack_of(self.name, network, hidden=1)
        like, state = stack.layers[0].linear.weight, {}
        _, answers = stack.activity(next(task.held_out(1)).inputs.to(like.device, like.dtype))
        for place, (layer, x) in enumerate(zip(stack.layers[:-1], answers, strict=False)):
            bias = torch.zeros_like(layer.arranged(x)[0])
            state[VISIBLE_BIAS + layer.name] = bias
            if self.chains:
                mean = bias.expand(self.chains, *bias.shape)
                state[CHAIN + layer.name] = self.drawn_visible(place, mean, generator)
        return state

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give the update of each hidden layer, or of the one whose turn it is."""
        hidden = stack_of(self.name, network, hidden=1).layers[:-1]
        turn = min(batch.step // self.steps, len(hidden) - 1) if self.steps else None
        update: Update = {}
        with torch.no_grad():
            x = batch.inputs
            for place, layer in enumerate(hidden if turn is None else hidden[: turn + 1]):
                v = layer.arranged(x)
                x = layer.activation(layer.preactivation(v))
                if turn in (None, place):
                    update |= self.layer_update(place, layer, v, x, state, generator)
        yield update

    def layer_update(
        self, place: int, layer: Layer, v: Tensor, h: Tensor, state: State, generator: torch.Generator
    ) -> Update:
        """Give what the layer's machine does by itself less what the data make it do."""
        key, bias = CHAIN + layer.name, state[VISIBLE_BIAS + layer.name]
        sample = state[key] if self.chains else v
        for _ in range(self.sweeps):
            active = drawn_binary(layer.activation(layer.preactivation(sample)), generator)
            sample = self.drawn_visible(place, layer.transpose(active, sample) + bias, generator)
        if self.chains:
            state[key] = sample
        answer = layer.activation(layer.preactivation(sample))
        of_model = layer.weight_gradient(answer / len(sample), sample)
        of_data = layer.weight_gradient(h / len(v), v)
        update = {name: of_model[name] - each for name, each in of_data.items()}
        return update | {VISIBLE_BIAS + layer.name: sample.mean(0) - v.mean(0)}

    def drawn_visible(
        self, place: int, driven: Float[Tensor, "sample ..."], generator: torch.Generator
    ) -> Float[Tensor, "sample ..."]:
        """Draw what the layer at `place` is given, from Wᵀh + c."""
        if place or self.visible == "binary":
            return drawn_binary(torch.sigmoid(driven), generator)
        noise = torch.randn(driven.shape, generator=generator, dtype=driven.dtype)
        return driven + noise.to(driven.device)
