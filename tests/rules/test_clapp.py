"""CLAPP: the three-factor rule against autograd, pairs of glances, and what it learns without labels."""

import pytest
import torch
from torch import nn

from brainalign.errors import NeedsError
from brainalign.networks import ConvNet, Shape, make_network
from brainalign.networks.untrained import seeded
from brainalign.rules import find_rule
from brainalign.rules.clapp import PREDICTION, Clapp
from brainalign.tasks import Batch, find_task


def pictures(task):
    images = torch.randn(12, 2, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    object.__setattr__(task, "inputs", images)
    object.__setattr__(task, "targets", torch.arange(12) % 5)
    with seeded(0):
        return ConvNet(9, 5, 2, channels=(6, 8)).double(), task


@pytest.mark.parametrize("kind", ["mlp", "convnet"])
def test_update_is_the_gradient_of_each_layers_own_loss(kind, stack, teacher, update):
    network, task = pictures(teacher()) if kind == "convnet" else (stack((30, 20, 16, 5)), teacher())
    batch, rule = next(task.held_out(12)), Clapp()
    generator = torch.Generator().manual_seed(0)
    state = rule.init(network, task, generator)
    # Wider than at the start, so that some pairs are past the margin.
    state = {key: each * 5 for key, each in state.items()}
    given, _ = update(rule, network, task, batch, state, seed=3)
    generator = torch.Generator().manual_seed(3)
    x = rule.glances(batch.inputs, generator)
    other, silent = int(torch.randint(1, 12, (), generator=generator)), 0
    for layer in network.layers[:-1]:
        x = layer.activation(layer.preactivation(x.detach()))
        c, z = x.flatten(2).mean(2).chunk(2) if x.ndim > 2 else x.chunk(2)
        weight = state[PREDICTION + layer.name].clone().requires_grad_()
        same = torch.stack([1 - z[i] @ weight @ c[i] for i in range(12)]).relu()
        apart = torch.stack([1 + z[i] @ weight @ c[(i + other) % 12] for i in range(12)]).relu()
        silent += int((same == 0).sum() + (apart == 0).sum())
        loss = torch.cat([same, apart]).mean()
        found = torch.autograd.grad(loss, [*layer.linear.parameters(), weight])
        names = (f"{layer.name}.weight", f"{layer.name}.bias", PREDICTION + layer.name)
        for name, each in zip(names, found, strict=True):
            torch.testing.assert_close(given[name], each, rtol=1e-9, atol=1e-13)
    assert silent > 0
    assert not [name for name in given if name.startswith("head")]


def test_labels_are_not_looked_at(stack, teacher, update):
    network, task = stack((30, 20, 16, 5)), teacher()
    batch = next(task.held_out(12))
    given, state = update(Clapp(), network, task, batch)
    blind, _ = update(Clapp(), network, task, Batch(batch.inputs), seed=0)
    assert all(torch.equal(given[name], blind[name]) for name in given)


def test_changing_a_later_layer_leaves_the_updates_of_earlier_ones(stack, teacher, update):
    network, task = stack((30, 20, 16, 5)), teacher()
    batch = next(task.held_out(12))
    before, state = update(Clapp(), network, task, batch, seed=1)
    state[PREDICTION + "blocks.1.linear"] *= -3
    with torch.no_grad():
        network.blocks[1].linear.weight *= 2
    after, _ = update(Clapp(), network, task, batch, None, seed=1)
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {name for name in before if "blocks.0" in name}


def test_glances_are_whole_moves_of_the_image_with_edges_repeated():
    image = torch.arange(64, dtype=torch.float64).view(1, 1, 8, 8).expand(100, 1, 8, 8)
    seen = Clapp().glances(image, torch.Generator().manual_seed(0))
    padded = nn.functional.pad(image[:1], (1, 1, 1, 1), mode="replicate")[0, 0]
    moves = {(i, j): padded[i : i + 8, j : j + 8] for i in range(3) for j in range(3)}
    found = [move for each in seen for move, wanted in moves.items() if torch.equal(each[0], wanted)]
    assert len(found) == 200
    assert set(found) == set(moves)


def test_pairs_of_an_image_with_itself_come_to_be_predicted_and_others_not(stack, teacher):
    network, task, rule = stack((30, 20, 16, 5), "relu"), teacher(n=200), Clapp()
    generator, held = torch.Generator().manual_seed(0), next(task.held_out(100))
    state = rule.init(network, task, generator)
    parameters = dict(network.named_parameters()) | state

    def losses():
        own = torch.Generator().manual_seed(9)
        c, z = rule.glances(held.inputs, own).chunk(2)
        found = []
        for layer in network.layers[:-1]:
            c, z = (layer.activation(layer.preactivation(each)).detach() for each in (c, z))
            predicted = c @ state[PREDICTION + layer.name].T
            same, apart = 1 - (z * predicted).sum(1), 1 + (z * predicted.roll(-7, 0)).sum(1)
            found.append(float(torch.cat([same, apart]).relu().mean()))
        return found

    before = losses()
    for _ in range(60):
        for batch in task.batches(generator):
            for update in rule.updates(network, task, batch, state, generator):
                for name, change in update.items():
                    parameters[name].data -= 0.05 * change
    # At 1 nothing is told apart.
    assert min(before) > 0.9
    assert max(losses()) < 0.6, losses()


def test_an_image_alone_is_refused(stack, teacher, update):
    network, task = stack((30, 20, 5)), teacher()
    with pytest.raises(NeedsError, match="batches of 2 or more"):
        update(Clapp(), network, task, next(task.held_out(1)))
    with pytest.raises(NeedsError, match="1 hidden layers at least"):
        Clapp().check(stack((30, 5)), task)


def test_what_the_task_has_to_learn_itself_and_glances_that_do_not_move_are_refused():
    task = find_task("contrastive:digits")
    network = make_network("mlp", Shape(task.preprocessing, task.n_outputs))
    with pytest.raises(NeedsError, match="would stay untrained"):
        Clapp().check(network, task)
    task = find_task("classification:digits")
    network = make_network("mlp", Shape(task.preprocessing, task.n_outputs))
    for shift in (0.1, 1.0):
        with pytest.raises(NeedsError, match="8 pixels wide"):
            Clapp(shift=shift).check(network, task)
    find_rule("clapp:shift=0").check(network, task)
