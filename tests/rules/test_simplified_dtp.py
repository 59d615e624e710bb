"""Simplified difference target propagation, with and without auxiliary outputs."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from brainalign.errors import NeedsError
from brainalign.networks.layered import LayeredNetwork
from brainalign.rules import find_rule
from brainalign.rules.inverses import INVERSE
from brainalign.rules.simplified_dtp import AUXILIARY, SimplifiedDTP
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer


class IntegralOfSlope(nn.Module):
    """Has the derivative 1 − h², which is that of tanh where tanh answers h."""

    def forward(self, h):
        return h - h**3 / 3


def made(rule, network, task):
    return rule.init(network, task, torch.Generator().manual_seed(0))


def test_with_exact_inverses_targets_are_a_gauss_newton_step(stack, regression):
    network, task = stack((12, 6, 6, 6), "linear"), regression()
    batch = next(task.held_out(20))
    rule = SimplifiedDTP(target_step=0.3)
    state = made(rule, network, task)
    for layer in network.layers[1:]:
        state[f"{INVERSE}{layer.name}.weight"] = torch.linalg.inv(layer.linear.weight.detach()).T
    passed = rule.passed(network, batch.inputs, state)
    error = passed.answers[-1] - batch.targets
    targets = rule.targets(passed, error)
    jacobian = torch.eye(6, dtype=torch.float64)
    for place in (2, 1, 0):
        expected = -0.3 * torch.linalg.solve(jacobian, error.T).T
        torch.testing.assert_close(targets[place] - passed.answers[place + 1], expected, rtol=1e-9, atol=1e-11)
        jacobian = jacobian @ network.layers[place].linear.weight.detach()


def test_a_linear_network_with_transposed_inverses_learns_by_backprop_at_any_step(stack, regression, update):
    network, task = stack((12, 10, 9, 8, 6), "linear"), regression()
    batch = next(task.held_out(40))
    exact, _ = update(find_rule("backprop"), network, task, batch)
    rule = SimplifiedDTP(target_step=0.7)
    state = made(rule, network, task)
    for layer in network.layers[1:]:
        state[f"{INVERSE}{layer.name}.weight"] = layer.linear.weight.detach()
    given = rule.network_update(network, task, batch, rule.passed(network, batch.inputs, state))
    assert set(given) == set(exact)
    for name in exact:
        torch.testing.assert_close(given[name], exact[name], rtol=1e-10, atol=1e-12)


def test_with_transposed_jacobians_it_is_backprop_up_to_the_order_of_the_step(stack, teacher, update):
    network, task = stack((30, 16, 14, 5)), teacher()
    batch = next(task.held_out(20))
    exact, _ = update(find_rule("backprop"), network, task, batch)
    errors = []
    for step in (1e-2, 1e-3):
        rule = SimplifiedDTP(target_step=step, inverse_activation="before")
        state = made(rule, network, task)
        for layer in network.layers[1:]:
            state[f"{INVERSE}{layer.name}.weight"] = layer.linear.weight.detach()
        passed = rule.passed(network, batch.inputs, state)
        passed.inverses[1] = replace(passed.inverses[1], before=IntegralOfSlope())
        given = rule.network_update(network, task, batch, passed)
        errors.append(max(float((given[name] - exact[name]).norm() / exact[name].norm()) for name in exact))
    assert errors[1] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("auxiliary", [0, 20])
def test_without_an_error_targets_are_the_answers(auxiliary, stack, teacher):
    network, task = stack((30, 16, 14, 5)), teacher()
    rule = SimplifiedDTP(auxiliary=auxiliary)
    passed = rule.passed(network, next(task.held_out(20)).inputs, made(rule, network, task))
    targets = rule.targets(passed, torch.zeros(20, 5, dtype=torch.float64))
    for target, answer in zip(targets, passed.answers[1:], strict=True):
        torch.testing.assert_close(target, answer, rtol=0, atol=1e-15)


def test_auxiliary_outputs_let_the_last_inverse_be_exact(stack, regression, update):
    """With as many outputs in all as hidden units, h is g(outputs, z), and only the outputs' part moves it."""
    network, task = stack((12, 10, 6), "linear"), regression()
    batch = next(task.held_out(20))
    rule = SimplifiedDTP(auxiliary=4, target_step=0.3)
    state = made(rule, network, task)
    both = torch.cat([network.head.weight.detach(), state[AUXILIARY]])
    back = torch.linalg.inv(both)
    state[f"{INVERSE}head.weight"] = back.T.contiguous()
    state[f"{INVERSE}head.bias"] = -back[:, :6] @ network.head.bias.detach()
    passed = rule.passed(network, batch.inputs, state)
    h, above = passed.answers[1], passed.answers[2]
    torch.testing.assert_close(above[:, :6], network(batch.inputs).detach())
    torch.testing.assert_close(passed.inverses[1](above, h), h)
    error = above[:, :6] - batch.targets
    targets = rule.targets(passed, error)
    assert torch.equal(targets[1][:, 6:], above[:, 6:])
    moved = (targets[0] - h) @ both.T
    torch.testing.assert_close(moved[:, :6], -0.3 * error, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(moved[:, 6:], torch.zeros_like(moved[:, 6:]), rtol=0, atol=1e-11)
    updates, _ = update(rule, network, task, batch, state)
    assert updates[f"{INVERSE}head.weight"].shape == (10, 10)


def test_orders_differ_in_which_inverses_the_network_learns_from(stack, teacher):
    network, task = stack((30, 16, 14, 5)), teacher()
    batch = next(task.held_out(20))
    found = {}
    for order in ("alternating", "parallel"):
        rule = SimplifiedDTP(order=order, inverse_steps=2)
        generator = torch.Generator().manual_seed(0)
        state, given = rule.init(network, task, generator), []
        for update in rule.updates(network, task, batch, state, generator):
            given.append(update)
            for name in update.keys() & state.keys():
                state[name] -= 1e-4 * update[name]
        found[order] = given
    assert [len(each) for each in found["alternating"]] == [4, 4, 6]
    assert [len(each) for each in found["parallel"]] == [4, 10]
    for name, each in found["alternating"][1].items():
        assert torch.equal(each, found["parallel"][1][name])
    name = "blocks.0.linear.weight"
    assert not torch.equal(found["alternating"][2][name], found["parallel"][1][name])
    assert torch.equal(found["alternating"][2]["head.weight"], found["parallel"][1]["head.weight"])


def test_auxiliary_outputs_beside_another_read_out_are_refused(stack, teacher):
    class Ending(LayeredNetwork):
        layers = (replace(stack((30, 8, 5)).layers[-1], activation=nn.Tanh()),)

    SimplifiedDTP().check(Ending(), teacher())
    with pytest.raises(NeedsError, match="beside a fully connected linear read-out"):
        SimplifiedDTP(auxiliary=3).check(Ending(), teacher())


@pytest.mark.parametrize("auxiliary", [0, 60])
def test_learns_a_teachers_labels(auxiliary, stack, teacher):
    network, task = stack((30, 40, 40, 5)), teacher()
    trainer = Trainer(network, task, SimplifiedDTP(auxiliary=auxiliary), find_optimizer("adam:lr=1e-3"), 0)
    for _ in range(120):
        trainer.advance()
    held = next(task.held_out())
    assert float((network(held.inputs).argmax(1) == held.targets).double().mean()) > 0.55
