"""Networks to train: built for a task's images and outputs, from a seed."""

import math

import pytest
import torch

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.networks import (
    MLP,
    LayeredNetwork,
    LeNet,
    Preprocessing,
    ResNet20,
    Shape,
    load_network,
    make_network,
)

GREY, COLOUR = Preprocessing(28, (0.5,), (0.5,)), Preprocessing(32)


@pytest.mark.parametrize("name", ["mlp", "convnet", "lenet", "resnet20", "torchvision:resnet18"])
def test_gives_the_tasks_outputs_from_a_seed_and_keeps_its_preprocessing(name):
    shape = Shape(COLOUR, n_outputs=7)
    network, again, other = (make_network(name, shape, seed) for seed in (0, 0, 1))
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert network.eval()(images).shape == (2, 7)
    assert torch.equal(network(images), again.eval()(images))
    assert not torch.equal(network(images), other.eval()(images))
    assert network.preprocessing == COLOUR


@pytest.mark.parametrize("name", ["mlp", "convnet", "lenet", "resnet20"])
def test_grey_images_have_one_channel(name):
    assert make_network(name, Shape(GREY, 10)).eval()(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_options_follow_the_name_and_a_rules_activation_fills_what_is_open():
    network = make_network("mlp:hidden=500-300", Shape(GREY, 10, activation="tanh"))
    assert [layer.linear.weight.shape for layer in network.layers] == [(500, 784), (300, 500), (10, 300)]
    assert [type(layer.activation).__name__ for layer in network.layers] == ["Tanh", "Tanh", "Identity"]
    assert isinstance(network, LayeredNetwork)
    sigmoid = make_network("convnet:activation=sigmoid,channels=8-16", Shape(GREY, 10, activation="tanh"))
    assert [type(layer.activation).__name__ for layer in sigmoid.layers] == ["Sigmoid", "Sigmoid", "Identity"]


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("mpl", UnknownNameError, "Unknown network to train 'mpl'. Did you mean 'mlp'"),
        ("mlp:hiden=20", UnknownNameError, "Did you mean 'hidden'"),
        ("mlp:hidden=wide", BrainalignError, "expected widths such as 500-300"),
        ("mlp:activation=rely", UnknownNameError, "Did you mean 'relu'"),
        ("torchvision:resnet19", UnknownNameError, "Did you mean"),
        ("torchvision:resnet18", BrainalignError, "takes no grey images of 28 × 28 pixels"),
    ],
)
def test_what_cannot_be_built(name, kind, message):
    with pytest.raises(kind, match=message):
        make_network(name, Shape(GREY, 10))


def test_deviations_of_first_weights():
    """Gaussian of 2 / fan-in under ReLU, 1 / (fan-in + fan-out) under others."""
    relu = make_network("mlp:hidden=500", Shape(GREY, 10)).layers[0].linear.weight
    assert float(relu.detach().std()) == pytest.approx(math.sqrt(2 / 784), rel=0.01)
    sigmoid = make_network("mlp:hidden=500,activation=sigmoid", Shape(GREY, 10)).layers[0].linear.weight
    assert float(sigmoid.detach().std()) == pytest.approx(math.sqrt(1 / 1284), rel=0.01)


def test_lenet_is_lecuns():
    network = LeNet(28, n_channels=1)
    counted = sum(p.numel() for p in network.parameters())
    # 5·5·6+6, 5·5·6·16+16, 5·5·16·120+120, 120·84+84, 84·10+10.
    assert counted == 156 + 2416 + 48120 + 10164 + 850
    with pytest.raises(BrainalignError, match="16 × 16 pixels at least"):
        LeNet(8)


def test_resnet20_has_twenty_layers():
    network = ResNet20()
    deep = [m for name, m in network.named_modules() if isinstance(m, torch.nn.Conv2d) and "skip" not in name]
    assert len(deep) + 1 == 20
    assert network.stages(network.stem(torch.zeros(1, 3, 32, 32))).shape == (1, 64, 8, 8)


def test_a_perceptron_needs_a_hidden_layer():
    with pytest.raises(BrainalignError, match="needs one hidden layer"):
        MLP(hidden=())


def test_an_argument_that_is_no_option():
    with pytest.raises(UnknownNameError, match="Unknown option of convnet '64'"):
        load_network("convnet:64")


@pytest.mark.parametrize("name", ["mlp", "lenet", "resnet20", "convnet:channels=8-8"])
def test_is_loaded_by_name_with_random_weights_too(name):
    network = load_network(f"{name}@untrained:3")
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
