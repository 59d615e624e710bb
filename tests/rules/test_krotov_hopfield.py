"""Krotov & Hopfield: norms of winners, clusters that are planted, and the fall of the rate."""

import dataclasses

import pytest
import torch

from brainalign.rules.krotov_hopfield import KrotovHopfield, ranked


@pytest.fixture
def clusters(teacher):
    """Make a task of samples around four directions, and the directions."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(4, 30, generator=generator, dtype=torch.float64)
    noise = torch.randn(400, 30, generator=generator, dtype=torch.float64)
    inputs = centres.repeat(100, 1) + 0.3 * noise
    return dataclasses.replace(teacher(n=400), inputs=inputs), centres / centres.norm(dim=1, keepdim=True)


def learn(rule, network, task, rate, n_steps):
    generator, batch = torch.Generator().manual_seed(0), next(task.held_out())
    for step in range(n_steps):
        now = dataclasses.replace(batch, step=step)
        for update in rule.updates(network, task, now, {}, generator):
            for name, change in update.items():
                dict(network.named_parameters())[name].data -= rate * change
    return network.blocks[0].linear.weight.detach()


@pytest.mark.parametrize("p", [2.0, 3.0])
def test_units_that_win_come_to_a_norm_of_1_and_others_do_not(p, stack, clusters):
    task, centres = clusters
    network = stack((30, 12, 4), "relu")
    network.blocks[0].linear.weight.data *= 3
    # Against all clusters, so that this unit is never among the first two.
    network.blocks[0].linear.weight.data[0] = -centres.sum(0)
    start = network.blocks[0].linear.weight.detach().clone()
    weight = learn(KrotovHopfield(p=p, decay_steps=600), network, task, 0.02, 600)
    driven = task.inputs @ (weight.sign() * weight.abs() ** (p - 1)).T
    wins = torch.bincount(driven.argmax(1), minlength=12)
    norms, before = weight.abs().pow(p).sum(1), start.abs().pow(p).sum(1)
    assert (before[wins > 0] - 1).abs().min() > 0.5
    torch.testing.assert_close(norms[wins > 0], torch.ones_like(norms[wins > 0]), rtol=0, atol=0.05)
    assert torch.equal(weight[0], start[0])


def test_planted_clusters_are_found(stack, clusters):
    task, centres = clusters
    network = stack((30, 12, 4), "relu")
    start = network.blocks[0].linear.weight.detach().clone()
    weight = learn(KrotovHopfield(decay_steps=600, unlearning=0.01), network, task, 0.02, 600)

    def nearest(w):
        return (w / w.norm(dim=1, keepdim=True) @ centres.T).amax(0)

    assert float(nearest(start).max()) < 0.7
    # What a mean of samples of one cluster alone comes to; two clusters that share a unit give less.
    assert float(nearest(weight).min()) > 0.98


def test_only_the_first_and_the_kth_unit_count():
    driven = torch.tensor([[0.1, 0.9, 0.5, 0.7], [3.0, 2.0, 1.0, 0.0]])
    wanted = torch.tensor([[0.0, 1.0, -0.4, 0.0], [1.0, 0.0, -0.4, 0.0]])
    assert torch.equal(ranked(driven, 3, 0.4), wanted)


def test_the_rate_falls_to_nothing(stack, clusters, update):
    task, _ = clusters
    network, batch = stack((30, 12, 4)), next(task.held_out(50))
    sizes = []
    for step in (0, 25, 100, 200):
        now = dataclasses.replace(batch, step=step)
        given, _ = update(KrotovHopfield(decay_steps=100), network, task, now)
        sizes.append(float(given["blocks.0.linear.weight"].abs().max()))
    assert sizes == pytest.approx([1.0, 0.75, 0.0, 0.0], abs=1e-12)
    given, _ = update(KrotovHopfield(), network, task, now)
    assert float(given["blocks.0.linear.weight"].abs().max()) == pytest.approx(1.0)
