"""STDP by pairs of spikes: the sum over pairs, what it is on average, and windows and times that undo it."""

from dataclasses import replace
from itertools import product
from math import exp

import pytest
import torch

from brainalign.networks.layered import Layer
from brainalign.rules.stdp import STDP
from brainalign.rules.stdp_pairs import STDPPairs

MANY = 1e6
"""Spikes in a time constant: of many neurons that share an activity."""


@pytest.fixture
def settling(stack, teacher):
    """Give a network that settles, with its task and a batch."""
    network, task = stack((8, 7, 6, 4), "sigmoid"), teacher(8, 4)
    return network, task, next(task.held_out(20))


def flat(update):
    return torch.cat([update[name].flatten() for name in sorted(update)])


def cosine(a, b):
    return float(torch.nn.functional.cosine_similarity(flat(a), flat(b), dim=0))


def test_the_sum_over_pairs_is_that_of_a_loop_over_all_spikes():
    """Two neurons to three, with the twin and without, each pair by itself; none beyond the stretch of time."""
    generator = torch.Generator().manual_seed(0)
    rule = STDPPairs(tau_plus=0.7, tau_minus=1.9, a_plus=1.3, a_minus=0.4, dt=0.3, rate=2.0)
    layer = Layer("map", torch.nn.Linear(2, 3).double(), torch.nn.Identity())
    lower = torch.poisson(torch.ones(15, 2, 2, dtype=torch.float64), generator=generator)
    upper = torch.poisson(torch.ones(15, 2, 3, dtype=torch.float64), generator=generator)
    met = [rule.met(train, torch.zeros_like(train)) for train in (lower, upper)]

    def window(s):
        return 1.3 * exp(-s / 0.7) if s > 0 else -0.4 * exp(s / 1.9) if s < 0 else 0.0

    for both_ways in (False, True):
        weight, bias = torch.zeros(3, 2, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
        for pre, post in product(range(15), repeat=2):
            k = window(0.3 * (post - pre)) / rule.rate**2
            weight += k * torch.einsum("sj,si->ji", upper[post], lower[pre])
            bias += k * upper[post].sum(0) * 0.6
            if both_ways:
                weight += k * torch.einsum("sj,si->ji", upper[pre], lower[post])
        found = rule.pairs(layer, met[1], lower, (upper, met[0]) if both_ways else None)
        torch.testing.assert_close(found["map.weight"], weight, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(found["map.bias"], bias, rtol=1e-12, atol=1e-12)


def test_activity_beyond_the_stretch_of_time_counts_as_if_it_had_been_held_for_long():
    rule = STDPPairs(tau_plus=0.7, tau_minus=1.9, dt=0.3)
    activity = torch.rand(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    long = torch.cat([activity[:1].expand(400, 4), activity, activity[-1:].expand(400, 4)])
    spikes = rule.rate * rule.dt
    torch.testing.assert_close(
        rule.met(spikes * activity, activity),
        rule.met(spikes * long, 0 * long)[400:405],
        rtol=1e-10,
        atol=1e-12,
    )


@pytest.mark.parametrize("both_ways", [True, False])
def test_many_spikes_change_weights_as_rates_do(both_ways, settling, update):
    rates, _ = update(STDP(both_ways=both_ways, tolerance=1e-7), *settling)
    given, _ = update(STDPPairs(rate=1e10, both_ways=both_ways, tolerance=1e-7), *settling)
    assert set(given) == set(rates)
    for name, each in rates.items():
        assert cosine({name: given[name]}, {name: each}) > 0.999, name
        assert float(given[name].norm() / each.norm()) == pytest.approx(0.98, abs=0.01), name
        large = each.abs() > 0.3 * each.abs().max()
        assert torch.equal(given[name][large].sign(), each[large].sign()), name


def test_noise_falls_with_the_root_of_the_spikes(settling, update):
    mean, _ = update(STDPPairs(rate=1e12), *settling)
    errors = []
    for rate in (1e4, 1e6):
        given, _ = update(STDPPairs(rate=rate), *settling)
        errors.append(float((flat(given) - flat(mean)).norm()))
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.3), errors


def test_windows_turned_round_change_weights_the_other_way(settling, update):
    rates, _ = update(STDP(), *settling)
    given, _ = update(STDPPairs(rate=MANY, a_plus=-0.5, a_minus=-0.5), *settling)
    assert cosine(given, rates) < -0.97


def test_windows_of_other_areas_say_another_thing(settling, update):
    rates, _ = update(STDP(), *settling)
    given, _ = update(STDPPairs(rate=MANY, a_minus=0.6), *settling)
    assert cosine(given, rates) < 0.7


def test_windows_of_other_lengths_and_the_same_areas_say_the_same(settling, update):
    """a₊ τ₊² + a₋ τ₋² is 1.05 here; areas in time steps must be the same, to cancel."""
    rates, _ = update(STDP(), *settling)
    dt, plus, minus = 0.25, 0.7, 1.4
    area = {tau: exp(-dt / tau) / (1 - exp(-dt / tau)) for tau in (plus, minus)}
    moment = {tau: dt**2 * exp(-dt / tau) / (1 - exp(-dt / tau)) ** 2 for tau in (plus, minus)}
    a_minus = area[plus] / area[minus]
    rule = STDPPairs(rate=MANY, dt=dt, tau_plus=plus, tau_minus=minus, a_plus=1.0, a_minus=a_minus)
    given, _ = update(rule, *settling)
    assert cosine(given, rates) > 0.97
    wanted = moment[plus] + a_minus * moment[minus]
    assert float(flat(given) @ flat(rates) / flat(rates).norm() ** 2) == pytest.approx(wanted, rel=0.1)


class Shuffled(STDPPairs):
    """The same spikes of each neuron in another order of time, and their mean beyond it."""

    def spikes(self, activity, generator):
        train = super().spikes(activity, generator)
        return train.gather(0, torch.rand(train.shape, generator=generator).argsort(0))

    def met(self, train, activity):
        return super().met(train, activity.mean(0).expand_as(activity))


class AllPairs(STDPPairs):
    """Every pair within the stretch of time counts, and none with what is beyond it."""

    def met(self, train, activity):
        return super().met(train, 0 * activity)


def test_shuffled_spike_times_teach_nothing(settling, update):
    """What is along the rates' own change: all of it in time, and on average none of it in another order."""
    rates, _ = update(STDP(), *settling)

    def along(rule, seed):
        given, _ = update(rule, *settling, seed=seed)
        return float(flat(given) @ flat(rates) / flat(rates).norm() ** 2)

    in_time = [along(STDPPairs(rate=MANY), seed) for seed in range(3)]
    shuffled = [along(Shuffled(rate=MANY), seed) for seed in range(12)]
    assert min(in_time) > 0.9, in_time
    assert abs(sum(shuffled) / len(shuffled)) < 0.1, shuffled
    assert max(map(abs, shuffled)) < 0.5, shuffled


def test_over_all_pairs_twins_cancel(settling, update):
    given, _ = update(AllPairs(rate=100.0), *settling)
    above = [name for name in given if name.endswith("weight") and not name.startswith("blocks.0")]
    assert len(above) == 2
    for name in above:
        torch.testing.assert_close(given[name], torch.zeros_like(given[name]), rtol=0, atol=1e-11)
    one_way, _ = update(AllPairs(rate=100.0, both_ways=False), *settling)
    assert all(float(one_way[name].abs().max()) > 1e-3 for name in above)


def test_spikes_follow_the_activity_with_its_sign():
    rule = STDPPairs(rate=50.0, dt=0.1)
    activity = torch.tensor([0.0, 0.3, -1.2], dtype=torch.float64).repeat(20_000, 1)
    spikes = rule.spikes(activity, torch.Generator().manual_seed(0))
    torch.testing.assert_close(spikes.mean(0), 5 * activity[0], rtol=0.02, atol=0)
    torch.testing.assert_close(spikes.var(0), 5 * activity[0].abs(), rtol=0.03, atol=0)
    assert torch.equal(spikes, spikes.round())
    again = rule.spikes(activity, torch.Generator().manual_seed(0))
    assert torch.equal(spikes, again)
    other = replace(rule, rate=100.0).spikes(activity, torch.Generator().manual_seed(0))
    torch.testing.assert_close(other.mean(0), 10 * activity[0], rtol=0.02, atol=0)
