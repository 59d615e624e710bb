"""SoftHebb: norms of active units, what anti-Hebbian learning is for, and depth."""

import dataclasses

import pytest
import torch

from brainalign.rules.softhebb import SoftHebb


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
    parameters = dict(network.named_parameters())
    for _ in range(n_steps):
        for update in rule.updates(network, task, batch, {}, generator):
            for name, change in update.items():
                parameters[name].data -= rate * change
    return [layer.linear.weight.detach() for layer in network.layers[:-1]]


def test_norms_of_active_units_come_to_1_in_each_layer(stack, clusters):
    task, _ = clusters
    network = stack((30, 8, 8, 4), "relu")
    for layer in network.layers:
        layer.linear.weight.data *= 2
    start = [layer.linear.weight.detach().norm(dim=1) for layer in network.layers[:-1]]
    weights = learn(SoftHebb(), network, task, 0.08, 400)
    for before, weight in zip(start, weights, strict=True):
        norms = weight.norm(dim=1)
        assert float((before - 1).abs().max()) > 0.3
        assert int(((norms - 1).abs() < 0.01).sum()) >= 5, norms


def test_a_norm_of_1_is_where_the_rule_rests(stack, clusters, update):
    task, _ = clusters
    network, batch = stack((30, 8, 4)), next(task.held_out())
    linear = network.blocks[0].linear
    linear.weight.data /= linear.weight.detach().norm(dim=1, keepdim=True)
    given, _ = update(SoftHebb(), network, task, batch)
    assert float(given["blocks.0.linear.weight"].abs().max()) < 1e-7
    moving, _ = update(SoftHebb(norm_power=0.0), network, task, batch)
    assert float(moving["blocks.0.linear.weight"].abs().max()) == pytest.approx(1)


def nearest(weight, centres):
    return (weight / weight.norm(dim=1, keepdim=True) @ centres.T).amax(0)


def test_planted_clusters_are_found_by_competition_and_not_without(stack, clusters):
    task, centres = clusters
    found = {}
    for tau in (1.0, 1e6):
        rule = SoftHebb(anti_hebbian=False, norm_power=0.0, tau=tau)
        (weight,) = learn(rule, stack((30, 8, 4), "relu"), task, 0.01, 400)
        found[tau] = nearest(weight, centres)
    assert float(found[1.0].median()) > 0.9
    # Where all units learn alike, each follows the mean of the inputs.
    assert float(found[1e6].median()) < 0.7


def test_losers_unlearn(stack, clusters):
    task, _ = clusters
    driven = task.inputs @ stack((30, 8, 4)).blocks[0].linear.weight.detach().T
    soft, signed = SoftHebb(anti_hebbian=False).competition(driven), SoftHebb().competition(driven)
    torch.testing.assert_close(soft.sum(1), torch.ones(400, dtype=torch.float64), rtol=1e-12, atol=0)
    assert torch.equal(signed.abs(), soft)
    assert torch.equal(signed.argmax(1), driven.argmax(1))
    assert torch.equal((signed > 0).sum(1), torch.ones(400, dtype=torch.int64))
