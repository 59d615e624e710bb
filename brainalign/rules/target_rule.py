"""What the rules of target propagation have in common: inverses that learn, and targets that they send down."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.names import unknown_name
from brainalign.networks.layered import Layer
from brainalign.rules.inverses import ACTIVATIONS, INVERSE, Inverse, draw_inverse, inverse_of
from brainalign.rules.output_error import output_error
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.rules.stack_needs import needs_outputs_cost, stack_of
from brainalign.tasks.task import Batch, Task

ORDERS = ("alternating", "parallel")


@dataclass(frozen=True)
class Passed:
    """A stack with its inverses, and what passed through it.

    Parameters
    ----------
    layers
        The stack.
    inverses
        By the place in the stack of the layer that each inverts.
    preactivations, answers
        As `LayeredNetwork.activity` gives them: ``answers[place]`` is what the layer at `place` was given.
    """

    layers: tuple[Layer, ...]
    inverses: dict[int, Inverse]
    preactivations: list[Tensor]
    answers: list[Tensor]


@dataclass(frozen=True)
class TargetRule(LearningRule):
    r"""Layers learn from targets, :math:`\hat h`, that inverses g of the layers above send down.

    .. math::
        \hat h_L = h_L - \alpha\, \partial C / \partial h_L, \qquad
        \Delta W_l = -\frac{\eta}{\alpha}\, \big((h_l - \hat h_l) \circ f'(a_l)\big) h_{l-1}^\top

    The update is the gradient of :math:`\frac{1}{2\alpha} \lVert h_l - \hat h_l \rVert^2`, the mean over
    samples, with the target held fixed. By the factor 1/α it is backprop's where the inverses' Jacobians are
    the layers', transposed, and α goes to 0; the outputs' layer learns by backprop whatever α is.

    Parameters
    ----------
    target_step
        α, the step that the outputs' target is away from their answer.
    noise
        Standard deviation of the noise on which inverses learn.
    inverse_rate
        Learning rate of the inverses over that of the network.
    inverse_steps
        Updates of the inverses for each batch.
    pretraining
        Training steps, counted among all, in which inverses alone learn.
    order
        ``alternating``: the network learns from inverses that have learnt from the batch. ``parallel``: from
        inverses before their last update, which comes at once with the network's.
    inverse_activation
        ``after`` the inverse's linear map, that of the layer below; ``before`` it, that of the layer that is
        inverted; or ``none``.
    """

    target_step: float = 0.2195
    noise: float = 0.0837
    inverse_rate: float = 31.7
    inverse_steps: int = 1
    pretraining: int = 0
    order: str = "alternating"
    inverse_activation: str = "after"

    family = "target propagation"
    phases = 2
    activation = "tanh"
    from_zero = frozenset({"pretraining"})

    def __post_init__(self):
        for kind, chosen, choices in (
            ("order of updates", self.order, ORDERS),
            ("place of the inverses' activation", self.inverse_activation, ACTIVATIONS),
        ):
            if chosen not in choices:
                raise unknown_name(kind, chosen, choices)

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network is a plain stack, and the task's only cost is that of the outputs."""
        stack_of(self.name, network)
        needs_outputs_cost(self.name, task)

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Draw the inverses."""
        return self.drawn(self.layers(network, {}), generator)

    def drawn(self, layers: tuple[Layer, ...], generator: torch.Generator) -> State:
        """Draw the inverses of a stack."""
        state: State = {}
        for place in self.inverted(len(layers)):
            state |= draw_inverse(layers[place], generator)
        return state

    def learning_rate_factor(self, name: str) -> float:
        """Give the inverses their own rate."""
        return self.inverse_rate if name.startswith(INVERSE) else 1.0

    def layers(self, network: nn.Module, state: State) -> tuple[Layer, ...]:
        """Give the stack that is inverted."""
        return stack_of(self.name, network).layers

    def inverted(self, n_layers: int) -> range:
        """Give the places of the layers that have an inverse: all but the first, which needs none."""
        return range(1, n_layers)

    @torch.no_grad()
    def passed(self, network: nn.Module, inputs: Float[Tensor, "sample ..."], state: State) -> Passed:
        """Run the network."""
        layers = self.layers(network, state)
        inverses = {
            place: inverse_of(layers[place], layers[place - 1], state, self.inverse_activation)
            for place in self.inverted(len(layers))
        }
        return Passed(layers, inverses, *stack_of(self.name, network).activity(inputs))

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give the inverses' updates and the network's; while inverses are pre-trained, only the former."""
        passed = self.passed(network, batch.inputs, state)
        for _ in range(self.inverse_steps - 1):
            yield self.inverse_update(passed, generator)
        of_inverses = self.inverse_update(passed, generator)
        if batch.step < self.pretraining:
            yield of_inverses
            return
        if self.order == "parallel":
            yield self.network_update(network, task, batch, passed) | of_inverses
            return
        if of_inverses:
            yield of_inverses
        yield self.network_update(network, task, batch, passed)

    @torch.no_grad()
    def inverse_update(self, passed: Passed, generator: torch.Generator) -> Update:
        """Give the gradients of the inverses' losses."""
        update: Update = {}
        for place in passed.inverses:
            update |= self.inverse_gradient(passed, place, generator)
        return update

    def inverse_gradient(self, passed: Passed, place: int, generator: torch.Generator) -> Update:
        """Give the gradient of ‖g(f(h + ε)) − (h + ε)‖² / σ² of one inverse, the mean over samples."""
        inverse, h = passed.inverses[place], passed.answers[place]
        noisy = h + self.noise_for(h, generator)
        above = inverse.layer.activation(inverse.layer.preactivation(noisy))
        use = inverse.use(above, h)
        return inverse.gradient([(use, (use.answer - noisy) * self.loss_scale(h))])

    def loss_scale(self, h: Float[Tensor, "sample ..."]) -> float:
        """Give the derivative of a squared error's mean over samples, over σ², less the error itself."""
        return 2 / (len(h) * self.noise**2)

    def noise_for(self, h: Float[Tensor, "..."], generator: torch.Generator) -> Float[Tensor, "..."]:
        """Draw noise for an activity."""
        drawn = torch.randn(h.shape, generator=generator, dtype=h.dtype)
        return drawn.mul_(self.noise).to(h.device)

    @torch.no_grad()
    def network_update(self, network: nn.Module, task: Task, batch: Batch, passed: Passed) -> Update:
        """Give each layer's gradient of the distance to its target, over α."""
        layers = stack_of(self.name, network).layers
        outputs = layers[-1].activation(passed.preactivations[-1])
        error, update = output_error(task, batch, outputs)
        targets = self.targets(passed, error)
        for place, layer in enumerate(layers):
            if place + 1 < len(layers):
                answer = passed.answers[place + 1]
                away = (answer - targets[place]) / (self.target_step * len(batch))
            else:
                answer, away = outputs, error / len(batch)
            delta = layer.before_activation(away, passed.preactivations[place], answer)
            update |= layer.weight_gradient(delta, passed.answers[place])
        return update

    def targets(self, passed: Passed, error: Float[Tensor, "sample output"]) -> list[Tensor]:
        r"""Give each layer's target, from the first layer to the last.

        Parameters
        ----------
        passed
            What passed through the network.
        error
            :math:`\partial C / \partial h_L` of each sample's cost.
        """
        targets = [self.output_target(passed, error)]
        for place in reversed(range(1, len(passed.layers))):
            targets.append(self.target_below(passed, place, targets[-1], error))
        return targets[::-1]

    def output_target(self, passed: Passed, error: Float[Tensor, "sample output"]) -> Float[Tensor, "sample _"]:
        """Give the target of what the inverse of the last layer is given."""
        return passed.answers[-1] - self.target_step * error

    def target_below(self, passed: Passed, place: int, target: Tensor, error: Tensor) -> Tensor:
        """Give the target of the input of the layer at `place` from that of its answer, by the difference."""
        h, above, inverse = passed.answers[place], passed.answers[place + 1], passed.inverses[place]
        return h + inverse(target, h) - inverse(above, h)
