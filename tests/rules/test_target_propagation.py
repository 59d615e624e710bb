"""Target propagation: with exact inverses its targets are Gauss-Newton's."""

import pytest
import torch
from torch import nn

from brainalign.errors import NeedsError, UnknownNameError
from brainalign.rules.inverses import INVERSE
from brainalign.rules.target_propagation import TargetPropagation
from brainalign.tasks import LayerCost, Schedule
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer


def exact_inverses(network):
    """Give V and c of a linear network of square layers."""
    state = {}
    for layer in network.layers[1:]:
        back = torch.linalg.inv(layer.linear.weight.detach())
        state[f"{INVERSE}{layer.name}.weight"] = back.T
        state[f"{INVERSE}{layer.name}.bias"] = -back @ layer.linear.bias.detach()
    return state


def test_with_exact_inverses_targets_are_a_gauss_newton_step(stack, regression):
    network, task = stack((12, 6, 6, 6, 6), "linear"), regression()
    for layer in network.layers:
        nn.init.normal_(layer.linear.bias)
    batch = next(task.held_out(20))
    rule = TargetPropagation(target_step=0.3)
    passed = rule.passed(network, batch.inputs, exact_inverses(network))
    error = passed.answers[-1] - batch.targets
    targets = rule.targets(passed, error)
    jacobian = torch.eye(6, dtype=torch.float64)
    for place in reversed(range(len(network.layers))):
        expected = -0.3 * torch.linalg.solve(jacobian, error.T).T
        torch.testing.assert_close(targets[place] - passed.answers[place + 1], expected, rtol=1e-9, atol=1e-11)
        jacobian = jacobian @ network.layers[place].linear.weight.detach()


def test_update_is_the_gradient_of_the_distance_to_the_target(stack, teacher):
    network, task = stack((30, 14, 12, 5)), teacher()
    batch = next(task.held_out(20))
    rule = TargetPropagation()
    state = rule.init(network, task, torch.Generator().manual_seed(0))
    passed = rule.passed(network, batch.inputs, state)
    given = rule.network_update(network, task, batch, passed)
    outputs = network(batch.inputs)
    error = outputs.softmax(1) - nn.functional.one_hot(batch.targets, 5)
    target = (outputs - rule.target_step * error).detach()
    answers = network.activity(batch.inputs)[1]
    for place in (2, 1, 0):
        x = answers[place].detach()
        layer = network.layers[place]
        answer = layer.activation(layer.linear(x))
        loss = 0.5 / rule.target_step * (answer - target).square().sum(1).mean()
        expected = torch.autograd.grad(loss, [layer.linear.weight, layer.linear.bias])
        torch.testing.assert_close(given[f"{layer.name}.weight"], expected[0], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(given[f"{layer.name}.bias"], expected[1], rtol=1e-9, atol=1e-12)
        if place:
            weight, bias = (state[f"{INVERSE}{layer.name}.{kind}"] for kind in ("weight", "bias"))
            target = torch.tanh(target @ weight + bias)


def test_learns_a_teachers_labels(stack, teacher):
    network, task = stack((30, 40, 40, 5)), teacher()
    trainer = Trainer(network, task, TargetPropagation(target_step=5.0), find_optimizer("adam:lr=1e-3"), 0)
    for _ in range(120):
        trainer.advance()
    held = next(task.held_out())
    assert float((network(held.inputs).argmax(1) == held.targets).double().mean()) > 0.5


def test_other_networks_and_costs_within_the_network_are_refused(stack, teacher):
    rule, task = TargetPropagation(), teacher()
    with pytest.raises(NeedsError, match=r"a plain stack.*Sequential is none"):
        rule.check(nn.Sequential(nn.Linear(30, 5)), task)
    rule.check(stack((30, 8, 5)), task)
    cost = LayerCost("size", lambda answer, _: answer.square().mean(1), Schedule())
    object.__setattr__(task, "at_layers", {"blocks.0": cost})
    with pytest.raises(NeedsError, match="pays no other costs"):
        rule.check(stack((30, 8, 5)), task)


def test_choices_that_there_are_not_are_refused():
    with pytest.raises(UnknownNameError, match="Choices: alternating, parallel"):
        TargetPropagation(order="serial")
    with pytest.raises(UnknownNameError, match="Choices: after, before, none"):
        TargetPropagation(inverse_activation="within")
