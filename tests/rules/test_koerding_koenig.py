"""Körding & König: decorrelation by inhibition, and recruitment by top-down input."""

from dataclasses import dataclass, replace

import pytest
import torch

from brainalign.errors import NeedsError
from brainalign.networks import ConvNet
from brainalign.networks.untrained import seeded
from brainalign.rules.hebb import Hebb
from brainalign.rules.koerding_koenig import TOP_DOWN, KoerdingKoenig, arriving

FIRST = "blocks.0.linear"


@pytest.fixture
def categories(teacher):
    """Make a task of four categories, each a cloud around a direction of its own."""
    plain = teacher(n=400)

    @dataclass(frozen=True)
    class Categories(type(plain)):
        names_categories = True

    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(4, 30, generator=generator, dtype=torch.float64)
    noise = torch.randn(400, 30, generator=generator, dtype=torch.float64)
    return Categories(centres.repeat(100, 1) + 0.5 * noise, torch.arange(400) % 4), centres


def learn(rule, network, task, n_steps=200, state=None):
    generator, batch = torch.Generator().manual_seed(0), next(task.held_out())
    state = rule.init(network, task, generator) if state is None else state
    parameters = dict(network.named_parameters())
    for _ in range(n_steps):
        for update in rule.updates(network, task, batch, state, generator):
            for name, change in update.items():
                parameters[name].data -= 0.05 * change
            with torch.no_grad():
                rule.after_update(network, state)
    return network.blocks[0](task.inputs).detach(), state


def test_inhibition_decorrelates_what_plain_hebb_makes_alike(stack, categories):
    task, _ = categories
    found = {}
    for rule in (KoerdingKoenig(calcium=0.0), KoerdingKoenig(calcium=0.0, inhibition=0.0), Hebb()):
        answers, _ = learn(rule, stack((30, 24, 4), "relu"), task)
        answers = answers[:, answers.std(0) > 1e-9]
        assert answers.shape[1] > 8
        correlations = torch.corrcoef(answers.T)
        pairs = correlations[~torch.eye(len(correlations), dtype=torch.bool)]
        found[rule] = float(pairs.abs().mean())
    inhibited, free, hebb = found.values()
    assert inhibited < 0.7 * hebb, found
    # Without inhibition or calcium spikes it is Hebb's rule.
    assert free == pytest.approx(hebb, rel=1e-12)


def selectivity(answers, task):
    """Give each cell's mean answer to each category less its mean over all, over the largest."""
    means = torch.stack([answers[task.targets == k].mean(0) for k in range(4)], 1)
    return (means - means.mean(1, keepdim=True)) / means.amax(1, keepdim=True).clamp(min=1e-9)


@pytest.mark.parametrize("calcium", [6.0, 0.0])
def test_recruited_cells_come_to_prefer_what_they_were_paired_with(calcium, stack, categories):
    task, _ = categories
    rule = KoerdingKoenig(inhibition=0.3, calcium=6.0)
    assigned = rule.init(stack((30, 80, 4), "relu"), task, torch.Generator().manual_seed(0))[TOP_DOWN + FIRST]
    recruited = assigned.sum(1) > 0
    assert int(recruited.sum()) == 40
    answers, _ = learn(replace(rule, calcium=calcium), stack((30, 80, 4), "relu"), task)
    chosen = selectivity(answers, task)[recruited]
    preferred = float(chosen[assigned[recruited].bool()].mean())
    # The other cells, held against the categories that they would have had.
    others = selectivity(answers, task)[~recruited]
    nominal = float(others.gather(1, torch.arange(len(others))[:, None] % 4).mean())
    assert abs(nominal) < 0.1
    if calcium:
        assert preferred > 0.25
    else:
        assert abs(preferred) < 0.1


def test_update_is_the_equation_cell_by_cell(stack, categories, update):
    task, _ = categories
    network, rule = stack((30, 9, 7, 4), "relu"), KoerdingKoenig(recruited=1.0)
    batch = next(task.held_out(12))
    given, state = update(rule, network, task, batch)
    x = batch.inputs
    for layer in network.layers[:-1]:
        y, wanted = layer.activation(layer.preactivation(x)).detach(), torch.zeros_like(layer.linear.weight)
        for sample, answers, target in zip(x, y, batch.targets, strict=True):
            for cell, answer in enumerate(answers):
                if answer > 0 and answer >= 0.8 * max(answers):
                    boost = 1 + 4 * state[TOP_DOWN + layer.name][cell, target]
                    wanted[cell] += boost * answer * sample / 12
        torch.testing.assert_close(-given[f"{layer.name}.weight"], wanted.detach(), rtol=1e-10, atol=1e-13)
        x = y


def test_tasks_that_name_no_categories_have_no_top_down_input(stack, teacher, categories, update):
    network, task = stack((30, 9, 4), "relu"), teacher(n_classes=4)
    given, state = update(KoerdingKoenig(), network, task, next(task.held_out(20)))
    assert not [key for key in state if key.startswith(TOP_DOWN)]
    plain, _ = update(KoerdingKoenig(calcium=0.0), network, task, next(task.held_out(20)))
    assert torch.equal(given[f"{FIRST}.weight"], plain[f"{FIRST}.weight"])


def test_a_feature_map_is_recruited_at_all_its_places(categories, update):
    task, _ = categories
    images = torch.rand(8, 2, 7, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    task = replace(task, inputs=images, targets=torch.arange(8) % 4)
    with seeded(0):
        network = ConvNet(7, 4, 2, channels=(6,)).double()
    given, _ = update(KoerdingKoenig(recruited=1.0), network, task, next(task.held_out()))
    assert given[f"{FIRST}.weight"].shape == (6, 2, 3, 3)


def test_action_potentials_arrive_where_no_other_cell_is_far_more_active():
    y = torch.tensor([[4.0, 3.0, 0.0], [1.0, 0.9, 0.7], [0.0, 0.0, 0.0]])
    assert arriving(y, 0.8).tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert arriving(y, 0.0).tolist() == [[1, 1, 0], [1, 1, 1], [0, 0, 0]]


def test_shares_above_1_are_refused(stack, teacher):
    for rule in (KoerdingKoenig(inhibition=1.5), KoerdingKoenig(recruited=2.0)):
        with pytest.raises(
            NeedsError, match=f"inhibition={rule.inhibition:g} and recruited={rule.recruited:g}"
        ):
            rule.check(stack((30, 9, 4)), teacher())
