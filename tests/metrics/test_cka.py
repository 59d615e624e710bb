"""CKA against naive forms in feature space and over tuples of stimuli; its chance and its limits."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainalign.errors import ResponsesError
from brainalign.metrics.cka import cka, cka_chance, cka_metric, resampled_cka
from brainalign.metrics.jackknife import PairJackknife


def features(seed: int, n: int = 12, p: int = 7, offset: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(offset, 1, (n, p))


def gram(x: np.ndarray) -> np.ndarray:
    return x @ x.T


def related(seed: int, n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    x = features(seed, n)
    return gram(x), gram(x[:, :4] + 0.5 * features(seed + 100, n, 4))


def draw(n_resamples: int, n_stimuli: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).integers(0, n_stimuli, (n_resamples, n_stimuli))
    return np.stack([np.bincount(row, minlength=n_stimuli) for row in drawn])


def song_hsic(k: np.ndarray, m: np.ndarray) -> float:
    """Song et al. 2012, eq. 5, as written."""
    n = len(k)
    k, m, one = k - np.diag(np.diag(k)), m - np.diag(np.diag(m)), np.ones(n)
    return (
        np.trace(k @ m)
        + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (one @ k @ m @ one)
    ) / (n * (n - 3))


def tuple_hsic(k: np.ndarray, m: np.ndarray, copies: np.ndarray) -> float:
    """Mean of h over all ordered choices of four copies of four different stimuli."""
    values = [
        k[i, j] * m[i, j] + k[i, j] * m[q, r] - 2 * k[i, j] * m[i, q]
        for i, j, q, r in permutations(copies, 4)
        if len({i, j, q, r}) == 4
    ]
    return float(np.mean(values))


def ratio(hsic, k, m, *args) -> float:
    return hsic(k, m, *args) / np.sqrt(hsic(k, k, *args) * hsic(m, m, *args))


def test_biased_equals_the_naive_form_in_feature_space():
    x, y = features(0, offset=3.0), features(1, p=5, offset=-2.0)
    xc, yc = x - x.mean(axis=0), y - y.mean(axis=0)
    naive = np.linalg.norm(yc.T @ xc) ** 2 / (np.linalg.norm(xc.T @ xc) * np.linalg.norm(yc.T @ yc))
    np.testing.assert_allclose(cka(gram(x), gram(y), debiased=False), naive, rtol=1e-10)


@pytest.mark.parametrize("n", [4, 5, 12, 60])
def test_debiased_equals_the_estimator_of_song(n):
    k, m = related(2, n)
    np.testing.assert_allclose(cka(k, m), ratio(song_hsic, k, m), rtol=1e-9)


def test_debiased_equals_a_loop_over_tuples_of_copies():
    k, m = related(3, 7)
    multiplicity = np.array(
        [[1, 1, 1, 1, 1, 1, 1], [2, 0, 1, 3, 1, 0, 1], [0, 0, 2, 2, 2, 2, 0], [3, 1, 1, 1, 0, 0, 1]]
    )
    expected = [ratio(tuple_hsic, k, m, np.repeat(np.arange(7), counts)) for counts in multiplicity]
    np.testing.assert_allclose(resampled_cka(k, m, multiplicity), expected, rtol=1e-9)


def test_biased_equals_copies():
    k, m = related(4)
    multiplicity = draw(8, 12)
    expected = []
    for counts in multiplicity:
        copies = np.repeat(np.arange(12), counts)
        block = np.ix_(copies, copies)
        expected.append(cka(k[block], m[block], debiased=False))
    np.testing.assert_allclose(resampled_cka(k, m, multiplicity, debiased=False), expected, rtol=1e-9)


@pytest.mark.parametrize("debiased", [True, False])
def test_all_but_one_or_two_stimuli_have_the_value_of_the_others(debiased):
    generator = np.random.default_rng(4)
    x, y = (generator.normal(size=(9, 4)) for _ in range(2))
    k, m = x @ x.T, y @ y.T
    sets = PairJackknife(np.ones((1, 9), dtype=np.int64)).left_out
    expected = [cka(k[np.ix_(kept, kept)], m[np.ix_(kept, kept)], debiased) for kept in sets.astype(bool)]
    np.testing.assert_allclose(resampled_cka(k, m, sets, debiased), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("debiased", [True, False])
def test_without_the_stimulus_that_holds_all_variance_there_is_no_value(debiased):
    generator = np.random.default_rng(5)
    x, y = np.zeros((200, 5)), generator.normal(size=(200, 5))
    x[0] = generator.normal(size=5)
    without_one = 1 - np.eye(200, dtype=np.int64)
    values = resampled_cka(x @ x.T, y @ y.T, without_one, debiased)
    assert np.isnan(values[0])


@pytest.mark.parametrize("debiased", [True, False])
def test_centring_does_not_matter_in_any_resample(debiased):
    x, y = features(5, offset=20.0), features(6, offset=-5.0)
    multiplicity = draw(20, 12)
    np.testing.assert_allclose(
        resampled_cka(gram(x - x[3]), gram(y - y.mean(axis=0)), multiplicity, debiased),
        resampled_cka(gram(x), gram(y), multiplicity, debiased),
        rtol=0,
        atol=1e-9,
    )


@pytest.mark.parametrize("debiased", [True, False])
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3))
def test_invariances_symmetry_and_range(debiased, seed, scale):
    x, y = features(seed, offset=0.5), features(seed + 1, offset=0.5)
    rotation = np.linalg.qr(features(seed + 2, 7, 7))[0]
    value = cka(gram(x), gram(y), debiased)
    np.testing.assert_allclose(cka(gram(x @ rotation * scale), gram(y), debiased), value, atol=1e-9)
    np.testing.assert_allclose(cka(gram(y), gram(x), debiased), value, atol=1e-12)
    np.testing.assert_allclose(cka(gram(x), gram(x + 4.0), debiased), 1.0, atol=1e-9)
    assert (-1 if debiased else 0) - 1e-12 <= value <= 1 + 1e-12


def test_is_not_invariant_to_scaling_single_units():
    x, y = features(7), features(8)
    assert abs(cka(gram(x * np.arange(1, 8)), gram(y)) - cka(gram(x), gram(y))) > 1e-3


@pytest.mark.parametrize("debiased", [True, False])
@pytest.mark.parametrize("n", [5, 6])
def test_chance_is_the_mean_over_all_orders_of_the_stimuli(n, debiased):
    k, m = related(9, n)
    values = [cka(k, m[np.ix_(order, order)], debiased) for order in permutations(range(n))]
    np.testing.assert_allclose(np.mean(values), cka_chance(k, m, debiased), atol=1e-10)


def test_more_units_than_stimuli_look_alike_only_to_the_biased_one():
    values = [
        (cka(k, m), cka(k, m, debiased=False))
        for k, m in ((gram(features(s, 20, 400)), gram(features(s + 50, 20, 400))) for s in range(40))
    ]
    debiased, biased = np.array(values).T
    assert abs(debiased.mean()) < 3 * debiased.std(ddof=1) / np.sqrt(40)
    assert biased.mean() > 0.8


def test_shared_structure_is_found():
    k, m = related(10, 40)
    assert cka(k, m) > 0.5


@pytest.mark.parametrize("debiased", [True, False])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 / 3])
def test_a_representation_that_does_not_vary_has_no_value(debiased, value):
    constant = gram(np.full((12, 7), value))
    assert np.isnan(cka(constant, related(11)[1], debiased))
    assert np.isnan(cka(related(11)[1], constant, debiased))
    if not debiased:
        assert np.isnan(cka_chance(constant, related(11)[1], debiased))


def test_stimuli_that_are_all_equally_far_apart_have_no_debiased_value():
    assert np.isnan(cka(np.eye(12), related(12)[1]))
    assert np.isfinite(cka(np.eye(12), related(12)[1], debiased=False))


def test_fewer_than_four_different_stimuli_have_no_value():
    k, m = related(13)
    multiplicity = np.zeros((3, 12), dtype=np.int64)
    multiplicity[0, :3] = 4
    multiplicity[1, :4] = 3
    values = resampled_cka(k, m, multiplicity)
    assert np.isnan(values[[0, 2]]).all()
    np.testing.assert_allclose(values[1], cka(k[:4, :4], m[:4, :4]), rtol=1e-9)


def test_counting_every_stimulus_twice_leaves_the_debiased_estimate_consistent():
    k, m = related(14, 80)
    multiplicity = np.full((1, 80), 2)
    np.testing.assert_allclose(resampled_cka(k, m, multiplicity)[0], cka(k, m), rtol=1e-9)


@pytest.mark.parametrize(
    ("k", "m", "counts", "message"),
    [
        (np.eye(12), np.eye(12), np.ones((1, 11), dtype=np.int64), "counts of 11 stimuli"),
        (np.eye(3), np.eye(3), np.ones((1, 3), dtype=np.int64), "four stimuli or more"),
        (np.full((12, 12), np.nan), np.eye(12), np.ones((1, 12), dtype=np.int64), "NaN or infinite"),
        (np.eye(12), np.eye(12), -np.ones((1, 12), dtype=np.int64), "negative"),
    ],
)
def test_bad_input_raises(k, m, counts, message):
    with pytest.raises(ResponsesError, match=message):
        resampled_cka(k, m, counts)


@pytest.mark.parametrize("debiased", [True, False])
def test_metric_calls_the_estimator_it_names(debiased):
    metric = cka_metric(debiased)
    k, _ = related(15)
    responses = features(16, p=5, offset=3.0)
    m = gram(responses)
    assert metric.kernel.value(k, responses) == pytest.approx(cka(k, m, debiased), abs=1e-12)
    multiplicity = draw(3, 12)
    np.testing.assert_allclose(
        metric.kernel.resampler(responses, multiplicity)(k),
        resampled_cka(k, m, multiplicity, debiased),
        atol=1e-12,
    )
    chance = metric.chance(k, responses) if callable(metric.chance) else metric.chance
    assert chance == pytest.approx(cka_chance(k, m, debiased), abs=1e-12)
