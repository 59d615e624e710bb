"""Local prediction: no error between layers, the rule by hand, and backprop where there is one layer."""

import pytest
import torch
from torch import nn

from brainalign.errors import NeedsError
from brainalign.networks import ConvNet
from brainalign.networks.untrained import seeded
from brainalign.rules.backprop import Backprop
from brainalign.rules.local_heads import free, pooled
from brainalign.rules.local_pred import LocalPred
from brainalign.tasks import LayerCost, Schedule

RULE = LocalPred()


def naming(task):
    """Let a task of vectors say that its targets are categories."""
    return type("Naming", (type(task),), {"names_categories": True})(task.inputs, task.targets)


def pictures(task):
    images = torch.randn(12, 2, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    object.__setattr__(task, "inputs", images)
    object.__setattr__(task, "targets", torch.arange(12) % 5)
    with seeded(0):
        return ConvNet(9, 5, 2, channels=(6, 8)).double(), task


@pytest.fixture(params=["mlp", "convnet"])
def made(request, stack, teacher):
    if request.param == "convnet":
        return pictures(naming(teacher()))
    return stack((30, 20, 16, 5)), naming(teacher())


def test_a_layers_loss_has_no_gradient_in_other_layers(made):
    network, task = made
    heads = free(RULE.init(network, task, torch.Generator().manual_seed(0)))
    losses = RULE.layer_losses(network, task, next(task.held_out(12)), heads)
    assert list(losses) == [layer.name for layer in network.layers]
    parameters = dict(network.named_parameters()) | heads
    for layer, loss in losses.items():
        found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True, retain_graph=True)
        reached = {name for name, each in zip(parameters, found, strict=True) if each is not None}
        assert reached == {
            name for name in parameters if name.removeprefix("trainable.head.").startswith(layer)
        }


def test_update_is_the_local_rule_by_hand(made, update):
    network, task = made
    batch = next(task.held_out(12))
    given, state = update(RULE, network, task, batch)
    expected = {}
    with torch.no_grad():
        preactivations, answers = network.activity(batch.inputs)
        wanted = nn.functional.one_hot(batch.targets, 5)
        for place, layer in enumerate(network.layers[:-1]):
            key, h = f"trainable.head.{layer.name}.prediction", answers[place + 1]
            weight, bias = state[f"{key}.weight"], state[f"{key}.bias"]
            error = ((pooled(h).flatten(1) @ weight.T + bias).softmax(1) - wanted) / len(batch)
            expected[f"{key}.weight"], expected[f"{key}.bias"] = error.T @ pooled(h).flatten(1), error.sum(0)
            delta = (error @ weight).view(h.shape) * layer.derivative(preactivations[place])
            expected |= layer.weight_gradient(delta, answers[place])
        error = (answers[-1].softmax(1) - wanted) / len(batch)
        expected |= network.layers[-1].weight_gradient(error, answers[-2])
    assert set(given) == set(expected)
    for name in expected:
        torch.testing.assert_close(given[name], expected[name], rtol=1e-10, atol=1e-13)


def test_a_network_of_one_layer_learns_by_backprop(stack, teacher, update):
    network, task = stack((30, 5)), naming(teacher())
    batch = next(task.held_out(30))
    given, state = update(RULE, network, task, batch)
    exact, _ = update(Backprop(), network, task, batch)
    assert state == {}
    for name in exact:
        torch.testing.assert_close(given[name], exact[name], rtol=1e-12, atol=1e-15)


def test_one_hidden_layer_whose_head_is_the_read_out_learns_by_backprop(stack, teacher, update):
    network, task = stack((30, 20, 5)), naming(teacher())
    batch = next(task.held_out(30))
    state = RULE.init(network, task, torch.Generator().manual_seed(0))
    for part in ("weight", "bias"):
        state[f"trainable.head.blocks.0.linear.prediction.{part}"] = network.head.get_parameter(part).detach()
    given, _ = update(RULE, network, task, batch, state)
    exact, _ = update(Backprop(), network, task, batch)
    for name in exact:
        torch.testing.assert_close(given[name], exact[name], rtol=1e-12, atol=1e-15)


def test_what_later_layers_pay_changes_nothing_in_earlier_ones(stack, teacher, update):
    network, task = stack((30, 20, 16, 5)), naming(teacher())
    batch = next(task.held_out(30))
    before, state = update(RULE, network, task, batch)
    state["trainable.head.blocks.1.linear.prediction.weight"] *= 3
    with torch.no_grad():
        network.blocks[1].linear.weight *= -1
    after, _ = update(RULE, network, task, batch, state)
    same = [name for name in before if torch.equal(before[name], after[name])]
    assert same == [name for name in before if "blocks.0." in name]
    assert not torch.equal(before["blocks.1.linear.weight"], after["blocks.1.linear.weight"])


def test_feature_maps_are_averaged_until_a_head_can_see_them():
    maps = torch.randn(2, 40, 15, 15, generator=torch.Generator().manual_seed(0))
    features = pooled(maps).flatten(1)
    assert features.shape == (2, 40 * 4 * 4)
    torch.testing.assert_close(features[0, 0], maps[0, 0, :4, :4].mean())
    # The last square is cut off by the edge, and is the mean of what there is of it.
    torch.testing.assert_close(features[0, 3], maps[0, 0, :4, 12:].mean())


def test_other_networks_and_tasks_are_refused(stack, teacher):
    network, task = stack((30, 20, 5)), naming(teacher())
    with pytest.raises(NeedsError, match="needs a plain stack of them"):
        RULE.check(nn.Linear(30, 5), task)
    with pytest.raises(NeedsError, match="does not name them"):
        RULE.check(network, teacher())
    cost = LayerCost("size", lambda answer, _: answer.square().mean(1), Schedule())
    object.__setattr__(task, "at_layers", {"blocks.0": cost})
    with pytest.raises(NeedsError, match="leave out that at 'blocks.0'"):
        RULE.check(network, task)
