"""Inner products against float64 arithmetic on the features themselves."""

import hypothesis.extra.numpy as npst
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from brainalign.errors import AlignmentError, ResponsesError
from brainalign.probing import Representation
from brainalign.probing.gram_sums import BLOCK, inner_products

SIZES = st.tuples(st.integers(2, 12), st.integers(1, 9))
VALUES = st.floats(-1e3, 1e3, allow_subnormal=False)


def _ids(n):
    return tuple(f"s{i}" for i in range(n))


def _layer(features, **options):
    return Representation.from_features(features, _ids(len(features)), **options)


def _assert_represents(layer, features, tolerance=1e-11, largest=None):
    """All fields against float64 arithmetic, relative to the size of what was added up."""
    x = features.astype(np.float64)
    mean = x.mean(axis=0)
    centred = x - mean
    largest = float(np.abs(x).max()) if largest is None else largest
    scale = tolerance * max(largest**2 * x.shape[1], 1e-300)
    np.testing.assert_allclose(layer.gram, centred @ centred.T, rtol=0, atol=scale)
    np.testing.assert_allclose(layer.mean_products, centred @ mean, rtol=0, atol=scale)
    np.testing.assert_allclose(layer.mean_norm, mean @ mean, rtol=0, atol=scale)
    np.testing.assert_allclose(layer.raw_gram(), x @ x.T, rtol=0, atol=4 * scale)
    np.testing.assert_allclose(layer.row_sums, x.sum(axis=1), rtol=0, atol=tolerance * largest * x.shape[1])
    assert layer.n_units == x.shape[1]


@given(npst.arrays(np.float64, SIZES, elements=VALUES))
def test_equals_plain_arithmetic(features):
    _assert_represents(_layer(features), features)


@given(npst.arrays(np.float64, SIZES, elements=VALUES), st.data())
def test_select_equals_representing_the_chosen_features(features, data):
    order = data.draw(st.permutations(range(len(features))))
    rows = order[: data.draw(st.integers(1, len(order)))]
    layer = _layer(features, keep=True)
    chosen = layer.select([layer.stimuli[row] for row in rows])
    assert chosen.stimuli == tuple(layer.stimuli[row] for row in rows)
    _assert_represents(chosen, features[rows], largest=np.abs(features).max())
    np.testing.assert_array_equal(chosen.features, features[rows])


@given(npst.arrays(np.float64, SIZES, elements=VALUES))
def test_selecting_in_steps_is_selecting_at_once(features):
    layer = _layer(features)
    ids = list(layer.stimuli)[::-1]
    half = ids[: max(1, len(ids) // 2)]
    chosen = layer.select(ids).select(half)
    _assert_represents(chosen, features[::-1][: len(half)], largest=np.abs(features).max())


def test_select_does_not_change_what_it_selects_from():
    layer = _layer(np.random.default_rng(0).standard_normal((5, 7)), keep=True)
    before = [np.copy(each) for each in (layer.gram, layer.mean_products, layer.row_sums, layer.features)]
    chosen = layer.select(["s3", "s1"])
    chosen.gram[:] = chosen.row_sums[:] = chosen.features[:] = np.nan
    after = (layer.gram, layer.mean_products, layer.row_sums, layer.features)
    for was, now in zip(before, after, strict=True):
        np.testing.assert_array_equal(was, now)


def test_features_stay_as_they_are():
    features = np.random.default_rng(1).standard_normal((5, 3 * BLOCK)).astype(np.float32)
    before = features.copy()
    inner_products(features, "layer")
    np.testing.assert_array_equal(features, before)


@pytest.mark.parametrize("width", [1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3])
def test_blocks_of_columns(width):
    features = np.random.default_rng(width).standard_normal((6, width)).astype(np.float32)
    _assert_represents(_layer(features), features, tolerance=1e-6)


@pytest.mark.parametrize("mean", [0.0, 1e2, 1e4, 1e6])
@pytest.mark.parametrize("spread", ["one mean", "a mean for each unit"])
def test_large_means_leave_single_precision_exact(mean, spread):
    """The Gram matrix of the centred features to 1e-6 of itself, not of the mean's square."""
    generator = np.random.default_rng(2)
    means = mean if spread == "one mean" else mean * generator.random(5000)
    features = (generator.standard_normal((30, 5000)) + means).astype(np.float32)
    x = features.astype(np.float64)
    centred = x - x.mean(axis=0)
    layer = _layer(features)
    gram = centred @ centred.T
    assert np.abs(layer.gram - gram).max() < 1e-6 * gram.max()
    raw = x @ x.T
    assert np.abs(layer.raw_gram() - raw).max() < 1e-6 * gram.max() + 1e-12 * raw.max()
    covariance = raw - np.outer(x.sum(1), x.sum(1)) / 5000
    found = layer.raw_gram() - np.outer(layer.row_sums, layer.row_sums) / 5000
    assert np.abs(found - covariance).max() < 1e-6 * np.abs(covariance).max() + 1e-12 * raw.max()


def test_gram_is_symmetric_and_centred():
    features = (np.random.default_rng(3).standard_normal((9, 3000)) + 100).astype(np.float32)
    for layer in (_layer(features), _layer(features).select(["s5", "s2", "s8"])):
        np.testing.assert_array_equal(layer.gram, layer.gram.T)
        assert np.abs(layer.gram.sum(axis=0)).max() < 1e-9 * np.trace(layer.gram)


def test_pieces_of_a_layer_add_up():
    features = np.random.default_rng(4).standard_normal((7, 1000)) + 5
    whole = inner_products(features, "layer")
    cuts = [0, 1, 400, 999, 1000]
    parts = [inner_products(features[:, a:b], "layer") for a, b in zip(cuts, cuts[1:], strict=False)]
    for total, *pieces in zip(whole, *parts, strict=True):
        np.testing.assert_allclose(sum(pieces), total, rtol=1e-12, atol=1e-12 * np.abs(total).max())


def test_participation_ratio_is_that_of_the_eigenvalues():
    features = np.random.default_rng(5).standard_normal((20, 8)) * np.arange(1, 9)
    values = np.linalg.eigvalsh(np.cov(features.T))
    expected = values.sum() ** 2 / (values**2).sum()
    assert _layer(features).participation_ratio() == pytest.approx(expected, rel=1e-12)


def test_participation_ratio_of_one_axis_is_one():
    generator = np.random.default_rng(6)
    features = np.outer(generator.standard_normal(12), generator.standard_normal(30)) + 4
    assert _layer(features).participation_ratio() == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("d", [2, 5])
def test_participation_ratio_of_equal_axes_is_their_number(d):
    features = np.vstack([np.eye(d), -np.eye(d)])
    assert _layer(features).participation_ratio() == pytest.approx(d, rel=1e-12)


def test_participation_ratio_of_a_constant_layer_is_undefined():
    assert np.isnan(_layer(np.full((4, 3), 7.0)).participation_ratio())


def test_unknown_stimuli():
    layer = _layer(np.eye(3), layer="conv1")
    with pytest.raises(AlignmentError, match=r"Layer 'conv1' was not shown 2 of 3 stimuli, such as 'dog'"):
        layer.select(["s0", "dog", "cat"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_that_are_not_finite_name_the_layer(bad, dtype):
    features = np.ones((4, 2 * BLOCK), dtype=dtype)
    features[1, BLOCK + 7] = bad
    with pytest.raises(ResponsesError, match="Layer 'fc' answers with NaN or infinite values"):
        _layer(features, layer="fc")


def test_opposite_infinities_do_not_cancel():
    features = np.zeros((4, 3), dtype=np.float32)
    features[0, 1], features[1, 1] = np.inf, -np.inf
    with pytest.raises(ResponsesError, match="NaN or infinite"):
        _layer(features)


def test_values_whose_products_overflow():
    features = (np.random.default_rng(7).standard_normal((4, 3)) * 1e30).astype(np.float32)
    with pytest.raises(ResponsesError, match="too large to multiply"):
        _layer(features)


@pytest.mark.parametrize("shape", [(3,), (3, 2, 2), (4, 2)])
def test_shapes_that_do_not_fit(shape):
    with pytest.raises(ResponsesError, match=r"expected \(stimulus, unit\)"):
        Representation.from_features(np.zeros(shape), ["a", "b", "c"])


def test_features_are_kept_only_when_asked():
    assert _layer(np.eye(3)).features is None
    assert _layer(np.eye(3), keep=True).features is not None
