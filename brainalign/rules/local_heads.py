"""What a layer's local loss looks through: pooling, small maps with weights of their own, and similarities."""

from collections.abc import Mapping
from math import ceil, prod

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from brainalign.networks.layered import LayeredNetwork
from brainalign.tasks.task import Task

HEAD = "trainable.head."
MOST_FEATURES = 2048
"""Features of a feature map that a linear head sees at most, as in Nøkland & Eidnes (2019)."""
EPSILON = 1e-8


def pooled(answer: Float[Tensor, "sample ..."]) -> Float[Tensor, "sample ..."]:
    """Average a feature map over squares, so large that `MOST_FEATURES` are left at most.

    Examples
    --------
    >>> pooled(torch.zeros(2, 32, 16, 16)).shape
    torch.Size([2, 32, 8, 8])
    """
    if answer.ndim > 2:
        channels, height, width = answer.shape[1:]
        side = 1
        while channels * ceil(height / side) * ceil(width / side) > MOST_FEATURES and side < max(height, width):
            side *= 2
        if side > 1:
            answer = F.avg_pool2d(answer, side, ceil_mode=True)
    return answer


def through(
    x: Float[Tensor, "sample ..."], weight: Tensor, bias: Tensor | None = None
) -> Float[Tensor, "sample ..."]:
    """Send answers through a linear map, or through a convolution that keeps the width."""
    if weight.ndim == 4:
        return F.conv2d(x, weight, bias, padding=weight.shape[2] // 2)
    return F.linear(x.flatten(1), weight, bias)


def drawn(
    shape: tuple[int, ...], generator: torch.Generator, like: Tensor, gain: float = 1.0
) -> Float[Tensor, "..."]:
    """Draw weights, Gaussian with variance gain² / fan-in."""
    weight = torch.randn(shape, generator=generator, dtype=like.dtype)
    return (gain * prod(shape[1:]) ** -0.5 * weight).to(like.device)


def same_size_shape(answer: Float[Tensor, "sample ..."], kernel: int) -> tuple[int, ...]:
    """Give the shape of weights that map a layer's answer to one of the same size."""
    n = answer.shape[1]
    return (n, n, kernel, kernel) if answer.ndim > 2 else (n, n)


def one_hot(labels: Tensor, n: int, like: Tensor) -> Float[Tensor, "sample category"]:
    """Give one for a sample's category and zero elsewhere, on any device."""
    return (labels[:, None] == torch.arange(n, device=labels.device)).to(like.dtype)


def similarity(x: Float[Tensor, "sample ..."]) -> Float[Tensor, "sample sample"]:
    """Give the cosines between samples, each centred over its units (Nøkland & Eidnes 2019, eq. 1).

    As in their code, a feature map counts by its standard deviation over places.

    Examples
    --------
    >>> similarity(torch.tensor([[1.0, 2.0], [0.0, 4.0], [2.0, 1.0]]))[0].round()
    tensor([ 1.,  1., -1.])
    """
    if x.ndim > 2:
        maps = x.flatten(2)
        x = _deviation(maps) if maps.shape[2] > 1 else maps[:, :, 0]
    x = x - x.mean(1, keepdim=True)
    x = x / (x.norm(dim=1, keepdim=True) + EPSILON)
    return x @ x.T


def _deviation(maps: Float[Tensor, "sample unit place"]) -> Float[Tensor, "sample unit"]:
    """Give ``maps.std(2)`` in a third of its time."""
    deviations = maps - maps.mean(2, keepdim=True)
    return torch.linalg.vector_norm(deviations, dim=2) / (maps.shape[2] - 1) ** 0.5


@torch.no_grad()
def sample_answers(network: LayeredNetwork, task: Task) -> list[Tensor]:
    """Give each layer's answer to one of the task's inputs, for its shape."""
    like = network.layers[0].linear.weight
    _, answers = network.activity(next(task.held_out(1)).inputs.to(like.device, like.dtype))
    return answers[1:]


def gradient_of(cost: Tensor, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the gradient of a cost by the names of what it is taken of, if that may change."""
    parameters = {name: each for name, each in parameters.items() if each.requires_grad}
    found = torch.autograd.grad(cost, list(parameters.values()))
    return dict(zip(parameters, found, strict=True))


def free(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the same tensors as leaves that a gradient can be taken of; nothing is copied."""
    return {name: tensor.detach().requires_grad_() for name, tensor in tensors.items()}
