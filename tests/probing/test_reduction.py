"""Whole, pooled and projected features against torch's own pooling and the Johnson–Lindenstrauss bound."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from sklearn.random_projection import johnson_lindenstrauss_min_dim

from brainalign.errors import UnknownNameError
from brainalign.probing import Representation
from brainalign.probing.gram_sums import inner_products
from brainalign.probing.reduction import Reduction, sum_weights

N_STIMULI = 40


def _patterns(n_units, seed=0, n_stimuli=N_STIMULI):
    return torch.from_numpy(
        np.random.default_rng(seed).standard_normal((n_stimuli, n_units)).astype(np.float32)
    )


def _projected(output, reduction="project"):
    bring_down = Reduction.parse(reduction)
    features = bring_down(output, len(output))
    n_units = bring_down.n_units(output, features.shape[1])
    weights = sum_weights(features.shape[1], n_units)
    ids = tuple(str(i) for i in range(len(output)))
    return Representation("layer", ids, *inner_products(features, "layer", weights), n_units=n_units)


@pytest.mark.parametrize(
    "text,expected",
    [
        ("whole", Reduction()),
        ("pool", Reduction("pool", grid=7)),
        ("pool:3", Reduction("pool", grid=3)),
        ("sample:50", Reduction("sample", n_sampled=50)),
        ("project", Reduction("project", distortion=0.1)),
        ("project:0.25", Reduction("project", distortion=0.25)),
    ],
)
def test_parse(text, expected):
    assert Reduction.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "pool:0",
        "pool:-1",
        "pool:2.5",
        "pool:x",
        "whole:3",
        "sample",
        "sample:",
        "sample:0",
        "sample:-2",
        "sample:1.5",
        "sample:x",
        "project:0",
        "project:1",
        "project:nan",
        "project:x",
    ],
)
def test_malformed(text):
    with pytest.raises(UnknownNameError, match="malformed; expected 'whole', 'pool:GRID'"):
        Reduction.parse(text)


def test_unknown_reduction_shows_the_closest():
    with pytest.raises(UnknownNameError, match="Unknown reduction 'projekt'. Did you mean 'project'"):
        Reduction.parse("projekt")
    with pytest.raises(UnknownNameError, match="Unknown reduction 'smaple:10'. Did you mean 'sample:1000'"):
        Reduction.parse("smaple:10")


def test_descriptions_tell_reductions_apart():
    texts = ["whole", "pool", "pool:8", "sample:7", "sample:8", "project", "project:0.1000001", "project:0.2"]
    assert len({Reduction.parse(text).describe() for text in texts}) == len(texts)
    for kind in ("project", "sample"):
        assert Reduction(kind, seed=1).describe() != Reduction(kind, seed=2).describe()


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 5, 3), (4, 2, 3, 3), (4, 2, 1, 2, 3)])
def test_whole_keeps_every_unit(shape):
    output = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    features = Reduction()(output, 4)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, output.numpy().reshape(4, -1))


@pytest.mark.parametrize(
    "dtype,expected",
    [
        (torch.float64, np.float64),
        (torch.float16, np.float32),
        (torch.bfloat16, np.float32),
        (torch.int64, np.float32),
        (torch.bool, np.float32),
    ],
)
@pytest.mark.parametrize("reduction", ["whole", "pool:2"])
def test_types_of_numbers(dtype, expected, reduction):
    output = (torch.arange(2 * 4 * 4).reshape(2, 1, 4, 4) % 2).to(dtype)
    features = Reduction.parse(reduction)(output, 2)
    assert features.dtype == expected
    whole = output.to(torch.float64).numpy().reshape(2, -1)
    np.testing.assert_array_equal(features, whole if reduction == "whole" else np.full((2, 4), 0.5))


def test_half_precision_is_averaged_in_single():
    output = torch.full((1, 1, 64, 64), 60000.0, dtype=torch.float16)  # a sum of two overflows half precision
    np.testing.assert_array_equal(Reduction.parse("pool:1")(output, 1), [[60000.0]])


@pytest.mark.parametrize("side", [8, 13, 14])
def test_pool_averages_over_a_grid(side):
    output = torch.randn((2, 3, side, side), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = np.empty((2, 3, 7, 7))
    for i, j in np.ndindex(7, 7):  # each place averages the pixels that it overlaps
        rows = slice(i * side // 7, -(-(i + 1) * side // 7))
        columns = slice(j * side // 7, -(-(j + 1) * side // 7))
        expected[:, :, i, j] = output[:, :, rows, columns].mean((2, 3))
    np.testing.assert_allclose(Reduction.parse("pool")(output, 2), expected.reshape(2, -1), rtol=0, atol=1e-12)


def test_pool_leaves_small_maps_and_vectors_alone():
    for shape in [(2, 3, 7, 7), (2, 3, 1, 1), (2, 50), (2, 20, 30)]:
        output = torch.randn(shape, generator=torch.Generator().manual_seed(2))
        np.testing.assert_array_equal(Reduction.parse("pool:7")(output, 2), output.reshape(2, -1).numpy())


def test_pool_never_repeats_a_place():
    """A map that is long but narrow is averaged along its length only."""
    output = torch.randn((2, 1, 2, 70), generator=torch.Generator().manual_seed(3))
    features = Reduction.parse("pool:7")(output, 2)
    expected = output.reshape(2, 2, 7, 10).mean(3).reshape(2, -1)
    np.testing.assert_allclose(features, expected.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sparsity", [0.0, 0.9])
@pytest.mark.parametrize("distortion", [0.1, 0.3])
def test_projection_keeps_squared_distances_within_the_bound(distortion, sparsity):
    output = _patterns(20_000)
    output[torch.from_numpy(np.random.default_rng(1).random(output.shape) < sparsity)] = 0.0
    layer = _projected(output, f"project:{distortion}")
    lengths = np.diagonal(layer.gram)
    squared = (lengths[:, None] + lengths - 2 * layer.gram)[np.triu_indices(N_STIMULI, 1)]
    ratio = squared / pdist(output.double().numpy(), "sqeuclidean")
    assert 1 - distortion < ratio.min() < ratio.max() < 1 + distortion
    assert np.abs(ratio - 1).max() > 1e-3  # it did project


@pytest.mark.parametrize("method", ["correlation", "cosine"])
def test_angles_in_a_projection_are_those_in_the_layer(method):
    """Correlation is that across the layer's units, not across the projection's columns."""
    means = np.random.default_rng(4).random((N_STIMULI, 1)).astype(np.float32)
    output = torch.relu(_patterns(30_000, 4) + torch.from_numpy(means))
    layer = _projected(output)
    products = layer.raw_gram()
    if method == "correlation":
        products = products - np.outer(layer.row_sums, layer.row_sums) / layer.n_units
    lengths = np.sqrt(np.diagonal(products))
    found = 1 - (products / np.outer(lengths, lengths))[np.triu_indices(N_STIMULI, 1)]
    assert np.abs(found - pdist(output.double().numpy(), method)).max() < 0.1


def test_projection_keeps_sums_and_number_of_units():
    output = _patterns(20_000) + 3
    layer = _projected(output)
    assert layer.n_units == 20_000
    np.testing.assert_allclose(layer.row_sums, output.double().sum(1).numpy(), rtol=1e-6)


def test_projection_is_as_narrow_as_the_bound_and_one_column():
    components = int(johnson_lindenstrauss_min_dim(N_STIMULI, eps=0.3))
    assert Reduction.parse("project:0.3")(_patterns(20_000), N_STIMULI).shape == (N_STIMULI, components + 1)


def test_what_is_narrow_already_is_not_projected():
    components = int(johnson_lindenstrauss_min_dim(N_STIMULI, eps=0.3))
    output = _patterns(components + 1)
    features = Reduction.parse("project:0.3")(output, N_STIMULI)
    np.testing.assert_array_equal(features, output.numpy())
    np.testing.assert_array_equal(sum_weights(components + 1, components + 1), np.ones(components + 1))


def test_projection_is_the_same_in_each_batch_and_each_time():
    from brainalign.probing import reduction

    output, bring_down = _patterns(5000), Reduction.parse("project:0.5")
    whole = bring_down(output, N_STIMULI)
    reduction._projection.cache_clear()
    parts = [bring_down(part, N_STIMULI) for part in output.split(7)]
    np.testing.assert_allclose(np.vstack(parts), whole, rtol=0, atol=1e-5)
    assert not np.allclose(Reduction("project", distortion=0.5, seed=1)(output, N_STIMULI), whole)


def test_projection_in_double_precision():
    assert Reduction.parse("project:0.5")(_patterns(5000).double(), N_STIMULI).dtype == np.float64


def test_projection_of_one_stimulus():
    assert np.isfinite(Reduction.parse("project")(_patterns(500, n_stimuli=1), 1)).all()


@pytest.mark.parametrize("shape", [(N_STIMULI, 3000), (N_STIMULI, 30, 10, 10), (N_STIMULI, 60, 50)])
def test_sample_draws_units_of_the_layer_each_once(shape):
    # Each unit's answers are its own number, so that what was drawn can be told.
    output = torch.arange(3000.0).reshape(1, *shape[1:]).expand(shape).clone()
    bring_down = Reduction.parse("sample:500")
    features = bring_down(output, N_STIMULI)
    drawn = features[0].astype(int)
    assert features.shape == (N_STIMULI, 500) and bring_down.n_units(output, 500) == 500
    assert len(set(drawn)) == 500
    np.testing.assert_array_equal(features, np.broadcast_to(drawn, features.shape))
    # From all over the layer: the mean of 500 without replacement has a standard error of 35.
    assert abs(drawn.mean() - 1499.5) < 5 * 35.4
    other = Reduction("sample", n_sampled=500, seed=1)(output, N_STIMULI)
    assert len(set(drawn) & set(other[0].astype(int))) < 200


def test_sample_is_the_same_in_each_batch_and_each_time():
    from brainalign.probing import reduction

    output, bring_down = _patterns(5000), Reduction.parse("sample:70")
    whole = bring_down(output, N_STIMULI)
    reduction._sampled_units.cache_clear()
    np.testing.assert_array_equal(np.vstack([bring_down(part, 1) for part in output.split(7)]), whole)


@pytest.mark.parametrize("n_sampled", [100, 101])
def test_a_layer_with_no_more_units_is_kept_whole(n_sampled):
    output = _patterns(100)
    np.testing.assert_array_equal(Reduction("sample", n_sampled=n_sampled)(output, N_STIMULI), output.numpy())


def test_gram_of_a_sample_is_that_of_the_sampled_units():
    output = _patterns(4000)
    layer = _projected(output, "sample:64")
    features = Reduction.parse("sample:64")(output, N_STIMULI).astype(np.float64)
    centred = features - features.mean(axis=0)
    np.testing.assert_allclose(layer.gram, centred @ centred.T, rtol=0, atol=1e-4)
    np.testing.assert_allclose(layer.row_sums, features.sum(axis=1), atol=1e-4)
    assert layer.n_units == 64


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int64])
def test_sample_brings_to_the_types_that_whole_does(dtype):
    output = (torch.arange(2 * 300).reshape(2, 300) % 7).to(dtype)
    assert Reduction.parse("sample:9")(output, 2).dtype == Reduction()(output, 2).dtype


def test_probing_a_sample_keeps_features_of_single_units():
    from brainalign.data.stimuli import StimulusSet
    from brainalign.networks import Preprocessing
    from brainalign.probing import probe

    pixels = np.random.default_rng(0).integers(0, 256, (12, 6, 6, 3)).astype(np.uint8)
    stimuli = StimulusSet.from_ids([f"s{i:02d}" for i in range(12)], list(pixels))
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 1), torch.nn.Flatten())
    options = {"preprocessing": Preprocessing(6), "keep_features": True, "batch_size": 5}
    whole = probe(network, stimuli, "1", **options)["1"].features
    layer = probe(network, stimuli, "1", reduction="sample:20", **options)["1"]
    assert layer.features is not None and whole is not None
    assert layer.features.shape == (12, 20) and layer.n_units == 20
    places = [np.flatnonzero((whole == column[:, None]).all(axis=0)) for column in layer.features.T]
    assert all(len(place) == 1 for place in places) and len({int(place[0]) for place in places}) == 20
