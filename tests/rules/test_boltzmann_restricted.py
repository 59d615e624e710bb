"""Restricted Boltzmann machines: contrastive divergence comes to the gradient of log p, which rises."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch.nn import functional as F

from brainalign.errors import NeedsError, UnknownNameError
from brainalign.networks import ConvNet, Shape, make_network
from brainalign.networks.untrained import seeded
from brainalign.rules.boltzmann_restricted import CHAIN, VISIBLE_BIAS, BoltzmannRestricted
from brainalign.tasks import find_task

FIRST = "blocks.0.linear"
NAMES = (f"{FIRST}.weight", f"{FIRST}.bias", VISIBLE_BIAS + FIRST)


def binary(n):
    return torch.tensor(list(product((0.0, 1.0), repeat=n)), dtype=torch.float64)


def log_probability(v, weight, bias, visible_bias, visible):
    """Give log p(v) of each sample by the sum over all states of binary units."""

    def unnormalised(v):
        own = -0.5 * v.square().sum(1) if visible == "gaussian" else 0.0
        return own + v @ visible_bias + F.softplus(v @ weight.T + bias).sum(1)

    if visible == "binary":
        return unnormalised(v) - torch.logsumexp(unnormalised(binary(weight.shape[1])), 0)
    h = binary(len(weight))
    mean = h @ weight + visible_bias
    log_z = torch.logsumexp(h @ bias + 0.5 * mean.square().sum(1), 0)
    return unnormalised(v) - log_z - 0.5 * weight.shape[1] * torch.log(torch.tensor(2 * torch.pi))


@pytest.fixture
def simulated(stack, teacher):
    """Make a machine of 6 × 4 units, and SIMULATED patterns: two prototypes with a tenth of units turned."""

    def make(visible="binary", scale=1.0, n=40):
        generator = torch.Generator().manual_seed(0)
        prototypes = torch.tensor([[1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 0, 1]], dtype=torch.float64)
        which = torch.randint(2, (n,), generator=generator)
        turned = (torch.rand(n, 6, generator=generator) < 0.1).double()
        v = (prototypes[which] - turned).abs()
        if visible == "gaussian":
            v = 2 * v - 1 + 0.5 * torch.randn(v.shape, generator=generator, dtype=torch.float64)
        network = stack((6, 4, 2), "sigmoid")
        with torch.no_grad():
            network.layers[0].linear.weight.mul_(scale)
            network.layers[0].linear.bias.normal_(0, 0.5, generator=generator)
        return network, replace(teacher(6, 2), inputs=v, targets=which)

    return make


def machine(network, state):
    linear = network.layers[0].linear
    return linear.weight, linear.bias, state[VISIBLE_BIAS + FIRST]


def exact_gradient(network, state, v, visible):
    """Differentiate −log p, the mean over samples."""
    weight, bias, visible_bias = (each.detach().requires_grad_() for each in machine(network, state))
    cost = -log_probability(v, weight, bias, visible_bias, visible).mean()
    gradient = torch.autograd.grad(cost, (weight, bias, visible_bias))
    return torch.cat([each.flatten() for each in gradient])


def flat(update):
    return torch.cat([update[name].flatten() for name in NAMES])


def correlation(a, b):
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


@pytest.mark.parametrize("visible", ["binary", "gaussian"])
def test_probabilities_by_enumeration_are_a_distribution(simulated, visible):
    network, _ = simulated(visible)
    state = {VISIBLE_BIAS + FIRST: 0.3 * torch.ones(6, dtype=torch.float64)}
    if visible == "binary":
        v, weight = binary(6), 1.0
    else:
        generator = torch.Generator().manual_seed(0)
        v = 3 * torch.randn(200_000, 6, generator=generator, dtype=torch.float64)
        density = torch.distributions.Normal(0.0, 3.0).log_prob(v).sum(1)
        weight = (-density).exp() / len(v)
    with torch.no_grad():
        total = (log_probability(v, *machine(network, state), visible).exp() * weight).sum()
    assert float(total) == pytest.approx(1, rel=1e-10 if visible == "binary" else 0.05)


@pytest.mark.parametrize("visible", ["binary", "gaussian"])
def test_many_sweeps_give_the_gradient_of_log_p_and_one_does_not(simulated, update, visible):
    network, task = simulated(visible, scale=2.0 if visible == "binary" else 1.0)
    batch = next(task.held_out())
    many = replace(batch, inputs=batch.inputs.repeat(250, 1))
    found = {}
    for sweeps in (1, 50):
        rule = BoltzmannRestricted(sweeps=sweeps, visible=visible)
        given, state = update(rule, network, task, many)
        exact = exact_gradient(network, state, batch.inputs, visible)
        found[sweeps] = correlation(flat(given), exact), float((flat(given) - exact).norm() / exact.norm())
    assert found[50][0] > 0.95, found
    assert found[50][1] < 0.1, found
    assert found[1][1] > 2 * found[50][1], found


def learn(rule, network, task, n_steps, rate=0.1, sign=1.0):
    """Follow the rule on all samples; give the mean log p before, and after."""
    generator, batch = torch.Generator().manual_seed(0), next(task.held_out())
    state = rule.init(network, task, generator)
    parameters = dict(network.named_parameters()) | state
    means = []
    for step in range(n_steps + 1):
        if step in (0, n_steps):
            with torch.no_grad():
                p = log_probability(batch.inputs, *machine(network, state), rule.visible)
            means.append(float(p.mean()))
        for update in rule.updates(network, task, replace(batch, step=step), state, generator):
            for name, each in update.items():
                parameters[name].data -= sign * rate * each
    return means


@pytest.mark.parametrize("chains", [0, 40])
@pytest.mark.parametrize("visible", ["binary", "gaussian"])
def test_log_p_rises_above_that_of_units_by_themselves(simulated, visible, chains):
    rule = BoltzmannRestricted(visible=visible, chains=chains)
    network, task = simulated(visible, n=200)
    before, after = learn(rule, network, task, 600)
    v = task.inputs
    if visible == "binary":
        mean = v.mean(0)
        alone = float((v * mean.log() + (1 - v) * (1 - mean).log()).sum(1).mean())
    else:
        alone = float(torch.distributions.Normal(v.mean(0), 1.0).log_prob(v).sum(1).mean())
    assert after > max(alone, before) + 0.3, (before, alone, after)


def test_the_other_way_log_p_falls(simulated):
    network, task = simulated(n=200)
    before, after = learn(BoltzmannRestricted(visible="binary"), network, task, 200, sign=-1.0)
    assert after < before - 0.3


def test_a_layer_is_given_what_the_one_below_answers_and_learns_as_a_machine_of_its_own(stack, teacher, update):
    """The layer above, alone on the answers below, by the same random numbers."""
    network, task = stack((6, 5, 4, 2), "sigmoid"), teacher(6, 2)
    batch = next(task.held_out(30))
    rule = BoltzmannRestricted(visible="binary", steps=10)
    task = replace(task, inputs=batch.inputs.sigmoid())
    batch = next(task.held_out())
    state = rule.init(network, task, torch.Generator())
    given, _ = update(rule, network, task, replace(batch, step=10), state)
    with torch.no_grad():
        answers = network.blocks[0](batch.inputs)
    above = stack((5, 4, 2), "sigmoid")
    above.layers[0].linear.load_state_dict(network.layers[1].linear.state_dict())
    alone = replace(task, inputs=answers)
    wanted, _ = update(rule, above, alone, next(alone.held_out()))
    assert given.keys() == {name.replace(FIRST, "blocks.1.linear") for name in wanted}
    for name, each in wanted.items():
        torch.testing.assert_close(given[name.replace(FIRST, "blocks.1.linear")], each, rtol=0, atol=0)


def test_layers_take_turns_or_learn_at_once(stack, teacher, update):
    network, task = stack((6, 5, 4, 2), "sigmoid"), teacher(6, 2)
    batch = next(task.held_out(30))

    def learning(rule, step):
        given, _ = update(rule, network, task, replace(batch, step=step))
        return {name.removeprefix(VISIBLE_BIAS).split(".linear")[0] for name in given}

    both = {"blocks.0", "blocks.1"}
    assert learning(BoltzmannRestricted(), 0) == learning(BoltzmannRestricted(), 10**6) == both
    greedy = BoltzmannRestricted(steps=10)
    turns = [learning(greedy, step) for step in (0, 9, 10, 19, 20, 500)]
    assert turns == [{"blocks.0"}] * 2 + [{"blocks.1"}] * 4


def test_chains_go_on_from_batch_to_batch_and_labels_are_not_looked_at(simulated, update):
    network, task = simulated()
    rule, batch = BoltzmannRestricted(visible="binary", chains=7), next(task.held_out())
    given, state = update(rule, network, task, batch)
    first = state[CHAIN + FIRST]
    assert first.shape == (7, 6)
    assert set(first.unique().tolist()) == {0.0, 1.0}
    blind, _ = update(rule, network, task, replace(batch, targets=None))
    assert all(torch.equal(given[name], blind[name]) for name in given)
    update(rule, network, task, batch, state, seed=1)
    assert not torch.equal(state[CHAIN + FIRST], first)


def test_a_convolution_is_a_machine_with_shared_weights(teacher, update):
    """The change of one at the data, by every place of every image."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 2, 5, 5, generator=generator, dtype=torch.float64)
    task = replace(teacher(), inputs=images, targets=torch.arange(4) % 2)
    with seeded(0):
        network = ConvNet(5, 2, 2, channels=(3,), activation="sigmoid").double()
    given, state = update(BoltzmannRestricted(chains=4), network, task, next(task.held_out()))
    assert state[VISIBLE_BIAS + FIRST].shape == (2, 5, 5)
    conv = network.layers[0].linear
    parameters = dict(conv.named_parameters())

    def free_energy(v):
        return -F.softplus(conv(v)).flatten(1).sum(1).mean()

    gap = free_energy(images) - free_energy(state[CHAIN + FIRST])
    for name, each in zip(
        NAMES, torch.autograd.grad(gap, (parameters["weight"], parameters["bias"])), strict=False
    ):
        torch.testing.assert_close(given[name], each, rtol=1e-10, atol=1e-12)


def test_other_units_inputs_and_networks_are_refused(stack, teacher):
    digits = find_task("classification:digits")
    with pytest.raises(UnknownNameError, match="gaussian"):
        BoltzmannRestricted(visible="normal")
    with pytest.raises(NeedsError, match="has Tanh. Choose activation=sigmoid"):
        BoltzmannRestricted().check(
            make_network("mlp:hidden=8", Shape(digits.preprocessing, 10, "tanh"), 0), digits
        )
    network = make_network("mlp:hidden=8", Shape(digits.preprocessing, 10, "sigmoid"), 0)
    with pytest.raises(
        NeedsError, match="visible=binary, for inputs from 0 to 1; those of 'classification:dig"
    ):
        BoltzmannRestricted(visible="binary").check(network, digits)
    contrastive = find_task("contrastive:digits")
    network = make_network("mlp:hidden=8", contrastive.shape("sigmoid"), 0)
    with pytest.raises(NeedsError, match="would stay untrained"):
        BoltzmannRestricted().check(network, contrastive)
    with pytest.raises(NeedsError, match="1 hidden layers at least"):
        BoltzmannRestricted().check(stack((30, 5), "sigmoid"), teacher())
