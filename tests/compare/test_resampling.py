"""The bootstrap by weights against copies, its variance against rsatoolbox's, its intervals."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from rsatoolbox.inference import eval_dual_bootstrap
from rsatoolbox.model import ModelFixed
from rsatoolbox.rdm import RDMs

from brainalign.compare.resampling import Resamples, interval, weighted_correlation
from brainalign.errors import BrainalignError


def by_copies(x, y, counts):
    rows = np.repeat(np.arange(len(x)), counts)
    return np.array([np.corrcoef(x[rows, unit], y[rows, unit])[0, 1] for unit in range(x.shape[1])])


@given(n=st.integers(10, 60), seed=st.integers(0, 10_000))
def test_weights_equal_copies(n, seed):
    generator = np.random.default_rng(seed)
    x = generator.normal(3.0, 1.0, (n, 4))
    y = x + generator.normal(0.0, 1.0, (n, 4))
    counts = generator.multinomial(n, np.full(n, 1 / n), 5)
    expected = np.stack([by_copies(x, y, row) for row in counts])
    np.testing.assert_allclose(weighted_correlation(x, y, counts.astype(float)), expected, atol=1e-10)


def test_equal_weights_are_pearson():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 30, 3))
    expected = [scipy.stats.pearsonr(x[:, unit], y[:, unit])[0] for unit in range(3)]
    np.testing.assert_allclose(weighted_correlation(x, y, np.ones((1, 30)))[0], expected, atol=1e-12)


@settings(max_examples=50)
@given(shift=st.floats(-1e6, 1e6), log_scale=st.floats(-8, 8))
def test_shift_and_scale_change_nothing(shift, log_scale):
    generator = np.random.default_rng(1)
    x, y = generator.normal(size=(2, 20, 2))
    counts = generator.multinomial(20, np.full(20, 0.05), 3).astype(float)
    plain = weighted_correlation(x, y, counts)
    np.testing.assert_allclose(weighted_correlation(10**log_scale * x, y, counts), plain, atol=1e-9)
    np.testing.assert_allclose(weighted_correlation(x, y + shift, counts), plain, atol=1e-6)


def test_a_constant_prediction_predicts_nothing():
    y = np.random.default_rng(2).normal(size=(20, 1))
    for value in (0.0, 0.1, 1e9 / 3):
        assert weighted_correlation(np.full((20, 1), value), y, np.ones((2, 20))).tolist() == [[0.0], [0.0]]


def test_a_constant_response_cannot_be_predicted():
    x = np.random.default_rng(2).normal(size=(20, 1))
    for value in (0.0, 0.1, 1e9 / 3):
        assert np.isnan(weighted_correlation(x, np.full((20, 1), value), np.ones((2, 20)))).all()


def test_constant_among_the_stimuli_drawn():
    generator = np.random.default_rng(3)
    x, y = generator.normal(size=(2, 20, 1))
    x[:5], y[5:10] = 2.0, 3.0
    first, second = np.zeros((2, 20))
    first[:5], second[5:10] = 1.0, 1.0
    values = weighted_correlation(x, y, np.stack([first, second]))[:, 0]
    assert values[0] == 0.0
    assert np.isnan(values[1])


@pytest.mark.parametrize("n_drawn", [0, 1, 2])
def test_fewer_than_three_stimuli_have_no_correlation(n_drawn):
    x, y = np.random.default_rng(4).normal(size=(2, 20, 2))
    weights = np.zeros((1, 20))
    weights[0, :n_drawn] = 7.0
    assert np.isnan(weighted_correlation(x, y, weights)).all()


def test_every_draw_has_as_many_stimuli_as_there_are():
    drawn = Resamples.draw(500, 40, 6, 0)
    assert drawn.stimuli.shape == (500, 40) and drawn.subjects is not None
    assert drawn.subjects.shape == (500, 6)
    assert (drawn.stimuli.sum(axis=1) == 40).all() and (drawn.subjects.sum(axis=1) == 6).all()
    # With replacement: 1 − 1/e of the stimuli come up.
    assert (drawn.stimuli > 0).mean() == pytest.approx(1 - (1 - 1 / 40) ** 40, abs=0.01)
    assert (drawn.n_kinds, drawn.unit) == (3, "stimuli and subjects")


@pytest.mark.parametrize("n_subjects", [0, 1, 2])
def test_fewer_than_three_subjects_are_not_resampled(n_subjects):
    drawn = Resamples.draw(10, 40, n_subjects, 0)
    assert drawn.subjects is None
    assert (drawn.n_kinds, drawn.unit) == (1, "stimuli")


def test_the_seed_decides_the_draws():
    first, same, other = (Resamples.draw(10, 40, 5, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.stimuli, same.stimuli)
    np.testing.assert_array_equal(first.subjects, same.subjects)
    assert (first.stimuli != other.stimuli).any()


@pytest.mark.parametrize("n_resamples", [-1, 0, 1])
def test_too_few_resamples_raise(n_resamples):
    with pytest.raises(BrainalignError, match=f"{n_resamples} bootstrap samples give no interval"):
        Resamples.draw(n_resamples, 40, 5, 0)


def test_variance_of_a_mean_is_that_of_statistics():
    # The bootstrap variance of a mean, times n/(n − 1), estimates s²/n.
    values = np.random.default_rng(5).gamma(2.0, size=60)
    drawn = Resamples.draw(20_000, 60, 0, 0)
    replicates = drawn.stimuli @ values / 60
    variance, dof = drawn.variance(replicates[None])
    assert variance == pytest.approx(values.var(ddof=1) / 60, rel=0.03)
    assert dof == 59


def naive_dual(both, subjects, stimuli, n_subjects, n_stimuli):
    """As rsatoolbox documents it, one line a term."""
    a, b = n_subjects / (n_subjects - 1), n_stimuli / (n_stimuli - 1)
    value = a * subjects + b * stimuli - a * b * (both - subjects - stimuli)
    return min(max(value, a * subjects, b * stimuli), both)


@given(spread=st.tuples(*[st.floats(0.01, 10)] * 3), n_subjects=st.integers(3, 20))
def test_both_variances_combine_as_in_the_dual_bootstrap(spread, n_subjects):
    drawn = Resamples.draw(50, 30, n_subjects, 0)
    replicates = np.random.default_rng(6).normal(size=(3, 50)) * np.array(spread)[:, None]
    variance, dof = drawn.variance(replicates)
    assert variance == pytest.approx(naive_dual(*replicates.var(axis=1, ddof=1), n_subjects, 30), rel=1e-10)
    assert dof == min(n_subjects, 30) - 1


def test_variance_equals_that_of_rsatoolbox():
    generator = np.random.default_rng(7)
    n, n_subjects = 16, 6
    shared = generator.gamma(2.0, size=n * (n - 1) // 2)
    subjects = RDMs(shared + generator.gamma(2.0, size=(n_subjects, shared.size)))
    model = ModelFixed("model", RDMs(shared[None] + generator.gamma(2.0, size=(1, shared.size))))
    theirs = eval_dual_bootstrap([model], subjects, method="corr", k_pattern=1, k_rdm=1, N=60)
    # Replicates that have just the variances of its three bootstraps.
    standard = generator.normal(size=60)
    standard = (standard - standard.mean()) / standard.std(ddof=1)
    replicates = np.sqrt(theirs.variances[:, 0, 0])[:, None] * standard
    variance, dof = Resamples.draw(60, n, n_subjects, 0).variance(replicates)
    assert variance == pytest.approx(float(theirs.model_var[0]), rel=1e-10)
    assert dof == theirs.dof


def test_samples_without_a_value_are_left_out():
    drawn = Resamples.draw(10, 30, 0, 0)
    replicates = np.random.default_rng(8).normal(size=(1, 10))
    replicates[0, 3] = np.nan
    expected = np.var(np.delete(replicates[0], 3), ddof=1) * 30 / 29
    assert drawn.variance(replicates)[0] == pytest.approx(expected)


@pytest.mark.parametrize("n_subjects", [0, 5])
@pytest.mark.parametrize("n_defined", [0, 1])
def test_no_variance_without_two_samples(n_subjects, n_defined):
    drawn = Resamples.draw(10, 30, n_subjects, 0)
    replicates = np.full((drawn.n_kinds, 10), np.nan)
    replicates[:, :n_defined] = 0.5
    variance, _ = drawn.variance(replicates)
    assert np.isnan(variance)


@settings(max_examples=30)
@given(value=st.floats(-1, 1), deviation=st.floats(0, 1), dof=st.floats(1, 200))
def test_interval_is_students(value, deviation, dof):
    low, high = interval(value, deviation**2, dof)
    expected = value + deviation * np.array(scipy.stats.t.interval(0.95, dof))
    np.testing.assert_allclose([low, high], expected, rtol=1e-9, atol=1e-9)
    assert low <= value <= high


def test_a_lower_level_is_narrower():
    assert interval(0.0, 1.0, 10.0, 0.5)[1] < interval(0.0, 1.0, 10.0)[1]
    assert interval(0.3, 0.0, 10.0) == (0.3, 0.3)
