"""Predictive coding: backprop exactly, after a known number of steps, or as the outputs' precision falls."""

import math
from dataclasses import replace

import pytest
import torch

from brainalign.errors import NeedsError, UnknownNameError
from brainalign.networks import ConvNet
from brainalign.networks.untrained import seeded
from brainalign.rules.predictive_coding import PredictiveCoding
from brainalign.rules.relaxation import RESIDUAL, ConvergenceError
from brainalign.tasks.total_cost import gradient


@pytest.fixture(params=["dense", "convolutional"])
def made(request, stack, teacher):
    """Give a network of three layers with a task and a batch."""
    if request.param == "dense":
        network, task = stack((12, 10, 8, 5)), teacher(12)
        return network, task, next(task.held_out(8))
    images = torch.randn(6, 2, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with seeded(0):
        network = ConvNet(9, 5, 2, channels=(4, 6), activation="tanh").double()
    task = replace(teacher(), inputs=images, targets=torch.arange(6) % 5)
    return network, task, next(task.held_out(6))


def distance(given, exact):
    a, b = (torch.cat([each[name].flatten() for name in exact]) for each in (given, exact))
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("precision", [1.0, 0.2])
def test_z_il_is_backprop(precision, made, update):
    network, task, batch = made
    given, _ = update(PredictiveCoding(variant="z_il", precision=precision), network, task, batch)
    exact = gradient(network, task, batch)
    assert set(given) == set(exact)
    for name, each in exact.items():
        torch.testing.assert_close(given[name], each, rtol=1e-12, atol=1e-14)


def test_the_same_steps_with_weights_that_all_learn_at_the_end_are_not_backprop(made, update):
    network, task, batch = made
    given, _ = update(PredictiveCoding(rate=1.0, limit=2), network, task, batch)
    assert distance(given, gradient(network, task, batch)) > 0.05


@pytest.mark.parametrize("n_steps", [3, 10, 50])
def test_fixed_predictions_come_to_backprop_as_successes_in_trials_do(n_steps, made, update):
    """Errors k layers below the outputs are backprop's times P(k successes or more in n trials)."""
    network, task, batch = made
    rule = PredictiveCoding(variant="fixed_prediction", rate=0.2, limit=n_steps)
    given, _ = update(rule, network, task, batch)
    for name, exact in gradient(network, task, batch).items():
        below = len(network.layers) - 1 - [name.startswith(layer.name) for layer in network.layers].index(True)
        fewer = sum(math.comb(n_steps, k) * 0.2**k * 0.8 ** (n_steps - k) for k in range(below))
        torch.testing.assert_close(given[name], (1 - fewer) * exact, rtol=1e-11, atol=1e-14)


def test_strict_comes_to_backprop_as_the_outputs_precision_falls(made, update):
    network, task, batch = made
    exact, errors = gradient(network, task, batch), []
    for precision in (1.0, 0.01, 0.001):
        # Slopes scale with the precision.
        rule = PredictiveCoding(precision=precision, rate=0.2, tolerance=1e-7 * precision, limit=5000)
        errors.append(distance(update(rule, network, task, batch)[0], exact))
    assert errors[0] > 0.1, errors
    assert math.log10(errors[1] / errors[2]) == pytest.approx(1, abs=0.05), errors
    assert errors[2] < 0.01, errors


def test_small_errors_alone_do_not_make_strict_backprop(stack, regression, update):
    """A target close to the output leaves the errors filtered as they were."""
    network, task = stack((12, 10, 8, 6)), regression()
    batch = next(task.held_out(8))
    away = torch.randn(8, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    rule = PredictiveCoding(rate=0.2, tolerance=1e-11, limit=5000)
    for size in (1e-2, 1e-4):
        near = replace(batch, targets=network(batch.inputs).detach() + size * away)
        assert distance(update(rule, network, task, near)[0], gradient(network, task, near)) > 0.1


def test_what_is_left_unsettled_is_kept_and_refused_where_a_tolerance_is_given(made, update):
    network, task, batch = made
    residuals = []
    for limit in (1, 20, 200):
        _, state = update(PredictiveCoding(limit=limit), network, task, batch)
        residuals.append(float(state[RESIDUAL]))
    assert residuals[0] > residuals[1] > residuals[2] > 0, residuals
    with pytest.raises(ConvergenceError, match="Values did not settle in 3 steps"):
        update(PredictiveCoding(limit=3, tolerance=1e-6), network, task, batch)


def test_other_variants_and_networks_without_a_hidden_layer_are_refused(stack, teacher):
    with pytest.raises(UnknownNameError, match="fixed_prediction"):
        PredictiveCoding(variant="fixed")
    with pytest.raises(NeedsError, match="1 hidden layers at least"):
        PredictiveCoding().check(stack((30, 5)), teacher())
