"""Where nothing is to be found, tests find it one time in twenty: every test that the library offers.

The cheap tests of the default run bound false alarms from above; the slow ones hold them to 2.5–7.5 % of 400.
"""

import numpy as np
import pytest
from scipy.spatial.distance import squareform
from scipy.stats import binomtest

from brainalign.compare.ceiling_test import ceiling_test
from brainalign.compare.commitment import commit
from brainalign.compare.comparison import Outcome
from brainalign.compare.differences import Entry, paired_differences
from brainalign.compare.permutation import permutation_p_values, permuted_values, stimulus_orders
from brainalign.compare.problems import FAMILIES
from brainalign.compare.resampling import Resamples
from brainalign.data import Recording
from brainalign.data.responses import make_rdms, make_responses
from brainalign.metrics import find_metric
from brainalign.metrics.rdm import RDM_METHODS
from brainalign.probing import Representation

LOWEST, HIGHEST, DRAWS = 0.025, 0.075, 400

PAIRED = [
    "ridge_fixed",
    "ridge",
    "pls:n_components=10",
    "cka",
    "rsa",
    "rsa:compare=pearson",
    "rsa:rdm=euclidean,compare=cosine",
]
"""Metrics by whose values two networks are compared; benchmarks/coverage.md has all (the share `equal`)."""

PERMUTED = [
    "ridge_fixed",
    "ridge:n_alphas=7",
    "pls:n_components=3",
    "cka",
    "cka:debiased=False",
    "rsa",
    "rsa:rdm=euclidean,compare=cosine",
    "rsa:rdm=euclidean,compare=rho_a",
]
"""Metrics by which a layer is tested against chance."""


def honest(false_alarms: np.ndarray) -> bool:
    """Say whether as many reach p < .05 as should, up to what 400 draws can tell."""
    return LOWEST <= np.mean(false_alarms) <= HIGHEST


def not_far_above(false_alarms: np.ndarray) -> bool:
    """Say whether so many false alarms could come of a test at .05, in one of 10,000 samples of this size."""
    return binomtest(int(false_alarms.sum()), len(false_alarms), 0.05, "greater").pvalue > 1e-4


def stimuli(n: int, seed: int, n_networks: int = 2) -> tuple[np.ndarray, list[list[np.ndarray]]]:
    """Responses of V4-like units, and networks that share a signal and have noise of one law.

    Any network may change places with any other: what is true of one is true of all.
    """
    world, generator = np.random.default_rng(7), np.random.default_rng([seed, n])
    scale = np.arange(1, 21) ** -0.5 / np.sqrt(np.sum(1 / np.arange(1, 21)))
    latents = generator.normal(size=(n, 20)) * scale
    rates = np.log1p(np.exp(1.6 + 1.45 * latents @ world.normal(size=(20, 30))))
    responses = generator.poisson(8 * rates * generator.gamma(20.0, 1 / 20, size=(n, 1))) / 8
    own = world.normal(size=(2, 20, 60))
    networks = [
        [
            np.maximum(latents @ weights + noise * generator.normal(size=(n, 60)), 0)
            for weights, noise in zip(own, (1.0, 2.5), strict=True)
        ]
        for _ in range(n_networks)
    ]
    return responses, networks


def ids(n: int) -> list[str]:
    return [f"s{i:03d}" for i in range(n)]


def comparison_of(metric: str, responses: np.ndarray, n_resamples: int, seed: int):
    found = find_metric(metric)
    region = make_responses(responses, ids(len(responses)), region="V4", subject="m")
    return FAMILIES[found.family](found, region, "Region 'V4' of 'test'", n_resamples, seed)


def p_of_pairs(metric: str, n: int, draws: int) -> np.ndarray:
    """Give p of the difference between two networks at their committed layers, draw by draw."""
    found = []
    for seed in range(draws):
        responses, networks = stimuli(n, seed)
        comparison = comparison_of(metric, responses, n + 200, seed)
        entries = []
        for name, layers in zip("ab", networks, strict=True):
            outcomes = comparison.outcomes([Representation.from_features(each, ids(n)) for each in layers])
            names = ["first", "second"][: len(outcomes)]
            entries.append(Entry(name, -1, commit(outcomes, names, comparison.resamples)))
        found.append(paired_differences(entries, comparison.resamples).loc[0, "p"])
    return np.array(found, dtype=float)


@pytest.mark.parametrize("metric", ["ridge_fixed", "cka", "rsa:compare=pearson"])
def test_equal_networks_rarely_differ(metric):
    p = p_of_pairs(metric, 30, 40)
    assert np.isfinite(p).all()
    assert not_far_above(p < 0.05)
    # p is no constant: it comes near both ends.
    assert p.min() < 0.25 and p.max() > 0.75


@pytest.mark.slow
@pytest.mark.parametrize("metric", PAIRED)
def test_equal_networks_differ_one_time_in_twenty(metric):
    assert honest(p_of_pairs(metric, 200, DRAWS) < 0.05)


def mean_outcome(values: np.ndarray, resamples: Resamples) -> Outcome:
    replicates = (resamples.stimuli @ values / len(values))[None]
    return Outcome(float(values.mean()), 0.0, replicates, *[np.empty((0, 1 + replicates.size))] * 2)


def pairs_of_means(n_networks: int) -> np.ndarray:
    """Give p and p_holm of all pairs of equal networks whose values are means over 60 stimuli, draw by draw."""
    found = []
    for seed in range(DRAWS):
        generator, resamples = np.random.default_rng([seed, 60]), Resamples.draw(400, 60, 0, seed)
        difficulty = generator.gamma(2.0, size=60)
        entries = [
            Entry(str(k), -1, mean_outcome(difficulty + generator.gamma(2.0, size=60), resamples))
            for k in range(n_networks)
        ]
        found.append(paired_differences(entries, resamples)[["p", "p_holm"]].to_numpy(dtype=float))
    return np.array(found)


def test_a_difference_of_means_is_honest():
    p = pairs_of_means(2)[:, 0, 0]
    assert honest(p < 0.05)


def test_holm_holds_the_chance_of_a_single_false_alarm():
    p, p_holm = pairs_of_means(4).transpose(2, 0, 1)
    assert honest((p < 0.05).mean(axis=1))
    # Six pairs, one by one, give false alarms far more often; corrected, hardly more than one time in twenty.
    assert np.mean((p < 0.05).any(axis=1)) > 0.12
    assert not_far_above((p_holm < 0.05).any(axis=1))
    assert (p_holm < 0.05).any()


def chance(metric: str, n: int, draws: int, n_permutations: int, n_layers: int = 1) -> tuple[np.ndarray, ...]:
    """Give p and p_max of layers whose stimuli are permuted, (draw, layer), against other permutations."""
    responses, networks = stimuli(n, 0, (n_layers + 1) // 2)
    layers = [Representation.from_features(each, ids(n)) for network in networks for each in network]
    comparison = comparison_of(metric, responses, 2, 0)
    orders = stimulus_orders(n, draws + n_permutations, 1)
    values = permuted_values(comparison, layers[:n_layers], orders)
    against = values[:, draws:]
    tested = [permutation_p_values(values[:, draw], against) for draw in range(draws)]
    p, p_max = np.array(tested).transpose(1, 0, 2)
    return p, p_max


def test_chance_is_rarely_taken_for_more():
    p, _ = chance("rsa", 24, DRAWS, 999)
    assert honest(p[:, 0] < 0.05)
    assert not_far_above(chance("cka", 12, 60, 199)[0][:, 0] < 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("metric", PERMUTED)
def test_chance_is_taken_for_more_one_time_in_twenty(metric):
    p, _ = chance(metric, 24, DRAWS, 999)
    assert honest(p[:, 0] < 0.05)


@pytest.mark.parametrize("n_layers", [2, 6])
def test_the_largest_of_all_layers_holds_the_chance_of_a_single_false_alarm(n_layers):
    p, p_max = chance("rsa:rdm=euclidean,compare=cosine", 24, DRAWS, 999, n_layers)
    assert honest((p_max < 0.05).any(axis=1))
    # Layers of one network are alike, so that six of them are no six chances: p_max knows it, Bonferroni not.
    uncorrected = np.mean((p < 0.05).any(axis=1))
    assert uncorrected > np.mean((p_max < 0.05).any(axis=1))
    assert n_layers == 2 or uncorrected > HIGHEST


def people_who_share(shared: np.ndarray, n_subjects: int, generator: np.random.Generator) -> Recording:
    """Subjects who share some features and have twelve of their own."""
    n, squared, rdms = len(shared), RDM_METHODS["squared_euclidean"], []
    for _ in range(n_subjects):
        x = np.hstack([shared, generator.normal(size=(n, 12))])
        rdms.append(squareform(squared(x @ x.T, x.sum(axis=1), 1)))
    names = [f"p{k}" for k in range(n_subjects)]
    return Recording("people", None, {}, {"IT": make_rdms(np.stack(rdms), ids(n), names)})


OF_PEOPLE = "rsa:rdm=squared_euclidean,compare=pearson"


def p_of_pairs_by_people(draws: int, n: int = 60, n_subjects: int = 8) -> np.ndarray:
    """Give p of the difference between two equal layers, by resampling stimuli and subjects, draw by draw."""
    metric, found = find_metric(OF_PEOPLE), []
    for seed in range(draws):
        generator = np.random.default_rng([seed, n])
        shared = generator.normal(size=(n, 8))
        people = people_who_share(shared, n_subjects, generator)
        comparison = FAMILIES["rdm"](metric, people["IT"], "Region 'IT' of 'people'", n + 100, seed)
        layers = [np.hstack([shared, generator.normal(size=(n, 12))]) for _ in "ab"]
        outcomes = comparison.outcomes([Representation.from_features(each, ids(n)) for each in layers])
        entries = [Entry(name, -1, outcome) for name, outcome in zip("ab", outcomes, strict=True)]
        found.append(paired_differences(entries, comparison.resamples).loc[0, "p"])
    return np.array(found, dtype=float)


def p_of_ceiling(draws: int, n: int = 60, n_subjects: int = 8) -> np.ndarray:
    """Give p of a layer that is made as the mean of the other subjects is, against the lower ceiling."""
    found, others = [], n_subjects - 1
    for seed in range(draws):
        generator = np.random.default_rng([seed, n])
        shared = generator.normal(size=(n, 8))
        people = people_who_share(shared, n_subjects, generator)
        own = generator.normal(size=(n, 12 * others)) / np.sqrt(others)
        layer = Representation.from_features(np.hstack([shared, own]), ids(n))
        found.append(ceiling_test(people, "IT", OF_PEOPLE, [layer], n + 100)["p"][0])
    return np.array(found)


BY_PEOPLE = {"a difference": p_of_pairs_by_people, "the ceiling": p_of_ceiling}


@pytest.mark.parametrize("test", BY_PEOPLE)
def test_over_stimuli_and_subjects_false_alarms_are_rare(test):
    p = BY_PEOPLE[test](40)
    assert np.isfinite(p).all() and not_far_above(p < 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("test", BY_PEOPLE)
def test_over_stimuli_and_subjects_one_in_twenty_is_a_false_alarm(test):
    assert honest(BY_PEOPLE[test](DRAWS) < 0.05)


@pytest.mark.parametrize("n", [10, 12, 14, 17, 20])
@pytest.mark.parametrize("metric", ["cka", "rsa:compare=pearson", "rsa:rdm=euclidean,compare=cosine"])
def test_few_stimuli_have_a_p(metric, n):
    assert ((p := p_of_pairs(metric, n, 3)) >= 0).all() and (p <= 1).all()


@pytest.mark.parametrize("n", [14, 17, 20])
def test_few_stimuli_have_a_p_for_predictions(n):
    assert np.isfinite(p_of_pairs("ridge_fixed", n, 3)).all()
