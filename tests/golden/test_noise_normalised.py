"""Noise-normalised RDMs of recorded repeats, and whitened comparisons of measured RDMs, against rsatoolbox."""

import numpy as np
import pytest
import rsatoolbox
from rsatoolbox.data import Dataset
from rsatoolbox.data.noise import prec_from_unbalanced
from rsatoolbox.inference import boot_noise_ceiling
from rsatoolbox.rdm import RDMs, calc_rdm, calc_rdm_unbalanced

from brainalign.compare import score
from brainalign.compare.patterns import find_patterns
from brainalign.data import load_recording
from brainalign.metrics.crossnobis import crossnobis, mahalanobis
from brainalign.metrics.noise_precision import noise_covariance, noise_precision
from brainalign.metrics.rdm import squared_euclidean, to_condensed
from brainalign.networks import load_network
from brainalign.probing import probe

pytestmark = [
    pytest.mark.data,
    pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:cv_descriptor not set:UserWarning"),
]

LAYER = "blocks.3"


@pytest.fixture
def repeats(mirror):
    """V4: 640 images, 50 units, 6 to 10 repeats; rows sorted by id."""
    return find_patterns(load_recording("cowley2023/210325")["V4"], "V4").repeats


def dataset(repeats):
    by_presentation = repeats.transpose(0, 2, 1)
    held = ~np.isnan(by_presentation).any(axis=2)
    return Dataset(by_presentation[held], obs_descriptors={"stimulus": np.nonzero(held)[0].tolist()})


@pytest.mark.parametrize(
    ("shrinkage", "method"), [("diagonal", "shrinkage_diag"), ("identity", "shrinkage_eye")]
)
def test_precision_and_mahalanobis_of_v4_equal_rsatoolboxs(repeats, shrinkage, method):
    assert repeats.shape == (640, 50, 10)
    precision = noise_precision(noise_covariance(repeats, shrinkage))
    expected = prec_from_unbalanced(dataset(repeats), "stimulus", method=method)
    np.testing.assert_allclose(precision, expected, rtol=0, atol=1e-10 * expected.max())
    rdm = calc_rdm(dataset(repeats), method="mahalanobis", descriptor="stimulus", noise=expected)
    found = mahalanobis(np.nanmean(repeats, axis=2), precision)
    np.testing.assert_allclose(found, rdm.dissimilarities[0], rtol=0, atol=1e-10 * found.max())


def test_crossnobis_of_v4_equals_rsatoolboxs(repeats):
    precision = noise_precision(noise_covariance(repeats))
    # rsatoolbox takes minutes for all 640 images.
    some = repeats[:50]
    rdm = calc_rdm_unbalanced(dataset(some), method="crossnobis", descriptor="stimulus", noise=precision)
    found = crossnobis(some, precision)
    np.testing.assert_allclose(found, rdm.dissimilarities[0], rtol=0, atol=1e-10 * found.max())


def test_noise_makes_a_fifth_of_the_distances_in_v4(repeats):
    precision = noise_precision(noise_covariance(repeats))
    biased, unbiased = mahalanobis(np.nanmean(repeats, axis=2), precision), crossnobis(repeats, precision)
    assert unbiased.mean() / biased.mean() == pytest.approx(0.79, abs=0.01)
    # Six repeats in place of all: the biased distances grow by noise, the others stay as they are.
    fewer = repeats[:, :, :6]
    grown = mahalanobis(np.nanmean(fewer, axis=2), precision).mean() / biased.mean()
    assert 1.03 < grown < 1.2
    assert crossnobis(fewer, precision).mean() == pytest.approx(unbiased.mean(), rel=0.02)


def test_scores_in_v4_are_rsatoolboxs(repeats):
    recording = load_recording("cowley2023/210325")
    stimuli = recording.stimuli.select(sorted(recording.stimuli.ids))
    layer = probe(load_network("convnet@untrained:0"), stimuli, LAYER)[LAYER]
    model = RDMs(squared_euclidean(layer.gram, layer.row_sums, layer.n_units)[None])
    precision = noise_precision(noise_covariance(repeats))
    measured = RDMs(crossnobis(repeats, precision)[None])
    methods = {"corr_cov": "corr_cov", "cosine_cov": "cosine_cov", "spearman": "spearman"}
    metrics = [f"rsa:rdm=crossnobis,compare={compare}" for compare in methods]
    table = score("convnet@untrained:0", recording, metrics, layers=LAYER, n_resamples=20).to_dataframe()
    rows = table.set_index(["metric", "layer"])
    for metric, method in zip(metrics, methods.values(), strict=True):
        row = rows.loc[(metric, LAYER)]
        expected = rsatoolbox.rdm.compare(model, measured, method=method).item()
        assert row["raw"] == pytest.approx(expected, abs=1e-6)
        assert row["low"] < row["raw"] < row["high"]
        assert row["n_units"] == 50 and "no ceiling" in row["note"]


@pytest.mark.parametrize("region", ["EVC", "IT"])
@pytest.mark.parametrize("method", ["cosine_cov", "corr_cov"])
def test_whitened_scores_of_human_cortex_are_rsatoolboxs(mirror, region, method):
    recording = load_recording("cichy2014").only(region)
    stimuli = recording.stimuli.select(sorted(recording.stimuli.ids))
    layer = probe(load_network("convnet@untrained:0"), stimuli, LAYER)[LAYER]
    model = RDMs(squared_euclidean(layer.gram, layer.row_sums, layer.n_units)[None])
    subjects = recording[region].sortby("stimulus").sortby("other_stimulus").groupby("subject").mean()
    measured = RDMs(to_condensed(subjects.values.astype(np.float64)))
    metric = f"rsa:rdm=squared_euclidean,compare={method}"
    table = score("convnet@untrained:0", recording, metric, layers=LAYER, n_resamples=20).to_dataframe()
    row = table.set_index("layer").loc[LAYER]
    expected = rsatoolbox.rdm.compare(model, measured, method=method).mean()
    assert row["raw"] == pytest.approx(expected, abs=1e-6)
    ceilings = boot_noise_ceiling(measured, method=method)
    np.testing.assert_allclose([row["ceiling_lower"], row["ceiling"]], ceilings, rtol=0, atol=1e-6)
