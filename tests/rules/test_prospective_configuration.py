"""Prospective configuration: the smallest case by hand, and predictive coding at its equilibrium."""

from dataclasses import replace

import pytest
import torch

from brainalign.rules.backprop import Backprop
from brainalign.rules.predictive_coding import PredictiveCoding
from brainalign.rules.prospective_configuration import ProspectiveConfiguration
from brainalign.rules.relaxation import ConvergenceError


@pytest.fixture
def one_one_two(stack, regression):
    """Give one input, one hidden unit and two outputs, linear, all weights 1; the second output is right."""
    network = stack((1, 1, 2), "linear")
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.fill_(1.0 if name.endswith("weight") else 0.0)
    inputs, targets = (torch.tensor(each, dtype=torch.float64) for each in ([[1.0]], [[0.0, 1.0]]))
    task = replace(regression(), inputs=inputs, targets=targets)
    return network, task, next(task.held_out())


def learnt(rule, made, update):
    """Give the weights' changes at a rate of 0.2, the output after them, and its alignment to the target."""
    changes = {name: -0.2 * each for name, each in update(rule, *made)[0].items()}
    first, second = (changes[f"{name}.weight"].flatten() for name in ("blocks.0.linear", "head"))
    output = (1 + first) * (1 + second)
    moved, wanted = output - 1, made[2].targets[0] - 1
    return first, second, output, float(moved @ wanted / (moved.norm() * wanted.norm()))


def test_smallest_case_by_hand(one_one_two, update):
    """h = 2/3, ε = −1/3 and (−2/3, 1/3): the output that is right is disturbed by 0.025, by backprop by 0.2."""
    rule = ProspectiveConfiguration(tolerance=1e-12)
    first, second, output, alignment = learnt(rule, one_one_two, update)
    expected = torch.tensor([-0.2 / 3], dtype=torch.float64)
    torch.testing.assert_close(first, expected, rtol=0, atol=1e-10)
    expected = torch.tensor([-0.2 * 4 / 9, 0.2 * 2 / 9], dtype=torch.float64)
    torch.testing.assert_close(second, expected, rtol=0, atol=1e-10)
    expected = torch.tensor([0.8504, 0.9748], dtype=torch.float64)
    torch.testing.assert_close(output, expected, rtol=0, atol=5e-5)
    assert alignment == pytest.approx(0.986, abs=5e-4)


def test_backprop_disturbs_what_is_right(one_one_two, update):
    _, _, output, alignment = learnt(Backprop(), one_one_two, update)
    torch.testing.assert_close(output, torch.tensor([0.64, 0.8], dtype=torch.float64), rtol=0, atol=1e-12)
    assert alignment == pytest.approx(0.874, abs=5e-4)


def test_is_predictive_coding_at_its_equilibrium(stack, teacher, update):
    network, task = stack((12, 10, 8, 5)), teacher(12)
    batch = next(task.held_out(8))
    given, _ = update(ProspectiveConfiguration(tolerance=1e-11), network, task, batch)
    slow, _ = update(PredictiveCoding(tolerance=1e-11, rate=0.2, limit=20_000), network, task, batch)
    early, _ = update(PredictiveCoding(limit=5), network, task, batch)
    for name, each in slow.items():
        torch.testing.assert_close(given[name], each, rtol=1e-7, atol=1e-10)
    assert float((early["head.weight"] - slow["head.weight"]).norm()) > 1e-3


def test_values_that_do_not_settle_are_refused(stack, teacher, update):
    network, task = stack((12, 10, 8, 5)), teacher(12)
    with pytest.raises(ConvergenceError, match="Values did not settle in 2 steps"):
        update(ProspectiveConfiguration(limit=2), network, task, next(task.held_out(8)))
