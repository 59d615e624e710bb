"""SoftHebb's network: its blocks against loops over samples, places and units, and its published sizes."""

import math

import numpy as np
import pytest
import torch

from brainalign.errors import BrainalignError
from brainalign.networks.normalised_stack import NormalisedLayer
from brainalign.networks.softhebb_net import PUBLISHED, SoftHebbBlock, SoftHebbNet, Triangle
from brainalign.networks.untrained import reinitialise, seeded


def normalised_and_padded(x, mean, variance, width):
    """Give x, of shape (sample, channel, height, width), standardised and mirrored at its edges."""
    x = (x - mean[:, None, None]) / np.sqrt(variance[:, None, None] + 1e-5)
    return np.pad(x, ((0, 0), (0, 0), (width, width), (width, width)), mode="reflect")


def driven(x, weight):
    n, (n_out, _, kernel, _) = len(x), weight.shape
    size = x.shape[2] - kernel + 1
    a = np.zeros((n, n_out, size, size))
    for i, k, row, column in np.ndindex(*a.shape):
        a[i, k, row, column] = (weight[k] * x[i, :, row : row + kernel, column : column + kernel]).sum()
    return a


def pooled(h, place):
    """Pool by the maximum of 4 × 4 places that overlap, and in the third block by the mean of 2 × 2."""
    size = h.shape[2] // 2
    answer = np.zeros((*h.shape[:2], size, size))
    for row, column in np.ndindex(size, size):
        if place < 2:
            top, left = max(0, 2 * row - 1), max(0, 2 * column - 1)
            answer[..., row, column] = h[..., top : 2 * row + 3, left : 2 * column + 3].max((2, 3))
        else:
            answer[..., row, column] = h[..., 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].mean((2, 3))
    return answer


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("place", range(3))
def test_a_block_is_what_loops_give(place, training):
    kernel, power, pooling = PUBLISHED[place]
    with seeded(place):
        block = SoftHebbBlock(3, 5, kernel, power, pooling()).double().train()
        x, shown = 2 * torch.randn(2, 4, 3, 8, 8, dtype=torch.float64) + 1
    values, earlier = x.numpy(), shown.numpy()
    with torch.no_grad():
        if not training:
            block(shown)
            block.eval()
        found = block(x)
    mean, variance = values.mean((0, 2, 3)), values.var((0, 2, 3))
    if not training:
        mean = 0.1 * earlier.mean((0, 2, 3))
        variance = 0.9 + 0.1 * earlier.var((0, 2, 3), ddof=1)
    a = driven(normalised_and_padded(values, mean, variance, kernel // 2), block.linear.weight.detach().numpy())
    wanted = pooled(np.maximum(a - a.mean(1, keepdims=True), 0) ** power, place)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-10, atol=1e-12)


def test_the_published_network():
    network = SoftHebbNet()
    shapes = [tuple(layer.linear.weight.shape) for layer in network.layers]
    assert shapes == [(96, 3, 5, 5), (384, 96, 3, 3), (1536, 384, 3, 3), (10, 24576)]
    assert [name for name, _ in network.blocks.named_parameters()] == [f"{i}.linear.weight" for i in range(3)]
    for layer in network.layers[:-1]:
        # The mean of n squared norms, each 625 / fan-in times a chi-squared number of that many degrees.
        squares, fan_in = (
            layer.linear.weight.detach().flatten(1).square().sum(1),
            layer.linear.weight[0].numel(),
        )
        error = 625 * math.sqrt(2 / fan_in / len(squares))
        assert float(squares.mean()) == pytest.approx(625, abs=4 * error)


def test_layers_run_one_by_one_are_the_network():
    with seeded(0):
        network = SoftHebbNet(9, 3, 2, channels=(4, 5, 6)).double()
    x = torch.randn(5, 2, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    answer, h = network(x), x
    for layer in network.layers[:-1]:
        assert isinstance(layer, NormalisedLayer)
        h = layer.activation(layer.preactivation(layer.normalisation(h)))
    torch.testing.assert_close(network.layers[-1].preactivation(h), answer, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("power", [0.7, 1.0, 1.4])
def test_gradient_of_the_triangle(power):
    a = torch.randn(4, 6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.autograd.gradcheck(Triangle(power), a.requires_grad_())
    alike = torch.ones(4, 6, dtype=torch.float64, requires_grad=True)
    answer = Triangle(power)(alike)
    assert not answer.any()
    assert not torch.autograd.grad(answer.sum(), alike)[0].any()


def test_starting_anew_forgets_statistics():
    network = SoftHebbNet(8, channels=(4, 5, 6))
    network(torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert network.get_buffer("blocks.0.normalisation.0.running_mean").any()
    reinitialise(network, 0)
    assert not network.get_buffer("blocks.0.normalisation.0.running_mean").any()


@pytest.mark.parametrize("channels", [(), (4, 4, 4, 4)])
def test_other_numbers_of_blocks_are_refused(channels):
    with pytest.raises(BrainalignError, match=f"one to 3 blocks.*found {len(channels)} widths"):
        SoftHebbNet(channels=channels)


def test_small_images_are_refused():
    with pytest.raises(BrainalignError, match="8 × 8 pixels at least; found 7"):
        SoftHebbNet(7)
