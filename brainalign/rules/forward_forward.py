"""Forward-forward: each layer answers strongly to images with their label, weakly to those with a wrong one."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import NeedsError
from brainalign.networks.layered import LayeredNetwork
from brainalign.rules.local_heads import drawn, one_hot, sample_answers
from brainalign.rules.normalised_network import (
    READOUT,
    normalised,
    normalised_network,
    read_layers,
    with_label,
)
from brainalign.rules.output_error import output_error
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.rules.stack_needs import needs_categories, stack_of
from brainalign.tasks.task import Batch, Task

PEER = "peer."
PEER_START, PEER_MOMENTUM = 0.5, 0.9


@dataclass(frozen=True)
class ForwardForward(LearningRule):
    r"""Forward-forward (Hinton 2022), supervised, on a stack of layers.

    .. math::
        L_l = \log(1 + e^{\mp g_l}), \quad g_l = \sum_k h_{lk}^2 - \theta_l, \quad
        \Delta W_l = \pm\eta\, (1 - p)\, (2 h_l \circ f'(a_l))\, \hat h_{l-1}^\top

    with p = σ(±g) the probability of being right, the upper sign for images whose first pixels (of each colour)
    hold their category as one-hot values, the lower for the same images with a wrong category, drawn evenly.
    θ is `threshold` times the layer's units. Of a feature map, whose units are its channels, g is the mean over
    places, for a sum over thousands of them would drive all units silent at rates that full layers bear. What
    enters a layer, the first included, is divided by its root mean square, so that no length, which is the
    goodness, goes on.

    Units whose mean activity on right images, averaged over batches, is unlike their peers' are drawn to it
    by the gradient of the peers' variance, which passes the activation unchanged and so revives silent units.

    The read-out is trained by the task's cost on images with the neutral label (1 / categories for each): the
    network's own on the normalised activity of the deepest hidden layer, and, where there are three hidden
    layers or more, weights of the rule's on those of the second to the one before the deepest, whose answers
    are added. `inference` gives the network that normalises and shows the neutral label, with these read-outs.

    Parameters
    ----------
    threshold
        Goodness of each unit at which an image is as probably right as wrong.
    peer
        Weight of the peers' variance.
    readout_rate
        Factor of the read-out's update: under SGD of its learning rate, without effect under Adam.
    """

    threshold: float = 1.0
    peer: float = 0.03
    readout_rate: float = 10.0

    name = "forward_forward"
    family = "forward only"
    feedback = "none: labels come with the input, right and wrong"
    locality = "pre- and postsynaptic activity, the layer's summed squares and whether the label is right"
    phases = 2
    passes = 5.0
    source = "Hinton 2022 (arXiv:2212.13345); constants of github.com/loeweX/Forward-Forward"
    optimizer = "momentum:lr=0.001,weight_decay=0.0003"
    true_gradient = False
    from_zero = frozenset({"peer"})

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network is a stack, the task names categories and the label fits."""
        stack_of(self.name, network, hidden=1)
        needs_categories(self.name, task)
        shape = next(task.held_out(1)).inputs.shape[1:]
        n_pixels = prod(shape[1:]) if len(shape) > 1 else shape[0]
        if not 2 <= task.n_outputs <= n_pixels:
            raise NeedsError(
                f"Rule {self.name!r} writes the category into the first pixels, so it needs two categories or "
                f"more, and a pixel for each; task {task.name!r} has {task.n_outputs} categories, {n_pixels} "
                "pixels. Choose other images, or another rule."
            )

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Draw the read-outs that the network lacks, and start the means of activity."""
        stack = stack_of(self.name, network, hidden=1)
        answers = dict(zip((layer.name for layer in stack.layers), sample_answers(stack, task), strict=True))
        state = {
            f"{PEER}{layer.name}": torch.full_like(answers[layer.name][0], PEER_START)
            for layer in stack.layers[:-1]
        }
        for name in read_layers(stack):
            shape = (task.n_outputs, answers[name][0].numel())
            state[READOUT + name] = drawn(shape, generator, answers[name])
        return state

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give each layer's update from its own goodness, and the read-out's."""
        stack = stack_of(self.name, network, hidden=1)
        with torch.no_grad():
            update, neutral = self._hidden_updates(stack, task, batch, state, generator)
            update |= self._readout_update(stack, task, batch, state, neutral)
        yield update

    def shown(self, task: Task, batch: Batch, generator: torch.Generator) -> Float[Tensor, "shown ..."]:
        """Give the images with their category, then with a wrong one, then with the neutral label."""
        assert batch.targets is not None
        right = one_hot(batch.targets, task.n_outputs, batch.inputs)
        wrong = one_hot(wrong_labels(batch.targets, task.n_outputs, generator), task.n_outputs, batch.inputs)
        neutral = torch.full_like(right, 1 / task.n_outputs)
        return torch.cat([with_label(batch.inputs, label) for label in (right, wrong, neutral)])

    def goodness(self, answer: Float[Tensor, "sample ..."]) -> Float[Tensor, " sample"]:
        """Give the summed squares of units, of a feature map the mean over places, less the threshold."""
        flat, units = answer.flatten(1), answer.shape[1]
        return flat.norm(dim=1).square() * (units / flat.shape[1]) - self.threshold * units

    def inference(self, network: nn.Module, state: State) -> nn.Module:
        """Give the network that normalises between layers and is shown the neutral label."""
        return normalised_network(stack_of(self.name, network, hidden=1), state)

    def _hidden_updates(
        self, network: LayeredNetwork, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> tuple[Update, list[Tensor]]:
        """Give the hidden layers' updates, and what they answer, normalised, to the neutral label."""
        x, n = normalised(self.shown(task, batch, generator)), len(batch)
        update, neutral, weight = {}, [], task.weight(batch.step)
        for layer in network.layers[:-1]:
            a = layer.preactivation(x)
            h, labelled = layer.activation(a), x[: 2 * n]
            delta = layer.before_activation(self._error(h[: 2 * n]), a[: 2 * n], h[: 2 * n], overwrite=True)
            delta[:n] += self._peer_error(f"{PEER}{layer.name}", h[:n], state)
            gradient = layer.weight_gradient(delta, labelled)
            update |= {name: weight * each for name, each in gradient.items()}
            x = normalised(h)
            neutral.append(x[2 * n :])
        return update, neutral

    def _error(self, answer: Float[Tensor, "sample ..."]) -> Float[Tensor, "sample ..."]:
        """Give the gradient of the mean loss at the answers, those to right images first."""
        goodness, n = self.goodness(answer), len(answer) // 2
        slope = torch.cat([-torch.sigmoid(-goodness[:n]), torch.sigmoid(goodness[n:])]) / len(answer)
        places = answer[0, 0].numel()
        return answer * (2 * slope / places).view(-1, *[1] * (answer.ndim - 1))

    def _peer_error(self, key: str, answer: Float[Tensor, "sample ..."], state: State) -> Float[Tensor, "..."]:
        """Move a layer's mean activity on, and give the gradient of its variance over units at each answer."""
        state[key] = PEER_MOMENTUM * state[key] + (1 - PEER_MOMENTUM) * answer.mean(0)
        apart = state[key] - state[key].mean()
        return self.peer * 2 / apart.numel() * apart * (1 - PEER_MOMENTUM) / len(answer)

    def _readout_update(
        self, network: LayeredNetwork, task: Task, batch: Batch, state: State, neutral: list[Tensor]
    ) -> Update:
        """Give the gradient of the task's cost at the read-outs."""
        last, read = network.layers[-1], dict(zip(read_layers(network), neutral[1:-1], strict=True))
        outputs = last.preactivation(neutral[-1])
        for name, answer in read.items():
            outputs = outputs + answer.flatten(1) @ state[READOUT + name].T
        error, of_task = output_error(task, batch, outputs)
        delta = self.readout_rate * error / len(batch)
        update = of_task | last.weight_gradient(delta, neutral[-1])
        return update | {READOUT + name: delta.T @ answer.flatten(1) for name, answer in read.items()}


def wrong_labels(labels: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw for each label another one, all others being as probable."""
    offset = torch.randint(1, n, labels.shape, generator=generator).to(labels.device)
    return (labels + offset) % n
