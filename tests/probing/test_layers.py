"""Names of layers, by default and by glob, in all kinds of networks."""

import pytest
import torchvision
from torch import nn

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.probing import default_layers, named_layers, select_layers


class DenseBlock(nn.ModuleDict):
    """A container that joins what it holds in a way of its own, like DenseNet's."""

    def forward(self, x):
        return sum(layer(x) for layer in self.values())


class Holder(nn.Module):
    def __init__(self, **modules):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)


@pytest.fixture(scope="module")
def resnet():
    return torchvision.models.resnet18(weights=None)


def test_named_layers_are_torchs(resnet):
    assert named_layers(resnet) == [name for name, _ in resnet.named_modules()][1:]


def test_blocks_of_resnet(resnet):
    stages = [f"layer{stage}.{block}" for stage in range(1, 5) for block in range(2)]
    assert default_layers(resnet) == ["conv1", "bn1", "relu", "maxpool", *stages, "avgpool", "fc"]


def test_default_is_the_blocks(resnet):
    assert select_layers(resnet) == default_layers(resnet)


@pytest.mark.parametrize("container", [nn.ModuleList, nn.ModuleDict, nn.Sequential])
def test_containers_are_opened(container):
    inside = {"a": nn.Linear(2, 2), "b": nn.ReLU()}
    held = container(inside) if container is nn.ModuleDict else container(*_arguments(container, inside))
    names = [f"stage.{name}" for name, _ in held.named_children()]
    assert default_layers(Holder(stem=nn.Identity(), stage=held)) == ["stem", *names]


def _arguments(container, inside):
    return (list(inside.values()),) if container is nn.ModuleList else tuple(inside.values())


def test_container_with_a_forward_of_its_own_is_a_block():
    network = Holder(dense=DenseBlock({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)}), head=nn.Linear(2, 1))
    assert default_layers(network) == ["dense", "head"]
    assert "features.denseblock1" in default_layers(torchvision.models.densenet121(weights=None))


def test_shared_module_is_listed_once_under_its_first_name():
    relu = nn.ReLU()
    network = nn.Sequential(nn.Sequential(nn.Linear(2, 2), relu), nn.Sequential(nn.Linear(2, 2), relu))
    assert default_layers(network) == ["0.0", "0.1", "1.0"]


@pytest.mark.parametrize(
    "glob,expected",
    [
        ("conv1", ["conv1"]),
        ("layer4.*.conv?", ["layer4.0.conv1", "layer4.0.conv2", "layer4.1.conv1", "layer4.1.conv2"]),
        ("layer[12]", ["layer1", "layer2"]),
        (["fc", "conv1"], ["conv1", "fc"]),
        (["fc", "f*", "fc"], ["fc"]),
    ],
)
def test_globs_give_the_networks_order_without_repeats(resnet, glob, expected):
    assert select_layers(resnet, glob) == expected


def test_star_is_every_named_module(resnet):
    assert select_layers(resnet, "*") == named_layers(resnet)


def test_a_name_with_the_signs_of_a_glob_means_itself():
    network = Holder(**{"a*": nn.ReLU(), "ab": nn.ReLU()})
    assert select_layers(network, "a*") == ["a*"]


def test_unknown_layer_shows_the_closest(resnet):
    with pytest.raises(UnknownNameError, match=r"Unknown layer 'layer4\.2'\. Did you mean 'layer4\.1'"):
        select_layers(resnet, ["conv1", "layer4.2"])


def test_glob_that_matches_nothing(resnet):
    with pytest.raises(UnknownNameError, match=r"Unknown layer 'block\*'"):
        select_layers(resnet, "block*")


@pytest.mark.parametrize("layers", [None, "*"])
def test_network_without_modules_inside(layers):
    with pytest.raises(BrainalignError, match=r"class Linear has no modules inside.*Sequential"):
        select_layers(nn.Linear(2, 2), layers)


def test_no_layer_named(resnet):
    with pytest.raises(BrainalignError, match="empty list of layers"):
        select_layers(resnet, [])
