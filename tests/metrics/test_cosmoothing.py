"""Co-smoothing: the benchmark's formula written out, known limits, planted structure, and a recording."""

import math

import numpy as np
import pytest
import scipy.io
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold

from brainalign.errors import ResponsesError
from brainalign.metrics.cosmoothing import bits_per_spike, cosmoothing, psth_r2, velocity_r2

YU = (
    "raw.githubusercontent.com/kendranoneman/DataHigh/516c2921b15aaa127e805a8ac2a4bfb8cfc9740d/data/"
    "ex1_spikecounts.mat"
)


def benchmark(rates: np.ndarray, spikes: np.ndarray) -> float:
    """Add up Poisson log likelihoods bin by bin, the benchmark's null and floor of rates included."""
    gain, n_spikes = 0.0, 0.0
    for unit in range(spikes.shape[2]):
        seen = [
            (rates[i, t, unit], spikes[i, t, unit])
            for i in range(spikes.shape[0])
            for t in range(spikes.shape[1])
            if not math.isnan(spikes[i, t, unit])
        ]
        mean = sum(count for _, count in seen) / len(seen)
        for rate, count in seen:
            for value, sign in ((rate, 1), (mean, -1)):
                value = value if value > 0 else 1e-9
                gain += sign * (count * math.log(value) - value - math.lgamma(count + 1))
            n_spikes += count
    return gain / n_spikes / math.log(2)


def latent_counts(seed: int = 0, trials: int = 40, units: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Rates of units that share two slow latents, and their counts; every trial has latents of its own."""
    rng = np.random.default_rng(seed)
    smoothed = np.cumsum(rng.normal(size=(trials, 30, 2)), axis=1) / np.sqrt(30)
    rates = np.exp(-0.5 + smoothed @ rng.normal(size=(2, units)))
    return rates, rng.poisson(rates).astype(np.float64)


@pytest.mark.parametrize("seed", range(3))
def test_bits_per_spike_are_the_benchmarks(seed):
    rng = np.random.default_rng(seed)
    spikes = rng.poisson(0.3, (8, 10, 5)).astype(np.float64)
    rates = rng.gamma(2.0, 0.15, (8, 10, 5))
    spikes[2:4, 7:] = np.nan
    rates[0, 0, 0] = 0.0
    spikes[:, :, 3] = 0.0
    kept = rates.copy()
    assert bits_per_spike(rates, spikes) == pytest.approx(benchmark(rates, spikes), abs=1e-9)
    np.testing.assert_array_equal(rates, kept)


def test_mean_rates_hold_no_bits_and_the_true_ones_hold_most():
    rates, spikes = latent_counts()
    mean = np.broadcast_to(spikes.mean(axis=(0, 1)), spikes.shape)
    assert bits_per_spike(mean, spikes) == pytest.approx(0, abs=1e-12)
    truth = bits_per_spike(rates, spikes)
    rng = np.random.default_rng(1)
    assert all(bits_per_spike(rates * rng.gamma(20, 1 / 20, rates.shape), spikes) < truth for _ in range(5))
    assert bits_per_spike(2 * mean, spikes) < 0


def test_held_out_units_are_foretold_where_units_share_latents():
    rates, spikes = latent_counts()
    held_out, rng = np.array([3, 8, 15]), np.random.default_rng(2)
    value = cosmoothing(spikes, held_out, rng)
    assert 0.3 * bits_per_spike(rates[:, :, held_out], spikes[:, :, held_out]) < value
    assert value < bits_per_spike(rates[:, :, held_out], spikes[:, :, held_out])


def test_units_of_other_trials_foretell_nothing():
    _, spikes = latent_counts()
    held_out = np.array([3, 8, 15])
    spikes[:, :, held_out] = np.roll(spikes[:, :, held_out], 1, axis=0)
    assert cosmoothing(spikes, held_out, np.random.default_rng(3)) < 0.01


def test_velocity_r2_is_the_benchmarks_grid_search():
    rng = np.random.default_rng(4)
    weights = rng.normal(size=(12, 2))
    rates, test = rng.normal(size=(20, 15, 12)), rng.normal(size=(9, 15, 12))
    velocity, wanted = (each @ weights + 3 * rng.normal(size=(*each.shape[:2], 2)) for each in (rates, test))
    velocity[3, :4] = np.nan
    flat_y = velocity.reshape(-1, 2)
    seen = ~np.isnan(flat_y[:, 0])
    x, y = rates.reshape(-1, 12)[seen], flat_y[seen]
    scores = {
        alpha: np.mean([Ridge(alpha=alpha).fit(x[a], y[a]).score(x[b], y[b]) for a, b in KFold(5).split(x)])
        for alpha in 10.0 ** np.linspace(-4, 0, 9)
    }
    best = Ridge(alpha=max(scores, key=lambda alpha: scores[alpha])).fit(x, y).predict(test.reshape(-1, 12))
    expected = r2_score(wanted.reshape(-1, 2), best)
    assert velocity_r2(rates, velocity, test, wanted) == pytest.approx(expected, abs=1e-9)
    assert 0.2 < expected < 0.9


def test_psth_r2_averages_units_over_all_trials_bins():
    rng = np.random.default_rng(5)
    psth = rng.gamma(2, 1, (2, 10, 4))[[0, 1, 1, 0]]
    rates = psth + 0.3 * rng.normal(size=psth.shape)
    naive = [
        1 - np.sum((rates - psth)[..., u] ** 2) / np.sum((psth[..., u] - psth[..., u].mean()) ** 2)
        for u in range(4)
    ]
    assert psth_r2(rates, psth) == pytest.approx(np.mean(naive), abs=1e-12)
    assert psth_r2(psth, psth) == 1.0
    assert psth_r2(np.broadcast_to(psth.mean(axis=(0, 1)), psth.shape), psth) == pytest.approx(0, abs=1e-12)


@pytest.mark.data
def test_delay_activity_of_yu_2009_is_shared_between_units(mirror):
    trials = scipy.io.loadmat(mirror / YU, squeeze_me=True, struct_as_record=False)["D"]
    counts = np.stack([trial.data.T for trial in trials]).astype(np.float64)
    counts = counts.reshape(210, 20, 20, 61).sum(axis=2)
    counts = counts[:, :, counts.sum(axis=(0, 1)) > 100]
    held_out, rng = np.arange(0, counts.shape[2], 8), np.random.default_rng(6)
    value = cosmoothing(counts, held_out, rng)
    assert value > 0.1
    shuffled = counts.copy()
    shuffled[:, :, held_out] = counts[rng.permutation(210)][:, :, held_out]
    # What is left is the time course that all trials share.
    assert cosmoothing(shuffled, held_out, rng) < value / 3


def test_bad_input_raises():
    rates, spikes = latent_counts(trials=6)
    rng = np.random.default_rng(7)
    with pytest.raises(ResponsesError, match=r"shape \(5, 30, 20\) and spikes of shape \(6, 30, 20\)"):
        bits_per_spike(rates[:5], spikes)
    with pytest.raises(ResponsesError, match="from 1 rates that are negative or NaN"):
        bits_per_spike(np.where(rates == rates.max(), -1.0, rates), spikes)
    with pytest.raises(ResponsesError, match="and 0 spikes"):
        bits_per_spike(rates, 0 * spikes)
    with pytest.raises(ResponsesError, match="two trials or more"):
        cosmoothing(spikes[:1], np.array([0]), rng)
    with pytest.raises(ResponsesError, match="finite counts of 0 or above"):
        cosmoothing(spikes * np.nan, np.array([0]), rng)
    with pytest.raises(ResponsesError, match="hold out 20 of 20 units"):
        cosmoothing(spikes, np.arange(20), rng)
    with pytest.raises(ResponsesError, match="1 held-out units.*no spikes in the training trials"):
        cosmoothing(np.concatenate([spikes, 0 * spikes[:, :, :1]], axis=2), np.array([1, 20]), rng)
    with pytest.raises(ResponsesError, match="expected the same trials and times"):
        velocity_r2(rates, rates[:3, :, :2], rates, rates[:, :, :2])
    with pytest.raises(ResponsesError, match=r"shape \(6, 30, 20\) and PSTHs of shape \(6, 30, 5\)"):
        psth_r2(rates, rates[:, :, :5])
    with pytest.raises(ResponsesError, match="NaN or infinite in bins that count"):
        psth_r2(rates * np.nan, rates)
