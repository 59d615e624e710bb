"""Greedy learning: one layer at a time, the others stay as they are, and each turn is exact."""

import pytest
import torch

from brainalign.errors import NeedsError
from brainalign.networks import ConvNet
from brainalign.networks.untrained import seeded
from brainalign.rules.backprop import Backprop
from brainalign.rules.greedy_layerwise import STEP, GreedyLayerwise
from brainalign.training.optimizers import find_optimizer


def naming(task):
    return type("Naming", (type(task),), {"names_categories": True})(task.inputs, task.targets)


def moved(before, parameters):
    return {name for name, each in parameters.items() if not torch.equal(before[name], each)}


@pytest.mark.parametrize("optimizer", ["momentum:weight_decay=0.01", "adam"])
def test_one_hidden_layer_moves_at_a_time_beside_the_read_out(optimizer, stack, teacher):
    network, task, rule = stack((30, 12, 10, 5)), naming(teacher()), GreedyLayerwise(steps=3)
    generator = torch.Generator().manual_seed(0)
    state = rule.init(network, task, generator)
    of_head = {name: each for name, each in state.items() if name.startswith("trainable.")}
    parameters = dict(network.named_parameters()) | of_head
    optimiser = find_optimizer(optimizer).make([{"params": list(parameters.values()), "factor": 1.0}])
    for step in range(12):
        before = {name: each.detach().clone() for name, each in parameters.items()}
        for update in rule.updates(network, task, next(task.batches(generator)), state, generator):
            for name, parameter in parameters.items():
                parameter.grad = update.get(name)
            optimiser.step()
        learning = (network.layers[min(step // 3, 2)].name, "head.")
        expected = {name for name in parameters if name.removeprefix("trainable.head.").startswith(learning)}
        assert moved(before, parameters) == expected, step
        assert int(state[STEP]) == step + 1


def test_with_the_read_out_for_a_head_a_layers_turn_is_backprop(stack, teacher, update):
    network, task, rule = stack((30, 12, 5)), naming(teacher()), GreedyLayerwise(steps=1)
    batch = next(task.held_out(40))
    state = rule.init(network, task, torch.Generator().manual_seed(0))
    for part in ("weight", "bias"):
        state[f"trainable.head.blocks.0.linear.0.{part}"] = network.head.get_parameter(part).detach()
    exact, _ = update(Backprop(), network, task, batch)
    found, _ = update(rule, network, task, batch, state)
    for name in exact:
        torch.testing.assert_close(found[name], exact[name], rtol=1e-12, atol=1e-15)
    last, _ = update(rule, network, task, batch, state)
    assert set(last) == {"head.weight", "head.bias"}


def test_update_is_that_of_the_head_by_hand(stack, teacher, update):
    network, task, rule = stack((30, 12, 10, 5)), naming(teacher()), GreedyLayerwise(head_layers=2)
    batch = next(task.held_out(40))
    state = rule.init(network, task, torch.Generator().manual_seed(0))
    state[STEP] = torch.tensor(100)
    given, _ = update(rule, network, task, batch, state)
    key = "trainable.head.blocks.1.linear"
    with torch.no_grad():
        preactivations, answers = network.activity(batch.inputs)
        h = answers[2]
        hidden = torch.tanh(h @ state[f"{key}.0.weight"].T + state[f"{key}.0.bias"])
        outputs = hidden @ state[f"{key}.1.weight"].T + state[f"{key}.1.bias"]
        error = (outputs.softmax(1) - torch.nn.functional.one_hot(batch.targets, 5)) / 40
        at_hidden = (error @ state[f"{key}.1.weight"]) * (1 - hidden**2)
        delta = (at_hidden @ state[f"{key}.0.weight"]) * (1 - h**2)
        expected = network.layers[1].weight_gradient(delta, answers[1])
        expected |= {f"{key}.1.weight": error.T @ hidden, f"{key}.0.weight": at_hidden.T @ h}
    assert preactivations[1].shape == h.shape
    for name, each in expected.items():
        torch.testing.assert_close(given[name], each, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("head_layers", [1, 2, 3])
def test_heads_of_feature_maps(head_layers, teacher, update):
    task, rule = naming(teacher()), GreedyLayerwise(head_layers=head_layers)
    images = torch.randn(6, 2, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    object.__setattr__(task, "inputs", images)
    object.__setattr__(task, "targets", torch.arange(6) % 5)
    with seeded(0):
        network = ConvNet(9, 5, 2, channels=(6, 8)).double()
    given, state = update(rule, network, task, next(task.held_out(6)))
    assert len(given) == 4 + 2 * head_layers
    assert all(each.any() for each in given.values())
    if head_layers > 1:
        assert state["trainable.head.blocks.0.linear.0.weight"].shape == (6, 6, 3, 3)


def test_impossible_options_are_refused(stack, teacher):
    with pytest.raises(NeedsError, match="heads of 1, 2 or 3 layers"):
        GreedyLayerwise(head_layers=4).check(stack((30, 12, 5)), naming(teacher()))
