"""Local similarity matching: the gradient by hand, the cosines naively, and no error between layers."""

import pytest
import torch
from torch import nn

from brainalign.networks import ConvNet
from brainalign.networks.untrained import seeded
from brainalign.rules.backprop import Backprop
from brainalign.rules.local_heads import free, similarity
from brainalign.rules.local_sim import LocalSim
from brainalign.tasks import Batch
from brainalign.tasks.layer_costs import label_similarity

RULE = LocalSim()
KEY = "trainable.head.blocks.{}.linear.similarity.weight"


def naming(task):
    return type("Naming", (type(task),), {"names_categories": True})(task.inputs, task.targets)


def test_similarity_is_the_correlation_of_units_between_two_samples():
    x = torch.randn(6, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(similarity(x), torch.corrcoef(x), rtol=1e-7, atol=1e-7)
    maps = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(similarity(maps), torch.corrcoef(maps.std((2, 3))), rtol=1e-7, atol=1e-7)


def test_with_an_identity_before_it_the_loss_is_the_cost_at_layers(stack, teacher):
    network, task = stack((30, 20, 16, 5)), naming(teacher())
    batch = next(task.held_out(60))
    assert len(batch.targets.unique()) == 5
    state = RULE.init(network, task, torch.Generator().manual_seed(0))
    state[KEY.format(0)] = torch.eye(20, dtype=torch.float64)
    losses = RULE.layer_losses(network, task, batch, state)
    _, answers = network.activity(batch.inputs)
    labelled = Batch(batch.inputs, batch.targets, batch.targets)
    expected = label_similarity(answers[1], labelled).mean()
    torch.testing.assert_close(losses["blocks.0.linear"], expected)


def test_update_is_the_local_rule_by_hand(stack, teacher, update):
    network, task = stack((30, 20, 16, 5)), naming(teacher())
    batch, n = next(task.held_out(24)), 24
    given, state = update(RULE, network, task, batch)
    wanted = similarity(nn.functional.one_hot(batch.targets, 5).double())
    with torch.no_grad():
        preactivations, answers = network.activity(batch.inputs)
        for place in (0, 1):
            layer, weight = network.layers[place], state[KEY.format(place)]
            seen = answers[place + 1] @ weight.T
            centred = seen - seen.mean(1, keepdim=True)
            length = centred.norm(dim=1, keepdim=True)
            unit = centred / length
            at_unit = 4 / n**2 * (unit @ unit.T - wanted) @ unit
            error = (at_unit - (at_unit * unit).sum(1, keepdim=True) * unit) / length
            error -= error.mean(1, keepdim=True)
            torch.testing.assert_close(
                given[KEY.format(place)], error.T @ answers[place + 1], rtol=1e-6, atol=1e-10
            )
            delta = (error @ weight) * layer.derivative(preactivations[place])
            for name, each in layer.weight_gradient(delta, answers[place]).items():
                torch.testing.assert_close(given[name], each, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_convolutional_layers_loss_has_no_gradient_in_other_layers(kernel, teacher):
    task, rule = naming(teacher()), LocalSim(kernel=kernel)
    images = torch.randn(12, 2, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    object.__setattr__(task, "inputs", images)
    object.__setattr__(task, "targets", torch.arange(12) % 5)
    with seeded(0):
        network = ConvNet(9, 5, 2, channels=(6, 8)).double()
    heads = free(rule.init(network, task, torch.Generator().manual_seed(0)))
    assert heads[KEY.format(1)].shape == (8, 8, kernel, kernel)
    parameters = dict(network.named_parameters()) | heads
    for layer, loss in rule.layer_losses(network, task, next(task.held_out(12)), heads).items():
        found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True, retain_graph=True)
        reached = {name for name, each in zip(parameters, found, strict=True) if each is not None}
        assert reached == {
            name for name in parameters if name.removeprefix("trainable.head.").startswith(layer)
        }


def test_without_a_map_similarities_are_of_the_averaged_answers(teacher):
    task, rule = naming(teacher()), LocalSim(kernel=0)
    images = torch.randn(6, 2, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    object.__setattr__(task, "inputs", images)
    object.__setattr__(task, "targets", torch.arange(6) % 5)
    with seeded(0):
        network = ConvNet(32, 5, 2, channels=(16, 8)).double()
    assert not [name for name in rule.init(network, task, torch.Generator()) if "similarity" in name]
    batch = next(task.held_out(6))
    losses = rule.layer_losses(network, task, batch, {})
    first, second = network.activity(images)[1][1:3]
    assert first.shape[1:] == (16, 16, 16)
    assert second.shape[1:] == (8, 8, 8)
    averaged = nn.functional.avg_pool2d(first, 2)
    wanted = similarity(nn.functional.one_hot(batch.targets, 5).double())
    for layer, answers in zip(network.layers, (averaged, second), strict=False):
        expected = (torch.corrcoef(answers.std((2, 3))) - wanted).square().mean()
        torch.testing.assert_close(losses[layer.name], expected, rtol=1e-6, atol=1e-8)


def test_silent_layers_give_numbers(stack, teacher, update):
    network, task = stack((30, 20, 16, 5), "relu"), naming(teacher())
    with torch.no_grad():
        network.blocks[0].linear.bias.fill_(-1e3)
    given, _ = update(RULE, network, task, next(task.held_out(12)))
    assert all(torch.isfinite(each).all() for each in given.values())


def test_the_read_out_learns_as_by_backprop(stack, teacher, update):
    network, task = stack((30, 20, 16, 5)), naming(teacher())
    batch = next(task.held_out(30))
    given, _ = update(RULE, network, task, batch)
    exact, _ = update(Backprop(), network, task, batch)
    for name in ("head.weight", "head.bias"):
        torch.testing.assert_close(given[name], exact[name], rtol=1e-12, atol=1e-15)


def test_learning_makes_images_of_a_category_alike(stack, teacher):
    network, task = stack((30, 20, 16, 5)), naming(teacher(n=200))
    generator, held = torch.Generator().manual_seed(0), next(task.held_out())
    state = RULE.init(network, task, generator)
    parameters = dict(network.named_parameters()) | state

    def losses():
        found = RULE.layer_losses(network, task, held, state)
        return {layer: float(loss.detach()) for layer, loss in found.items()}

    before = losses()
    for _ in range(25):
        for batch in task.batches(generator):
            for update in RULE.updates(network, task, batch, state, generator):
                for name, change in update.items():
                    parameters[name].data -= 0.5 * change
    after = losses()
    assert all(after[layer] < 0.8 * before[layer] for layer in before), (before, after)
