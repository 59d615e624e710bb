"""The small network of our own, and the pixels control."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from brainalign.networks import ConvNet, Pixels, load_network
from brainalign.networks.untrained import seeded


def test_shapes_and_layers():
    network = ConvNet()
    assert [name for name, _ in network.named_children()] == ["blocks", "head"]
    x, widths = torch.zeros(1, 3, 32, 32), []
    for block in network.blocks:
        x = block(x)
        widths.append(tuple(x.shape[1:]))
    assert widths == [(32, 16, 16), (64, 8, 8), (128, 4, 4), (256, 2, 2)]


@pytest.mark.parametrize("size", [1, 16, 31, 33, 64])
def test_any_image_size(size):
    assert ConvNet(size, n_outputs=7)(torch.zeros(2, 3, size, size)).shape == (2, 7)


def test_weights_start_with_he_variance_and_keep_the_signal():
    with seeded(0):
        network = ConvNet()
    for block, n_in in zip(network.blocks, (3, 32, 64, 128), strict=True):
        weight = block.get_parameter("linear.weight").detach()
        # The sample std of n Gaussian weights has a standard error of std / sqrt(2 n).
        expected = math.sqrt(2 / (9 * n_in))
        assert float(weight.std()) == pytest.approx(expected, abs=4 * expected / math.sqrt(2 * weight.numel()))
        assert not block.get_parameter("linear.bias").any()
    assert float(network.head.weight.detach().std()) == pytest.approx(math.sqrt(1 / 1024), rel=0.05)
    images = torch.randn(64, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        # Padding with zeros costs some variance; vanishing or exploding activity would be off by far more.
        assert 0.2 < float(network.blocks(images).square().mean()) < 2
        assert 0.2 < float(network(images).std()) < 2


def test_no_pooling_no_normalisation():
    kinds = {type(module).__name__ for module in ConvNet().modules()}
    assert kinds == {"ConvNet", "Sequential", "Block", "Conv2d", "ReLU", "Linear"}


def test_pixels_are_the_pixels():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    network = load_network("pixels:16")
    assert isinstance(network, Pixels)
    assert [name for name, _ in network.named_modules() if name] == ["pixels"]
    row = network(network.preprocessing([image]))
    expected = np.asarray(image).transpose(2, 0, 1).ravel() / 255
    np.testing.assert_allclose(row[0], expected, atol=1e-6)
