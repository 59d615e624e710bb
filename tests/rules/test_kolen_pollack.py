"""Kolen–Pollack: the difference of forward and feedback weights decays exactly, whatever is learned."""

import pytest
import torch
import torchvision

from brainalign.networks.untrained import seeded
from brainalign.rules import find_rule
from brainalign.rules.kolen_pollack import KolenPollack
from brainalign.rules.learned_feedback import LEARNED_FEEDBACK
from brainalign.tasks import Batch
from brainalign.training.angles import angle
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer

NAMES = ("blocks.1.linear.weight", "head.weight")


def differences(trainer):
    parameters = dict(trainer.network.named_parameters())
    return {name: parameters[name].detach() - trainer.state[LEARNED_FEEDBACK + name] for name in NAMES}


def trained(network, task, optimizer, steps):
    """Train, and give the differences of W and B before and after."""
    trainer = Trainer(network, task, KolenPollack(), find_optimizer(optimizer), seed=0)
    before = differences(trainer)
    for _ in range(steps):
        trainer.advance()
    return trainer, before, differences(trainer)


def test_difference_of_the_weights_decays_as_stated(stack, teacher):
    start = stack((30, 20, 16, 5))
    trainer, before, after = trained(
        stack((30, 20, 16, 5)), teacher(), "sgd:lr=0.1,weight_decay=0.1", steps=500
    )
    for name in NAMES:
        assert float(after[name].norm() / before[name].norm()) == pytest.approx(0.99**500, abs=1e-12)
        torch.testing.assert_close(after[name], before[name] * 0.99**500, rtol=0, atol=1e-12)
        # While what they share has been learned.
        moved = trainer.network.get_parameter(name) - start.get_parameter(name)
        assert moved.norm() > 0.1
        assert angle(trainer.network.get_parameter(name), trainer.state[LEARNED_FEEDBACK + name]) < 2


def test_without_decay_the_difference_stays(stack, teacher):
    _, before, after = trained(stack((30, 20, 16, 5)), teacher(), "sgd:lr=0.1", steps=50)
    for name in NAMES:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-12)


def test_under_momentum_the_difference_follows_the_average_of_its_own_decay(stack, teacher):
    _, before, after = trained(
        stack((30, 20, 16, 5)), teacher(), "momentum:lr=0.02,weight_decay=0.1", steps=200
    )
    left, velocity = 1.0, 0.0
    for _ in range(200):
        velocity = 0.9 * velocity + 0.1 * left
        left -= 0.02 * velocity
    assert left < 0.1
    for name in NAMES:
        torch.testing.assert_close(after[name], before[name] * left, rtol=0, atol=1e-12)


def test_default_optimiser_has_decay_and_the_network_learns(stack, teacher):
    assert find_optimizer(KolenPollack.optimizer).options["weight_decay"] > 0
    task = teacher()
    trainer, _, _ = trained(stack((30, 20, 16, 5)), task, KolenPollack.optimizer, steps=300)
    held = next(task.held_out())
    assert float((trainer.network(held.inputs).argmax(1) == held.targets).double().mean()) > 0.6


def test_is_backprop_where_feedback_is_the_weights(stack, teacher, update):
    network, task = stack((30, 20, 16, 5)), teacher()
    batch = next(task.held_out(30))
    state = {LEARNED_FEEDBACK + name: network.get_parameter(name).detach().clone() for name in NAMES}
    given, _ = update(KolenPollack(), network, task, batch, state)
    exact, _ = update(find_rule("backprop"), network, task, batch)
    assert set(given) == set(exact) | set(state)
    for name in exact:
        torch.testing.assert_close(given[name], exact[name], rtol=1e-12, atol=1e-15)


def test_starts_as_feedback_alignment_and_both_synapses_are_given_the_same(stack, teacher, update):
    network, task = stack((30, 20, 16, 5)), teacher()
    batch = next(task.held_out(30))
    given, state = update(KolenPollack(), network, task, batch)
    expected, drawn = update(find_rule("feedback_alignment"), network, task, batch)
    assert set(state) == {"trainable." + name for name in drawn}
    assert all(torch.equal(given[name], expected[name]) for name in expected)
    for name in NAMES:
        assert torch.equal(given[LEARNED_FEEDBACK + name], given[name])
        assert KolenPollack().learning_rate_factor(LEARNED_FEEDBACK + name) == 1


def test_a_residual_network_learns(teacher, update):
    with seeded(0):
        network = torchvision.models.resnet18(weights=None, num_classes=5)
    task, images = teacher(), torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    object.__setattr__(task, "inputs", images)
    object.__setattr__(task, "targets", torch.tensor([0, 1, 2, 4]))
    given, state = update(KolenPollack(), network, task, Batch(images, task.targets))
    assert set(given) == {name for name, _ in network.named_parameters()} | set(state)
    assert len(state) == 20
    assert all(torch.isfinite(each).all() and each.any() for each in given.values())
