"""RSA with the noise of repeats normalised: subject by subject, masked, refused where there is none."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from brainalign.compare.problems import make_problems, raise_unmet
from brainalign.compare.rdm_comparison import RdmComparison
from brainalign.data import Recording
from brainalign.data.responses import make_rdms, make_responses
from brainalign.errors import NeedsError
from brainalign.metrics import find_metric
from brainalign.metrics.crossnobis import crossnobis, mahalanobis
from brainalign.metrics.noise_precision import noise_covariance, noise_precision
from brainalign.metrics.stimulus_noise import stimulus_variances
from brainalign.probing import Representation

OWNER = "Region 'IT' of 'test'"
N = 24
IDS = [f"s{i:02d}" for i in range(N)]


def patterns(seed=0, p=12):
    return np.random.default_rng(seed).gamma(2.0, size=(N, p))


def layer(x):
    return Representation.from_features(x, IDS)


def compared(region, metric="rsa"):
    return RdmComparison(find_metric(metric), region, OWNER, 20, 0)


def rho(x, y):
    return spearmanr(x, y)[0]


def repeated(n_subjects=3, n_units=5, n_repeats=4, seed=3):
    """Repeats of each subject's patterns, with noise that its units share; some presentations are missing."""
    generator = np.random.default_rng(seed)
    values = np.repeat(
        np.concatenate([patterns(0, n_units) for _ in range(n_subjects)], axis=1)[:, :, None], n_repeats, 2
    )
    noise = generator.normal(size=(N, n_subjects, 1, n_repeats)) + generator.normal(
        size=(N, n_subjects, n_units, n_repeats)
    )
    noise *= np.linspace(0.3, 1.5, n_units)[:, None]
    values += noise.reshape(values.shape)
    for row in values:
        row[:, generator.permutation(n_repeats)[: generator.integers(0, n_repeats - 1)]] = np.nan
    return values, [f"m{k}" for k in range(n_subjects) for _ in range(n_units)]


def recorded(values, subjects="m"):
    return make_responses(values, IDS, region="IT", subject=subjects, dims=("stimulus", "unit", "repeat"))


@pytest.mark.parametrize("shrinkage", ["diagonal", "identity"])
@pytest.mark.parametrize("method", ["mahalanobis", "crossnobis"])
def test_noise_is_normalised_subject_by_subject(method, shrinkage):
    values, subjects = repeated()
    region = compared(recorded(values, subjects), f"rsa:rdm={method},shrinkage={shrinkage}")
    outcome = region.outcomes([layer(patterns(1))])[0]
    expected = []
    for subject in range(3):
        own = values[:, 5 * subject : 5 * subject + 5]
        precision = noise_precision(noise_covariance(own, shrinkage))
        mean = np.nanmean(own, axis=2)
        rdm = crossnobis(own, precision) if method == "crossnobis" else mahalanobis(mean, precision)
        expected.append(rho(pdist(patterns(1), "sqeuclidean"), rdm))
    assert outcome.details is not None
    np.testing.assert_allclose(outcome.details["r"], expected, rtol=0, atol=1e-10)
    assert np.isfinite(region.facts.ceiling) and (region.facts.n_units, region.facts.n_units_masked) == (15, 0)
    assert not np.allclose(
        expected, compared(recorded(values, subjects)).outcomes([layer(patterns(1))])[0].details["r"]
    )


def test_noise_normalising_finds_a_signal_that_noise_hides():
    generator = np.random.default_rng(5)
    shared = generator.normal(size=(N, 1, 6)) * np.linspace(1, 2, 8)[:, None]
    values = patterns(0, 8)[:, :, None] + 3.0 * shared + 0.3 * generator.normal(size=(N, 8, 6))
    plain, normalised = (
        compared(recorded(values), f"rsa:rdm={rdm},compare=pearson").outcomes([layer(patterns(0, 8))])[0].raw
        for rdm in ("squared_euclidean", "crossnobis")
    )
    assert plain < 0.6 and normalised > 0.75


@pytest.mark.parametrize("method", ["squared_euclidean", "mahalanobis", "crossnobis"])
def test_estimated_noise_of_the_stimuli_is_each_subjects_own(method):
    values, subjects = repeated()
    name = f"rsa:rdm={method},compare=corr_cov"
    region = compared(recorded(values, subjects), f"{name},stimulus_noise=estimated")
    outcome = region.outcomes([layer(patterns(1))])[0]
    equal = compared(recorded(values, subjects), name)
    model, expected = pdist(patterns(1), "sqeuclidean"), []
    for subject in range(3):
        own = values[:, 5 * subject : 5 * subject + 5]
        covariance = noise_covariance(own)
        metric = np.eye(5) if method == "squared_euclidean" else noise_precision(covariance)
        mean = np.nanmean(own, axis=2)
        rdm = crossnobis(own, metric) if method == "crossnobis" else mahalanobis(mean, metric)
        first, second = np.triu_indices(N, 1)
        contrasts = np.eye(N)[first] - np.eye(N)[second]
        noise = np.diag(stimulus_variances(own, covariance, metric))
        inverse = np.linalg.inv((contrasts @ noise @ contrasts.T) ** 2)
        x, y = model - model.mean(), rdm - rdm.mean()
        expected.append(x @ inverse @ y / np.sqrt((x @ inverse @ x) * (y @ inverse @ y)))
    assert outcome.details is not None
    np.testing.assert_allclose(outcome.details["r"], expected, rtol=0, atol=1e-9)
    assert outcome.raw != pytest.approx(equal.outcomes([layer(patterns(1))])[0].raw, abs=1e-6)
    assert region.facts.ceiling != pytest.approx(equal.facts.ceiling, abs=1e-6)
    assert np.isfinite(outcome.replicates).all() and np.isfinite(outcome.choosing).all()


def test_units_without_noise_are_masked_where_noise_is_normalised():
    values, subjects = repeated()
    values[:, 1] = np.where(np.isnan(values[:, 1]), np.nan, patterns()[:, :1])
    values[:, 7] = 4.0
    plain = compared(recorded(values, subjects)).facts
    assert (plain.n_units, plain.n_units_masked) == (14, 1)
    region = compared(recorded(values, subjects), "rsa:rdm=mahalanobis")
    assert (region.facts.n_units, region.facts.n_units_masked) == (13, 2)
    without = recorded(np.delete(values, [1, 7], axis=1), np.delete(subjects, [1, 7]).tolist())
    ours, theirs = (
        each.outcomes([layer(patterns())])[0].raw for each in (region, compared(without, "rsa:rdm=mahalanobis"))
    )
    assert ours == pytest.approx(theirs, abs=1e-12)


def test_trials_may_be_stored_in_any_order():
    values, _ = repeated(1)
    stimulus, repeat = np.nonzero(~np.isnan(values[:, 0]))
    order = np.random.default_rng(6).permutation(len(stimulus))
    trials = values[stimulus, :, repeat][order]
    as_trials = make_responses(
        trials, [IDS[i] for i in stimulus[order]], region="IT", subject="m", dims=("trial", "unit")
    )
    metric = "rsa:rdm=crossnobis,compare=cosine_cov,stimulus_noise=estimated"
    ours, theirs = (
        compared(each, metric).outcomes([layer(patterns())])[0] for each in (recorded(values), as_trials)
    )
    np.testing.assert_allclose(ours.replicates, theirs.replicates, rtol=0, atol=1e-10)


METRICS_OF_NOISE = [
    "rsa:rdm=mahalanobis",
    "rsa:rdm=crossnobis",
    "rsa:rdm=squared_euclidean,compare=corr_cov,stimulus_noise=estimated",
]


@pytest.mark.parametrize("metric", METRICS_OF_NOISE)
def test_without_repeats_noise_cannot_be_normalised(metric):
    values, _ = repeated(1)
    once = values.copy()
    once[:, :, 1:] = np.nan
    once[:, :, 0] = patterns(0, 5)
    few = once.copy()
    few[:9, :, 1] = patterns(1, 5)[:9]
    for responses in (once, few):
        with pytest.raises(
            NeedsError, match=f"{OWNER} has no repeats, or of fewer than 10.*rdm=squared_euclidean"
        ):
            compared(recorded(responses), metric)
    again = np.repeat(patterns(0, 5)[:, :, None], 3, axis=2)
    with pytest.raises(NeedsError, match="none of the 5 units has two repeats of a stimulus that differ"):
        compared(recorded(again), metric)


@pytest.mark.parametrize("metric", METRICS_OF_NOISE)
@pytest.mark.parametrize(
    ("region", "missing"),
    [
        ({"rdms": {"IT": make_rdms(pdist(patterns())[None], IDS, ["m"])}}, "no repeats and no responses"),
        ({"responses": {"IT": make_responses(patterns(), IDS, region="IT", subject="m")}}, "no repeats"),
    ],
)
def test_a_region_of_matrices_or_means_lacks_what_noise_is_known_by(region, missing, metric):
    problems = make_problems(Recording("test", **region), [find_metric(metric), find_metric("rsa")], 2, 0)
    assert problems[0].comparison is None and problems[1].comparison is not None
    with pytest.raises(NeedsError, match=f"{OWNER} has {missing}, which {metric} needs. .*allows: rsa"):
        raise_unmet(problems)


def test_crossnobis_says_which_stimuli_were_shown_once():
    values, _ = repeated(1)
    values[3] = np.nan
    values[3, :, 2] = 1.0
    with pytest.raises(
        NeedsError, match=f"{OWNER}: 1 of 24 stimuli, such as the one at index 3.*'mahalanobis'"
    ):
        compared(recorded(values), "rsa:rdm=crossnobis")
    assert np.isfinite(compared(recorded(values), "rsa:rdm=mahalanobis").outcomes([layer(patterns())])[0].raw)


@pytest.mark.parametrize("shrinkage", ["diagonal", "identity"])
def test_more_units_than_degrees_of_freedom_are_shrunk_to_what_inverts(shrinkage):
    values = patterns(0, 90)[:, :, None] + np.random.default_rng(7).normal(size=(N, 90, 2))
    region = compared(recorded(values), f"rsa:rdm=crossnobis,compare=corr_cov,shrinkage={shrinkage}")
    assert region.outcomes([layer(patterns(0, 90))])[0].raw > 0.5


def test_units_that_miss_a_stimulus_are_masked_before_their_noise_counts():
    values, subjects = repeated()
    values[5, 2] = np.nan
    region = compared(recorded(values, subjects), "rsa:rdm=crossnobis")
    assert (region.facts.n_units, region.facts.n_units_masked) == (14, 1)
    assert np.isfinite(region.outcomes([layer(patterns())])[0].raw)
