"""Values that networks keep: told apart by content, or kept out of the cache."""

import argparse
import collections
import dataclasses
import enum
import functools
import logging
import sys
import types
import typing

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional


@dataclasses.dataclass
class Config:
    slope: float
    names: tuple = ()


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


SETTINGS = [
    (1.0, 2.0),
    (1, True),
    (1, 1.0),
    ("a", b"a"),
    (None, False),
    ([1, 2], [2, 1]),
    ([1, 2], (1, 2)),
    (["a", "b"], ["a', 'b"]),
    ([[1], [2]], [[1, 2]]),
    ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
    ({1, 2}, {1, 3}),
    ({"a": [{"b": 1.0}]}, {"a": [{"b": 1.5}]}),
    (np.arange(3), np.arange(3.0)),
    (np.zeros((2, 3)), np.zeros((3, 2))),
    (np.float32(1), np.float32(2)),
    (torch.zeros(3), torch.ones(3)),
    (torch.zeros(3), torch.zeros(3, dtype=torch.bfloat16)),
    ([torch.zeros(3), 1], [torch.ones(3), 1]),
    (torch.complex(torch.ones(2), torch.ones(2)), torch.complex(torch.ones(2), torch.ones(2)).conj()),
    (torch.float32, torch.float64),
    (slice(1, 2), slice(1, 3)),
    (Config(0.1), Config(0.2)),
    (Config(0.1, ("a",)), Config(0.1, ("b",))),
    (argparse.Namespace(a=1), argparse.Namespace(a=2)),
    (types.SimpleNamespace(a=1), types.SimpleNamespace(a=2)),
    (Colour.RED, Colour.BLUE),
    (Slotted(1), Slotted(2)),
    (collections.OrderedDict(a=1), collections.OrderedDict(a=2)),
    (collections.namedtuple("Pair", "a b")(1, 2), collections.namedtuple("Pair", "a b")(1, 3)),
    (functools.partial(functional.leaky_relu, negative_slope=0.1), functools.partial(functional.leaky_relu)),
    (functional.relu, functional.gelu),
    (torch.relu, torch.tanh),
    (nn.ReLU, nn.GELU),
    (torch.ones(2).add, torch.zeros(2).add),
    ({"a": 1}.get, {"a": 2}.get),
    (lambda x: x, lambda x: 2 * x),
    (lambda x: x + 1, lambda x: x - 1),
    (lambda x: torch.relu(x), lambda x: torch.tanh(x)),
    (Config(0.1).__eq__, Config(0.2).__eq__),
    (functools.cache(lambda x: x), functools.cache(lambda x: 2 * x)),
    (range(3), range(4)),
    (torch.Size([1]), (1,)),
    (torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)),
]


@pytest.mark.parametrize("one,other", SETTINGS, ids=str)
def test_plain_attributes(one, other, key, plain):
    assert key(plain(one)) != key(plain(other))
    assert key(plain(one)) == key(plain(one)) is not None


@pytest.mark.parametrize("change", ["new", "gone", "renamed"])
def test_an_attribute_that_comes_or_goes(change, key, plain):
    network = plain()
    if change != "new":
        del network.setting
    if change != "gone":
        network.another = 1.0
    assert key(network) not in (None, key(plain()))


def test_an_array_changed_in_place(key, plain):
    network = plain(np.zeros(3))
    before = key(network)
    network.setting[1] = 1
    assert key(network) not in (None, before)


def test_attributes_that_hold_the_networks_own_modules(key, plain):
    network, other = plain(), plain()
    network.setting, other.setting = [network.conv, network.norm], [other.norm, other.conv]
    assert key(network) not in (None, key(other))


def test_an_attribute_that_holds_itself(key, plain):
    loop = []
    loop.append(loop)
    assert key(plain(loop)) != key(plain([[]]))


class Secretive:
    def __getstate__(self):
        return {}


UNTOLD = [
    [nn.Linear(2, 2)],
    {"a": nn.Linear(2, 2)},
    (each for each in "abc"),
    np.array([object()], dtype=object),
    np.ma.masked_array([1.0, 2.0], mask=[True, False]),
    torch.eye(3).to_sparse(),
    torch.empty(2, device="meta"),
    sys.stderr,
    Secretive(),
    typing.TypeVar("Named"),
    np.frompyfunc(lambda x: x, 1, 1),
]


@pytest.mark.parametrize("value", UNTOLD, ids=lambda value: type(value).__name__)
def test_what_cannot_be_told_is_not_cached(value, caplog, key, plain):
    with caplog.at_level(logging.INFO, logger="brainalign"):
        assert key(plain(value)) is None
    assert "not cached: attribute 'setting' of module '' is or holds" in caplog.text


def test_attributes_of_a_weight(key, plain, tell_apart):
    network = plain()
    network.conv.weight.scale = 2.0
    assert tell_apart(key(network), key(plain()))


def test_deep_nesting_is_not_cached(key, plain):
    nested = []
    for _ in range(5000):
        nested = [nested]
    assert key(plain(nested)) is None
