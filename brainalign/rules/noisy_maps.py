"""Noise in the answers of a network's linear maps, and what its maps' weights learn from errors there."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brainalign.errors import NeedsError
from brainalign.rules.linear_maps import Call, calls_of_maps, conv_options, linear_maps
from brainalign.rules.perturbations import check_parameters, same_draws, sample_costs, vectorised
from brainalign.rules.rule import Update
from brainalign.tasks.task import Batch, Task


@dataclass(frozen=True)
class NoisyMap:
    """One call of a linear map in a pass; a map that is called twice has two.

    Parameters
    ----------
    name, bias
        Names of its weights in the network, and of its biases where it has some.
    answer
        What it gave, without noise, shape (sample, …).
    options
        Stride, padding, dilation and groups of a convolution; None for a fully connected map.
    """

    name: str
    bias: str | None
    answer: Tensor
    options: tuple | None

    def weight_gradient(self, delta: Tensor, x: Tensor, weight: Tensor) -> Update:
        """Give Σ δ xᵀ and Σ δ, over samples and places, without autograd."""
        if self.options is None:
            flat = delta.flatten(0, -2)
            of_weight, of_bias = flat.T @ x.flatten(0, -2), flat.sum(0)
        else:
            stride, padding, dilation, groups = self.options
            rest = (stride, padding, dilation, False, [0, 0], groups, [False, True, True])
            _, of_weight, of_bias = torch.ops.aten.convolution_backward(delta, x, weight, [len(weight)], *rest)
        return {self.name: of_weight} | ({} if self.bias is None else {self.bias: of_bias})


def pass_through_maps(
    network: nn.Module, task: Task, batch: Batch, noise: Sequence[Tensor] = ()
) -> tuple[Float[Tensor, " sample"], list[NoisyMap], list[Tensor]]:
    """Run the network, noise added to what each map answers, call by call.

    Returns
    -------
    tuple
        The cost of each sample, the maps' calls, and what entered them.
    """
    names = {id(parameter): name for name, parameter in network.named_parameters() if parameter.requires_grad}
    maps: list[NoisyMap] = []
    inputs: list[Tensor] = []

    def call(original: Call, x: Tensor, weight: Tensor, *rest, **more) -> Tensor:
        answer = original(x, weight, *rest, **more)
        name = names.get(id(weight))
        if name is None:
            return answer
        bias = rest[0] if rest else more.get("bias")
        options = None if weight.ndim == 2 else conv_options(weight, *rest, **more)[1:]
        maps.append(NoisyMap(name, names.get(id(bias)), answer, options))
        inputs.append(x)
        return answer + noise[len(maps) - 1] if noise else answer

    with calls_of_maps(call), same_draws():
        costs = sample_costs(network, task, batch)
    return costs, maps, inputs


def noisy_passes(
    network: nn.Module,
    task: Task,
    batch: Batch,
    noise: Sequence[Tensor],
    loop: bool = False,
    keep_inputs: bool = False,
) -> tuple[Float[Tensor, "perturbation sample"], list[Tensor]]:
    """Give the costs with each of several draws of noise, and what then entered the maps where it is wanted.

    Parameters
    ----------
    network, task, batch
        As a rule has them.
    noise
        For each call of a map, of shape (perturbation, sample, …).
    loop
        One by one rather than vectorised.
    keep_inputs
        Whether the maps' inputs are wanted.
    """

    def run(*each: Tensor) -> tuple[Tensor, ...]:
        costs, _, inputs = pass_through_maps(network, task, batch, each)
        return (costs, *inputs) if keep_inputs else (costs,)

    costs, *inputs = vectorised(run, noise, loop)
    return costs, inputs


def draw_noise(maps: Sequence[NoisyMap], size: int, generator: torch.Generator) -> list[Tensor]:
    """Draw noise of variance 1 for each unit of each sample, each perturbation apart."""
    answers = [each.answer for each in maps]
    return [
        torch.randn(size, *each.shape, generator=generator, dtype=each.dtype).to(each.device)
        for each in answers
    ]


def noise_bytes(maps: Sequence[NoisyMap]) -> int:
    """Give the bytes that one perturbation takes: its noise, and activity and products of that size."""
    return 4 * sum(each.answer.nbytes for each in maps)


def gradient_of_maps(
    network: nn.Module, maps: Sequence[NoisyMap], deltas: Sequence[Tensor], inputs: Sequence[Tensor]
) -> Update:
    """Give the updates of the maps' weights and biases from errors of their answers."""
    parameters, total = dict(network.named_parameters()), {}
    for each, delta, x in zip(maps, deltas, inputs, strict=True):
        for name, part in each.weight_gradient(delta, x, parameters[each.name]).items():
            total[name] = total[name] + part if name in total else part
    return total


@torch.no_grad()
def check_samples_apart(rule: str, network: nn.Module, task: Task) -> None:
    """Raise where noise in one sample changes another's cost, so that a sample's own cost tells too little.

    Raises
    ------
    NeedsError
        Batch normalisation in training, a cost that compares samples, or maps whose input is not laid out
        sample by sample.
    """
    check_parameters(network)
    mixed = [each.name for each in linear_maps(network, task) if not each.by_sample]
    if mixed:
        raise NeedsError(
            f"Rule {rule!r} adds noise to each sample by itself, but the input of {mixed[0]!r} is not laid out "
            "sample by sample. Choose another network or task, or weight_perturbation, which knows no samples."
        )
    batch = next(task.held_out(3)).to(next(network.parameters()).device)
    kept = {name: buffer.clone() for name, buffer in network.named_buffers()}
    exchanged = replace(batch, inputs=torch.cat([batch.inputs[:-1], batch.inputs[:1]]))
    passes = [pass_through_maps(network, task, each) for each in (batch, exchanged)]
    for name, buffer in network.named_buffers():
        buffer.copy_(kept[name])
    first, second = ([costs, *inputs] for costs, _, inputs in passes)
    if not all(
        torch.allclose(a[:-1], b[:-1], rtol=1e-3, atol=1e-5) for a, b in zip(first, second, strict=True)
    ):
        raise NeedsError(
            f"Rule {rule!r} compares each sample's cost with and without noise, but here the samples of a "
            "batch act on each other: by batch normalisation, or by a cost that compares samples. Choose a "
            "network or a task without, or weight_perturbation, which compares costs of whole batches."
        )
