"""The bootstrap by weights against copies, its variance against rsatoolbox's, its intervals."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rsatoolbox.inference import eval_dual_bootstrap
from rsatoolbox.model import ModelFixed
from rsatoolbox.rdm import RDMs
from sklearn.linear_model import LinearRegression

from brainalign.compare.resampling import (
    Resamples,
    fit_share,
    interval,
    p_value,
    weighted_correlation,
    welch_satterthwaite,
)
from brainalign.compare.splits import halves, train_test_splits
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
    by_left_out = Resamples.draw(140, 40, n_subjects, 0, jackknifed=None)
    assert (by_left_out.jackknifed, by_left_out.unit) == (True, "stimuli, by a jackknife")
    assert Resamples.draw(139, 40, n_subjects, 0, jackknifed=None).unit == "stimuli"


def test_the_seed_decides_the_draws():
    first, same, other = (Resamples.draw(10, 40, 5, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.stimuli, same.stimuli)
    np.testing.assert_array_equal(first.subjects, same.subjects)
    assert (first.stimuli != other.stimuli).any()


@pytest.mark.parametrize("n_resamples", [-1, 1])
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


def test_variance_of_a_mean_by_halves_is_that_of_statistics():
    """Two disjoint halves' means differ by 4 s²/n in mean square; splits that agree add nothing."""
    values, generator = np.random.default_rng(5).gamma(2.0, size=60), np.random.default_rng(6)
    pairs = halves(60, 5000, generator)
    drawn = Resamples.test_sets([(np.arange(54), np.arange(54, 60))] * 3, 60, pairs)
    of_halves = [values[half].mean() for pair in pairs for half in pair]
    variance, dof = drawn.variance(np.array([[0.1, 0.1, 0.1, *of_halves]]))
    assert variance == pytest.approx(values.var(ddof=1) / 60, rel=0.04)
    assert dof == pytest.approx(1 / (1 / 5000 + 1 / 59))
    spread = np.array([[0.1, 0.2, 0.3, *of_halves]])
    assert drawn.variance(spread)[0] == pytest.approx(variance + 0.01 / 3)


def test_halves_without_a_value_have_no_variance():
    drawn = Resamples.test_sets([(np.arange(6), np.arange(6, 8))] * 2, 8, [(np.arange(4), np.arange(4, 8))])
    assert np.isnan(drawn.variance(np.array([[0.1, 0.2, np.nan, 0.3]]))[0])


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
    # At least the degrees of freedom of the poorer part, at most those of both together.
    assert min(n_subjects, 30) - 1 <= dof <= n_subjects - 1 + 29


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
    assert dof >= theirs.dof


def test_degrees_of_freedom_are_those_of_the_part_that_varies():
    drawn = Resamples.draw(50, 30, 6, 0)
    standard = np.random.default_rng(6).normal(size=50)
    for subjects, stimuli, expected in ((1.0, 0.0, 5), (0.0, 1.0, 29)):
        replicates = np.stack([standard, subjects * standard, stimuli * standard])
        assert drawn.variance(replicates)[1] == pytest.approx(expected)
    # Two samples of unequal variance: Welch's test, by scipy.
    generator = np.random.default_rng(7)
    x, y = generator.normal(size=6), generator.normal(0.0, 3.0, 30)
    parts = [(x.var(ddof=1) / 6, 5.0), (y.var(ddof=1) / 30, 29.0)]
    assert welch_satterthwaite(parts) == pytest.approx(scipy.stats.ttest_ind(x, y, equal_var=False).df)
    assert welch_satterthwaite([(0.0, 4.0), (0.0, 9.0)]) == 4.0


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


def drawn_pairs(n, n_resamples, seed=0):
    return Resamples.draw(n_resamples, n, 0, seed, of_pairs=True)


def test_a_mean_over_stimuli_is_left_as_it_is():
    values = np.random.default_rng(5).gamma(2.0, size=60)
    drawn = drawn_pairs(60, 1000)
    replicates = (drawn.stimuli @ values / 60)[None]
    plain = Resamples(drawn.stimuli, None).variance(replicates)
    assert drawn.variance(replicates)[0] == pytest.approx(plain[0], rel=1e-10)


@pytest.mark.parametrize("n_undefined", [0, 30])
def test_degrees_of_freedom_are_twice_the_squared_variance_over_its_variance(n_undefined):
    values = np.random.default_rng(5).gamma(0.3, size=60)
    drawn = drawn_pairs(60, 1000)
    replicates = (drawn.stimuli @ values / 60)[None]
    replicates[0, :n_undefined] = np.nan
    squares = (values - values.mean()) ** 2
    of_variance = 60 * squares.var()
    dof = drawn.variance(replicates)[1]
    assert dof == pytest.approx(2 * squares.sum() ** 2 / of_variance, rel=1e-8)
    assert dof < 30


def test_degrees_of_freedom_of_one_stimulus_and_of_alike_ones():
    drawn = drawn_pairs(60, 1000)
    assert drawn.variance(drawn.stimuli[None, :, 0].astype(float))[1] == pytest.approx(2, rel=3 / 50)
    alike = drawn.stimuli[None] @ np.tile([-1.0, 1.0], 30)
    assert drawn.variance(alike)[1] == pytest.approx(59)


def test_degrees_of_freedom_are_those_of_the_spread_of_the_variance():
    # A scaled χ² has 2 mean²/variance of them; heavy tails leave few.
    generator, found = np.random.default_rng(6), []
    drawn = drawn_pairs(100, 400)
    for _ in range(400):
        values = generator.laplace(size=100)
        found.append(drawn.variance((drawn.stimuli @ values)[None]))
    variance, dof = np.array(found).T
    assert 1 / np.mean(1 / dof) == pytest.approx(2 * variance.mean() ** 2 / variance.var(), rel=0.2)


def test_what_is_peculiar_to_pairs_counts_twice_and_not_thrice():
    # Means over pairs of independent noise: their variance is that of the noise, divided by the pairs.
    n, generator = 80, np.random.default_rng(1)
    drawn, n_pairs = drawn_pairs(n, 1000), n * (n - 1) / 2
    plain = Resamples(drawn.stimuli, None)
    found = []
    for _ in range(200):
        noise = np.triu(generator.normal(size=(n, n)), 1)
        replicates = (((drawn.stimuli @ noise) * drawn.stimuli).sum(axis=1) / n_pairs)[None]
        found.append((plain.variance(replicates)[0], drawn.variance(replicates)[0]))
    thrice, twice = np.mean(found, axis=0) * n_pairs
    assert thrice == pytest.approx(3, rel=0.08)
    assert twice == pytest.approx(2, rel=0.08)


def test_the_part_linear_in_the_counts_is_that_of_least_squares():
    generator = np.random.default_rng(2)
    drawn = drawn_pairs(12, 300)
    replicates = (drawn.stimuli @ generator.normal(size=12) + 0.5 * generator.normal(size=300))[None]
    fitted = LinearRegression().fit(drawn.stimuli[:, :-1], replicates[0])
    residual = replicates[0] - fitted.predict(drawn.stimuli[:, :-1])
    expected = (replicates.var(ddof=1) - (residual**2).sum() / (300 - 12)) * 12 / 11
    assert drawn.variance(replicates)[0] == pytest.approx(expected, rel=1e-10)


def test_pairs_without_a_value_in_some_samples():
    drawn = drawn_pairs(12, 300)
    replicates = np.random.default_rng(3).normal(size=(1, 300)) + drawn.stimuli[:, 0]
    replicates[0, ::7] = np.nan
    known = np.isfinite(replicates[0])
    of_known = Resamples(drawn.stimuli[known], None, of_pairs=True)
    assert drawn.variance(replicates) == pytest.approx(of_known.variance(replicates[:, known]), rel=1e-10)


def test_of_a_jackknife_the_linear_share_counts_squared():
    generator = np.random.default_rng(2)
    drawn = drawn_pairs(12, 300)
    replicates = (drawn.stimuli @ generator.normal(size=12) + 5 * generator.normal(size=300))[None]
    of_jackknife = Resamples(drawn.stimuli, None, of_pairs=True, jackknifed=True).variance(replicates)[0]
    fitted = LinearRegression().fit(drawn.stimuli[:, :-1], replicates[0])
    residual = ((replicates[0] - fitted.predict(drawn.stimuli[:, :-1])) ** 2).sum() / (300 - 12)
    total = replicates.var(ddof=1)
    assert residual > total / 3
    assert of_jackknife == pytest.approx((total - residual) ** 2 / total * 12 / 11, rel=1e-10)


def test_no_more_than_a_third_is_ever_left_out():
    drawn = drawn_pairs(12, 300)
    replicates = np.random.default_rng(4).normal(size=(1, 300))
    plain = Resamples(drawn.stimuli, None).variance(replicates)[0]
    assert drawn.variance(replicates)[0] == pytest.approx(plain * 2 / 3)
    assert drawn.variance(np.zeros((1, 300)))[0] == 0.0


def test_with_few_samples_nothing_is_left_out():
    drawn = drawn_pairs(40, 139)
    replicates = np.random.default_rng(4).normal(size=(1, 139))
    assert drawn.variance(replicates) == Resamples(drawn.stimuli, None).variance(replicates)


@pytest.mark.parametrize("n_subjects", [0, 6])
def test_fits_add_their_share_of_what_stimuli_show(n_subjects):
    drawn = Resamples.draw(100, 40, n_subjects, 0)
    with_fits = Resamples.draw(100, 40, n_subjects, 0, fit_share=0.25)
    replicates = np.random.default_rng(4).normal(size=(drawn.n_kinds, 100))
    of_stimuli = 40 / 39 * replicates[-1].var(ddof=1)
    (plain, _), (wider, dof) = drawn.variance(replicates), with_fits.variance(replicates)
    assert wider == pytest.approx(plain + 0.25 * of_stimuli)
    of_subjects = 6 / 5 * replicates[1].var(ddof=1) if n_subjects else 0.0
    assert dof == pytest.approx(welch_satterthwaite([(1.25 * of_stimuli, 39.0), (of_subjects, 5.0)]))
    np.testing.assert_array_equal(drawn.stimuli, with_fits.stimuli)


def test_share_of_fits_is_that_of_test_to_training_stimuli():
    splits = train_test_splits(200)
    assert fit_share(splits) == pytest.approx(1 / 9)
    assert fit_share([(np.arange(5), np.arange(5)), (np.arange(10), np.arange(5))]) == 0.75


@given(value=st.floats(-3, 3), deviation=st.floats(0.01, 3), dof=st.floats(1, 500))
def test_p_is_students_and_dual_to_the_interval(value, deviation, dof):
    p = p_value(value, deviation**2, dof)
    assert p == pytest.approx(2 * scipy.stats.t.cdf(-abs(value) / deviation, dof), rel=1e-9)
    low, high = interval(value, deviation**2, dof)
    assume(abs(p - 0.05) > 1e-9)
    assert (p < 0.05) == (low > 0 or high < 0)


def test_no_variance_no_p():
    assert np.isnan(p_value(0.3, float("nan"), 10.0)) and np.isnan(p_value(float("nan"), 0.1, 10.0))
    assert p_value(1e-16, 0.0, 10.0) == pytest.approx(1.0) and p_value(0.1, 0.0, 10.0) < 1e-6
