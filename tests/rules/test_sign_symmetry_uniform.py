"""Uniform sign symmetry, and what all sign-symmetric rules share: signs, moves of one size, kept norms."""

import pytest
import torch
import torchvision

from brainalign.networks import ConvNet
from brainalign.networks.untrained import seeded
from brainalign.rules import find_rule
from brainalign.rules.feedback_alignment import FEEDBACK
from brainalign.rules.sign_symmetry import MAGNITUDE
from brainalign.rules.sign_symmetry_uniform import UniformSignSymmetry
from brainalign.rules.synaptic_normalisation import NORM
from brainalign.tasks import Batch, Schedule
from brainalign.training.angles import angle


def learn(rule, network, task, state, steps, lr=0.5):
    """Take steps of plain gradient descent, and give the signs of the weights after each."""
    generator = torch.Generator().manual_seed(1)
    parameters = dict(network.named_parameters())
    taken = 0
    while taken < steps:
        for batch in task.batches(generator):
            for update in rule.updates(network, task, batch, state, generator):
                with torch.no_grad():
                    for name, change in update.items():
                        parameters[name] -= lr * change
                rule.after_update(network, state)
            taken += 1
            yield network


def accuracy(network, task):
    held = next(task.held_out())
    return float((network(held.inputs).argmax(1) == held.targets).double().mean())


def test_errors_go_back_through_the_signs_at_every_step_also_where_weights_have_crossed_zero(
    stack, teacher, update
):
    network, task, rule = stack((30, 20, 16, 5)), teacher(), UniformSignSymmetry()
    state = rule.init(network, task, torch.Generator().manual_seed(0))
    assert sorted(state) == ["magnitude.blocks.1.linear.weight", "magnitude.head.weight"]
    batch, start = next(task.held_out(30)), network.head.weight.detach().sign()
    deviation = network.head.weight.detach().std(correction=0)
    for _ in learn(rule, network, task, state, 40):
        by_hand = {
            FEEDBACK + name: state[MAGNITUDE + name] * weight.detach().sign()
            for name, weight in network.named_parameters()
            if MAGNITUDE + name in state
        }
        for name, matrix in rule.feedback_weights(network, state).items():
            assert torch.equal(matrix.sign(), network.get_parameter(name).detach().sign())
        given, _ = update(rule, network, task, batch, state)
        expected, _ = update(find_rule("feedback_alignment"), network, task, batch, by_hand)
        assert all(torch.equal(given[name], expected[name]) for name in expected)
    assert (start != network.head.weight.detach().sign()).any()
    torch.testing.assert_close(state["magnitude.head.weight"], deviation)
    assert accuracy(network, task) > 0.6


def test_is_backprop_where_weights_are_their_signs(stack, teacher, update):
    network, task, rule = stack((30, 20, 16, 5)), teacher(), UniformSignSymmetry(scale=2.0)
    state = rule.init(network, task, torch.Generator())
    with torch.no_grad():
        for name, matrix in rule.feedback_weights(network, state).items():
            network.get_parameter(name).copy_(matrix)
    batch = next(task.held_out(30))
    given, _ = update(rule, network, task, batch, state)
    exact, _ = update(find_rule("backprop"), network, task, batch)
    assert set(given) == set(exact)
    for name in exact:
        torch.testing.assert_close(given[name], exact[name], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("draw", "expected"), [(torch.randn, 37.07), (torch.rand, 30.0)])
def test_angle_to_gaussian_and_to_uniform_weights(draw, expected, stack, regression):
    network, rule = stack((12, 400, 400, 6)), UniformSignSymmetry()
    drawn = draw(400, 400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        network.blocks[1].linear.weight.copy_(drawn - drawn.mean())
    state = rule.init(network, regression(), torch.Generator())
    matrix = rule.feedback_weights(network, state)["blocks.1.linear.weight"]
    weight = network.blocks[1].linear.weight.detach()
    assert angle(matrix, weight) == pytest.approx(expected, abs=0.3)
    assert float(matrix.norm() / weight.norm()) == pytest.approx(1, abs=1e-6)


def test_weights_that_are_zero_send_nothing_back_until_they_have_moved(stack, teacher, update):
    network, task, rule = stack((30, 20, 5)), teacher(), UniformSignSymmetry()
    with torch.no_grad():
        network.head.weight.zero_()
    batch = next(task.held_out(30))
    given, state = update(rule, network, task, batch)
    assert float(state["magnitude.head.weight"]) == pytest.approx((2 / 25) ** 0.5)
    assert not given["blocks.0.linear.weight"].any()
    assert given["head.weight"].all()
    next(learn(rule, network, task, state, 1))
    given, _ = update(rule, network, task, batch, state)
    assert given["blocks.0.linear.weight"].all()


def test_manhattan_moves_all_weights_alike_whatever_the_size_of_the_cost(stack, teacher, update):
    network, task, rule = stack((30, 20, 16, 5)), teacher(), UniformSignSymmetry(manhattan=True)
    batch = next(task.held_out(30))
    given, state = update(rule, network, task, batch)
    plain, _ = update(UniformSignSymmetry(), network, task, batch)
    assert all(torch.equal(given[name], plain[name].sign()) for name in plain)
    object.__setattr__(task, "weight", Schedule(((0, 3.7),)))
    dearer, _ = update(rule, network, task, batch, state)
    assert all(torch.equal(given[name], dearer[name]) for name in given)
    before = {name: each.detach().clone() for name, each in network.named_parameters()}
    next(learn(rule, network, task, state, 1, lr=0.125))
    moves = torch.cat([(each.detach() - before[name]).flatten() for name, each in network.named_parameters()])
    moved = moves[moves != 0].abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 0.125), rtol=0, atol=1e-15)


@pytest.mark.parametrize("manhattan", [False, True])
def test_normalised_neurons_keep_the_norm_of_their_incoming_weights(manhattan, stack, teacher):
    network, task = stack((30, 20, 16, 5)), teacher()
    rule = UniformSignSymmetry(manhattan=manhattan, normalise=True)
    started = network.blocks[0].linear.weight.detach().square().sum(1).mean().sqrt()
    state = rule.init(network, task, torch.Generator())
    torch.testing.assert_close(state["norm.blocks.0.linear.weight"], started)
    for _ in learn(rule, network, task, state, 60, lr=0.01 if manhattan else 0.5):
        for key, norm in state.items():
            if key.startswith(NORM):
                lengths = network.get_parameter(key.removeprefix(NORM)).detach().norm(dim=1)
                torch.testing.assert_close(lengths, norm.expand_as(lengths), rtol=1e-12, atol=0)
    assert accuracy(network, task) > 0.5


def test_filters_are_normalised_whole_and_a_neuron_without_weights_is_left(regression):
    with seeded(0):
        network = ConvNet(8, 6, 1, channels=(4, 5)).double()
    task, rule = regression(), UniformSignSymmetry(normalise=True)
    object.__setattr__(task, "inputs", torch.ones(4, 1, 8, 8, dtype=torch.float64))
    with torch.no_grad():
        network.head.weight.zero_()
    state = rule.init(network, task, torch.Generator())
    rule.after_update(network, state)
    filters = network.blocks[1].linear.weight.detach()
    norm = state["norm.blocks.1.linear.weight"]
    torch.testing.assert_close(filters.flatten(1).norm(dim=1), norm.expand(5), rtol=1e-12, atol=0)
    assert not network.head.weight.any()
    assert float(state["norm.head.weight"]) == 1


def test_without_the_option_no_norm_is_kept(stack, teacher):
    network, task, rule = stack((30, 20, 5)), teacher(), UniformSignSymmetry()
    state = rule.init(network, task, torch.Generator())
    before = network.head.weight.detach().clone()
    rule.after_update(network, state)
    assert torch.equal(before, network.head.weight)


def test_a_residual_network_learns(teacher, update):
    with seeded(0):
        network = torchvision.models.resnet18(weights=None, num_classes=5)
    task, images = teacher(), torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    object.__setattr__(task, "inputs", images)
    object.__setattr__(task, "targets", torch.tensor([0, 1, 2, 4]))
    given, state = update(UniformSignSymmetry(), network, task, Batch(images, task.targets))
    assert set(given) == {name for name, _ in network.named_parameters()}
    assert len(state) == 20
    assert all(torch.isfinite(each).all() and each.any() for each in given.values())


def test_fixed_weights_are_not_normalised(stack, teacher):
    network, task, rule = stack((30, 20, 16, 5)), teacher(), UniformSignSymmetry(normalise=True)
    network.blocks[0].linear.weight.requires_grad_(False)
    state = rule.init(network, task, torch.Generator())
    norms = {name for name in state if name.startswith("norm.")}
    assert norms == {"norm.blocks.1.linear.weight", "norm.head.weight"}
