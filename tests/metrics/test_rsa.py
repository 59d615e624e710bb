"""The RSA metric: a layer's RDM from its representation, comparisons, and what it declares."""

import numpy as np
import pytest
import rsatoolbox
from scipy.spatial.distance import pdist

from brainalign.errors import ResponsesError, UnknownNameError
from brainalign.metrics.comparators import COMPARATORS
from brainalign.metrics.rdm import RDM_METHODS
from brainalign.metrics.rsa import INVARIANCES, NOISE_NORMALISED, WHITENABLE, RdmKernel, rsa
from brainalign.probing import Representation

IDS = [f"s{i:02d}" for i in range(20)]
DISTANCES = {"euclidean": "euclidean", "squared_euclidean": "sqeuclidean"}
RSATOOLBOX_NAMES = {"spearman": "spearman", "pearson": "corr", "rho_a": "rho-a", "cosine": "cosine"}


def features(seed=0, p=15):
    generator = np.random.default_rng(seed)
    return generator.gamma(2.0, size=(20, p)) * generator.gamma(1.0, size=p)


def layer(x):
    return Representation.from_features(x, IDS)


@pytest.mark.parametrize("method", RDM_METHODS)
def test_rdm_of_a_layer_is_that_of_its_features(method):
    x = features()
    scale = {"euclidean": np.sqrt(15), "squared_euclidean": 15.0}.get(method, 1.0)
    expected = pdist(x, DISTANCES.get(method, method)) / scale
    np.testing.assert_allclose(RdmKernel(method, "spearman").rdm(layer(x)), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", ["euclidean", "squared_euclidean"])
def test_a_large_common_answer_costs_no_digits(method):
    # A layer's mean answer can be far larger than what tells stimuli apart.
    x = features()
    kernel = RdmKernel(method, "spearman")
    np.testing.assert_allclose(kernel.rdm(layer(x + 1e5)), kernel.rdm(layer(x)), rtol=1e-9)


def test_euclidean_rdm_of_two_equal_patterns_is_zero():
    x = features() + 1e4
    x[7] = x[3]
    rdm = RdmKernel("euclidean", "spearman").rdm(layer(x))
    place = [(i, j) for i in range(20) for j in range(i + 1, 20)].index((3, 7))
    assert rdm[place] < 1e-5
    assert np.delete(rdm, place).min() > 0.1


@pytest.mark.parametrize("compare", RSATOOLBOX_NAMES)
def test_observed_value_equals_rsatoolbox(compare):
    dataset = rsatoolbox.data.Dataset(features(0))
    subjects = np.stack([pdist(features(seed), "correlation") for seed in (0, 2, 3)])
    ours = rsa(compare=compare).kernel
    value = ours.resampled(ours.rdm(layer(features(0)))[None], subjects, np.ones((1, 20), dtype=int))[0, 0]
    expected = rsatoolbox.rdm.compare(
        rsatoolbox.rdm.calc_rdm(dataset, method="correlation"),
        rsatoolbox.rdm.RDMs(subjects),
        method=RSATOOLBOX_NAMES[compare],
    )[0]
    np.testing.assert_allclose(value, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("method", "value"), [("correlation", 0.0), ("correlation", 3.0), ("cosine", 0.0)])
def test_a_pattern_without_direction_raises(method, value, dtype):
    # A blank image, or a rectified layer that is silent: what is left in the Gram matrix is rounding.
    x = features(p=3000).astype(dtype)
    x[4] = value
    with pytest.raises(ResponsesError, match="1 stimuli, such as 's04'.*'features'.*rsa:rdm=euclidean"):
        RdmKernel(method, "spearman").rdm(layer(x))
    assert np.isfinite(RdmKernel("euclidean", "spearman").rdm(layer(x))).all()


@pytest.mark.parametrize("method", ["correlation", "cosine"])
def test_a_faint_pattern_is_still_a_pattern(method):
    x = features(p=3000)
    faint = x.copy()
    faint[4] *= 0.01
    np.testing.assert_allclose(
        RdmKernel(method, "spearman").rdm(layer(faint)), RdmKernel(method, "spearman").rdm(layer(x)), atol=1e-9
    )


def test_declares_what_it_is_made_of():
    metric = rsa("cosine", "tau_a")
    parts = {"rdm": "cosine", "compare": "kendall_tau_a"}
    assert metric.options == parts | {"shrinkage": "diagonal", "stimulus_noise": "equal"}
    assert metric.kernel == RdmKernel("cosine", "kendall_tau_a")
    assert metric.label == "Kendall τa, cosine RDMs, mean over subjects"
    assert metric.chance is COMPARATORS["kendall_tau_a"].chance
    assert set(INVARIANCES) == {*RDM_METHODS, *NOISE_NORMALISED}
    assert metric.needs == {"gram", "rdm"} and metric.symmetric


def test_unknown_parts_raise():
    with pytest.raises(UnknownNameError, match="Did you mean 'euclidean'"):
        rsa(rdm="euclid")
    with pytest.raises(UnknownNameError, match="Did you mean 'spearman'"):
        rsa(compare="spear")


@pytest.mark.parametrize("method", NOISE_NORMALISED)
def test_a_layer_has_no_noise_and_squared_euclidean_distances(method):
    kernel = rsa(rdm=method).kernel
    x = features()
    np.testing.assert_allclose(kernel.rdm(layer(x)), pdist(x, "sqeuclidean") / 15, rtol=1e-9)


def test_noise_normalised_distances_need_repeats_and_say_what_the_network_has():
    metric = rsa("crossnobis", "cosine_cov", shrinkage="identity", stimulus_noise="estimated")
    assert metric.needs == {"gram", "responses", "repeats"} and not metric.symmetric
    assert metric.label == (
        "whitened cosine, crossnobis RDMs (the network's squared Euclidean), mean over subjects"
    )
    assert "Walther" in metric.citation and "Diedrichsen" in metric.citation
    assert rsa("squared_euclidean", "corr_cov").needs == {"gram", "rdm"}
    assert rsa("squared_euclidean", "corr_cov", stimulus_noise="estimated").needs >= {"repeats"}
    with pytest.raises(ResponsesError, match="'crossnobis' was asked for without repeats"):
        metric.kernel.of_subject(features(), None)


@pytest.mark.parametrize("compare", [name for name, each in COMPARATORS.items() if each.whitened])
@pytest.mark.parametrize("method", sorted({*RDM_METHODS, *NOISE_NORMALISED}))
def test_only_squared_distances_are_whitened(method, compare):
    if method in WHITENABLE:
        assert rsa(method, compare).kernel == RdmKernel(method, compare)
        return
    way_out = "use rdm=squared_euclidean, mahalanobis or crossnobis"
    with pytest.raises(UnknownNameError, match=f"rdm={method} cannot be compared by {compare}.*{way_out}"):
        rsa(method, compare)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rdm": "mahalanobis", "shrinkage": "diag"}, "Unknown shrinkage 'diag'. Did you mean 'diagonal'"),
        ({"stimulus_noise": "estimate"}, "Unknown stimulus noise 'estimate'. Did you mean 'estimated'"),
        ({"rdm": "crossnobis", "stimulus_noise": "estimated"}, "compare=spearman does not weigh stimuli"),
        ({"shrinkage": "identity"}, "rdm=correlation has no noise covariance to shrink"),
        ({"rdm": "crosnobis"}, "Did you mean 'crossnobis'"),
    ],
)
def test_options_that_do_not_go_together_raise(options, message):
    with pytest.raises(UnknownNameError, match=message):
        rsa(**options)
