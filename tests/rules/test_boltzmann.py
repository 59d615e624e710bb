"""Boltzmann machine learning: the gradient of log p by enumeration, samples that come to it, and mean field."""

from itertools import product

import pytest
import torch

from brainalign.errors import NeedsError, UnknownNameError
from brainalign.networks import Shape, make_network
from brainalign.rules.boltzmann import Boltzmann
from brainalign.tasks import Batch, find_task


def made(stack, teacher):
    network, task = stack((6, 4, 2, 2), "sigmoid"), teacher(6, 2)
    return network, task, next(task.held_out(5))


def minus_log_probability(network, batch):
    """Sum over all states, one by one, of −log p(y | x), the mean over samples."""
    first, second, third = ((layer.linear.weight, layer.linear.bias) for layer in network.layers)

    def binary(n):
        return [torch.tensor(each, dtype=torch.float64) for each in product((0.0, 1.0), repeat=n)]

    total = 0.0
    for x, label in zip(batch.inputs, batch.targets.tolist(), strict=True):
        wanted, all_states = [], []
        for a, b, y in product(binary(4), binary(2), binary(2)):
            lower = a @ (first[0] @ x + first[1]) + b @ (second[0] @ a + second[1])
            all_states.append(lower + y @ (third[0] @ b + third[1]))
            if y.tolist() == [float(label == 0), float(label == 1)]:
                wanted.append(all_states[-1])
        total = total + float(
            torch.logsumexp(torch.stack(all_states), 0) - torch.logsumexp(torch.stack(wanted), 0)
        )
    return total / len(batch)


@torch.no_grad()
def test_exact_update_is_the_finite_difference_of_log_p(stack, teacher, update):
    network, task, batch = made(stack, teacher)
    given, _ = update(Boltzmann(variant="exact"), network, task, batch)
    generator, step = torch.Generator().manual_seed(1), 1e-4
    for name, parameter in network.named_parameters():
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        values = []
        for sign in (1, -2, 1):
            parameter.add_(sign * step * direction)
            values.append(minus_log_probability(network, batch))
        found = (values[0] - values[1]) / (2 * step)
        assert float((given[name] * direction).sum()) == pytest.approx(found, abs=1e-7), name
        assert abs(found) > 1e-4, name


def test_samples_come_to_the_exact_update(stack, teacher, update):
    network, task, batch = made(stack, teacher)
    exact, _ = update(Boltzmann(variant="exact"), network, task, batch)
    errors = []
    for n_chains in (1, 400):
        many = Batch(batch.inputs.repeat(n_chains, 1), batch.targets.repeat(n_chains))
        given, _ = update(Boltzmann(sweeps=40), network, task, many)
        a, b = (torch.cat([each[name].flatten() for name in exact]) for each in (given, exact))
        errors.append(float((a - b).norm() / b.norm()))
    assert errors[1] < 0.1, errors
    assert errors[0] > 2 * errors[1], errors


def test_units_that_do_not_hear_of_one_another_have_the_mean_field_as_their_mean(stack, teacher, update):
    """Without a way from hidden units to outputs, the chance of outputs is that of their biases."""
    network, task, batch = made(stack, teacher)
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.copy_(torch.tensor([0.3, -1.2]))
    given, _ = update(Boltzmann(variant="exact"), network, task, batch)
    outputs = Boltzmann(tolerance=1e-13).inference(network, {})(batch.inputs)
    labels = torch.nn.functional.one_hot(batch.targets, 2)
    torch.testing.assert_close(given["head.bias"], (outputs.sigmoid() - labels).mean(0), rtol=1e-10, atol=1e-12)
    for name in given:
        if not name.startswith("head"):
            torch.testing.assert_close(given[name], torch.zeros_like(given[name]), rtol=0, atol=1e-14)


def test_other_variants_other_units_and_too_many_for_enumeration_are_refused(
    stack, teacher, regression, update
):
    digits = find_task("classification:digits")
    with pytest.raises(UnknownNameError, match="sampled"):
        Boltzmann(variant="sample")
    with pytest.raises(NeedsError, match="has Tanh. Choose activation=sigmoid"):
        Boltzmann().check(make_network("mlp:hidden=8", Shape(digits.preprocessing, 10, "tanh"), 0), digits)
    with pytest.raises(NeedsError, match="16 units at most; this network has 22"):
        task = teacher(6, 2)
        update(Boltzmann(variant="exact"), stack((6, 20, 2), "sigmoid"), task, next(task.held_out(2)))
    with pytest.raises(NeedsError, match="images' categories"):
        Boltzmann().check(stack((12, 10, 6), "sigmoid"), regression())
