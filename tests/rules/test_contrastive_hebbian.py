"""Contrastive Hebbian learning: backprop as feedback goes to zero, and only with its factor of depth."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from brainalign.networks import ConvNet
from brainalign.networks.layered import LayeredNetwork
from brainalign.networks.untrained import seeded
from brainalign.rules.contrastive_hebbian import ContrastiveHebbian
from brainalign.tasks.total_cost import gradient

EXACT = {"tolerance": 1e-15, "limit": 2000}


def distances(given, exact):
    return {name: float((given[name] - each).norm() / each.norm()) for name, each in exact.items()}


def errors_by_gain(network, task, batch, exact, update):
    """Give the distance to the exact gradient, by parameter, at three gains of feedback."""
    return [
        distances(update(ContrastiveHebbian(gain=gain, **EXACT), network, task, batch)[0], exact)
        for gain in (0.1, 0.01, 0.001)
    ]


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_is_backprop_up_to_the_order_of_the_gain(kind, stack, teacher, update):
    if kind == "dense":
        network, task = stack((12, 10, 8, 5)), teacher(12)
    else:
        images = torch.randn(6, 2, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        with seeded(0):
            network = ConvNet(9, 5, 2, channels=(4, 6), activation="tanh").double()
        task = replace(teacher(), inputs=images, targets=torch.arange(6) % 5)
    batch = next(task.held_out(6))
    first, second, third = errors_by_gain(network, task, batch, gradient(network, task, batch), update)
    for name in first:
        assert third[name] < 3e-3, name
        assert math.log10(second[name] / third[name]) == pytest.approx(1, abs=0.1), name
    assert max(first.values()) > 0.01


def test_errors_of_saturating_outputs_go_without_their_slope(stack, regression, update):
    base, task = stack((12, 10, 8, 6)), regression()

    class Ending(LayeredNetwork):
        @property
        def layers(self):
            return (*base.layers[:-1], replace(base.layers[-1], activation=nn.Sigmoid()))

    network, batch = Ending(), next(task.held_out(10))
    with torch.no_grad():
        preactivations, answers = network.activity(batch.inputs)
        delta, exact = (answers[-1] - batch.targets) / 10, {}
        for place in (2, 1, 0):
            layer = network.layers[place]
            exact |= layer.weight_gradient(delta, answers[place])
            if place:
                sent = layer.transpose(delta, answers[place])
                delta = sent * network.layers[place - 1].derivative(preactivations[place - 1])
    _, second, third = errors_by_gain(network, task, batch, exact, update)
    assert max(third.values()) < 0.01
    for name in exact:
        assert math.log10(second[name] / third[name]) == pytest.approx(1, abs=0.1), name


def test_the_factor_of_depth_is_what_makes_up_for_feeble_feedback(stack, teacher, update):
    network, task = stack((12, 10, 8, 5)), teacher(12)
    batch, rule = next(task.held_out(6)), ContrastiveHebbian(gain=0.01, **EXACT)
    given, _ = update(rule, network, task, batch)
    exact = gradient(network, task, batch)
    for place, layer in enumerate(network.layers):
        name = f"{layer.name}.weight"
        bare = given[name] * 0.01 ** (2 - place)
        assert float(bare.norm() / exact[name].norm()) == pytest.approx(0.01 ** (2 - place), rel=0.1)


def test_outputs_that_are_right_teach_nothing(stack, regression, update):
    network, task = stack((12, 10, 6)), regression()
    rule, batch = ContrastiveHebbian(**EXACT), next(task.held_out(10))
    outputs = rule.inference(network, {})(batch.inputs)
    given, _ = update(rule, network, task, replace(batch, targets=outputs))
    assert max(float(each.abs().max()) for each in given.values()) < 1e-12
