"""Code that a network runs, wherever it comes from: told apart, or kept out of the cache."""

import sys
import textwrap
import types

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional


def test_forward_replaced_on_the_instance(key, plain):
    keys = [key(plain())]
    for forward in (lambda x: x, lambda x: x + 1):
        network = plain()
        network.forward = forward
        keys.append(key(network))
    for scale in (2, 3):
        network = plain()
        network.forward = types.MethodType(lambda self, x, scale=scale: self.conv(x) * scale, network)
        keys.append(key(network))
    assert None not in keys
    assert len(set(keys)) == 5


def test_method_replaced_on_the_class(monkeypatch, key, plain):
    before = key(plain())
    monkeypatch.setattr(type(plain()), "forward", lambda self, x: self.conv(x))
    once = key(plain())
    monkeypatch.setattr(type(plain()), "forward", lambda self, x: self.conv(x) + 1)
    assert len({before, once, key(plain())} - {None}) == 3


def test_class_attribute_changed(monkeypatch, key, plain):
    before = key(plain())
    monkeypatch.setattr(type(plain()), "LIMIT", 7.0)
    assert key(plain()) not in (None, before)


def test_installed_class_changed_at_run_time(monkeypatch, key, plain):
    before = key(plain())
    monkeypatch.setattr(nn.BatchNorm2d, "forward", lambda self, x: x)
    once = key(plain())
    monkeypatch.setattr(nn.BatchNorm2d, "forward", lambda self, x: 2 * x)
    assert len({before, once, key(plain())} - {None}) == 3


def test_function_that_the_code_calls_changed_at_run_time(monkeypatch, key, tell_apart):
    class Calling(nn.Module):
        def forward(self, x):
            return functional.relu(x)

    before = key(Calling())
    monkeypatch.setattr(functional, "relu", lambda x: x)
    assert tell_apart(before, key(Calling()))


def test_function_that_installed_code_calls_changed_at_run_time(monkeypatch, key):
    network = nn.Sequential(nn.ReLU(), nn.MultiheadAttention(4, 1))
    keys = [key(network)]
    monkeypatch.setattr(functional, "relu", lambda x, inplace: x)
    keys.append(key(network))
    monkeypatch.setattr(functional, "relu", lambda x, inplace: 2 * x)
    keys.append(key(network))
    assert len(set(keys) - {None}) == 3


@pytest.mark.parametrize("make", ["closure", "default", "keyword", "loop", "attribute"])
def test_functions_from_one_line_of_code(make, key, plain):
    def function(value):
        if make == "closure":
            return lambda x: x * value
        if make == "default":
            return lambda x, value=value: x * value
        if make == "keyword":
            return lambda x, *, value=value: x * value
        if make == "loop":
            return [lambda x, value=each: x * value for each in (value,)][0]

        def scaled(x):
            return x * scaled.value

        scaled.value = value
        return scaled

    assert key(plain(function(2.0))) not in (None, key(plain(function(3.0))))
    assert key(plain(function(2.0))) == key(plain(function(2.0)))


def local_class(value):
    class Local(nn.Module):
        def forward(self, x):
            return x * value

    return Local()


def test_classes_from_one_line_of_code(key):
    assert key(local_class(2.0)) not in (None, key(local_class(3.0)))
    assert key(local_class(2.0)) == key(local_class(2.0))


def made_class(gain):
    members = {"GAIN": gain, "forward": lambda self, x: x * self.GAIN, "__module__": "torch.nn"}
    return type("Made", (nn.Module,), members)()


def test_classes_that_only_claim_to_be_installed(key):
    assert key(made_class(2.0)) not in (None, key(made_class(3.0)))
    assert key(made_class(2.0)) == key(made_class(2.0))


def typed_at_the_prompt(text, **names):
    """Make a network in a notebook's way: no file holds its code."""
    exec(textwrap.dedent(text), names | {"nn": nn, "torch": torch, "__name__": "__main__"}, names)
    return names["Typed"]()


TYPED = """
    class Typed(nn.Module):
        def forward(self, x):
            return torch.relu(x) * {}
"""


def test_classes_without_a_file(key):
    assert key(typed_at_the_prompt(TYPED.format(2))) not in (None, key(typed_at_the_prompt(TYPED.format(3))))
    assert key(typed_at_the_prompt(TYPED.format(2))) == key(typed_at_the_prompt(TYPED.format(2)))


def test_class_typed_under_a_name_in_an_installed_module(monkeypatch, key, tell_apart):
    """`python -m ipython` and the like run with an installed file as the main module."""
    typed = typed_at_the_prompt(TYPED.format(2))
    monkeypatch.setattr(sys.modules["__main__"], "__file__", torchvision.__file__, raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "Typed", type(typed), raising=False)
    assert tell_apart(key(typed), key(typed_at_the_prompt(TYPED.format(3))))
