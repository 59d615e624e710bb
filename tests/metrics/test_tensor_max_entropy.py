"""Tensor maximum entropy: its constraints, its form, its samples, and what it cannot be fitted to."""

import numpy as np
import pytest

from brainalign.errors import ResponsesError
from brainalign.metrics.tensor_max_entropy import (
    TensorMaximumEntropy,
    marginal_covariances,
    marginal_means,
    p_above,
    surrogate_values,
)


def tensor(shape=(6, 20, 9), seed=0) -> np.ndarray:
    """Smooth courses, units of unlike size that share dimensions, an offset."""
    generator = np.random.default_rng(seed)
    n_conditions, n_times, n_units = shape
    smooth = np.exp(-0.5 * (np.subtract.outer(range(n_times), range(n_times)) / (n_times / 8)) ** 2)
    courses = smooth @ generator.normal(size=(n_conditions, n_times, n_units))
    mixed = courses @ generator.normal(size=(n_units, n_units)) * generator.gamma(1.0, size=n_units)
    return 7 + mixed + 1e-3 * generator.normal(size=shape)


def assert_constraints(data: np.ndarray) -> TensorMaximumEntropy:
    fitted = TensorMaximumEntropy.fit(data)
    for found, wanted in zip(
        fitted.covariances(), marginal_covariances(data - marginal_means(data)), strict=True
    ):
        own = np.diagonal(wanted)
        least = own[own > 1e-12 * own.max()].min()
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6 * least)
    return fitted


@pytest.mark.parametrize("shape", [(6, 20, 9), (2, 2, 2), (3, 40, 5), (12, 7, 60), (8, 61, 50)])
def test_expected_marginal_covariances_are_the_datas(shape):
    assert_constraints(tensor(shape))


def test_they_are_for_data_of_low_rank():
    generator = np.random.default_rng(3)
    data = tensor((6, 20, 4)) @ generator.normal(size=(4, 15))
    data -= data.mean(axis=0)
    fitted = assert_constraints(data)
    # The effects of condition and time are subtracted from all units alike: that is one dimension more.
    assert fitted.variances.shape == (5, 20, 5)


def test_marginal_means_are_those_of_a_loop_and_what_is_left_has_none():
    data = tensor((3, 4, 5))
    left = data.copy()
    for mode in range(3):
        for level in range(data.shape[mode]):
            index = tuple(level if k == mode else slice(None) for k in range(3))
            left[index] -= left[index].mean()
    np.testing.assert_allclose(marginal_means(data), data - left, atol=1e-12)


def test_the_inverse_variances_are_sums_of_three_terms_which_is_maximum_entropy():
    inverse = 1 / TensorMaximumEntropy.fit(tensor((4, 8, 5))).variances
    sums = inverse[:, :1, :1] + inverse[:1, :, :1] + inverse[:1, :1, :] - 2 * inverse[0, 0, 0]
    np.testing.assert_allclose(inverse, sums, rtol=1e-8)


def test_samples_have_the_mean_and_the_covariances():
    data = tensor((4, 8, 5))
    fitted = TensorMaximumEntropy.fit(data)
    drawn = fitted.sample(4000, np.random.default_rng(1))
    departures = drawn - marginal_means(data)
    errors = departures.std(axis=0) / np.sqrt(4000)
    assert np.abs(departures.mean(axis=0) / errors).max() < 5
    for mode, wanted in enumerate(marginal_covariances(data - marginal_means(data))):
        unfolded = np.moveaxis(departures, 1 + mode, 1).reshape(4000, data.shape[mode], -1)
        each = unfolded @ unfolded.swapaxes(1, 2)
        assert (np.abs(each.mean(axis=0) - wanted) < 5 * each.std(axis=0) / np.sqrt(4000)).all()


def test_the_covariance_of_all_numbers_is_the_kronecker_form():
    data = tensor((2, 3, 4))
    fitted = TensorMaximumEntropy.fit(data)
    full = np.kron(np.kron(fitted.bases[0], fitted.bases[1]), fitted.bases[2])
    wanted = (full * fitted.variances.ravel()) @ full.T
    drawn = fitted.sample(20_000, np.random.default_rng(0)).reshape(20_000, -1)
    found = np.cov(drawn.T)
    size = np.sqrt(np.outer(np.diagonal(wanted), np.diagonal(wanted)))
    assert np.abs((found - wanted) / size).max() < 5 * np.sqrt(2 / 20_000)


def test_what_the_data_lack_surrogates_lack():
    data = tensor() - tensor().mean(axis=0)
    drawn = TensorMaximumEntropy.fit(data).sample(3, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.mean(axis=1), 0, atol=1e-6)
    constant = np.concatenate([tensor(), np.full((6, 20, 1), 3.0)], axis=2)
    constant[..., -1] += marginal_means(tensor())[..., 0]
    assert_constraints(constant)


def test_surrogates_do_not_depend_on_how_many_are_drawn_at_once(monkeypatch):
    data = tensor()
    norms = lambda batch: (batch**2).sum(axis=(1, 2, 3))  # noqa: E731
    some = surrogate_values(data, 7, np.random.default_rng(0), norms)
    monkeypatch.setattr("brainalign.metrics.tensor_max_entropy.BATCH_NUMBERS", 2 * data.size)
    np.testing.assert_allclose(surrogate_values(data, 7, np.random.default_rng(0), norms), some, rtol=1e-12)
    assert len(np.unique(some)) == 7
    assert surrogate_values(data, 0, np.random.default_rng(0), norms).shape == (0,)


def test_the_callers_array_is_left_as_it_was():
    data = tensor()
    TensorMaximumEntropy.fit(data).sample(2, np.random.default_rng(0))
    np.testing.assert_array_equal(data, tensor())


def test_p_counts_the_value_among_its_surrogates():
    null = np.arange(9.0)
    assert p_above(100.0, null) == 0.1
    assert p_above(8.0, null) == 0.2
    assert p_above(-1.0, null) == 1.0


def test_data_that_are_nothing_but_marginal_means_are_refused():
    x, y, z = np.arange(3.0), np.arange(4.0) ** 2, np.arange(5.0) ** 3
    with pytest.raises(ResponsesError, match="nothing is left to vary"):
        TensorMaximumEntropy.fit(x[:, None, None] + y[:, None] + z)
    with pytest.raises(ResponsesError, match="nothing is left to vary"):
        TensorMaximumEntropy.fit(np.full((3, 4, 5), 0.1))
