"""Unknown names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.names import snake_case, unknown_name


@pytest.mark.parametrize(
    ("name", "closest"),
    [("rigde", "ridge"), ("RSA", None), ("ridge-fixed", "ridge_fixed"), ("pls", "pls_25"), ("zzz", None)],
)
def test_closest_match(name, closest):
    message = str(unknown_name("metric", name, ["rsa", "ridge", "ridge_fixed", "pls_25"]))
    assert message.startswith(f"Unknown metric {name!r}.")
    assert (f"Did you mean {closest!r}?" in message) == (closest is not None)
    assert ("Did you mean" in message) == (closest is not None)
    assert message.endswith("Choices: pls_25, ridge, ridge_fixed, rsa.")


def test_no_choices():
    assert str(unknown_name("recording", "x", [])) == "Unknown recording 'x'. Choices: none."


def test_long_lists_are_cut():
    message = str(unknown_name("layer", "layer1000", [f"layer{i:03d}" for i in range(100)]))
    assert "layer039" in message
    assert "layer040" not in message.split("Choices")[1]
    assert "(100 in all)" in message


def test_it_is_an_error_of_the_users_input():
    error = unknown_name("layer", "x", iter(["y"]))
    assert isinstance(error, UnknownNameError)
    assert isinstance(error, BrainalignError)
    assert isinstance(error, ValueError)


@given(st.text())
def test_snake_case(name):
    assert "-" not in snake_case(name)
    assert snake_case(snake_case(name)) == snake_case(name)
    assert len(snake_case(name)) == len(name)
