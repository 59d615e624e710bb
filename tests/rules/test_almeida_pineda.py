"""Almeida-Pineda: the gradient at an equilibrium, by finite differences and through all sweeps."""

from dataclasses import replace

import pytest
import torch

from brainalign.networks import ConvNet
from brainalign.networks.untrained import seeded
from brainalign.rules.almeida_pineda import AlmeidaPineda, settled_errors
from brainalign.rules.relaxation import ConvergenceError
from brainalign.rules.symmetric_stack import SymmetricStack
from brainalign.tasks.total_cost import gradient

EXACT = {"tolerance": 1e-14, "limit": 20_000}


def equilibrium_cost(network, task, batch, gain, **options):
    stack = SymmetricStack(network.layers, gain, **options)
    outputs = stack.settle(stack.forward_activities(batch.inputs)).activities[-1]
    return task.cost(outputs, batch).mean()


@pytest.mark.parametrize("gain", [1.0, 0.4])
def test_update_is_the_finite_difference_of_the_cost_at_the_equilibrium(gain, stack, teacher, update):
    network, task = stack((8, 10, 6, 4), "sigmoid"), teacher(8, 4)
    batch = next(task.held_out(10))
    given, _ = update(AlmeidaPineda(gain=gain, **EXACT), network, task, batch)
    generator, step = torch.Generator().manual_seed(1), 1e-5
    for name, parameter in network.named_parameters():
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        costs = []
        with torch.no_grad():
            for sign in (1, -2, 1):
                parameter.add_(sign * step * direction)
                costs.append(float(equilibrium_cost(network, task, batch, gain, **EXACT)))
        found = (costs[0] - costs[1]) / (2 * step)
        assert float((given[name] * direction).sum()) == pytest.approx(found, rel=1e-7, abs=1e-10), name


def test_update_of_convolutions_is_that_of_backprop_through_all_sweeps(teacher, update):
    images = torch.randn(6, 2, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with seeded(0):
        network = ConvNet(9, 5, 2, channels=(4, 6), activation="sigmoid").double()
    task = replace(teacher(), inputs=images, targets=torch.arange(6) % 5)
    batch = next(task.held_out(6))
    given, _ = update(AlmeidaPineda(**EXACT), network, task, batch)
    names, parameters = zip(*network.named_parameters(), strict=True)
    cost = equilibrium_cost(network, task, batch, 1.0, tolerance=0.0, limit=400)
    for name, exact in zip(names, torch.autograd.grad(cost, parameters), strict=True):
        torch.testing.assert_close(given[name], exact, rtol=1e-9, atol=1e-12)


def test_without_feedback_it_is_backprop_and_with_it_not(stack, teacher, update):
    network, task = stack((8, 10, 6, 4)), teacher(8, 4)
    batch = next(task.held_out(10))
    exact = gradient(network, task, batch)
    without, _ = update(AlmeidaPineda(gain=1e-12, **EXACT), network, task, batch)
    with_feedback, _ = update(AlmeidaPineda(gain=0.3, **EXACT), network, task, batch)
    for name, each in exact.items():
        torch.testing.assert_close(without[name], each, rtol=1e-9, atol=1e-11)
        assert float((with_feedback[name] - each).norm() / each.norm()) > 0.01


@torch.no_grad()
def test_errors_at_an_unstable_state_are_refused(stack, teacher):
    """At rest a linear network whose feedback is too strong runs away, and so do its errors."""
    network, task = stack((8, 10, 4), "linear"), teacher(8, 4)
    with torch.no_grad():
        network.head.weight.mul_(5)
    x = next(task.held_out(10)).inputs
    rest = [x, torch.zeros(10, 10, dtype=torch.float64), torch.zeros(10, 4, dtype=torch.float64)]
    with pytest.raises(ConvergenceError, match="The error network did not settle"):
        settled_errors(SymmetricStack(network.layers), rest, torch.ones(10, 4, dtype=torch.float64))
