"""Segregated dendrites: the local loss by autograd, direct feedback to first order, and what plateaus see."""

import pytest
import torch

from brainalign.errors import NeedsError
from brainalign.networks import ConvNet, Shape, make_network
from brainalign.networks.untrained import seeded
from brainalign.rules.segregated_dendrites import FEEDBACK, SegregatedDendrites
from brainalign.tasks import find_task
from brainalign.training.angles import angle

HIDDEN = ("blocks.0.linear", "blocks.1.linear")


def test_update_is_the_gradient_of_the_local_losses(stack, teacher, update):
    network, task = stack((30, 20, 16, 5), "sigmoid"), teacher()
    batch, rule = next(task.held_out(40)), SegregatedDendrites(teaching=0.7)
    given, state = update(rule, network, task, batch)
    outputs = network(batch.inputs).detach().requires_grad_()
    task.cost(outputs, batch).sum().backward()
    x = batch.inputs
    for layer in network.layers[:-1]:
        h = layer.activation(layer.preactivation(x))
        feedback = state[FEEDBACK + layer.name]
        before = torch.sigmoid(outputs.detach() @ feedback.T)
        after = torch.sigmoid((outputs.detach() - 0.7 * outputs.grad) @ feedback.T)
        target = h.detach() + after - before
        loss = 0.5 * (target - h).square().sum(1).mean()
        for key, parameter in layer.linear.named_parameters():
            (wanted,) = torch.autograd.grad(loss, parameter, retain_graph=True)
            torch.testing.assert_close(given[f"{layer.name}.{key}"], wanted, rtol=1e-10, atol=1e-14)
        x = h.detach()
    wanted = torch.autograd.grad(task.cost(network.head(x), batch).mean(), network.head.weight)[0]
    torch.testing.assert_close(given["head.weight"], wanted, rtol=1e-10, atol=1e-14)


def test_to_first_order_it_is_a_quarter_of_direct_feedback_alignment(stack, teacher, update):
    network, task = stack((30, 20, 16, 5), "sigmoid"), teacher()
    batch, found = next(task.held_out(200)), []
    for scale in (3.0, 0.1, 0.01):
        given, state = update(SegregatedDendrites(scale=scale, teaching=0.5), network, task, batch)
        preactivations, answers = network.activity(batch.inputs)
        error = answers[-1].softmax(1) - torch.nn.functional.one_hot(batch.targets, 5)
        for place, name in enumerate(HIDDEN):
            layer = network.layers[place]
            delta = (error @ state[FEEDBACK + name].T) * layer.derivative(preactivations[place])
            direct = (delta.T @ answers[place] / 200).detach()
            found.append(
                (angle(given[f"{name}.weight"], direct), float(given[f"{name}.weight"].norm() / direct.norm()))
            )
    assert max(degrees for degrees, _ in found[2:]) < 5, found
    assert max(degrees for degrees, _ in found[4:]) < 0.5, found
    assert [ratio for _, ratio in found[4:]] == pytest.approx([0.5 / 4] * 2, rel=1e-2)
    # Where plateaus saturate, it is not.
    assert min(degrees for degrees, _ in found[:2]) > 5, found


def test_under_a_squared_error_the_teaching_current_brings_outputs_to_their_targets(stack, regression, update):
    network, task = stack((12, 9, 6), "sigmoid"), regression()
    batch = next(task.held_out(30))
    given, state = update(SegregatedDendrites(), network, task, batch)
    feedback = state[FEEDBACK + HIDDEN[0]]
    h = network.blocks[0](batch.inputs).detach()
    rise = torch.sigmoid(batch.targets @ feedback.T) - torch.sigmoid(network.head(h).detach() @ feedback.T)
    wanted = -(rise * h * (1 - h)).T @ batch.inputs / 30
    torch.testing.assert_close(given[f"{HIDDEN[0]}.weight"], wanted, rtol=1e-9, atol=1e-12)


def test_outputs_that_are_right_teach_nothing(stack, regression, update):
    network, task = stack((12, 9, 6), "sigmoid"), regression()
    batch = next(task.held_out(30))
    object.__setattr__(batch, "targets", network(batch.inputs).detach())
    given, _ = update(SegregatedDendrites(), network, task, batch)
    assert max(float(each.abs().max()) for each in given.values()) < 1e-14


def test_each_place_of_a_feature_map_has_an_apical_dendrite(teacher, update):
    task = teacher()
    images = torch.randn(6, 2, 7, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    object.__setattr__(task, "inputs", images)
    object.__setattr__(task, "targets", torch.arange(6) % 5)
    with seeded(0):
        network = ConvNet(7, 5, 2, channels=(4,), activation="sigmoid").double()
    given, state = update(SegregatedDendrites(), network, task, next(task.held_out()))
    assert state[FEEDBACK + HIDDEN[0]].shape == (4 * 4 * 4, 5)
    assert given[f"{HIDDEN[0]}.weight"].shape == (4, 2, 3, 3)


def test_hidden_layers_learn_what_lowers_the_cost(stack, teacher):
    """Against the same read-out on hidden layers that stay."""
    task, costs = teacher(n=500), {}
    for learning in (True, False):
        network, rule, generator = stack((30, 24, 5), "sigmoid"), SegregatedDendrites(), torch.Generator()
        state = rule.init(network, task, generator.manual_seed(0))
        parameters = dict(network.named_parameters())
        for _ in range(80):
            for batch in task.batches(generator):
                for update in rule.updates(network, task, batch, state, generator):
                    for name, change in update.items():
                        if learning or name.startswith("head"):
                            parameters[name].data -= 0.5 * change
        held = next(task.held_out())
        costs[learning] = float(task.cost(network(held.inputs), held).mean().detach())
    assert costs[True] < 0.8 * costs[False], costs


def test_other_networks_and_rollouts_are_refused(teacher):
    task = find_task("classification:digits")
    with pytest.raises(NeedsError, match="plain stack"):
        SegregatedDendrites().check(torch.nn.Linear(3, 2), task)
    task = find_task("autoencoding:digits,variant=sparse")
    network = make_network("mlp", Shape(task.preprocessing, task.n_outputs))
    with pytest.raises(NeedsError, match="a way of its own"):
        SegregatedDendrites().check(network, task)
