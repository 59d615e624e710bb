"""STDP in rates: its integral over the relaxation, and the order of its distance to equilibrium propagation."""

import math
from dataclasses import fields, replace

import pytest
import torch

from brainalign.errors import NeedsError
from brainalign.networks import ConvNet
from brainalign.networks.untrained import seeded
from brainalign.rules.equilibrium_propagation import EquilibriumPropagation, nudged
from brainalign.rules.relaxation import RESIDUAL, ConvergenceError
from brainalign.rules.stdp import STDP
from brainalign.rules.symmetric_stack import SymmetricStack

EXACT = {"tolerance": 1e-12, "limit": 20_000}
CLOSE = {"tolerance": 1e-8, "limit": 20_000}


@pytest.fixture(params=["dense", "convolutional"])
def settling(request, stack, teacher):
    """Give a network that settles, with its task and a batch."""
    if request.param == "dense":
        network, task = stack((8, 7, 6, 4), "sigmoid"), teacher(8, 4)
        return network, task, next(task.held_out(10))
    images = torch.randn(6, 2, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with seeded(0):
        network = ConvNet(5, 3, 2, channels=(4, 5), activation="sigmoid").double()
    task = replace(teacher(), inputs=images, targets=torch.arange(6) % 3)
    return network, task, next(task.held_out(6))


def distance(given, exact):
    a, b = (torch.cat([each[name].flatten() for name in exact]) for each in (given, exact))
    return float((a - b).norm() / b.norm())


def slope(errors):
    """Give the slope of the errors over what they are of, in log-log, from the first to the last."""
    (a, b), (c, d) = list(errors.items())[0], list(errors.items())[-1]
    return math.log(d / b) / math.log(c / a)


def equilibria(network, task, batch, beta):
    """Give the free and the nudged equilibrium by the sweeps of equilibrium propagation."""
    stack = SymmetricStack(network.layers, **EXACT)
    free = stack.settle(stack.forward_activities(batch.inputs)).activities
    of_outputs = nudged(beta, network.layers[-1].activation.forward, task, batch)
    return stack, free, stack.settle(free, of_outputs).activities


@torch.no_grad()
def test_where_the_presynaptic_rate_stays_the_integral_is_its_product_with_the_change(settling, update):
    """S(u_i) Σ dV_j = S(u_i) (V_j(end) − V_j(start)), at any time step: the input, and the biases' 1."""
    network, task, batch = settling
    _, free, last = equilibria(network, task, batch, 0.5)
    first = network.layers[0]
    wanted = first.weight_gradient((free[1] - last[1]) / (0.5 * len(batch)), batch.inputs)
    for dt in (1.0, 0.3):
        given, _ = update(STDP(beta=0.5, dt=dt, **EXACT), network, task, batch)
        for name, each in wanted.items():
            torch.testing.assert_close(given[name], each, rtol=1e-9, atol=1e-11)
        for layer, a, b in zip(network.layers, free[1:], last[1:], strict=True):
            change = (a - b).transpose(0, 1).flatten(1).sum(1) / (0.5 * len(batch))
            torch.testing.assert_close(given[f"{layer.name}.bias"], change, rtol=1e-9, atol=1e-11)


@torch.no_grad()
def test_where_both_rates_change_the_sum_comes_to_the_integral_by_the_order_of_the_time_step(settling, update):
    """∫ S_i dS_j + S_j dS_i is the change of S_i S_j, which one-sided equilibrium propagation takes."""
    network, task, batch = settling
    stack, free, last = equilibria(network, task, batch, 0.5)
    at_free, at_last = stack.products(free), stack.products(last)
    wanted = {name: (at_free[name] - at_last[name]) / 0.5 for name in at_free}
    errors = {
        dt: distance(update(STDP(dt=dt, **CLOSE), network, task, batch)[0], wanted) for dt in (0.2, 0.1, 0.05)
    }
    assert slope(errors) == pytest.approx(1, abs=0.1), errors
    assert errors[0.05] < 0.03, errors


def test_the_update_is_the_sum_over_time_steps_unit_by_unit(stack, teacher, update):
    """Against loops over the steps of the leaky neurons, one way and with the twins."""
    network, task = stack((5, 4, 3, 2)), teacher(5, 2)
    batch, beta, dt, steps = next(task.held_out(3)), 0.4, 0.3, 6
    layers, x = network.layers, batch.inputs
    labels = torch.nn.functional.one_hot(batch.targets, 2)
    weights = [layer.linear.weight.detach() for layer in layers]
    _, free, _ = equilibria(network, task, batch, beta)
    for both_ways in (True, False):
        h, total = [each.clone() for each in free], [torch.zeros_like(weight) for weight in weights]
        for _ in range(steps):
            u = [h[n] @ weights[n].T + layers[n].linear.bias.detach() for n in range(3)]
            u[0], u[1] = u[0] + h[2] @ weights[1], u[1] + h[3] @ weights[2]
            drawn = u[2] - beta * (h[3].softmax(1) - labels)
            wanted = [x, u[0].tanh(), u[1].tanh(), h[3] + (drawn - h[3]) / (1 + beta)]
            dh = [dt * (b - a) for a, b in zip(h, wanted, strict=True)]
            for n in range(3):
                total[n] += torch.einsum("sj,si->ji", dh[n + 1], h[n])
                if both_ways:
                    total[n] += torch.einsum("sj,si->ji", h[n + 1], dh[n])
            h = [a + b for a, b in zip(h, dh, strict=True)]
        rule = STDP(beta=beta, dt=dt, both_ways=both_ways, tolerance=0.0, limit=steps)
        patched = replace_free(rule, free)
        given, state = update(patched, network, task, batch)
        for layer, each in zip(layers, total, strict=True):
            torch.testing.assert_close(
                given[f"{layer.name}.weight"], -each / (beta * len(batch)), rtol=1e-9, atol=1e-11
            )
        assert state[RESIDUAL] > 0


def replace_free(rule, free):
    """Give the rule with the free equilibrium given, so that its limit is that of the nudged phase alone."""

    class Given(type(rule)):
        def settled(self, stack, state, activities, of_outputs=None):
            return free

    return Given(**{field.name: getattr(rule, field.name) for field in fields(rule)})


def test_comes_to_one_sided_equilibrium_propagation_and_to_the_gradient_by_the_order_of_the_nudge(
    settling, update
):
    network, task, batch = settling
    gradient, _ = update(EquilibriumPropagation(variant="symmetric", beta=1e-3, **EXACT), network, task, batch)
    to_propagation, to_gradient, one_way = {}, {}, {}
    for beta in (0.03, 0.01, 0.003):
        given, _ = update(STDP(beta=beta, **EXACT), network, task, batch)
        propagated, _ = update(
            EquilibriumPropagation(variant="one_sided", beta=beta, **EXACT), network, task, batch
        )
        to_propagation[beta], to_gradient[beta] = distance(given, propagated), distance(given, gradient)
        alone, _ = update(STDP(beta=beta, both_ways=False, **EXACT), network, task, batch)
        one_way[beta] = distance(alone, gradient)
    assert slope(to_propagation) == pytest.approx(1, abs=0.1), to_propagation
    assert slope(to_gradient) == pytest.approx(1, abs=0.1), to_gradient
    assert to_gradient[0.003] < 0.02
    # One way alone is no gradient, however weak the nudge.
    assert one_way[0.003] > 0.9 * one_way[0.01] > 5 * to_gradient[0.003], one_way


def test_a_network_without_an_equilibrium_and_long_time_steps_are_refused(stack, teacher, update):
    network, task = stack((8, 10, 4), "relu"), teacher(8, 4)
    with pytest.raises(NeedsError, match="given dt=1.5; it needs a time step above 0 and of 1"):
        STDP(dt=1.5).check(network, task)
    with pytest.raises(NeedsError, match="1 hidden layers at least"):
        STDP().check(stack((30, 5)), teacher())
    batch = next(task.held_out(10))
    with pytest.raises(ConvergenceError, match="The nudged network did not settle in 3 steps"):
        update(
            replace_free(STDP(limit=3), equilibria(stack((8, 10, 4)), task, batch, 0.5)[1]),
            network,
            task,
            batch,
        )
