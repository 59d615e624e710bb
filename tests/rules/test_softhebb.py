"""SoftHebb: its equation in its network, norms of active units, and what losers do."""

import dataclasses
import itertools
import math

import pytest
import torch
from torch import nn

from brainalign.errors import BrainalignError, NeedsError, UnknownNameError
from brainalign.networks.softhebb_net import SoftHebbNet
from brainalign.networks.untrained import seeded
from brainalign.rules import find_rule
from brainalign.rules.softhebb import SoftHebb
from brainalign.training.optimizers import find_optimizer


@pytest.fixture
def clusters(teacher):
    """Make a task of samples around four directions, and the directions."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(4, 30, generator=generator, dtype=torch.float64)
    noise = torch.randn(400, 30, generator=generator, dtype=torch.float64)
    inputs = centres.repeat(100, 1) + 0.3 * noise
    return dataclasses.replace(teacher(n=400), inputs=inputs), centres / centres.norm(dim=1, keepdim=True)


@pytest.fixture
def net(teacher):
    """Make a small network of SoftHebb's own, and a task of images for it."""
    with seeded(0):
        network = SoftHebbNet(8, 4, 2, channels=(5, 6, 7)).double()
        images = torch.randn(3, 2, 8, 8, dtype=torch.float64)
    return network, dataclasses.replace(teacher(n=3), inputs=images, targets=torch.arange(3))


def learn(rule, network, task, rate, n_steps):
    generator, batch = torch.Generator().manual_seed(0), next(task.held_out())
    parameters = dict(network.named_parameters())
    for _ in range(n_steps):
        for update in rule.updates(network, task, batch, {}, generator):
            for name, change in update.items():
                parameters[name].data -= rate * change
    return [layer.linear.weight.detach() for layer in network.layers[:-1]]


def change_by_hand(weight, x, inverse_temperature, rate):
    """Give the change of a convolution's weights by loops over samples, places and units."""
    kernel, size = weight.shape[2], x.shape[2] - weight.shape[2] + 1
    change = torch.zeros_like(weight)
    for image in x:
        for row, column in itertools.product(range(size), repeat=2):
            patch = image[:, row : row + kernel, column : column + kernel]
            u = [float((w * patch).sum()) for w in weight]
            total = sum(math.exp(inverse_temperature * (each - max(u))) for each in u)
            for k, w in enumerate(weight):
                y = math.exp(inverse_temperature * (u[k] - max(u))) / total
                change[k] += (y if u[k] == max(u) else -y) * (patch - u[k] * w)
    change /= change.abs().max()
    for k, w in enumerate(weight):
        change[k] *= rate * abs(float(w.norm()) - 1) ** 0.5
    return change


def test_the_published_step_of_each_block_is_what_loops_give(net, update):
    network, task = net
    batch = next(task.held_out())
    given, _ = update(SoftHebb(), network, task, batch)
    assert list(given) == [f"blocks.{place}.linear.weight" for place in range(3)]
    rate, h = find_optimizer(SoftHebb.optimizer).lr, batch.inputs
    published = zip(network.layers[:-1], (1.0, 0.65, 0.25), (0.08, 0.005, 0.01), strict=True)
    for layer, inverse_temperature, rate_of_layer in published:
        mean, variance = h.mean((0, 2, 3), keepdim=True), h.var((0, 2, 3), keepdim=True, unbiased=False)
        width = layer.linear.weight.shape[2] // 2
        x = nn.functional.pad((h - mean) / (variance + 1e-5).sqrt(), (width,) * 4, mode="reflect")
        wanted = change_by_hand(layer.linear.weight.detach(), x, inverse_temperature, rate_of_layer)
        torch.testing.assert_close(-rate * given[f"{layer.name}.weight"], wanted, rtol=1e-9, atol=1e-13)
        h = layer.activation(layer.linear(x)).detach()


def test_statistics_count_each_batch_once(net, update):
    network, task = net
    batch = next(task.held_out())
    update(SoftHebb(), network, task, batch)
    for block in network.blocks:
        assert int(block.normalisation[0].num_batches_tracked) == 1
    first = network.get_buffer("blocks.0.normalisation.0.running_mean")
    torch.testing.assert_close(first, 0.1 * batch.inputs.mean((0, 2, 3)), rtol=1e-12, atol=0)


def test_further_layers_have_the_last_rate_and_temperature(net):
    rule = find_rule("softhebb:inverse_temperature=2-0.5,rates=1-0.25")
    assert isinstance(rule, SoftHebb)
    seen = [rule.of_layer(layer, place) for place, layer in enumerate(net[0].layers[:-1])]
    assert [float(each.rates) for each in seen] == [1.0, 0.25, 0.25]
    driven = torch.tensor([[1.0, 3.0, 2.0]])
    for each, inverse_temperature in zip(seen, (2.0, 0.5, 0.5), strict=True):
        torch.testing.assert_close(each.competition(driven).abs(), (inverse_temperature * driven).softmax(1))


@pytest.mark.parametrize("option", ["inverse_temperature", "rates"])
@pytest.mark.parametrize("text", ["1-", "soft", "1e-3"])
def test_what_is_no_list_of_numbers_is_refused(option, text, stack, teacher):
    with pytest.raises(BrainalignError, match=f"softhebb:{option} is '{text}'; expected a decimal for each"):
        SoftHebb(**{option: text}).check(stack((30, 8, 4)), teacher())


def test_norms_come_to_1_in_each_block_of_its_network(net):
    network, task = net
    start = [layer.linear.weight.detach().flatten(1).norm(dim=1) for layer in network.layers[:-1]]
    assert all(float(each.min()) > 10 for each in start)
    for weight in learn(SoftHebb(rates="1"), network, task, 0.08, 400):
        norms = weight.flatten(1).norm(dim=1)
        torch.testing.assert_close(norms, torch.ones_like(norms), rtol=0, atol=0.01)


def test_losers_unlearn_where_inputs_are_normalised_and_not_elsewhere(net, stack):
    rule, driven = SoftHebb(), torch.tensor([[1.0, 3.0, 2.0]])
    plain = rule.of_layer(stack((30, 8, 4)).layers[0], 0).competition(driven)
    torch.testing.assert_close(plain, (12 * driven).softmax(1))
    for anti_hebbian, signs in (("normalised", [-1, 1, -1]), ("never", [1, 1, 1])):
        rule = SoftHebb(anti_hebbian=anti_hebbian).of_layer(net[0].layers[0], 0)
        assert rule.competition(driven).sign()[0].tolist() == signs
    with pytest.raises(UnknownNameError, match="softhebb:anti_hebbian 'nevr'. Did you mean 'never'"):
        SoftHebb(anti_hebbian="nevr").check(*net)


def test_rules_that_need_pointwise_layers_refuse_its_network(net):
    for name in ("predictive_coding", "difference_target_propagation", "similarity_matching"):
        with pytest.raises(NeedsError, match="plain stack of them"):
            find_rule(name).check(*net)


def test_norms_of_active_units_come_to_1_in_each_layer(stack, clusters):
    task, _ = clusters
    network = stack((30, 8, 8, 4), "relu")
    for layer in network.layers:
        layer.linear.weight.data *= 2
    start = [layer.linear.weight.detach().norm(dim=1) for layer in network.layers[:-1]]
    rule = SoftHebb(anti_hebbian="always", plain_inverse_temperature=1.0, rates="1")
    weights = learn(rule, network, task, 0.08, 400)
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
    for inverse_temperature in (1.0, 1e-6):
        rule = SoftHebb(norm_power=0.0, plain_inverse_temperature=inverse_temperature)
        (weight,) = learn(rule, stack((30, 8, 4), "relu"), task, 0.01, 400)
        found[inverse_temperature] = nearest(weight, centres)
    assert float(found[1.0].median()) > 0.9
    # Where all units learn alike, each follows the mean of the inputs.
    assert float(found[1e-6].median()) < 0.7


def test_losers_unlearn(stack, clusters):
    task, _ = clusters
    driven = task.inputs @ stack((30, 8, 4)).blocks[0].linear.weight.detach().T
    soft, signed = SoftHebb().competition(driven), SoftHebb(anti_hebbian="always").competition(driven)
    torch.testing.assert_close(soft.sum(1), torch.ones(400, dtype=torch.float64), rtol=1e-12, atol=0)
    assert torch.equal(signed.abs(), soft)
    assert torch.equal(signed.argmax(1), driven.argmax(1))
    assert torch.equal((signed > 0).sum(1), torch.ones(400, dtype=torch.int64))
