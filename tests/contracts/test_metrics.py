"""Every metric of the catalogue against the facts that it declares of itself."""

import numpy as np
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
    "ridge",
    "ridge:n_alphas=5",
    "ridge_fixed",
    "ridge_fixed:alpha=100.0",
    "pls",
    "pls:n_components=2",
    "cka",
    "cka:debiased=False",
]
METRIC_VARIANTS = [find_metric(name) for name in VARIANTS]
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
    return Representation.from_features(features, IDS)


def comparison(metric: Metric, responses: np.ndarray, subjects: str | list[str] = "m"):
    region = make_responses(responses, IDS, region="IT", subject=subjects)
    return FAMILIES[metric.family](metric, region, "Region 'IT' of 'test'", 2, 0)


def raw(metric: Metric, features: np.ndarray, responses: np.ndarray) -> float:
    return comparison(metric, responses).outcomes([layer(features)])[0].raw


def chance(metric: Metric, features: np.ndarray, responses: np.ndarray, subjects: list[str]) -> float:
    """Declared chance level; a function of what is compared is averaged over subjects, as raw is."""
    if not callable(metric.chance):
        return metric.chance
    if metric.family == "gram":
        return metric.chance(*[x @ x.T for x in (features, responses)])
    values = []
    for subject in dict.fromkeys(subjects):
        own = responses[:, [name == subject for name in subjects]]
        method = metric.options["rdm"]
        values.append(metric.chance(rdm_from_features(features, method), rdm_from_features(own, method)))
    return float(np.mean(values))


def test_unrelated_stimuli_score_chance(metric):
    features, responses, subjects = related(0, n_subjects=2 if metric.family == "rdm" else 1)
    generator = np.random.default_rng(1)
    permuted = [layer(features[generator.permutation(N_STIMULI)]) for _ in range(200)]
    of_region = comparison(metric, responses, subjects)
    values = np.array([outcome.raw for outcome in of_region.outcomes(permuted)])
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
    for name, (x, y) in cases.items():
        value = raw(metric, x, y)
        assert low - 1e-12 <= value <= high + 1e-12, name


def test_a_layer_equal_to_the_region_scores_best(metric):
    features, _, _ = related()
    value = raw(metric, features, features)
    if metric.name in ("pls:n_components=2", "ridge_fixed:alpha=100.0"):
        # Two components, or those that a strong penalty leaves, cannot hold twelve dimensions.
        assert raw(metric, features, np.random.default_rng(8).normal(size=features.shape)) < value < 0.999
    else:
        assert value == pytest.approx(metric.range[1], abs=1e-3)


def test_network_and_brain_change_places_only_if_declared(metric):
    features, responses, _ = related()
    there, back = raw(metric, features, responses), raw(metric, responses, features)
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
    assert abs(raw(metric, stretched, responses) - raw(metric, features, responses)) > 1e-4


def test_the_order_of_stimuli_and_units_changes_nothing(metric):
    features, responses, _ = related()
    generator = np.random.default_rng(7)
    rows, units = generator.permutation(N_STIMULI), generator.permutation(N_FEATURES)
    shuffled = make_responses(responses[rows], [IDS[row] for row in rows], region="IT", subject="m")
    again = FAMILIES[metric.family](metric, shuffled, "Region 'IT' of 'test'", 2, 0)
    same = Representation.from_features(features[rows][:, units], [IDS[row] for row in rows])
    value = again.outcomes([same.select(again.facts.stimuli)])[0].raw
    assert value == pytest.approx(raw(metric, features, responses), abs=1e-10)


def test_the_same_seed_gives_the_same_digits(metric):
    features, responses, _ = related()
    first, second = (comparison(metric, responses).outcomes([layer(features)])[0] for _ in range(2))
    for field in ("raw", "replicates", "choosing", "scoring"):
        np.testing.assert_array_equal(getattr(first, field), getattr(second, field))


def test_units_of_the_brain_may_be_scaled_together(metric):
    features, responses, _ = related()
    value = raw(metric, features, responses)
    assert raw(metric, features, 1e3 * responses) == pytest.approx(value, abs=1e-8)
