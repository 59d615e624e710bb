"""CLAPP: each layer learns to predict itself across two glances at an image, and not across images."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import NeedsError
from brainalign.rules.local_heads import drawn, sample_answers
from brainalign.rules.rule import LearningRule, State, Update
from brainalign.rules.stack_needs import needs_inputs_alone, stack_of
from brainalign.tasks.task import Batch, Task

PREDICTION = "trainable.prediction."


@dataclass(frozen=True)
class Clapp(LearningRule):
    r"""Contrastive, local and predictive plasticity (Illing et al. 2021), on a stack of layers.

    .. math::
        L_l = \max(0,\ 1 - y\, z_l^\top W_l^{\mathrm{pred}} c_l), \qquad
        \Delta W_{ji} = \eta\, \gamma \left[ (W^{\mathrm{pred} \top} z)_j f'(a^c_j)\, x^c_i
        + (W^{\mathrm{pred}} c)_j f'(a^z_j)\, x^z_i \right], \qquad
        \Delta W^{\mathrm{pred}} = \eta\, \gamma\, z c^\top

    with c a layer's answer to one glance and z its answer to another: at the same image (y = 1) or at another
    one of the batch (y = −1), as after a saccade. γ is y while the loss is above zero, else 0: one signal
    broadcast to the layer. A glance is the image moved by whole pixels, each image by its own, edges being
    repeated; inputs that are no images have noise added. Feature maps are averaged over places.
    Each image of a batch has one glance in common with itself and one with another image. Targets and labels
    are not used, the read-out does not learn.

    Parameters
    ----------
    shift
        The farthest that a glance moves, over the image's width.
    noise
        Standard deviation of the Gaussian noise on inputs that are no images.
    """

    shift: float = 0.125
    noise: float = 0.1

    name = "clapp"
    family = "local losses"
    feedback = "a prediction of the layer's activity by itself, and one signal whether the image changed"
    locality = "pre- and postsynaptic activity, a dendrite's prediction and a broadcast signal"
    phases = 1
    passes = 8.0
    source = "Illing, Ventura, Bellec & Gerstner 2021, NeurIPS (arXiv:2010.08262)"
    optimizer = "adam:lr=2e-4"
    true_gradient = False
    trains_readout = False
    from_zero = frozenset({"shift", "noise"})

    def check(self, network: nn.Module, task: Task) -> None:
        """Raise unless the network is a stack with hidden layers, shown plain inputs that it can move."""
        stack_of(self.name, network, hidden=1)
        needs_inputs_alone(self.name, task)
        shape = next(task.held_out(1)).inputs.shape
        if len(shape) == 4 and self.shift and not 1 <= self.shift * shape[3] < shape[3]:
            raise NeedsError(
                f"Rule {self.name!r} was given shift={self.shift:g}; on images {shape[3]} pixels wide a glance "
                f"moves by a whole pixel from {1 / shape[3]:g} on, and must be below 1."
            )

    def init(self, network: nn.Module, task: Task, generator: torch.Generator) -> State:
        """Draw W^pred with variance 1 / units², so that predictions start near the margin."""
        stack, state = stack_of(self.name, network, hidden=1), {}
        for layer, answer in zip(stack.layers[:-1], sample_answers(stack, task), strict=False):
            n = answer.shape[1]
            state[PREDICTION + layer.name] = drawn((n, n), generator, answer, gain=n**-0.5)
        return state

    def updates(
        self, network: nn.Module, task: Task, batch: Batch, state: State, generator: torch.Generator
    ) -> Iterator[Update]:
        """Give each hidden layer's update, and that of its prediction."""
        stack, n, update = stack_of(self.name, network, hidden=1), len(batch), {}
        if n < 2:
            raise NeedsError(f"Rule {self.name!r} compares images of a batch; it needs batches of 2 or more.")
        with torch.no_grad():
            x = self.glances(batch.inputs, generator)
            other = int(torch.randint(1, n, (), generator=generator))
            for layer in stack.layers[:-1]:
                a = layer.preactivation(x)
                h = layer.activation(a)
                delta, of_prediction = self._errors(h, state[PREDICTION + layer.name], other)
                update |= layer.weight_gradient(layer.before_activation(delta, a, h, overwrite=True), x)
                update[PREDICTION + layer.name] = of_prediction
                x = h
        yield update

    def glances(
        self, x: Float[Tensor, "sample ..."], generator: torch.Generator
    ) -> Float[Tensor, "glance ..."]:
        """Give a glance at each image, then another at each: moved, or with noise where they are none."""
        if x.ndim == 4:
            return _moved(x, int(self.shift * x.shape[3]), generator)
        drawn_noise = torch.randn((2, *x.shape), generator=generator, dtype=x.dtype).to(x.device)
        return (x + self.noise * drawn_noise).flatten(0, 1)

    def _errors(
        self, h: Float[Tensor, "glance ..."], weight: Tensor, other: int
    ) -> tuple[Float[Tensor, "glance ..."], Tensor]:
        """Give the gradient of the mean loss at answers, first c's and then z's, and at W^pred."""
        c, z = (h.flatten(2).mean(2) if h.ndim > 2 else h).chunk(2)
        of_c, of_z, of_weight = hinge_gradient(c, z, weight, other)
        pooled = torch.cat([of_c, of_z])
        if h.ndim == 2:
            return pooled, of_weight
        places = h.shape[2:]
        return (pooled / places.numel())[:, :, None, None].expand(-1, -1, *places), of_weight


def hinge_gradient(
    c: Float[Tensor, "sample unit"], z: Float[Tensor, "sample unit"], weight: Tensor, other: int
) -> tuple[Float[Tensor, "sample unit"], Float[Tensor, "sample unit"], Tensor]:
    """Give the gradient of the mean loss, over pairs alike and apart, at c, at z and at W^pred."""
    predicted = c @ weight.T
    same, apart = ((z * each).sum(1, keepdim=True) for each in (predicted, predicted.roll(-other, 0)))
    gate_same, gate_apart = -(same < 1).to(c.dtype) / (2 * len(c)), (apart > -1).to(c.dtype) / (2 * len(c))
    of_z = gate_same * predicted + gate_apart * predicted.roll(-other, 0)
    back = z @ weight
    of_c = gate_same * back + (gate_apart * back).roll(other, 0)
    return of_c, of_z, z.T @ (gate_same * c + gate_apart * c.roll(-other, 0))


def _moved(
    x: Float[Tensor, "sample channel row column"], farthest: int, generator: torch.Generator
) -> Float[Tensor, "glance channel row column"]:
    n, _, height, width = x.shape
    moves = torch.randint(2 * farthest + 1, (2, 2, n), generator=generator).to(x.device)
    padded = nn.functional.pad(x, (farthest,) * 4, mode="replicate")
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    image = torch.arange(n, device=x.device)
    return windows[image, :, moves[:, 0], moves[:, 1]].flatten(0, 1)
