"""The local difference reconstruction loss: its gradient, and the transposed Jacobian that it leads to."""

import pytest
import torch
from torch.nn import functional as F

from brainalign.networks import ConvNet
from brainalign.networks.untrained import seeded
from brainalign.rules import find_rule
from brainalign.rules.dtp_l_drl import DTPWithLocalDRL
from brainalign.rules.inverses import INVERSE
from brainalign.training.angles import angle
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer


@pytest.mark.parametrize("activation", ["after", "before", "none"])
def test_inverses_learn_by_the_gradient_of_the_loss(activation, teacher):
    """Of images of 7 pixels, of which convolutions make 4 and 2; the last inverse makes places of a vector."""
    with seeded(0):
        network = ConvNet(7, 4, 2, channels=(3, 5), activation="tanh").double()
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(6, 2, 7, 7, generator=generator, dtype=torch.float64)
    rule = DTPWithLocalDRL(inverse_activation=activation)
    state = rule.init(network, teacher(), generator)
    for name in state:
        state[name] += 0.1 * torch.randn(state[name].shape, generator=generator, dtype=torch.float64)
    passed = rule.passed(network, inputs, state)
    before = generator.get_state()
    given = rule.inverse_update(passed, generator)
    assert set(given) == set(state)
    generator.set_state(before)

    def noise(like):
        return rule.noise * torch.randn(like.shape, generator=generator, dtype=torch.float64)

    for place in (1, 2):
        layer, h, above = network.layers[place], passed.answers[place], passed.answers[place + 1]
        weight, bias = (
            state[f"{INVERSE}{layer.name}.{of}"].clone().requires_grad_() for of in ("weight", "bias")
        )

        def inverse(y, place=place, h=h, weight=weight, bias=bias):
            y = torch.tanh(y) if activation == "before" and place == 1 else y
            if place == 1:
                back = F.conv_transpose2d(y, weight, bias, stride=2, padding=1, output_padding=1)
            else:
                back = (y @ weight + bias).view(h.shape)
            return torch.tanh(back) if activation == "after" else back

        epsilon = noise(h)
        eta = noise(above)
        raised = layer.activation(layer.preactivation(h + epsilon)).detach()
        first = (epsilon * (inverse(raised) - inverse(above))).flatten(1).sum(1)
        second = (inverse(above + eta) - inverse(above)).square().flatten(1).sum(1)
        loss = (second - 2 * first).mean() / rule.noise**2
        for of, expected in zip(("weight", "bias"), torch.autograd.grad(loss, [weight, bias]), strict=True):
            torch.testing.assert_close(given[f"{INVERSE}{layer.name}.{of}"], expected, rtol=1e-9, atol=1e-10)


def test_inverses_of_a_linear_network_come_to_the_transposed_weights_and_updates_to_backprops(
    stack, regression, update
):
    network, task = stack((12, 20, 16, 6), "linear"), regression()
    batch = next(task.held_out(200))
    generator = torch.Generator().manual_seed(0)
    rule = DTPWithLocalDRL()
    state = rule.init(network, task, generator)
    passed = rule.passed(network, batch.inputs, state)
    assert angle(state[f"{INVERSE}head.weight"], network.head.weight) > 60
    for step in range(300):
        for name, each in rule.inverse_update(passed, generator).items():
            state[name] -= 0.1 / (1 + step / 50) * each
    for layer in network.layers[1:]:
        weight, learnt = layer.linear.weight.detach(), state[f"{INVERSE}{layer.name}.weight"]
        assert angle(learnt, weight) < 5
        assert float(learnt.norm() / weight.norm()) == pytest.approx(1, abs=0.05)
        assert angle(torch.linalg.pinv(weight).T, weight) > 15
    given = rule.network_update(network, task, batch, passed)
    exact, _ = update(find_rule("backprop"), network, task, batch)
    for name in exact:
        assert angle(given[name], exact[name]) < 8


def test_updates_come_nearer_to_backprops_as_it_learns(stack, teacher):
    network, task = stack((30, 40, 40, 5)), teacher()
    trainer = Trainer(network, task, DTPWithLocalDRL(inverse_rate=10.0), find_optimizer("adam:lr=1e-3"), 0)
    angles = [trainer.measure(100)["angle.blocks.0.linear"]]
    for _ in range(80):
        trainer.advance()
    angles.append(trainer.measure(100)["angle.blocks.0.linear"])
    assert angles[0] > 60
    assert angles[1] < 30
    held = next(task.held_out())
    assert float((network(held.inputs).argmax(1) == held.targets).double().mean()) > 0.6


def test_inverses_learn_as_often_a_batch_as_is_asked(stack, teacher):
    network, task = stack((30, 8, 5)), teacher()
    rule, generator = DTPWithLocalDRL(inverse_steps=3), torch.Generator().manual_seed(0)
    state = rule.init(network, task, generator)
    given = list(rule.updates(network, task, next(task.held_out(20)), state, generator))
    assert [set(each) == set(state) for each in given] == [True, True, True, False]
    assert set(given[3]) == {name for name, _ in network.named_parameters()}
