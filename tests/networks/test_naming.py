"""Names taken apart, and the errors of names that cannot be."""

import pytest

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.networks import NetworkName, is_control, list_networks, parse_network_name


@pytest.mark.parametrize(
    "name,parsed",
    [
        ("efficientnet-lite0", NetworkName("efficientnet-lite0")),
        ("efficientnet-lite0@untrained", NetworkName("efficientnet-lite0", True, 0)),
        ("torchvision:resnet18@untrained:12", NetworkName("torchvision:resnet18", True, 12)),
        ("convnet", NetworkName("convnet", True, 0)),
        ("convnet@untrained:0", NetworkName("convnet", True, 0)),
        ("pixels:64", NetworkName("pixels:64")),
        ("/data/me@untrained_nets/n.py:make", NetworkName("/data/me@untrained_nets/n.py:make")),
        ("n.py:make@untrained:4", NetworkName("n.py:make", True, 4)),
        (f"convnet@untrained:{2**63 - 1}", NetworkName("convnet", True, 2**63 - 1)),
    ],
)
def test_parts(name, parsed):
    assert parse_network_name(name) == parsed
    assert parse_network_name(str(parsed)) == parsed


@pytest.mark.parametrize("ending", [":", ":x", ":-1", ":1.5", "7", f":{2**63}", ":1:2", ":²"])
def test_malformed_seed(ending):
    with pytest.raises(BrainalignError, match=r"holds no seed: write NAME@untrained"):
        parse_network_name(f"convnet@untrained{ending}")


@pytest.mark.parametrize("name", ["pixels", "gabor", "pixels:64", "gabor:48"])
def test_controls(name):
    assert is_control(name)
    with pytest.raises(BrainalignError, match="has no weights to draw"):
        parse_network_name(f"{name}@untrained")


def test_networks_are_no_controls():
    assert not any(is_control(name) for name in ("convnet", "torchvision:alexnet", "n.py:make", "timm:x"))


@pytest.mark.parametrize(
    "name,suggestion",
    [
        ("resnet18", "torchvision:resnet18"),
        ("torchvison:resnet18", "torchvision:resnet18"),
        ("efficientnet_lite0", "efficientnet-lite0"),
        ("Pixels", "pixels"),
        ("gabour", "gabor"),
    ],
)
def test_unknown_network_shows_the_closest(name, suggestion):
    with pytest.raises(UnknownNameError, match=f"Did you mean '{suggestion}'\\?.*timm:NAME, convnet"):
        parse_network_name(name)


def test_unknown_network_looks_into_timm():
    pytest.importorskip("timm")
    with pytest.raises(UnknownNameError, match="Did you mean 'timm:deit_tiny_patch16_224'"):
        parse_network_name("deit_tiny_patch16_224")


def test_list():
    entries = list_networks()
    names = [entry.name for entry in entries]
    assert names[:16] == [
        "torchvision:NAME",
        "efficientnet-lite0",
        "timm:NAME",
        "convnet[:OPTIONS]",
        "mlp[:OPTIONS]",
        "lenet",
        "resnet20",
        "softhebb_net[:OPTIONS]",
        "rnn[:OPTIONS]",
        "gru[:OPTIONS]",
        "ei_rnn[:OPTIONS]",
        "lif[:OPTIONS]",
        "alif[:OPTIONS]",
        "path.py:FACTORY",
        "pixels[:SIZE]",
        "gabor[:SIZE]",
    ]
    assert {entry.name: entry.extra for entry in entries if entry.extra} == {
        "efficientnet-lite0": "pretrained",
        "timm:NAME": "timm",
    }
    assert all(entry.summary and entry.source for entry in entries)
