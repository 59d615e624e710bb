"""Every metric of the catalogue against the facts that it declares of itself."""

import numpy as np
import pandas as pd
import pytest

from brainalign.compare.problems import FAMILIES
from brainalign.data.responses import make_responses
from brainalign.metrics import METRICS, Metric, find_metric
from brainalign.metrics.rdm import rdm_from_features
from brainalign.probing import Representation

VARIANTS = [
    "rsa",
    "rsa:rdm=euclidean",
    "rsa:rdm=squared_euclidean,compare=pearson",
    "rsa:rdm=cosine,compare=rho_a",
    "rsa:compare=kendall_tau_a",
    "rsa:compare=cosine",
    "rsa:rdm=euclidean,compare=cosine",
    "rsa:rdm=squared_euclidean,compare=cosine_cov",
    "rsa:rdm=mahalanobis,shrinkage=identity",
    "rsa:rdm=crossnobis,compare=corr_cov,stimulus_noise=estimated",
    "rsa_weighted",
    "rsa_weighted:rdm=correlation,compare=pearson",
    "ridge",
    "ridge:n_alphas=5",
    "ridge_fixed",
    "ridge_fixed:alpha=100.0",
    "pls",
    "pls:n_components=2",
    "pcr",
    "pcr:n_components=2",
    "ridge_banded",
    "ridge_banded:n_mixtures=5",
    "reverse_ridge",
    "reverse_ridge:n_alphas=5",
    "one_to_one",
    "soft_matching",
    "decoding",
    "decoding:label=third",
    "cka",
    "cka:debiased=False",
    "procrustes",
    "procrustes:alpha=0.5",
    "procrustes:alpha=0.0",
    "svcca",
    "svcca:variance=0.9",
    "pwcca",
    "pwcca:variance=0.9",
]
METRIC_VARIANTS = [find_metric(name) for name in VARIANTS]
CANONICAL = ("procrustes:alpha=0.0", "svcca", "pwcca")
NEEDS = {"gram", "features", "responses", "rdm", "repeats", "time", "labels"}
N_STIMULI, N_FEATURES = 40, 12
IDS = [f"s{i:02d}" for i in range(N_STIMULI)]

pytestmark = pytest.mark.parametrize("metric", METRIC_VARIANTS, ids=VARIANTS)


def related(seed: int = 0, n_subjects: int = 1) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Features, and skewed positive responses of one or more animals that partly follow from them."""
    generator = np.random.default_rng(seed)
    features = generator.gamma(2.0, size=(N_STIMULI, N_FEATURES)) * generator.gamma(2.0, size=N_FEATURES)
    n_units = 6 * n_subjects
    drive = features @ generator.normal(size=(N_FEATURES, n_units)) / features.std()
    noise = generator.normal(size=(N_STIMULI, n_units))
    responses = np.exp(0.2 * (drive - drive.mean(axis=0)) + 0.2 * noise)
    return features, responses, [f"m{unit % n_subjects}" for unit in range(n_units)]


def layer(features: np.ndarray) -> Representation:
    return Representation.from_features(features, IDS, keep=True)


def recorded(metric: Metric, responses: np.ndarray, ids: list[str], subjects: str | list[str] = "m"):
    """Responses, or four repeats that average to them: noise that units share and have unequally much of."""
    if "repeats" not in metric.needs:
        return make_responses(responses, ids, region="IT", subject=subjects)
    generator = np.random.default_rng(10)
    n_units = responses.shape[1]
    noise = generator.normal(size=(N_STIMULI, n_units, 4)) + generator.normal(size=(N_STIMULI, 1, 4))
    noise *= 0.2 * responses.std() * np.linspace(0.2, 2.0, n_units)[:, None]
    noise -= noise.mean(axis=2, keepdims=True)
    repeats = responses[:, :, None] + noise[[IDS.index(stimulus) for stimulus in ids]]
    return make_responses(repeats, ids, region="IT", subject=subjects, dims=("stimulus", "unit", "repeat"))


def comparison(metric: Metric, responses: np.ndarray, subjects: str | list[str] = "m"):
    region = recorded(metric, responses, IDS, subjects)
    return FAMILIES[metric.family](metric, region, "Region 'IT' of 'test'", 2, 0, labels(responses, IDS))


def labels(responses: np.ndarray, ids: list[str]) -> pd.DataFrame:
    """Metadata whose columns say how strong the first unit's response to a stimulus is among all."""
    rank = np.argsort(np.argsort(responses[:, 0]))
    columns = {"category": rank * 2 // len(ids), "third": rank * 3 // len(ids)}
    return pd.DataFrame(columns, index=pd.Index(ids, name="stimulus", dtype=object))


def raw(metric: Metric, features: np.ndarray, responses: np.ndarray) -> float:
    return comparison(metric, responses).outcomes([layer(features)])[0].raw


def chance(metric: Metric, features: np.ndarray, responses: np.ndarray, subjects: list[str]) -> float:
    """Declared chance level; a function of what is compared is averaged over subjects, as raw is."""
    if not callable(metric.chance):
        return metric.chance
    if metric.family == "gram":
        return metric.chance(features @ features.T, responses)
    if metric.family == "decoding":
        return metric.chance(labels(responses, IDS)[metric.options["label"]].to_numpy())
    values = []
    for subject in dict.fromkeys(subjects):
        own = responses[:, [name == subject for name in subjects]]
        # Where noise is normalised chance is zero, whatever the RDM.
        method = "squared_euclidean" if "repeats" in metric.needs else metric.options["rdm"]
        values.append(metric.chance(rdm_from_features(features, method), rdm_from_features(own, method)))
    return float(np.mean(values))


def test_unrelated_stimuli_score_chance(metric):
    features, responses, subjects = related(0, n_subjects=2 if metric.family == "rdm" else 1)
    generator = np.random.default_rng(1)
    permuted = [layer(features[generator.permutation(N_STIMULI)]) for _ in range(200)]
    of_region = comparison(metric, responses, subjects)
    # A family that takes all layers together is given one at a time.
    groups = [[each] for each in permuted] if getattr(of_region, "joint", False) else [permuted]
    values = np.array([outcome.raw for group in groups for outcome in of_region.outcomes(group)])
    expected = chance(metric, features, responses, subjects)
    assert abs(values.mean() - expected) < 3 * values.std(ddof=1) / np.sqrt(200)
    # Chance is no law of nature: in their own order the same two sides are alike.
    assert of_region.outcomes([layer(features)])[0].raw > np.quantile(values, 0.95)


def test_is_called_as_it_calls_itself(metric):
    key = metric.name.partition(":")[0]
    assert key in METRICS
    assert metric.family in FAMILIES
    assert metric.needs <= NEEDS
    assert "gram" in metric.needs
    assert metric.label.strip() and metric.citation.strip()
    # Whoever adds a metric adds a variant of each of its options here.
    changed = {name for each in METRIC_VARIANTS if each.name.startswith(f"{key}:") for name in each.options}
    assert set(metric.options) == changed


@pytest.mark.parametrize("seed", range(6))
def test_stays_in_its_range(metric, seed):
    generator = np.random.default_rng(seed)
    features, responses, _ = related(seed)
    cases = {
        "related": (features, responses),
        "unrelated": (generator.normal(size=features.shape), responses),
        "the same": (features, features),
        "opposed": (features, -features),
        "one unit": (features[:, :1], responses[:, :3]),
        "wide": (generator.normal(size=(N_STIMULI, 500)), responses),
        "an outlier": (features + 1e2 * np.eye(N_STIMULI, N_FEATURES), responses),
    }
    if metric.options.get("rdm") == "correlation":
        del cases["one unit"]
    low, high = metric.range
    if metric.name in CANONICAL:
        # As many dimensions as stimuli: correlations of 1 for any data are no value.
        assert np.isnan(raw(metric, *cases.pop("wide")))
    for name, (x, y) in cases.items():
        value = raw(metric, x, y)
        assert low - 1e-12 <= value <= high + 1e-12, name


def test_a_layer_equal_to_the_region_scores_best(metric):
    features, _, _ = related()
    value = raw(metric, features, features)
    if metric.family == "decoding":
        # Best is what the region itself allows: the same decoder in the same folds.
        of_region = comparison(metric, features)
        assert value == pytest.approx(of_region.facts.ceiling, abs=1e-12)
        assert of_region.normalise(value) == pytest.approx(1.0, abs=1e-12)
    elif "repeats" in metric.needs or metric.name in (
        "pls:n_components=2",
        "pcr:n_components=2",
        "ridge_fixed:alpha=100.0",
    ):
        # Two components, or those that a strong penalty leaves, cannot hold twelve dimensions; and a network
        # has no noise by which its units could be normalised as the region's are.
        assert raw(metric, features, np.random.default_rng(8).normal(size=features.shape)) < value < 0.999
    else:
        assert value == pytest.approx(metric.range[1], abs=1e-3)


def test_network_and_brain_change_places_only_if_declared(metric):
    features, responses, _ = related()
    there, back = raw(metric, features, responses), raw(metric, responses, features)
    if metric.family == "joint_rdm":
        # A layer alone has no weight to be fitted: the units of each side in turn are two layers.
        sides = [(features, responses), (responses, features)]
        there, back = (
            comparison(metric, y).outcomes([layer(x[:, ::2]), layer(x[:, 1::2])])[0].raw for x, y in sides
        )
    if metric.symmetric:
        assert there == pytest.approx(back, abs=1e-10)
    else:
        assert abs(there - back) > 1e-3


CHANGES = {
    "rotation": lambda x: x @ np.linalg.qr(np.random.default_rng(5).normal(size=(N_FEATURES, N_FEATURES)))[0],
    "scaling": lambda x: 37.0 * x,
    "translation": lambda x: x + np.random.default_rng(6).normal(0.0, 5.0, N_FEATURES),
}


@pytest.mark.parametrize("change", CHANGES)
def test_is_invariant_exactly_where_declared(metric, change):
    features, responses, _ = related()
    before, after = raw(metric, features, responses), raw(metric, CHANGES[change](features), responses)
    if change in metric.invariances:
        assert after == pytest.approx(before, abs=1e-8)
    else:
        assert abs(after - before) > 1e-4


def test_nothing_is_invariant_to_scaling_single_units(metric):
    # If it were, a metric that is blind to everything would pass the test above. (With more features than
    # components, since partial least squares that holds them all is least squares.)
    features, responses, _ = related()
    features = np.column_stack([features, np.random.default_rng(9).normal(size=(N_STIMULI, 30))])
    stretched = features * np.logspace(-2, 2, N_FEATURES + 30)
    change = abs(raw(metric, stretched, responses) - raw(metric, features, responses))
    if metric.family == "matching":
        # A correlation with single units, it is: what it is not blind to is their rotation.
        assert change < 1e-8
    elif metric.name == "procrustes:alpha=0.0":
        # Whitened altogether, it is blind to any linear map; these features have more dimensions than stimuli.
        assert np.isnan(change)
        features, stretched = (
            features[:, :N_FEATURES],
            stretched[:, :N_FEATURES] * np.linspace(1, 2, N_FEATURES),
        )
        assert raw(metric, stretched, responses) == pytest.approx(raw(metric, features, responses), abs=1e-8)
    else:
        assert change > 1e-4


def test_the_order_of_stimuli_and_units_changes_nothing(metric):
    features, responses, _ = related()
    generator = np.random.default_rng(7)
    rows, units = generator.permutation(N_STIMULI), generator.permutation(N_FEATURES)
    shuffled = recorded(metric, responses[rows], [IDS[row] for row in rows])
    metadata = labels(responses[rows], [IDS[row] for row in rows])
    again = FAMILIES[metric.family](metric, shuffled, "Region 'IT' of 'test'", 2, 0, metadata)
    same = Representation.from_features(features[rows][:, units], [IDS[row] for row in rows], keep=True)
    value = again.outcomes([same.select(again.facts.stimuli)])[0].raw
    assert value == pytest.approx(raw(metric, features, responses), abs=1e-10)


def test_the_same_seed_gives_the_same_digits(metric):
    features, responses, _ = related()
    first, second = (comparison(metric, responses).outcomes([layer(features)])[0] for _ in range(2))
    for field in ("raw", "replicates", "choosing", "scoring"):
        np.testing.assert_array_equal(getattr(first, field), getattr(second, field))


def test_units_of_the_brain_may_be_scaled_together(metric):
    features, responses, _ = related()
    value, scaled = raw(metric, features, responses), raw(metric, features, 1e3 * responses)
    if metric.name == "procrustes:alpha=0.5":
        # Whitened in part, in the units given, as its features are.
        assert abs(scaled - value) > 1e-4
    else:
        assert scaled == pytest.approx(value, abs=1e-8)
