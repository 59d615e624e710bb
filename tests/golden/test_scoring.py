"""Scores on real recordings against scikit-learn and rsatoolbox, from the images to the table."""

import warnings

import numpy as np
import pytest
import rsatoolbox
from rsatoolbox.inference import boot_noise_ceiling
from rsatoolbox.rdm import RDMs
from scipy.stats import pearsonr
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import ShuffleSplit

from brainalign.compare import evaluate, score
from brainalign.compare.predictivity import Predictivity, centred_blocks
from brainalign.compare.splits import commitment_split, labels, train_test_splits
from brainalign.data import load_recording
from brainalign.metrics import find_metric
from brainalign.metrics.cka import cka
from brainalign.metrics.pls import kernel_pls
from brainalign.metrics.rdm import to_condensed, to_square
from brainalign.metrics.ridge import relative_alphas, ridge_leave_one_out
from brainalign.networks import load_network
from brainalign.probing import Representation, probe

pytestmark = pytest.mark.data

LAYER = "blocks.3"
METHODS = {
    "spearman": "spearman", "pearson": "corr", "kendall_tau_a": "tau-a", "rho_a": "rho-a", "cosine": "cosine",
}  # fmt: skip


@pytest.fixture
def v4(mirror):
    """The day with repeats: recording, mean responses sorted by id, a layer's features in float64."""
    recording = load_recording("cowley2023/210325")
    counts = recording["V4"].sortby("stimulus")
    stimuli = recording.stimuli.select(counts["stimulus"].values.tolist())
    network = load_network("convnet@untrained:0")
    layer = probe(network, stimuli, LAYER, keep_features=True)[LAYER]
    return recording, counts.mean("repeat").values, layer.features.astype(np.float64), stimuli.ids


def brain_score_splits():
    """Ten splits, as Brain-Score makes them, of the 640 images."""
    return list(ShuffleSplit(n_splits=10, train_size=0.9, random_state=1).split(np.empty(640)))


def pearson_per_unit(predicted, responses):
    return np.array([pearsonr(predicted[:, u], responses[:, u])[0] for u in range(responses.shape[1])])


def test_ridge_equals_ridge_cv_and_its_score_a_loop(v4):
    recording, y, x, ids = v4
    gram = Representation.from_features(x, ids).gram
    medians = []
    for train, test in brain_score_splits():
        train_gram, cross_gram = centred_blocks(gram, train, test)
        alphas = relative_alphas(train_gram, 41)
        predicted, chosen = ridge_leave_one_out(train_gram, cross_gram, y[train], alphas)
        oracle = RidgeCV(alphas, alpha_per_target=True).fit(x[train], y[train])
        np.testing.assert_array_equal(chosen, oracle.alpha_)
        expected = oracle.predict(x[test])
        np.testing.assert_allclose(predicted, expected, rtol=0, atol=1e-6)
        medians.append(np.median(pearson_per_unit(expected, y[test])))
    layer = Representation.from_features(x, ids)
    region = Predictivity(find_metric("ridge"), recording["V4"], "V4", 2, 0)
    # All fifty units are reliable, so none is left out.
    assert (region.facts.n_units, region.facts.n_units_masked) == (50, 0)
    outcome = region.outcomes([layer])[0]
    assert outcome.raw == pytest.approx(np.mean(medians), abs=1e-8)
    np.testing.assert_allclose(outcome.scoring[:, 0], medians, atol=1e-8)
    # Networks answer in float32, and so the table rounds.
    table = score("convnet@untrained:0", recording, "ridge", layers=LAYER, n_resamples=2)
    assert float(table["raw"][0]) == pytest.approx(np.mean(medians), abs=1e-4)


def test_pls_equals_pls_regression(v4):
    _, y, x, ids = v4
    gram = Representation.from_features(x, ids).gram
    for train, test in brain_score_splits():
        predicted = kernel_pls(*centred_blocks(gram, train, test), y[train], 25)
        oracle = PLSRegression(n_components=25, scale=False).fit(x[train], y[train]).predict(x[test])
        assert np.abs((predicted - oracle) / y.std(axis=0)).max() < 0.01
        ours, theirs = (np.median(pearson_per_unit(each, y[test])) for each in (predicted, oracle))
        assert ours == pytest.approx(theirs, abs=1e-3)


def test_cka_equals_a_naive_one(v4):
    _, y, x, ids = v4
    gram = Representation.from_features(x, ids).gram
    yc, xc = y - y.mean(axis=0), x - x.mean(axis=0)
    biased = np.sum((yc.T @ xc) ** 2) / np.sqrt(np.sum((xc.T @ xc) ** 2) * np.sum((yc.T @ yc) ** 2))
    assert cka(gram, yc @ yc.T, debiased=False) == pytest.approx(biased, abs=1e-10)
    n, k, m = 640, xc @ xc.T, yc @ yc.T
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))

    def hsic(a, b):
        return np.sum(a * b) + a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (a.sum(0) @ b.sum(0))

    assert cka(gram, yc @ yc.T) == pytest.approx(hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m)), abs=1e-10)


def test_scores_stand_under_the_ceiling_of_the_day(v4):
    recording, *_ = v4
    networks = ["convnet@untrained:0", "pixels:32"]
    evaluation = evaluate(networks, recording, ["ridge", "cka"], layers=LAYER, n_resamples=100)
    table = evaluation.scores.to_dataframe().set_index(["network", "metric", "layer"])
    ridge = table.xs("ridge", level="metric")
    np.testing.assert_allclose(ridge["ceiling"], np.sqrt(0.765), atol=0.012)
    assert (ridge["n_stimuli"] == 640).all() and (ridge["n_units"] == 50).all()
    assert (table["raw"] > 0).all() and (table["score"] < 1).all()
    assert 0.2 < ridge.loc[("pixels:32", "pixels"), "raw"] < 0.4


@pytest.fixture
def with_rsatoolbox(mirror):
    """Of rsatoolbox's warnings the one that says that its ceiling of tau is approximate."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*averaged ranks", category=UserWarning)
        yield


REGIONS = [
    ("kriegeskorte2008", "monkey_IT"), ("kriegeskorte2008", "human_IT"), ("kriegeskorte2008", "behaviour"),
    ("cichy2014", "EVC"), ("cichy2014", "IT"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "region"), REGIONS)
def test_rsa_equals_rsatoolbox(with_rsatoolbox, name, region):
    recording = load_recording(name).only(region)
    stimuli = recording.stimuli.select(sorted(recording.stimuli.ids))
    features = probe(load_network("convnet@untrained:0"), stimuli, LAYER, keep_features=True)[LAYER].features
    model = rsatoolbox.rdm.calc_rdm(rsatoolbox.data.Dataset(features.astype(np.float64)), method="correlation")
    subjects = recording[region].sortby("stimulus").sortby("other_stimulus").groupby("subject").mean()
    measured = RDMs(to_condensed(subjects.values.astype(np.float64)))
    metrics = [f"rsa:compare={compare}" for compare in METHODS]
    table = score("convnet@untrained:0", recording, metrics, layers=LAYER, n_resamples=2)
    rows = table.to_dataframe().set_index(["metric", "layer"])
    for compare, method in METHODS.items():
        row = rows.loc[(f"rsa:compare={compare}", LAYER)]
        expected = rsatoolbox.rdm.compare(model, measured, method=method).mean()
        assert row["raw"] == pytest.approx(expected, abs=1e-6)
        if len(subjects) < 3:
            assert np.isnan(row["ceiling"]) and "no ceiling" in row["note"]
            continue
        lower, upper = boot_noise_ceiling(measured, method=method)
        np.testing.assert_allclose([row["ceiling_lower"], row["ceiling"]], [lower, upper], rtol=0, atol=1e-6)
        assert row["score"] == pytest.approx(expected / upper, abs=1e-6)


@pytest.mark.parametrize(("method", "theirs"), [("euclidean", "euclidean"), ("correlation", "correlation")])
def test_matrices_of_a_layer_equal_rsatoolboxs(mirror, method, theirs):
    stimuli = load_recording("cichy2014").stimuli
    layer = probe(load_network("convnet@untrained:0"), stimuli, LAYER, keep_features=True)[LAYER]
    expected = rsatoolbox.rdm.calc_rdm(
        rsatoolbox.data.Dataset(layer.features.astype(np.float64)), method=theirs
    ).get_vectors()[0]
    name = "squared_euclidean" if method == "euclidean" else method
    ours = find_metric(f"rsa:rdm={name}").kernel.rdm(layer)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6 * expected.max())
    assert to_square(ours).shape == (92, 92)


def test_identical_pictures_of_a_day_are_never_split(mirror):
    recording = load_recording("cowley2023/210621")
    pairs = {"210621/image0536": "210621/image0101", "210621/image0697": "210621/image0425"}
    ids = sorted(recording.stimuli.ids)
    images = labels(recording.stimuli.metadata, "image", ids)
    shortened = 0
    for train, test in train_test_splits(1200, groups=images):
        fit, choose = commitment_split(train, np.random.default_rng(0), images)
        for second, first in pairs.items():
            both = {ids.index(second), ids.index(first)}
            for one, other in ((train, test), (fit, choose)):
                assert not (both & set(one) and both & set(other))
        shortened += len(train) < 1080
    # Brain-Score's splits would have parted some of them: the test says something.
    assert shortened > 0
