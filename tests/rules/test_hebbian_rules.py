"""What all Hebbian rules of stacks have in common: their equations sample by sample, and convolutions."""

import dataclasses

import pytest
import torch
from torch import nn

from brainalign.errors import NeedsError
from brainalign.networks import ConvNet, Shape, make_network
from brainalign.networks.layered import Layer
from brainalign.networks.untrained import seeded
from brainalign.rules.hebb import Hebb
from brainalign.rules.krotov_hopfield import KrotovHopfield
from brainalign.rules.oja import Oja
from brainalign.rules.sanger import Sanger
from brainalign.rules.similarity_matching import LATERAL, SimilarityMatching
from brainalign.rules.softhebb import SoftHebb
from brainalign.tasks import Batch, find_task

RULES = {
    "hebb": Hebb(),
    "oja": Oja(),
    "sanger": Sanger(),
    "similarity_matching": SimilarityMatching(),
    "krotov_hopfield": KrotovHopfield(),
    "krotov_hopfield_cubed": KrotovHopfield(p=3.0, k=3),
    "softhebb": SoftHebb(),
    "softhebb_losers": SoftHebb(anti_hebbian="always", norm_power=0.0, plain_inverse_temperature=2.0),
}


def by_hand(name, weight, x, y, place):
    """Give a rule's change by loops over samples and units."""
    change = torch.zeros_like(weight)
    rule = RULES[name]
    for v, answer in zip(x, y, strict=True):
        if name == "hebb":
            change += torch.outer(answer, v)
        elif name == "similarity_matching":
            change += 2 * (torch.outer(answer, v) - weight)
        elif name in ("oja", "sanger"):
            for i in range(len(weight)):
                among = range(i + 1) if name == "sanger" else [i]
                change[i] += answer[i] * (v - sum(answer[k] * weight[k] for k in among))
        elif name.startswith("krotov"):
            driven = (weight.sign() * weight.abs() ** (rule.p - 1)) @ v
            order = driven.argsort(descending=True)
            for unit, g in ((order[0], 1.0), (order[rule.k - 1], -rule.unlearning)):
                change[unit] += g * (v - driven[unit] * weight[unit])
        else:
            driven = weight @ v
            sharp = (rule.plain_inverse_temperature * driven).exp()
            for i, w in enumerate(weight):
                sign = -1 if name == "softhebb_losers" and i != int(driven.argmax()) else 1
                change[i] += sign * sharp[i] / sharp.sum() * (v - driven[i] * w)
    if name.startswith("krotov"):
        return change / change.abs().max()
    if name.startswith("softhebb"):
        away = (weight.norm(dim=1) - 1).abs().pow(rule.norm_power)[:, None]
        return (1, 0.0625)[place] * away * change / change.abs().max()
    return change / len(x)


@pytest.mark.parametrize("name", RULES)
def test_update_is_the_equation_sample_by_sample_at_each_hidden_layer(name, stack, teacher, update):
    rule, task = RULES[name], teacher()
    network = stack((30, 7, 5, 3), "linear" if name == "similarity_matching" else "tanh")
    batch = next(task.held_out(9))
    given, _ = update(rule, network, task, batch)
    assert {key for key in given if not key.startswith("trainable.")} == {
        "blocks.0.linear.weight",
        "blocks.1.linear.weight",
    }
    x = batch.inputs
    for place, layer in enumerate(network.layers[:-1]):
        weight = layer.linear.weight.detach()
        y = layer.activation(x @ weight.T)
        torch.testing.assert_close(
            -given[f"{layer.name}.weight"], by_hand(name, weight, x, y, place), rtol=1e-10, atol=1e-13
        )
        x = y


@pytest.mark.parametrize("name", RULES)
def test_a_convolution_learns_as_a_layer_that_is_shown_each_patch(name, teacher, update):
    rule, task = RULES[name], teacher()
    activation = "linear" if name == "similarity_matching" else "relu"
    images = torch.randn(4, 2, 7, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    task = dataclasses.replace(task, inputs=images, targets=torch.arange(4))
    with seeded(0):
        network = ConvNet(7, 4, 2, channels=(6,), activation=activation).double()
    batch, conv = next(task.held_out()), network.layers[0].linear
    given, state = update(rule, network, task, batch)
    if name == "similarity_matching":
        state[LATERAL + "blocks.0.linear"] += 0.1
        given, _ = update(rule, network, task, batch, state)
    patches = nn.functional.unfold(images, 3, padding=1, stride=2).movedim(1, -1).flatten(0, 1)
    full = nn.Linear(18, 6).double()
    full.load_state_dict({"weight": conv.weight.detach().flatten(1), "bias": conv.bias.detach()})
    layer = Layer("blocks.0.linear", full, network.layers[0].activation)
    with torch.no_grad():
        a = layer.preactivation(patches)
        wanted = rule.layer_update(layer, patches, a, rule.answer(layer, a, state), batch, state)
    for key, each in wanted.items():
        torch.testing.assert_close(given[key], each.view_as(given[key]), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", RULES)
def test_labels_are_not_looked_at(name, stack, teacher, update):
    network, task = stack((30, 7, 5, 3), "linear"), teacher()
    batch = next(task.held_out(9))
    given, _ = update(RULES[name], network, task, batch)
    blind, _ = update(RULES[name], network, task, Batch(batch.inputs))
    assert all(torch.equal(given[key], blind[key]) for key in given)


@pytest.mark.parametrize("name", RULES)
def test_what_learns_nothing_is_refused(name, stack, teacher):
    with pytest.raises(NeedsError, match="1 hidden layers at least"):
        RULES[name].check(stack((30, 5)), teacher())
    task = find_task("contrastive:digits")
    network = make_network("mlp", Shape(task.preprocessing, task.n_outputs))
    with pytest.raises(NeedsError, match="would stay untrained"):
        RULES[name].check(network, task)


def test_similarity_matching_refuses_units_that_are_not_linear(stack, teacher):
    with pytest.raises(NeedsError, match="has a Tanh. Choose activation=linear"):
        SimilarityMatching().check(stack((30, 7, 5), "tanh"), teacher())


def test_ranks_and_powers_that_cannot_be_are_refused(stack, teacher):
    for rule in (KrotovHopfield(k=6), KrotovHopfield(k=1), KrotovHopfield(p=1.5)):
        with pytest.raises(NeedsError, match=f"k={rule.k} and p={rule.p:g}; it needs a rank from 2 to 5"):
            rule.check(stack((30, 7, 5, 3)), teacher())
