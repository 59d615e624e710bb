"""CKA and shape measures of a layer with a region: values, ceilings, the bootstrap, the halves."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from brainalign.compare.gram_similarity import ABOVE_ZERO, GramSimilarity
from brainalign.compare.splits import halves
from brainalign.data.responses import make_responses
from brainalign.metrics import find_metric
from brainalign.metrics.cka import cka
from brainalign.metrics.jackknife import PairJackknife
from brainalign.probing import Representation

OWNER = "Region 'V4' of 'test'"
N = 30
IDS = [f"s{i:02d}" for i in range(N)]
METRICS = ("cka", "cka:debiased=false")


def features(seed=0, p=10):
    return np.random.default_rng(seed).normal(size=(N, p))


def tuning(q=8):
    return features() @ np.random.default_rng(1).normal(size=(10, q)) + 2.0


def repeats(noise=2.0, n_repeats=6, q=8, seed=2):
    return tuning(q)[:, :, None] + noise * np.random.default_rng(seed).normal(size=(N, q, n_repeats))


def region(values, ids=IDS):
    dims = ("stimulus", "unit", "repeat")[: values.ndim]
    return make_responses(values, ids, region="V4", subject="m", dims=dims)


def layer(x):
    return Representation.from_features(x, IDS)


def compared(values, metric="cka", n_resamples=20, seed=0, metadata=None, ids=IDS):
    return GramSimilarity(find_metric(metric), region(values, ids), OWNER, n_resamples, seed, metadata)


def naive(x, y, metric="cka"):
    """Debiased by Song et al.'s estimator as it is written, biased by its definition, in features."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    if metric != "cka":
        return np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    k, m = x @ x.T, y @ y.T
    np.fill_diagonal(k, 0.0)
    np.fill_diagonal(m, 0.0)
    n, one = len(k), np.ones(len(k))

    def hsic(a, b):
        return (
            np.trace(a @ b)
            + one @ a @ one * (one @ b @ one) / ((n - 1) * (n - 2))
            - 2 / (n - 2) * (one @ a @ b @ one)
        )

    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


@pytest.mark.parametrize("metric", METRICS)
def test_value_is_that_of_the_mean_responses(metric):
    outcome = compared(repeats(), metric).outcomes([layer(features())])[0]
    assert outcome.raw == pytest.approx(naive(features(), repeats().mean(axis=2), metric), abs=1e-10)
    assert np.isnan(outcome.spread) and outcome.details is None and outcome.note == ""


@pytest.mark.parametrize("metric", METRICS)
def test_halves_and_bootstrap_are_those_of_their_stimuli(metric):
    similarity = compared(repeats(), metric)
    outcome = similarity.outcomes([layer(features())])[0]
    mean = repeats().mean(axis=2)
    for split, (half, other) in enumerate(halves(N, 3, np.random.default_rng(0))):
        first, second = (naive(features()[rows], mean[rows], metric) for rows in (half, other))
        np.testing.assert_allclose(outcome.choosing[2 * split : 2 * split + 2, 0], [first, second], atol=1e-10)
        np.testing.assert_allclose(outcome.scoring[2 * split : 2 * split + 2, 0], [second, first], atol=1e-10)
    kernel = find_metric(metric).kernel
    gram = layer(features()).gram
    np.testing.assert_allclose(
        outcome.replicates[0], kernel.resampler(mean, similarity.resamples.stimuli)(gram), atol=1e-10
    )


def test_with_enough_samples_cka_is_jackknifed():
    similarity = compared(repeats(), n_resamples=N + 100)
    outcome = similarity.outcomes([layer(features())])[0]
    jackknife, mean = PairJackknife(similarity.resamples.stimuli), repeats().mean(axis=2)
    kept = [np.flatnonzero(row) for row in jackknife.left_out]
    without = np.array([naive(features()[rows], mean[rows], "cka") for rows in kept])
    np.testing.assert_allclose(outcome.replicates[0], jackknife.replicates(without), atol=1e-9)
    assert similarity.resamples.jackknifed
    assert not compared(repeats(), n_resamples=N + 99).resamples.jackknifed


def test_of_replicates_of_first_order_nothing_is_left_out():
    # Numbers of directions jump, which no sum over stimuli does.
    similarity = compared(repeats(), "svcca:variance=0.6", n_resamples=N + 100)
    replicates = similarity.outcomes([layer(features())])[0].replicates
    kept, dof = similarity.resamples.variance(replicates)
    assert kept == pytest.approx(N / (N - 1) * replicates.var(ddof=1)) and dof == N - 1
    of_pairs = replace(similarity.resamples, of_pairs=True)
    assert of_pairs.variance(replicates)[0] < 0.98 * kept


@pytest.mark.parametrize("metric", METRICS)
def test_what_the_layer_is_chosen_by_knows_nothing_of_the_other_half(metric):
    plain = compared(repeats(), metric).outcomes([layer(features())])[0]
    (_, other), *_ = halves(N, 3, np.random.default_rng(0))
    values, x = repeats(), features()
    values[other] = np.random.default_rng(3).normal(0.0, 50.0, (len(other), 8, 6))
    x[other] = np.random.default_rng(4).normal(0.0, 50.0, (len(other), 10))
    poisoned = compared(values, metric).outcomes([layer(x)])[0]
    np.testing.assert_allclose(poisoned.choosing[0], plain.choosing[0], atol=1e-9)
    assert abs(poisoned.scoring[0, 0] - plain.scoring[0, 0]) > 0.05


@pytest.mark.parametrize("metric", METRICS)
def test_ceiling_comes_of_the_similarity_of_halves_of_the_repeats(metric):
    values = repeats()
    similarity = compared(values, metric)
    generator, expected = np.random.default_rng(5), []
    for _ in range(200):
        order = generator.permuted(np.tile(np.arange(6), (N, 1)), axis=1)[:, None]
        one, other = (
            np.take_along_axis(values, part, axis=2).mean(axis=2) for part in (order[..., :3], order[..., 3:])
        )
        expected.append(naive(one, other, metric))
    spread = np.std(expected)
    half = similarity.facts.ceiling_lower
    assert half == pytest.approx(np.mean(expected), abs=4 * spread / np.sqrt(20))
    assert similarity.facts.ceiling == pytest.approx(np.sqrt(2 * half / (1 + half)))
    assert similarity.facts.notes == (() if metric == "cka" else (ABOVE_ZERO,))
    assert similarity.normalise(0.2) == pytest.approx(0.2 / similarity.facts.ceiling)


def test_less_noise_raises_the_ceiling_to_one():
    ceilings = [compared(repeats(noise)).facts.ceiling for noise in (8.0, 2.0, 0.5, 0.01)]
    assert ceilings == sorted(ceilings)
    assert ceilings[-1] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(("noise", "most"), [(1.0, 1.03), (2.0, 1.06), (4.0, 1.25)])
def test_true_model_comes_to_the_ceiling_and_exceeds_the_likeness_of_halves(noise, most):
    shares, over_halves = [], []
    for seed in range(10):
        generator = np.random.default_rng([seed, int(noise)])
        true = generator.normal(size=(200, 30)) @ generator.normal(size=(30, 30)) / np.sqrt(30)
        ids = [f"s{i:03d}" for i in range(200)]
        similarity = compared(true[:, :, None] + noise * generator.normal(size=(200, 30, 8)), ids=ids)
        raw = similarity.outcomes([Representation.from_features(true, ids)])[0].raw
        shares.append(similarity.normalise(raw))
        over_halves.append(raw / similarity.facts.ceiling_lower)
    assert 0.97 < np.mean(shares) < most
    assert np.mean(over_halves) > np.mean(shares) + 0.02


def test_without_repeats_there_is_no_ceiling():
    for values in (tuning(), repeats(n_repeats=1)):
        similarity = compared(values)
        assert similarity.facts.notes[0].startswith("no ceiling: the recording has no repeats")
        assert np.isnan(similarity.facts.ceiling) and np.isnan(similarity.normalise(0.3))


def test_units_that_miss_repeats_of_different_stimuli_leave_few_to_compare():
    values = repeats(q=8)
    for unit in range(8):
        values[3 * unit : 3 * unit + 3, unit, 1:] = np.nan
    similarity = compared(values)
    assert similarity.facts.notes[0].startswith("no ceiling: the recording has no repeats, or of fewer than 10")
    values = repeats(q=8)
    values[:15, 0, 1:] = np.nan
    assert compared(values).facts.notes == ()


def test_halves_that_disagree_are_no_ceiling():
    # Of pure noise some recordings' halves are alike by chance, and of the others a share means nothing.
    found = [compared(np.random.default_rng(seed).normal(size=(N, 8, 2))).facts for seed in range(12)]
    without = [facts for facts in found if np.isnan(facts.ceiling)]
    assert 0 < len(without) < 12
    assert all(facts.notes == ("no ceiling: halves of the repeats are not alike",) for facts in without)
    assert all(facts.ceiling > 0 for facts in found if facts not in without)


def test_nothing_beyond_sampling_noise_says_so():
    # Stimuli that are all equally far apart: the unbiased estimate of the layer's variance is zero.
    outcome = compared(tuning()).outcomes([layer(np.eye(N))])[0]
    assert np.isnan(outcome.raw)
    assert outcome.note == "nothing stands out of the sampling noise"


def test_units_are_counted():
    values = tuning()
    values[3, 2] = np.nan
    values[:, 4] = 7.0
    facts = compared(values).facts
    assert (facts.n_units, facts.n_units_masked, facts.subject) == (6, 2, "m")


def test_halves_never_part_two_ids_of_one_image():
    images = np.array([f"image{i // 2:02d}" for i in range(N)])
    outcome = compared(tuning(), metadata=pd.DataFrame({"image": images}, index=IDS)).outcomes(
        [layer(features())]
    )[0]
    for split, (half, other) in enumerate(halves(N, 3, np.random.default_rng(0), images)):
        assert not set(images[half]) & set(images[other])
        expected = cka(*[(x := each[half]) @ x.T for each in (features(), tuning())])
        assert outcome.choosing[2 * split, 0] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("metric", METRICS)
def test_rows_and_their_ids_may_be_stored_in_any_order(metric):
    order = np.random.default_rng(9).permutation(N)
    plain, again = compared(repeats(), metric), compared(repeats()[order], metric, ids=[IDS[i] for i in order])
    assert plain.facts == again.facts
    ours, theirs = (each.outcomes([layer(features())])[0] for each in (plain, again))
    assert ours.raw == pytest.approx(theirs.raw, abs=1e-10)
    np.testing.assert_allclose(ours.replicates, theirs.replicates, rtol=0, atol=1e-10)


def recorded_twice(noise, seed, n=200, q=30, n_repeats=8):
    """True tuning of a region, and what repeats of it are recorded."""
    generator = np.random.default_rng([seed, int(10 * noise)])
    true = generator.normal(size=(n, q)) @ generator.normal(size=(q, q)) / np.sqrt(q)
    return true, true[:, :, None] + noise * generator.normal(size=(n, q, n_repeats))


@pytest.mark.parametrize("metric", ["procrustes", "svcca", "pwcca"])
@pytest.mark.parametrize(("noise", "least"), [(0.5, 0.97), (2.0, 0.94)])
def test_true_model_comes_to_the_ceiling_of_shape_measures(metric, noise, least):
    ids = [f"s{i:03d}" for i in range(200)]
    shares = []
    for seed in range(2):
        true, values = recorded_twice(noise, seed)
        similarity = compared(values, metric, n_resamples=2, ids=ids)
        raw = similarity.outcomes([Representation.from_features(true, ids)])[0].raw
        assert raw > similarity.facts.ceiling_lower
        shares.append(similarity.normalise(raw))
    assert least < np.mean(shares) < 1.04


@pytest.mark.parametrize("metric", ["procrustes", "cka:debiased=false"])
def test_halves_no_more_alike_than_chance_are_no_ceiling(metric):
    # These measures are above zero for any two halves of pure noise.
    notes = [
        compared(np.random.default_rng(seed).normal(size=(N, 8, 4)), metric).facts.notes for seed in range(8)
    ]
    assert ("no ceiling: halves of the repeats are not alike", ABOVE_ZERO) in notes
    assert all(compared(repeats(seed=seed), metric).facts.notes == (ABOVE_ZERO,) for seed in range(3))


def test_a_value_that_is_one_for_any_data_is_none_and_says_so():
    wide = compared(repeats(), "svcca").outcomes([layer(features(p=100))])[0]
    assert np.isnan(wide.raw) and np.isnan(wide.replicates).all()
    assert wide.note.startswith("28 and 7 dimensions of 30 stimuli: canonical correlations are 1 for any data")
    # Of two noisy halves too.
    facts = compared(repeats(q=18), "svcca:variance=1.0").facts
    assert np.isnan(facts.ceiling) and facts.notes[0].startswith(
        "no ceiling: 18 and 18 dimensions of 30 stimuli"
    )


def test_a_value_near_that_of_unrelated_data_says_so():
    outcome = compared(repeats(), "svcca").outcomes([layer(features(p=12))])[0]
    assert np.isfinite(outcome.raw)
    assert outcome.note == "12 and 7 dimensions of 30 stimuli: unrelated data would correlate at 0.64"


def test_half_the_stimuli_look_more_alike_by_chance():
    # What the note of measures with a chance level above 0 warns of.
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(N, 10)), generator.normal(size=(N, 8))
    kernel = find_metric("procrustes").kernel
    half, whole = (kernel.chance(x[:n] @ x[:n].T, y[:n]) for n in (N // 2, N))
    assert half > whole + 0.05
    assert ABOVE_ZERO in compared(y, "procrustes").facts.notes
    assert ABOVE_ZERO not in compared(y, "cka").facts.notes
