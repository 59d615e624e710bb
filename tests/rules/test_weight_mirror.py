"""Weight mirror: the angle that so many samples of noise give, convolutions included, and mean zero."""

import math

import pytest
import torch
import torchvision
from torch import nn

from brainalign.errors import NeedsError, UnknownNameError
from brainalign.networks.untrained import seeded
from brainalign.rules import find_rule
from brainalign.rules.learned_feedback import LEARNED_FEEDBACK
from brainalign.rules.weight_mirror import WeightMirror, mirrored
from brainalign.rules.zero_mean_noise import zero_mean_noise
from brainalign.tasks import Batch
from brainalign.training.angles import angle
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer

NAMES = ("blocks.1.linear.weight", "head.weight")


def weights(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def phases(rule, network, task, n_samples, seed=1):
    """Give both updates of a rule that starts from B = 0, and its state."""
    generator = torch.Generator().manual_seed(seed)
    state = {name: torch.zeros_like(each) for name, each in rule.init(network, task, generator).items()}
    first, second = rule.updates(network, task, next(task.held_out(n_samples)), state, generator)
    return first, second, state


@pytest.mark.parametrize("distribution", ["gaussian", "uniform"])
@pytest.mark.parametrize("n_samples", [100, 1000, 10_000])
def test_angle_after_so_many_samples(n_samples, distribution, stack, teacher):
    network = stack((30, 40, 50, 5), "linear")
    task, rule = teacher(n=n_samples), WeightMirror(distribution=distribution)
    expected = math.degrees(math.atan(((40 + 1) / n_samples) ** 0.5))
    found = []
    for seed in range(10):
        _, second, _ = phases(rule, network, task, n_samples, seed)
        found.append(angle(-second[LEARNED_FEEDBACK + NAMES[0]], network.get_parameter(NAMES[0])))
    assert sum(found) / 10 == pytest.approx(expected, abs=1)


def test_noise_whose_mean_is_not_zero_destroys_the_mirror():
    weight = weights(50, 40)
    centred = zero_mean_noise("uniform", (10_000, 40), weight, torch.Generator().manual_seed(1)) / 12**0.5
    assert angle(mirrored(weight, centred), weight) < 5
    assert angle(mirrored(weight, centred + 0.5), weight) > 60


@pytest.mark.parametrize("distribution", ["gaussian", "uniform"])
def test_noise_has_mean_zero_and_the_deviation_that_is_asked_for(distribution):
    like = torch.zeros((), dtype=torch.float64)
    noise = zero_mean_noise(distribution, (100_000,), like, torch.Generator().manual_seed(0))
    assert abs(float(noise.mean())) < 4 / 100_000**0.5
    assert float(noise.std()) == pytest.approx(1, rel=0.01)
    assert noise.dtype == torch.float64


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_a_convolutions_mirror_is_the_gradient_of_its_weights_on_noise_of_its_filters_size(groups):
    """With answers as errors, the weights' gradient is the correlation of inputs and answers."""
    weight = weights(12, 6 // groups, 3, 2).requires_grad_()
    noise = weights(70, 6 // groups * 6, seed=1)
    shown = noise.view(70, 6 // groups, 3, 2).repeat(1, groups, 1, 1)
    answers = nn.functional.conv2d(shown, weight, groups=groups)
    (expected,) = torch.autograd.grad(answers, weight, answers.detach())
    torch.testing.assert_close(mirrored(weight.detach(), noise), expected, rtol=1e-12, atol=1e-12)
    many = weights(10_000, 6 // groups * 6, seed=2)
    predicted = math.degrees(math.atan(((many.shape[1] + 1) / 10_000) ** 0.5))
    assert angle(mirrored(weight.detach(), many), weight) == pytest.approx(predicted, abs=1)


def test_is_backprop_where_feedback_is_the_weights_and_the_mirror_comes_after(stack, teacher, update):
    network, task = stack((30, 20, 16, 5)), teacher()
    batch, rule = next(task.held_out(30)), WeightMirror()
    state = {LEARNED_FEEDBACK + name: network.get_parameter(name).detach().clone() for name in NAMES}
    first, second = rule.updates(network, task, batch, state, torch.Generator())
    exact, _ = update(find_rule("backprop"), network, task, batch)
    assert set(first) == set(exact)
    assert set(second) == set(state) == set(rule.init(network, task, torch.Generator()))
    for name in exact:
        torch.testing.assert_close(first[name], exact[name], rtol=1e-12, atol=1e-15)


def test_layers_are_shown_noise_of_their_own(stack, regression):
    """Two maps with the same weights would have the same mirrors if they shared noise."""
    network, task = stack((12, 6, 6, 6)), regression()
    with torch.no_grad():
        network.head.weight.copy_(network.blocks[1].linear.weight)
    _, second, _ = phases(WeightMirror(), network, task, 20)
    assert angle(*(second[LEARNED_FEEDBACK + name] for name in NAMES)) > 5


def test_decay_holds_feedback_at_the_length_of_the_weights(stack, teacher):
    network, task = stack((30, 20, 5)), teacher(n=40_000)
    rule = WeightMirror(decay=40_000 * 0.1**2 / 12)
    weight = network.head.weight.detach()
    state = {LEARNED_FEEDBACK + "head.weight": weight.clone()}
    batch = next(task.held_out(40_000))
    _, second = rule.updates(network, task, batch, state, torch.Generator().manual_seed(0))
    left = second[LEARNED_FEEDBACK + "head.weight"].norm() / (rule.decay * weight.norm())
    # Two samples' errors: 21 inputs, 40 000 samples.
    assert float(left) == pytest.approx((21 / 40_000) ** 0.5, rel=0.3)


def test_activated_mirrors_answers_with_their_biases(stack, teacher):
    network, task = stack((30, 20, 5), "sigmoid"), teacher()
    network.blocks.append(network.blocks[0].__class__(nn.Linear(20, 20).double(), nn.Sigmoid()))
    generator = torch.Generator().manual_seed(0)
    rule = WeightMirror(activated=True)
    rule.check(network, task)
    state = rule.init(network, task, generator)
    kept = generator.get_state()
    _, second = rule.updates(network, task, next(task.held_out(50)), state, generator)
    layer = network.blocks[1].linear
    noise = 0.1 * (torch.rand(50, 20, generator=generator.set_state(kept), dtype=torch.float64) - 0.5)
    expected = torch.sigmoid(layer(noise)).T @ noise
    given = -second[LEARNED_FEEDBACK + "blocks.1.linear.weight"]
    torch.testing.assert_close(given, expected.detach(), rtol=1e-10, atol=1e-13)


def test_training_brings_the_feedback_to_the_weights_and_errors_to_backprops(stack, teacher):
    network, task, rule = stack((30, 20, 16, 5)), teacher(), WeightMirror(noise=1.0, decay=50 / 12)
    trainer = Trainer(network, task, rule, find_optimizer(rule.optimizer).with_lr(0.2), seed=0)
    shown = next(task.held_out(500))
    before = {name: trainer.state[LEARNED_FEEDBACK + name].clone() for name in NAMES}
    for _ in range(300):
        trainer.advance()
    exact = next(find_rule("backprop").updates(network, task, shown, {}, torch.Generator()))
    ours = next(rule.updates(network, task, shown, trainer.state, torch.Generator()))
    for name in NAMES:
        assert angle(before[name], network.get_parameter(name)) > 60
        assert angle(trainer.state[LEARNED_FEEDBACK + name], network.get_parameter(name)) < 20
    assert angle(ours["blocks.0.linear.weight"], exact["blocks.0.linear.weight"]) < 30
    assert float((network(shown.inputs).argmax(1) == shown.targets).double().mean()) > 0.6


def test_the_mirrors_rate_is_that_of_the_published_code():
    rule = WeightMirror()
    rate = find_optimizer(rule.optimizer).lr * rule.learning_rate_factor(LEARNED_FEEDBACK + "head.weight")
    assert rate == pytest.approx(0.01)
    assert rule.learning_rate_factor("head.weight") == 1


def test_a_residual_network_learns_but_has_no_activations_to_mirror(teacher):
    with seeded(0):
        network = torchvision.models.resnet18(weights=None, num_classes=5)
    task, images = teacher(), torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    object.__setattr__(task, "inputs", images)
    object.__setattr__(task, "targets", torch.tensor([0, 1, 2, 4]))
    rule, generator = WeightMirror(), torch.Generator().manual_seed(0)
    state = rule.init(network, task, generator)
    first, second = rule.updates(network, task, Batch(images, task.targets), state, generator)
    assert set(first) == {name for name, _ in network.named_parameters()}
    assert set(second) == set(state) and len(state) == 20
    for each in [*first.values(), *second.values()]:
        assert torch.isfinite(each).all() and each.any()
    with pytest.raises(NeedsError, match="activated=true needs a stack of layers.*ResNet is none"):
        WeightMirror(activated=True).check(network, task)


def test_a_distribution_that_does_not_exist():
    with pytest.raises(UnknownNameError, match="Unknown distribution 'normal'"):
        WeightMirror(distribution="normal")
