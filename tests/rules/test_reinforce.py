"""REINFORCE: the gradient of the noisy network's expected cost, at any noise; what the baseline is for."""

import pytest
import torch
from torch import nn

from brainalign.errors import NeedsError
from brainalign.networks import ConvNet
from brainalign.networks.untrained import seeded
from brainalign.rules import perturbations
from brainalign.rules.backprop import Backprop
from brainalign.rules.noisy_maps import pass_through_maps
from brainalign.rules.reinforce import BASELINE, Reinforce
from brainalign.tasks import Batch
from brainalign.tasks.total_cost import total_cost


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def flat(update):
    return torch.cat([each.detach().flatten() for each in update.values()])


def cosine(a, b):
    return float(nn.functional.cosine_similarity(a, b, dim=0))


@pytest.fixture
def small(stack, teacher):
    network, task = stack((8, 9, 4), seed=1), teacher(8, 4)
    return network, task, next(task.held_out(20))


def expected_gradient(network, task, batch, sigma, n):
    """The gradient of the noisy network's cost by backprop through the noise, averaged over draws."""
    drawn, h = generator(9), batch.inputs.repeat(n, 1)
    for layer in network.layers:
        a = layer.preactivation(h)
        h = layer.activation(a + sigma * torch.randn(a.shape, generator=drawn, dtype=a.dtype))
    cost = task.cost(h, Batch(batch.inputs.repeat(n, 1), batch.targets.repeat(n))).mean()
    found = torch.autograd.grad(cost, list(network.parameters()))
    return dict(zip(dict(network.named_parameters()), found, strict=True))


def test_is_the_gradient_of_the_noisy_networks_expected_cost_on_average(small):
    """With noise so strong that the gradient is another than the quiet network's."""
    network, task, batch = small
    for layer in network.layers:
        layer.linear.weight.data *= 3
    expected = flat(expected_gradient(network, task, batch, 1.5, 4000))
    quiet = flat(next(Backprop().updates(network, task, batch, {}, generator())))
    baseline = torch.tensor(-2.0, dtype=torch.float64)
    rule, drawn = Reinforce(samples=4000, sigma=1.5), generator()
    parts = [rule.estimate(network, task, batch, baseline, drawn)[0] for _ in range(3)]
    given = torch.stack([flat(each) for each in parts]).mean(0)
    slope = float(given @ expected / (expected @ expected))
    assert abs(slope - 1) < 0.05
    assert cosine(given, expected) > 0.97
    assert cosine(given, quiet) < cosine(given, expected) - 0.03


def test_any_baseline_leaves_the_mean_and_that_of_the_rewards_lowers_the_variance(small):
    network, task, batch = small
    rule = Reinforce(samples=1, sigma=0.3)

    def estimates(baseline):
        drawn, given = generator(), torch.tensor(baseline, dtype=torch.float64)
        found = [flat(rule.estimate(network, task, batch, given, drawn)[0]) for _ in range(80)]
        return torch.stack(found)

    usual = float(rule.init(network, task, generator())[BASELINE])
    with_mean, without = estimates(usual), estimates(0.0)
    assert with_mean.var(0).sum() < 0.5 * without.var(0).sum()
    apart = (with_mean.mean(0) - without.mean(0)).square().sum()
    assert apart < 2 * (with_mean.var(0) + without.var(0)).sum() / 80


def test_baseline_starts_at_the_reward_without_noise_and_follows_the_rewards(small):
    network, task, batch = small
    rule, drawn = Reinforce(samples=3, sigma=0.5, rate=0.25), generator()
    state = rule.init(network, task, drawn)
    first = next(task.seen(128))
    torch.testing.assert_close(state[BASELINE], -total_cost(network, task, first).detach())
    before, at = state[BASELINE].clone(), drawn.get_state()
    given = next(rule.updates(network, task, batch, state, drawn))
    again = generator()
    again.set_state(at)
    expected, reward = rule.estimate(network, task, batch, before, again)
    assert all(torch.equal(given[name], expected[name]) for name in given)
    torch.testing.assert_close(state[BASELINE], 0.75 * before + 0.25 * reward)


def test_update_is_the_reward_times_noise_and_the_noisy_activity_by_hand(small):
    network, task, batch = small
    baseline = torch.tensor(-1.1, dtype=torch.float64)
    rule = Reinforce(samples=4, sigma=0.5)
    at_once, looped = (
        rule.estimate(network, task, batch, baseline, generator(), loop=loop)[0] for loop in (False, True)
    )
    drawn, expected = generator(), {}
    shapes = [each.shape for each in network.activity(batch.inputs)[0]]
    noise = [torch.randn(4, *shape, generator=drawn, dtype=torch.float64) for shape in shapes]
    with torch.no_grad():
        for k in range(4):
            answers = [batch.inputs]
            for layer, each in zip(network.layers, noise, strict=True):
                answers.append(layer.activation(layer.preactivation(answers[-1]) + 0.5 * each[k]))
            reward = -task.cost(answers[-1], batch)
            for layer, each, x in zip(network.layers, noise, answers[:-1], strict=True):
                delta = -(reward - baseline)[:, None] * each[k] / 0.5 / (4 * len(batch))
                for name, part in layer.weight_gradient(delta, x).items():
                    expected[name] = expected.get(name, 0) + part
    assert set(at_once) == set(expected)
    for name in expected:
        torch.testing.assert_close(at_once[name], expected[name], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(looped[name], expected[name], rtol=1e-10, atol=1e-12)


def test_convolutions_learn_and_chunks_add_up(small, monkeypatch):
    _, task, batch = small
    with seeded(0):
        network = ConvNet(8, 4, 1, (3, 5)).double()
    images = Batch(torch.randn(6, 1, 8, 8, generator=generator(), dtype=torch.float64), batch.targets[:6])
    baseline, drawn = torch.tensor(-1.4, dtype=torch.float64), generator()
    one = Reinforce(samples=1)
    singly = [one.estimate(network, task, images, baseline, drawn)[0] for _ in range(3)]
    monkeypatch.setattr(perturbations, "MEMORY", 1)
    given, _ = Reinforce(samples=3).estimate(network, task, images, baseline, generator())
    assert set(given) == {name for name, _ in network.named_parameters()}
    for name in given:
        mean = torch.stack([each[name] for each in singly]).mean(0)
        torch.testing.assert_close(given[name], mean, rtol=1e-10, atol=1e-12)


def test_with_little_noise_and_each_samples_own_reward_as_baseline_it_is_backprop(small):
    """A baseline of the sample's own is node perturbation, whose mean is the gradient."""
    network, task, batch = small
    one = Batch(batch.inputs[:1], batch.targets[:1])
    own = -pass_through_maps(network, task, one)[0].mean().detach()
    exact = flat(next(Backprop().updates(network, task, one, {}, generator())))
    given, _ = Reinforce(samples=4000, sigma=1e-3).estimate(network, task, one, own, generator())
    assert cosine(flat(given), exact) > 0.97
    assert abs(float(flat(given) @ exact / (exact @ exact)) - 1) < 0.05


def test_batch_normalisation_in_training_is_refused(teacher):
    with seeded(0):
        network = nn.Sequential(nn.Linear(30, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 5)).double()
    with pytest.raises(NeedsError, match="'reinforce'.*act on each other"):
        Reinforce().check(network.train(), teacher())
    Reinforce().check(network.eval(), teacher())


def test_learns(stack, teacher):
    network, task = stack((30, 20, 5)), teacher()
    rule, drawn = Reinforce(sigma=0.5), generator()
    state, held = rule.init(network, task, drawn), next(task.held_out())
    before = total_cost(network, task, held).item()
    for _ in range(4):
        for batch in task.batches(drawn):
            update = next(rule.updates(network, task, batch, state, drawn))
            with torch.no_grad():
                for name, parameter in network.named_parameters():
                    parameter -= 0.15 * update[name]
    assert total_cost(network, task, held).item() < 0.85 * before


def test_baseline_follows_from_the_generator_alone(teacher):
    task = teacher()
    network = nn.Sequential(nn.Linear(30, 20), nn.Dropout(0.5), nn.Linear(20, 5)).double()
    found = []
    for seed in (1, 2):
        with seeded(seed):
            found.append(Reinforce().init(network, task, torch.Generator().manual_seed(0))[BASELINE])
    assert torch.equal(*found)


def test_a_baseline_that_would_come_apart_and_nothing_to_learn_are_refused(stack, teacher):
    with pytest.raises(NeedsError, match="by 1 at most"):
        Reinforce(rate=1.5).check(stack((30, 8, 5)), teacher())
    with pytest.raises(NeedsError, match="nothing to perturb"):
        Reinforce().check(stack((30, 8, 5)).requires_grad_(False), teacher())
