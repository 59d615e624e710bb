"""Backprop: the oracle of all rules, held against finite differences and a backward pass by hand."""

import pytest
import torch

from brainalign.errors import BrainalignError
from brainalign.networks import MLP, ConvNet
from brainalign.networks.untrained import seeded
from brainalign.rules import find_rule
from brainalign.tasks import Batch, LayerCost, Schedule
from brainalign.tasks.total_cost import total_cost


def test_equals_central_finite_differences(stack, teacher, update):
    network, task = stack((30, 16, 12, 5)), teacher()
    batch = next(task.held_out(20))
    given, _ = update(find_rule("backprop"), network, task, batch)
    assert set(given) == {name for name, _ in network.named_parameters()}
    step = 1e-5
    for name, parameter in network.named_parameters():
        numerical = torch.zeros_like(parameter)
        flat, out = parameter.data.view(-1), numerical.view(-1)
        for i in range(0, len(flat), 7):
            before = float(flat[i])
            flat[i] = before + step
            high = total_cost(network, task, batch).item()
            flat[i] = before - step
            low = total_cost(network, task, batch).item()
            flat[i] = before
            out[i] = (high - low) / (2 * step)
        chosen = torch.arange(0, len(flat), 7)
        torch.testing.assert_close(given[name].view(-1)[chosen], out[chosen], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "linear"])
@pytest.mark.parametrize("kind", ["convnet", "mlp"])
def test_a_backward_pass_over_the_layers_by_hand_gives_the_same(kind, activation, update):
    """Holds `Layer`, by which rules that know a stack are written, against autograd."""
    with seeded(0):
        make = ConvNet if kind == "convnet" else MLP
        network = make(9, 4, 2, activation=activation).double()
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(7, 2, 9, 9, generator=generator, dtype=torch.float64)
    labels = torch.arange(7) % 4
    cost = torch.nn.functional.cross_entropy(network(inputs), labels)
    names, parameters = zip(*network.named_parameters(), strict=True)
    expected = dict(zip(names, torch.autograd.grad(cost, parameters), strict=True))

    with torch.no_grad():
        preactivations, answers = network.activity(inputs)
        torch.testing.assert_close(answers[-1], network(inputs), rtol=0, atol=0)
        delta = (answers[-1].softmax(1) - torch.nn.functional.one_hot(labels, 4)) / 7
        found = {}
        for place in reversed(range(len(network.layers))):
            layer = network.layers[place]
            found |= layer.weight_gradient(delta, answers[place])
            if place:
                below = network.layers[place - 1]
                sent = layer.transpose(delta, answers[place])
                delta = sent * below.derivative(preactivations[place - 1])
    assert set(found) == set(expected)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-12, atol=1e-14)


def test_derivative_of_an_activation_that_is_not_listed(stack):
    network = stack((3, 4, 2))
    layer = network.layers[0]
    object.__setattr__(layer, "activation", torch.nn.Softplus())
    a = torch.linspace(-3, 3, 7, dtype=torch.float64)
    torch.testing.assert_close(layer.derivative(a), torch.sigmoid(a))


def test_costs_at_layers_and_weights_over_steps_enter(stack, teacher, update):
    network, task = stack((30, 8, 5)), teacher()
    sparsity = LayerCost("size", lambda answer, _: answer.square().mean(1), Schedule(((0, 0.0), (10, 2.0))))
    object.__setattr__(task, "at_layers", {"blocks.0": sparsity})
    object.__setattr__(task, "weight", Schedule(((0, 1.0), (10, 0.0))))
    first = next(task.held_out(20))
    last = Batch(first.inputs, first.targets, step=10)
    of_outputs, _ = update(find_rule("backprop"), network, teacher(), first)
    at_first, _ = update(find_rule("backprop"), network, task, first)
    at_last, _ = update(find_rule("backprop"), network, task, last)
    for name in of_outputs:
        torch.testing.assert_close(at_first[name], of_outputs[name])
    assert not at_last["head.weight"].any()
    answer = torch.tanh(first.inputs @ network.blocks[0].linear.weight.T + network.blocks[0].linear.bias)
    delta = 2 * 2 * answer * (1 - answer**2) / 8 / 20
    torch.testing.assert_close(at_last["blocks.0.linear.weight"], delta.T @ first.inputs)


def test_a_cost_on_an_answer_that_is_changed_in_place_is_refused(teacher):
    task = teacher()
    cost = LayerCost("size", lambda answer, _: answer.square().mean(1), Schedule())
    object.__setattr__(task, "at_layers", {"0": cost})
    network = torch.nn.Sequential(torch.nn.Linear(30, 5), torch.nn.ReLU(inplace=True)).double()
    with pytest.raises(BrainalignError, match="'0' answers is changed in place"):
        total_cost(network, task, next(task.held_out(5)))
