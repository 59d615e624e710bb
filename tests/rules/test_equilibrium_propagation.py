"""Equilibrium propagation: orders of its error in the nudge, its signs, and the network that settles."""

import math
from dataclasses import replace

import pytest
import torch

from brainalign.errors import NeedsError, UnknownNameError
from brainalign.networks import ConvNet
from brainalign.networks.untrained import seeded
from brainalign.rules.equilibrium_propagation import EquilibriumPropagation
from brainalign.rules.relaxation import RESIDUAL, ConvergenceError
from brainalign.rules.symmetric_stack import SymmetricStack

EXACT = {"tolerance": 1e-13, "limit": 20_000}


@pytest.fixture(params=["dense", "convolutional"])
def settling(request, stack, teacher):
    """Give a network that settles, with its task and a batch."""
    if request.param == "dense":
        network, task = stack((8, 10, 4)), teacher(8, 4)
        return network, task, next(task.held_out(10))
    images = torch.randn(6, 2, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with seeded(0):
        network = ConvNet(9, 5, 2, channels=(4, 6), activation="sigmoid").double()
    task = replace(teacher(), inputs=images, targets=torch.arange(6) % 5)
    return network, task, next(task.held_out(6))


def true_gradient(network, task, batch):
    """Differentiate the cost at the equilibrium through all sweeps that lead there."""
    stack = SymmetricStack(network.layers, tolerance=0.0, limit=600)
    outputs = stack.settle(stack.forward_activities(batch.inputs)).activities[-1]
    names, parameters = zip(*network.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(task.cost(outputs, batch).mean(), parameters), strict=True))


def distance(given, exact):
    a, b = (torch.cat([each[name].flatten() for name in exact]) for each in (given, exact))
    return float((a - b).norm() / b.norm())


def slope(errors):
    """Give the slope of the errors over β, in log-log, by least squares."""
    x, y = ([math.log(each) for each in values] for values in (errors.keys(), errors.values()))
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    rise = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return rise / sum((a - mean_x) ** 2 for a in x)


@pytest.mark.parametrize(("variant", "order"), [("one_sided", 1), ("symmetric", 2)])
def test_error_is_of_the_order_of_the_nudge_or_of_its_square(variant, order, settling, update):
    network, task, batch = settling
    exact, errors = true_gradient(network, task, batch), {}
    for beta in (0.03, 0.005, 0.001):
        rule = EquilibriumPropagation(variant=variant, beta=beta, **EXACT)
        errors[beta] = distance(update(rule, network, task, batch)[0], exact)
    assert slope(errors) == pytest.approx(order, abs=0.1), errors
    assert errors[0.001] < (0.01 if order == 1 else 1e-5), errors


def test_a_free_phase_that_is_cut_short_gives_another_gradient(settling, update):
    network, task, batch = settling
    exact = true_gradient(network, task, batch)
    rule = EquilibriumPropagation(variant="symmetric", beta=0.001, tolerance=0.0, limit=1)
    given, state = update(rule, network, task, batch)
    assert distance(given, exact) > 0.01
    assert state[RESIDUAL] > 1e-4


def test_a_random_sign_is_one_side_or_the_other_and_their_mean_is_symmetric(settling, update):
    network, task, batch = settling

    def given(variant, seed=0):
        return update(
            EquilibriumPropagation(variant=variant, beta=0.1, **EXACT), network, task, batch, seed=seed
        )[0]

    rule = EquilibriumPropagation()
    drawn = {rule.signs(torch.Generator().manual_seed(seed))[0]: seed for seed in range(20)}
    assert set(drawn) == {1.0, -1.0}
    up, down = (given("random_sign", drawn[sign]) for sign in (1.0, -1.0))
    one_sided, symmetric = given("one_sided"), given("symmetric")
    for name in up:
        torch.testing.assert_close(up[name], one_sided[name], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close((up[name] + down[name]) / 2, symmetric[name], rtol=1e-8, atol=1e-11)
    assert distance(down, up) > 1e-3


def test_hooks_see_the_equilibrium_once_and_the_network_itself_is_left_as_it_was(settling):
    network, task, batch = settling
    before, seen = network(batch.inputs).detach(), []
    handles = [
        block.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
        for block in network.blocks
    ]
    outputs = EquilibriumPropagation(**EXACT).inference(network, {})(batch.inputs)
    for handle in handles:
        handle.remove()
    assert len(seen) == len(network.blocks)
    activities, layers = [batch.inputs, *seen, outputs], network.layers
    for place, layer in enumerate(layers):
        u = layer.preactivation(activities[place])
        if place + 1 < len(layers):
            u = u + layers[place + 1].transpose(activities[place + 2], activities[place + 1])
        torch.testing.assert_close(activities[place + 1], layer.activation(u), rtol=0, atol=1e-11)
    assert float((outputs - before).abs().max()) > 1e-3
    assert torch.equal(network(batch.inputs), before)


@torch.no_grad()
def test_sweeps_lower_the_energy(stack, teacher):
    network, task = stack((8, 10, 7, 4)), teacher(8, 4)
    x, energies = next(task.held_out(10)).inputs, []
    for limit in range(1, 8):
        settled = SymmetricStack(network.layers, tolerance=0.0, limit=limit)
        start = [x, *(torch.zeros_like(each) for each in settled.forward_activities(x)[1:])]
        h = settled.settle(start).activities
        inner = sum(
            (a * layer.preactivation(b)).sum() for layer, a, b in zip(network.layers, h[1:], h, strict=False)
        )
        # ∫ atanh = h atanh(h) + ln(1 − h²) / 2
        own = sum((a * a.atanh() + (1 - a**2).log() / 2).sum() for a in h[1:-1]) + h[-1].square().sum() / 2
        energies.append(float(own - inner))
    assert all(later < sooner for sooner, later in zip(energies, energies[1:], strict=False)), energies


def test_a_network_without_an_equilibrium_is_refused(stack, teacher, update):
    network, task = stack((8, 10, 4), "relu"), teacher(8, 4)
    with torch.no_grad():
        network.head.weight.mul_(5)
    with pytest.raises(ConvergenceError, match="network with feedback did not settle"):
        update(EquilibriumPropagation(), network, task, next(task.held_out(10)))


def test_other_variants_and_networks_without_a_hidden_layer_are_refused(stack, teacher):
    with pytest.raises(UnknownNameError, match="symmetric"):
        EquilibriumPropagation(variant="both_sides")
    with pytest.raises(NeedsError, match="1 hidden layers at least"):
        EquilibriumPropagation().check(stack((30, 5)), teacher())
