"""Flow fields: planted dynamics, and rules that are told apart where they can be and not where they cannot."""

import numpy as np
import pytest
import torch

from brainalign.errors import BrainalignError, NeedsError
from brainalign.networks.gru import GRU
from brainalign.networks.rnn import RNN
from brainalign.tasks.bci_cursor import BCICursor
from brainalign.trajectory.flow_field import (
    UNDECIDED,
    flow_correlation,
    flow_field,
    flow_field_test,
    predicted_change,
)
from brainalign.trajectory.noisy_trials import record_trials

UNITS, TIME, TRIALS, NOISE = 20, 15, 100, 0.3


def simulate(flow, drive, rng):
    """Run noisy units, each trial driven otherwise: rates (trial, time, unit)."""
    rates, state = [], 0.1 * rng.normal(size=(TRIALS, UNITS))
    for _ in range(TIME):
        state = np.tanh(state @ flow.T + drive) + NOISE * rng.normal(size=state.shape)
        rates.append(state)
    return np.stack(rates, 1)


def learned(seed, rule, same=False):
    """Let units learn by errors through a model M, or by reward, and give what a recording would hold.

    By reward: the change of the trial's cost by noise in the units, times the noise, as node perturbation does.
    """
    rng = np.random.default_rng(seed)
    flow = 0.6 * np.linalg.qr(rng.normal(size=(UNITS, UNITS)))[0]
    drive = rng.normal(size=(TRIALS, 2)) @ rng.normal(size=(2, UNITS)) / 2
    decoder, other = rng.normal(size=(2, 2, UNITS)) / UNITS**0.5
    model = decoder if same else decoder + other
    wanted = rng.normal(size=(TRIALS, 1, 2))
    before = simulate(flow, drive, rng)
    errors = wanted - before @ decoder.T
    changed = flow.copy()
    for _ in range(30):
        rates = simulate(changed, drive, rng)
        missed = wanted - rates @ decoder.T
        if rule == "supervised":
            deltas = missed @ model
        else:
            xi = rng.normal(size=rates.shape)
            better = ((missed**2).sum(-1) - ((missed - 1e-3 * xi @ decoder.T) ** 2).sum(-1)) / 2e-3
            deltas = better[..., None] * xi
        changed = changed + 0.001 * np.einsum("ntu,ntv->uv", deltas[:, 1:], rates[:, :-1]) / TRIALS
    return before, simulate(changed, drive, rng), errors, decoder, model


def test_planted_dynamics_are_found():
    rng = np.random.default_rng(0)
    flow = rng.normal(size=(5, 5)) / 3
    states = [rng.normal(size=(7, 5))]
    for _ in range(6):
        states.append(states[-1] @ flow.T)
    np.testing.assert_allclose(flow_field(np.stack(states, 1)), flow, atol=1e-9)


def test_activity_in_a_plane_gives_the_field_of_least_norm():
    rng = np.random.default_rng(0)
    plane = np.linalg.qr(rng.normal(size=(5, 2)))[0]
    small = 0.9 * np.linalg.qr(rng.normal(size=(2, 2)))[0]
    course = [plane @ np.linalg.matrix_power(small, t) @ [1.0, 2.0] for t in range(5)]
    found = flow_field(np.stack(course)[None])
    np.testing.assert_allclose(found, plane @ small @ plane.T, atol=1e-9)


def test_the_prediction_is_a_sum_over_trials_and_times():
    rng = np.random.default_rng(1)
    credit, errors, rates = rng.normal(size=(2, 4)), rng.normal(size=(3, 5, 2)), rng.normal(size=(3, 5, 4))
    expected = np.zeros((4, 4))
    for trial in range(3):
        for t in range(4):
            expected += np.outer(credit.T @ errors[trial, t + 1], rates[trial, t])
    np.testing.assert_allclose(predicted_change(credit, errors, rates), expected, atol=1e-12)


def test_correlation_is_a_mean_cosine_over_states_and_knows_no_size():
    rng = np.random.default_rng(2)
    one, two, rates = rng.normal(size=(4, 4)), rng.normal(size=(4, 4)), rng.normal(size=(3, 5, 4))
    cosines = [
        (one @ h) @ (two @ h) / np.linalg.norm(one @ h) / np.linalg.norm(two @ h) for h in rates.reshape(-1, 4)
    ]
    assert flow_correlation(one, two, rates) == pytest.approx(np.mean(cosines), abs=1e-12)
    assert flow_correlation(3 * one, two, rates) == pytest.approx(flow_correlation(two, one, rates), abs=1e-12)
    assert flow_correlation(one, one, rates) == pytest.approx(1, abs=1e-12)
    assert np.isnan(flow_correlation(0 * one, two, rates))


@pytest.mark.parametrize("rule", ["supervised", "reinforcement"])
def test_rules_are_told_where_the_model_differs_from_the_decoder(rule):
    found = [flow_field_test(*learned(seed, rule), np.random.default_rng(seed), draws=40) for seed in range(6)]
    assert [each.rule for each in found].count(rule) >= 5
    assert all((each.difference > 0) == (rule == "supervised") for each in found)
    assert all(each.alike < 0.9 for each in found)


@pytest.mark.parametrize("rule", ["supervised", "reinforcement"])
def test_rules_are_not_told_where_the_model_is_the_decoder(rule):
    for seed in range(3):
        found = flow_field_test(*learned(seed, rule, same=True), np.random.default_rng(seed), draws=20)
        assert found.rule == UNDECIDED and found.difference == 0
        assert found.alike == pytest.approx(1, abs=1e-12)
        # The change is there, and follows both predictions: it is the difference that is missing.
        assert found.supervised > 0.1


def test_errors_through_the_true_decoder_look_like_reward():
    """Held against a biased model that was not used, errors through the decoder itself pass for reward."""
    told = []
    for seed in range(4):
        before, after, errors, decoder, _ = learned(seed, "supervised", same=True)
        biased = decoder + np.random.default_rng(99 + seed).normal(size=decoder.shape) / UNITS**0.5
        rng = np.random.default_rng(seed)
        told.append(flow_field_test(before, after, errors, decoder, biased, rng, draws=40).rule)
    assert told.count("reinforcement") >= 3 and "supervised" not in told


def test_nothing_is_told_without_learning():
    rng = np.random.default_rng(5)
    told = []
    for seed in range(5):
        before, _, errors, decoder, model = learned(seed, "supervised")
        shuffled = before[rng.permutation(TRIALS)]
        found = flow_field_test(before, shuffled, errors, decoder, model, rng, draws=40)
        told.append(found.rule)
    assert told.count(UNDECIDED) >= 4


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        (np.ones((3, 4)), r"rates of shape \(3, 4\)"),
        (np.ones((3, 1, 4)), "two time steps or more"),
        (np.full((3, 5, 4), np.nan), "NaN or infinite"),
    ],
)
def test_rates_that_have_no_flow(rates, message):
    with pytest.raises(BrainalignError, match=message):
        flow_field(rates)


def test_shapes_that_do_not_fit():
    with pytest.raises(BrainalignError, match=r"errors \(3, 5, 2\) and a credit matrix \(2, 5\) do not fit"):
        predicted_change(np.ones((2, 5)), np.ones((3, 5, 2)), np.ones((3, 5, 4)))


def test_recorded_errors_are_the_slopes_of_the_cost():
    task = BCICursor(n_targets=4, dt=0.1, rate=0.0)
    torch.manual_seed(0)
    network = RNN(3, 2, units=6)
    found = record_trials(network, task, 2, 0.2, torch.Generator().manual_seed(0))
    again = record_trials(network, task, 2, 0.2, torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(found.rates, again.rates)
    assert found.conditions.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert np.abs(found.rates[:4] - found.rates[4:]).max() > 0.05
    batch = next(task.seen())
    wanted, weight = batch.targets[..., :2].double().numpy(), batch.targets[..., 2].double().numpy()
    hand = task.dt * found.outputs[:4].cumsum(1)
    # A velocity moves all later positions: errors are sums of what is still to come.
    away = weight[..., None] * (wanted - hand) * 2 / task.distance**2
    steps = hand.shape[1]
    expected = (task.dt * away[:, ::-1].cumsum(1)[:, ::-1] - task.effort * found.outputs[:4]) / steps
    np.testing.assert_allclose(found.errors[:4], expected, rtol=1e-4, atol=1e-5)


def test_networks_and_numbers_that_record_nothing():
    with pytest.raises(NeedsError, match="a GRU has another"):
        record_trials(GRU(3, 2, units=6), BCICursor(), 1, 0.1, torch.Generator())
    with pytest.raises(BrainalignError, match="0 repeats with noise 0.1"):
        record_trials(RNN(3, 2, units=6), BCICursor(), 0, 0.1, torch.Generator())
