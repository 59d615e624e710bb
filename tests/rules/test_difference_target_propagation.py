"""Difference target propagation: backprop for transposed Jacobians, Gauss-Newton for exact inverses."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from brainalign.networks import MLP, ConvNet
from brainalign.networks.untrained import seeded
from brainalign.rules import find_rule
from brainalign.rules.difference_target_propagation import DifferenceTargetPropagation
from brainalign.rules.inverses import INVERSE
from brainalign.tasks import Batch
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer


class IntegralOfSlope(nn.Module):
    """Has the derivative 1 − h², which is that of tanh where tanh answers h."""

    def forward(self, h):
        return h - h**3 / 3


def test_with_exact_inverses_targets_are_a_gauss_newton_step_to_the_last_hidden_layers(stack, regression):
    network, task = stack((12, 7, 7, 7, 6), "linear"), regression()
    batch = next(task.held_out(20))
    rule = DifferenceTargetPropagation(target_step=0.3)
    state = {}
    for layer in network.layers[1:-1]:
        state[f"{INVERSE}{layer.name}.weight"] = torch.linalg.inv(layer.linear.weight.detach()).T
        state[f"{INVERSE}{layer.name}.bias"] = torch.randn(7, dtype=torch.float64)
    passed = rule.passed(network, batch.inputs, state)
    error = passed.answers[-1] - batch.targets
    targets = rule.targets(passed, error)
    gradient = error @ network.head.weight.detach()
    jacobian = torch.eye(7, dtype=torch.float64)
    for place in (2, 1, 0):
        expected = -0.3 * torch.linalg.solve(jacobian, gradient.T).T
        torch.testing.assert_close(targets[place] - passed.answers[place + 1], expected, rtol=1e-9, atol=1e-11)
        jacobian = jacobian @ network.layers[place].linear.weight.detach()


def test_with_transposed_jacobians_it_is_backprop_up_to_the_order_of_the_step(stack, teacher, update):
    network, task = stack((30, 16, 14, 12, 5)), teacher()
    batch = next(task.held_out(20))
    exact, _ = update(find_rule("backprop"), network, task, batch)

    def error_at(step: float) -> float:
        rule = DifferenceTargetPropagation(target_step=step)
        state = rule.init(network, task, torch.Generator().manual_seed(0))
        for layer in network.layers[1:-1]:
            state[f"{INVERSE}{layer.name}.weight"] = layer.linear.weight.detach()
        passed = rule.passed(network, batch.inputs, state)
        slopes = {
            place: replace(
                inverse, before=IntegralOfSlope(), after=replace(inverse.after, activation=nn.Identity())
            )
            for place, inverse in passed.inverses.items()
        }
        given = rule.network_update(network, task, batch, replace(passed, inverses=slopes))
        assert set(given) == set(exact)
        return max(float((given[name] - exact[name]).norm() / exact[name].norm()) for name in exact)

    errors = [error_at(step) for step in (1e-1, 1e-2, 1e-3)]
    assert errors[2] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(10, rel=0.05)


def test_without_an_error_targets_are_the_answers(stack, teacher):
    network, task = stack((30, 16, 14, 12, 5)), teacher()
    rule = DifferenceTargetPropagation()
    batch = next(task.held_out(20))
    passed = rule.passed(network, batch.inputs, rule.init(network, task, torch.Generator().manual_seed(0)))
    targets = rule.targets(passed, torch.zeros(20, 5, dtype=torch.float64))
    for target, answer in zip(targets, passed.answers[1:], strict=True):
        torch.testing.assert_close(target, answer, rtol=0, atol=1e-15)


@pytest.mark.parametrize("activation", ["after", "before", "none"])
@pytest.mark.parametrize("kind", ["convnet", "mlp"])
def test_inverses_learn_by_the_gradient_of_the_reconstruction(kind, activation, teacher):
    """Of images of 9 pixels: convolutions make 5, 3 and 2 of them, which the inverses must undo."""
    with seeded(0):
        sizes = {"channels": (3, 4, 5)} if kind == "convnet" else {"hidden": (8, 7, 6)}
        network = (ConvNet if kind == "convnet" else MLP)(9, 4, 2, activation="tanh", **sizes).double()
    generator = torch.Generator().manual_seed(0)
    batch = Batch(torch.randn(7, 2, 9, 9, generator=generator, dtype=torch.float64), torch.arange(7) % 4)
    rule = DifferenceTargetPropagation(inverse_activation=activation)
    state = rule.init(network, teacher(), generator)
    passed = rule.passed(network, batch.inputs, state)
    before = generator.get_state()
    given = rule.inverse_update(passed, generator)
    assert list(given) == list(state)
    generator.set_state(before)
    for place in (1, 2):
        layer, h = network.layers[place], passed.answers[place]
        noisy = h + rule.noise * torch.randn(h.shape, generator=generator, dtype=h.dtype)
        above = torch.tanh(layer.linear(noisy)).detach()
        above = torch.tanh(above) if activation == "before" else above
        name = INVERSE + layer.name
        weight, bias = (state[f"{name}.{of}"].clone().requires_grad_() for of in ("weight", "bias"))
        if kind == "mlp":
            back = above @ weight + bias
        else:
            odd = [1 - size % 2 for size in h.shape[2:]]
            back = F.conv_transpose2d(above, weight, bias, stride=2, padding=1, output_padding=odd)
        back = torch.tanh(back) if activation == "after" else back
        assert back.shape == h.shape
        loss = (back - noisy).square().flatten(1).sum(1).mean() / rule.noise**2
        for of, expected in zip(("weight", "bias"), torch.autograd.grad(loss, [weight, bias]), strict=True):
            torch.testing.assert_close(given[f"{name}.{of}"], expected, rtol=1e-10, atol=1e-10)


def test_learns_a_teachers_labels(stack, teacher):
    network, task = stack((30, 40, 40, 5)), teacher()
    trainer = Trainer(network, task, DifferenceTargetPropagation(), find_optimizer("adam:lr=1e-3"), 0)
    for _ in range(120):
        trainer.advance()
    held = next(task.held_out())
    assert float((network(held.inputs).argmax(1) == held.targets).double().mean()) > 0.65
