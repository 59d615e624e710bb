"""Every learning rule of the catalogue against what it declares, and what the loop asks of it."""

import copy
import dataclasses

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from brainalign.errors import NeedsError
from brainalign.networks import Shape, make_network
from brainalign.rules import RULES, find_rule, list_rules, rule_name
from brainalign.rules.rule import TRAINABLE
from brainalign.tasks import find_task
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer

pytestmark = pytest.mark.parametrize("name", RULES)


@pytest.fixture
def made(name):
    """Give a rule with a network, a task, a batch, its state and a generator."""
    rule = find_rule(name)
    task = find_task(OVER_TIME if rule.of_time else "classification:digits,batch_size=32")
    network = make_network(
        "rnn:units=32" if rule.of_time else "mlp:hidden=20-15", task.shape(rule.activation), 0
    )
    rule.check(network, task)
    generator = torch.Generator().manual_seed(0)
    state = rule.init(network, task, generator)
    return rule, network, task, next(task.batches(generator)), state, generator


def collect(rule, network, task, batch, state, generator):
    return [dict(update) for update in rule.updates(network, task, batch, state, generator)]


def test_is_named_as_in_the_catalogue_and_described(name):
    rule = find_rule(name)
    assert rule.name == name == rule_name(rule)
    assert type(rule).__doc__ and rule.source and rule.family and rule.feedback and rule.locality
    assert rule.phases >= 0 and rule.passes >= 0
    assert find_optimizer(rule.optimizer).lr > 0
    assert name in [entry.name for entry in list_rules()]


def test_options_have_defaults_that_their_name_gives_back(name):
    kind = type(find_rule(name))
    for field in dataclasses.fields(kind):
        assert isinstance(field.default, str | int | float | bool)
        other = not field.default if isinstance(field.default, bool) else field.default
        other = other if isinstance(other, str | bool) else 2 * other
        rule = dataclasses.replace(find_rule(name), **{field.name: other})
        assert find_rule(rule_name(rule)) == rule


def test_updates_are_gradients_of_parameters_by_name(made):
    rule, network, task, batch, state, generator = made
    shapes = {key: p.shape for key, p in network.named_parameters()}
    shapes |= {key: each.shape for key, each in state.items() if key.startswith(TRAINABLE)}
    updates = collect(*made)
    assert bool(updates) == rule.learns
    for update in updates:
        for key, each in update.items():
            assert each.shape == shapes[key], key
            assert torch.isfinite(each).all(), key
            assert not each.requires_grad, key


def test_changes_neither_the_network_nor_the_batch_by_itself(made):
    rule, network, task, batch, state, generator = made
    before, shown = copy.deepcopy(network.state_dict()), batch.inputs.clone()
    trainable = {key: each.clone() for key, each in state.items() if key.startswith(TRAINABLE)}
    collect(*made)
    assert all(torch.equal(before[key], each) for key, each in network.state_dict().items())
    assert all(torch.equal(each, state[key]) for key, each in trainable.items())
    assert torch.equal(shown, batch.inputs)
    assert all(p.grad is None for p in network.parameters())


def test_the_same_generator_gives_the_same_updates_and_torchs_own_numbers_are_left_alone(made):
    rule, network, task, batch, state, generator = made
    before, own = generator.get_state(), torch.get_rng_state()
    kept = {key: each.clone() for key, each in state.items()}
    first = collect(*made)
    generator.set_state(before)
    second = collect(rule, network, task, batch, kept, generator)
    for ours, theirs in zip(first, second, strict=True):
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert torch.equal(own, torch.get_rng_state())


def test_costs_the_multiply_adds_that_it_declares(name):
    """Of a deep stack of wide layers, where little but the layers' own products counts."""
    rule, task = find_rule(name), find_task("classification:digits,batch_size=64")
    if rule.of_time:
        pytest.skip("counted in test_recurrent_costs, of a rollout")
    if name in ONE_LAYER_A_STEP:
        rule = dataclasses.replace(rule, steps=1)
    shape, n_layers = Shape(task.preprocessing, task.n_outputs, rule.activation), 6
    network = make_network("mlp:hidden=256-256-256-256-256", shape, 0)
    generator = torch.Generator().manual_seed(0)
    state = rule.init(network, task, generator)
    batch = dataclasses.replace(next(task.batches(generator)), step=10**6)
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        network(batch.inputs)
    with FlopCounterMode(display=False) as steps:
        for _ in range(n_layers):
            collect(rule, network, task, batch, state, generator)
    found = steps.get_total_flops() / n_layers / forward.get_total_flops()
    assert found == pytest.approx(rule.passes, rel=0.1)


def test_state_is_flat_and_can_be_kept_in_a_file(made):
    state = made[4]
    assert all(isinstance(key, str) and isinstance(each, torch.Tensor) for key, each in state.items())
    assert all(not each.requires_grad for each in state.values())


def test_a_parameter_that_is_fixed_stays(made):
    rule, network, task = made[:3]
    layer = network.input if rule.of_time else network.layers[0].linear
    fixed = layer.weight.requires_grad_(False)
    before, others = fixed.clone(), copy.deepcopy(dict(network.named_parameters()))
    trainer = Trainer(network, task, rule, find_optimizer(rule.optimizer), seed=0)
    for trainer.step in (100, 101):
        trainer.advance()
    assert torch.equal(fixed, before)
    moved = [key for key, p in network.named_parameters() if not torch.equal(p, others[key])]
    assert bool(moved) == rule.learns


def test_another_way_back_is_refused_where_the_cost_holds_derivatives_of_the_network(name):
    rule, task = find_rule(name), find_task("autoencoding:digits,variant=contractive")
    network = make_network("mlp:hidden=20", task.shape(rule.activation), 0)
    if rule.of_time:
        with pytest.raises(NeedsError, match="recurrent"):
            rule.check(network, task)
    if rule.family == "error feedback":
        with pytest.raises(NeedsError, match="derivatives of the network|costs within the network"):
            rule.check(network, task)


def test_inference_gives_a_module_that_answers_like_the_network(made):
    rule, network, task, batch, state, _ = made
    with torch.no_grad():
        answer = task.rollout(rule.inference(network, state), batch)
    if rule.of_time:
        assert answer.shape[:2] == batch.inputs.shape[:2]
    else:
        assert answer.shape == (len(batch), task.n_outputs)


def test_starts_where_the_network_is(made):
    """As on a GPU: whatever was left on the CPU meets a tensor of another device."""
    rule, network, task = made[:3]
    network = network.to("meta")
    if rule.name not in CHECKS_VALUES:
        rule.check(network, task)
    state = rule.init(network, task, torch.Generator())
    assert all(each.device.type == "meta" for each in state.values())


def test_runs_where_the_network_is(made, name):
    """On the meta device nothing is computed, but a tensor of another device is refused as on a GPU."""
    rule, network, task, batch, state, generator = made
    if name in DATA_DEPENDENT:
        pytest.skip("looks at values, which the meta device does not have")
    moved = {key: each.to("meta") for key, each in state.items()}
    for update in rule.updates(network.to("meta"), task, batch.to("meta"), moved, generator):
        assert all(each.device.type == "meta" for each in update.values())


DATA_DEPENDENT = frozenset(
    {
        "greedy_layerwise",
        "force",
        "reward_modulated_hebb",
        "equilibrium_propagation",
        "stdp",
        "stdp_pairs",
        "almeida_pineda",
        "contrastive_hebbian",
        "generec",
        "xcal",
        "prospective_configuration",
        "dendritic_microcircuit",
    }
)
"""Rules whose updates branch on values."""
OVER_TIME = "center_out:body=velocity,batch_size=8"
"""What rules of recurrent networks learn here."""
ONE_LAYER_A_STEP = frozenset({"greedy_layerwise"})
"""Rules whose cost changes while they train."""
CHECKS_VALUES = frozenset({"node_perturbation", "reinforce"})
"""Rules whose check looks at values."""
