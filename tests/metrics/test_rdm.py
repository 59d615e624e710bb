"""RDMs against rsatoolbox, against the direct form, and as mathematics."""

import numpy as np
import pytest
import rsatoolbox
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from brainalign.errors import ResponsesError, UnknownNameError
from brainalign.metrics.rdm import (
    RDM_METHODS,
    n_stimuli_of,
    rdm_from_features,
    to_condensed,
    to_square,
)

RSATOOLBOX_METHODS = {"squared_euclidean": "euclidean", "correlation": "correlation"}
V4 = (
    "raw.githubusercontent.com/cowleygroup/V4_compact_models/f4552ad9d34a466ebc66658f72a08a8e5038f1cf/"
    "data_V4_responses/responses_repeat_averaged/responses_210325.npy"
)


def activations(seed: int = 0, n_stimuli: int = 30, n_units: int = 200) -> np.ndarray:
    """Sparse, rectified, of very unequal units, as the features of a network are."""
    generator = np.random.default_rng(seed)
    gains = generator.lognormal(sigma=1.5, size=n_units)
    return np.maximum(generator.normal(0.5, 1, (n_stimuli, n_units)), 0) * gains


def from_gram(features: np.ndarray, method: str) -> np.ndarray:
    return RDM_METHODS[method](features @ features.T, features.sum(axis=1), features.shape[1])


@pytest.mark.parametrize("method", RSATOOLBOX_METHODS)
def test_equals_rsatoolbox(method):
    features = activations()
    expected = rsatoolbox.rdm.calc_rdm(
        rsatoolbox.data.Dataset(features), method=RSATOOLBOX_METHODS[method]
    ).get_vectors()[0]
    np.testing.assert_allclose(from_gram(features, method), expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(rdm_from_features(features, method), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.data
@pytest.mark.parametrize("method", RSATOOLBOX_METHODS)
def test_equals_rsatoolbox_on_recorded_responses(mirror, method):
    responses = np.load(mirror / V4, allow_pickle=False).T.astype(float)
    expected = rsatoolbox.rdm.calc_rdm(
        rsatoolbox.data.Dataset(responses), method=RSATOOLBOX_METHODS[method]
    ).get_vectors()[0]
    np.testing.assert_allclose(from_gram(responses, method), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(rdm_from_features(responses, method), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", RDM_METHODS)
def test_gram_form_equals_direct_form(method):
    features = activations(seed=1) + 3.0
    np.testing.assert_allclose(
        from_gram(features, method), rdm_from_features(features, method), rtol=1e-9, atol=1e-12
    )


def test_euclidean_is_the_root_of_the_squared_one():
    features = activations(seed=2)
    np.testing.assert_allclose(
        from_gram(features, "euclidean") ** 2, from_gram(features, "squared_euclidean"), rtol=1e-12
    )


def test_centring_the_gram_matrix_leaves_euclidean_distances():
    features = activations(seed=3)
    centred = features - features.mean(axis=0)
    for method in ("euclidean", "squared_euclidean"):
        np.testing.assert_allclose(from_gram(centred, method), from_gram(features, method), rtol=1e-10)


# Whole numbers: subtracting them is exact, so only the kernels' own rounding is tested.
patterns = arrays(np.int64, st.tuples(st.integers(3, 7), st.integers(2, 5)), elements=st.integers(-40, 40)).map(
    lambda values: values.astype(float)
)


def defined(features: np.ndarray, method: str) -> np.ndarray:
    """Features without the stimuli for which the method is undefined."""
    kept = {"correlation": np.ptp(features, axis=1) > 0, "cosine": (features != 0).any(axis=1)}
    return features[kept[method]] if method in kept else features


@pytest.mark.parametrize("method", RDM_METHODS)
@given(features=patterns, seed=st.integers(0, 100))
def test_a_dissimilarity_whatever_the_order_of_the_stimuli(method, features, seed):
    features = defined(features, method)
    assume(len(features) >= 2)
    square = to_square(from_gram(features, method))
    order = np.random.default_rng(seed).permutation(len(features))
    np.testing.assert_allclose(
        to_square(from_gram(features[order], method)), square[np.ix_(order, order)], atol=1e-7
    )
    assert (square == square.T).all()
    assert (square >= 0).all()
    assert (np.diagonal(square) == 0).all()
    if method in ("correlation", "cosine"):
        assert (square <= 2).all()


@given(features=patterns)
def test_euclidean_obeys_the_triangle_inequality(features):
    square = to_square(from_gram(features, "euclidean"))
    through_third = (square[:, :, None] + square[None, :, :]).min(axis=1)
    assert (square <= through_third + 1e-6).all()


ROTATION, TRANSLATION, SCALING = "rotation", "translation", "scaling"
INVARIANT = {
    "euclidean": {ROTATION, TRANSLATION},
    "squared_euclidean": {ROTATION, TRANSLATION},
    "correlation": {SCALING},
    "cosine": {ROTATION, SCALING},
}


@pytest.mark.parametrize("change", [ROTATION, TRANSLATION, SCALING])
@pytest.mark.parametrize("method", RDM_METHODS)
@given(seed=st.integers(0, 1000))
def test_invariances_are_those_of_the_method_and_no_others(method, change, seed):
    generator = np.random.default_rng(seed)
    features = generator.normal(1, 1, (8, 6))
    rotation = np.linalg.qr(generator.normal(size=(6, 6)))[0]
    changed = {
        ROTATION: features @ rotation,
        TRANSLATION: features + 3 * generator.normal(size=6),
        SCALING: features * 3.7,
    }[change]
    same = np.allclose(from_gram(changed, method), from_gram(features, method), rtol=1e-7, atol=1e-9)
    assert same == (change in INVARIANT[method])


def test_correlation_does_not_see_what_is_added_to_all_units_of_one_pattern():
    features = activations(seed=4)
    shifted = features + np.arange(len(features))[:, None]
    np.testing.assert_allclose(
        from_gram(shifted, "correlation"), from_gram(features, "correlation"), atol=1e-10
    )


@pytest.mark.parametrize("form", [from_gram, rdm_from_features])
@pytest.mark.parametrize(("method", "pattern"), [("correlation", 0.1), ("correlation", 0.0), ("cosine", 0.0)])
def test_patterns_without_variance_are_named(form, method, pattern):
    features = activations(seed=5)
    features[[2, 7]] = pattern
    with pytest.raises(ResponsesError, match=r"2 of 30 stimuli .* at index 2, 7, .*undefined"):
        form(features, method)


def test_constant_patterns_far_from_zero_are_found_in_spite_of_rounding():
    features = activations(seed=6) + 1e4
    features[3] = 1e4 + 1 / 3
    with pytest.raises(ResponsesError, match="1 of 30 stimuli .* at index 3,"):
        from_gram(features, "correlation")
    assert np.isfinite(from_gram(features, "cosine")).all()


def test_values_that_are_not_finite_raise():
    features = activations(seed=7)
    features[4, 0] = np.nan
    with pytest.raises(ResponsesError, match="not finite in the stimuli at index 4"):
        rdm_from_features(features, "euclidean")


def test_unknown_method_shows_the_closest():
    with pytest.raises(UnknownNameError, match="Did you mean 'correlation'"):
        rdm_from_features(activations(), "corelation")


def test_square_and_condensed_are_inverse_for_one_and_for_a_stack():
    condensed = np.random.default_rng(0).random((3, 2, 45))
    assert to_square(condensed).shape == (3, 2, 10, 10)
    np.testing.assert_array_equal(to_condensed(to_square(condensed)), condensed)
    np.testing.assert_array_equal(to_square(condensed[0, 0]), to_square(condensed)[0, 0])
    assert to_condensed(np.arange(9.0).reshape(3, 3)).tolist() == [1.0, 2.0, 5.0]


def test_a_vector_that_is_no_triangle_raises():
    with pytest.raises(ResponsesError, match="4187 dissimilarities are no upper triangle"):
        n_stimuli_of(4187)
