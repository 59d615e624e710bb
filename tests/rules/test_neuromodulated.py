"""Neuromodulation: gains of 1, of 0, by layer and over time; circuits that share weights."""

import copy
from dataclasses import replace

import pytest
import torch

from brainalign.errors import BrainalignError, NeedsError
from brainalign.networks import ConvNet
from brainalign.networks.untrained import seeded
from brainalign.rules import RULES, find_rule
from brainalign.rules.neuromodulated import CIRCUIT, GATE, Neuromodulated
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer


def trained(rule, network, task, n_steps, optimizer="sgd:lr=0.1"):
    trainer = Trainer(network, task, rule, find_optimizer(optimizer), seed=0)
    for _ in range(n_steps):
        trainer.advance()
    return {name: each.detach().clone() for name, each in network.named_parameters()}


@pytest.mark.parametrize("name", ["backprop", "weight_mirror", "greedy_layerwise", "node_perturbation"])
def test_at_a_gain_of_1_it_is_the_rule_bit_for_bit(name, stack, teacher):
    labels = type("Named", (type(teacher()),), {"names_categories": True})
    task = labels(teacher().inputs, teacher().targets)
    plain = trained(find_rule(name), stack((30, 9, 7, 5)), task, 5)
    wrapped = trained(Neuromodulated(rule=name), stack((30, 9, 7, 5)), task, 5)
    assert all(torch.equal(plain[key], wrapped[key]) for key in plain)


def test_at_a_gain_of_0_nothing_moves(stack, teacher):
    before = dict(stack((30, 9, 7, 5)).named_parameters())
    after = trained(Neuromodulated(gains="0"), stack((30, 9, 7, 5)), teacher(), 5, "momentum")
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_gains_are_of_layers_and_of_steps(stack, teacher, update):
    network, task = stack((30, 9, 7, 5)), teacher()
    batch = next(task.held_out(20))
    plain, _ = update(find_rule("backprop"), network, task, batch)
    rule = Neuromodulated(gains="1/0.5/0", over_time="0:1/100:0")
    for step, of_time in ((0, 1.0), (25, 0.75), (200, 0.0)):
        given, _ = update(rule, network, task, replace(batch, step=step))
        for name, gain in (("blocks.0.linear", 1.0), ("blocks.1.linear", 0.5), ("head", 0.0)):
            for key in ("weight", "bias"):
                wanted = of_time * gain * plain[f"{name}.{key}"]
                torch.testing.assert_close(given[f"{name}.{key}"], wanted, rtol=1e-14, atol=0)


def two_tasks(teacher):
    return teacher(seed=0, n=200), teacher(seed=1, n=200)


@pytest.mark.parametrize("name", ["backprop", "feedback_alignment", "weight_perturbation", "pepita"])
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_what_one_circuit_learns_leaves_the_other_as_it_is_unless_they_overlap(
    name, activation, stack, teacher
):
    first, second = two_tasks(teacher)
    for overlap in (0.0, 0.5, 1.0):
        network = stack((30, 12, 8, 5), activation)
        rule = Neuromodulated(rule=name, circuits=2, overlap=overlap)
        trained(rule, network, first, 10)
        state = rule.init(network, first, torch.Generator().manual_seed(0))
        # The gates that a trainer of this seed draws.
        trainer = Trainer(network, second, replace(rule, circuit=1), find_optimizer("sgd:lr=0.1"), seed=0)
        state = dict(trainer.state) | {CIRCUIT: state[CIRCUIT]}
        before = rule.inference(network, state)(first.inputs)
        whole = copy.deepcopy(network.state_dict())
        for _ in range(10):
            trainer.advance()
        after = rule.inference(network, state)(first.inputs)
        assert any(not torch.equal(whole[key], each) for key, each in network.state_dict().items())
        assert torch.equal(before, after) == (overlap == 0), overlap


def test_a_circuit_is_the_network_without_the_others_units(stack, teacher):
    network, task = stack((30, 12, 8, 5)), teacher()
    rule = Neuromodulated(circuits=3, overlap=0.25, circuit=1)
    state = rule.init(network, task, torch.Generator().manual_seed(0))
    first, second = state[GATE + "blocks.0.linear"], state[GATE + "blocks.1.linear"]
    assert int((first.sum(0) == 3).sum()) == 3
    assert torch.equal(first.sum(0).clamp(max=1), torch.ones(12, dtype=torch.float64))
    h = torch.tanh(task.inputs @ network.blocks[0].linear.weight.T) * first[1]
    h = torch.tanh(h @ network.blocks[1].linear.weight.T) * second[1]
    torch.testing.assert_close(
        rule.inference(network, state)(task.inputs), network.head(h), rtol=1e-12, atol=1e-13
    )


def test_feature_maps_are_gated_at_all_their_places(teacher):
    task = teacher()
    images = torch.randn(8, 2, 7, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    task = replace(task, inputs=images, targets=torch.arange(8) % 5)
    with seeded(0):
        network = ConvNet(7, 5, 2, channels=(4, 6)).double()
    rule = Neuromodulated(circuits=2)
    state = rule.init(network, task, torch.Generator().manual_seed(0))
    x = images
    for block, name in zip(network.blocks, ("blocks.0.linear", "blocks.1.linear"), strict=True):
        x = block(x) * state[GATE + name][0].view(1, -1, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(
            rule.inference(network, state)(images), network.head(x.flatten(1)), rtol=1e-12, atol=1e-13
        )


def test_circuits_take_turns(stack, teacher, update):
    network, task = stack((30, 12, 5)), teacher()
    rule, batch = Neuromodulated(circuits=2, switch=10), next(task.held_out(20))
    _, state = update(rule, network, task, batch)
    for step, active in ((0, 0), (9, 0), (10, 1), (25, 0)):
        given, _ = update(rule, network, task, replace(batch, step=step), state)
        assert int(state[CIRCUIT]) == active
        moved = given["blocks.0.linear.weight"].abs().sum(1) > 0
        assert torch.equal(moved, state[GATE + "blocks.0.linear"][active].bool())


def test_facts_are_those_of_the_rule():
    rule = Neuromodulated(rule="clapp", gains="1/1/0")
    assert not rule.trains_readout
    assert rule.optimizer == RULES["clapp"].optimizer
    assert Neuromodulated(rule="feedback-alignment:scale=0.5").modulated.scale == 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gains": "1/2"}, r"gains=1/2; .* each of the 3 layers"),
        ({"gains": "-1"}, "one number of 0 or above"),
        ({"gains": "high"}, "one number of 0 or above"),
        ({"circuits": 8}, "layer, which has 7"),
        ({"circuits": 2, "circuit": 2}, "circuits count from 0"),
        ({"circuits": 2, "overlap": 1.5}, "an overlap is 1 at most"),
    ],
)
def test_gains_and_circuits_that_cannot_be_are_refused(options, message, stack, teacher):
    with pytest.raises(NeedsError, match=message):
        Neuromodulated(**options).check(stack((30, 9, 7, 5)), teacher())


def test_a_gain_over_time_that_cannot_be_read_is_refused():
    with pytest.raises(BrainalignError, match="is no schedule"):
        Neuromodulated(over_time="slowly")
