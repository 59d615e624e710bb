"""RSA against each subject's matrix: values, ceilings, visits, the bootstrap, the halves."""

import numpy as np
import pandas as pd
import pytest
from rsatoolbox.inference import boot_noise_ceiling, eval_dual_bootstrap
from rsatoolbox.model import ModelFixed
from rsatoolbox.rdm import RDMs
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr

from brainalign.compare.rdm_comparison import RdmComparison
from brainalign.compare.splits import halves
from brainalign.data.responses import make_rdms, make_responses
from brainalign.errors import NeedsError, ResponsesError
from brainalign.metrics import find_metric
from brainalign.metrics.jackknife import PairJackknife
from brainalign.probing import Representation

OWNER = "Region 'IT' of 'test'"
N = 24
IDS = [f"s{i:02d}" for i in range(N)]


def patterns(seed=0, p=12):
    return np.random.default_rng(seed).gamma(2.0, size=(N, p))


def subject_rdms(n_subjects=5, noise=0.7, seed=0):
    """Matrices that share what the patterns of seed 0 tell."""
    generator = np.random.default_rng(seed + 50)
    shared = pdist(patterns(), "correlation")
    return shared + noise * shared.std() * generator.normal(size=(n_subjects, shared.size))


def layer(x, name="layer"):
    return Representation.from_features(x, IDS, name)


def compared(region, metric="rsa", n_resamples=20, seed=0, metadata=None):
    return RdmComparison(find_metric(metric), region, OWNER, n_resamples, seed, metadata)


def given(n_subjects=5, subjects=None, **options):
    values = subject_rdms(n_subjects, **options)
    return make_rdms(values, IDS, subjects or [f"m{k}" for k in range(n_subjects)])


def rho(x, y):
    return spearmanr(x, y)[0]


def test_value_is_the_mean_over_subjects_never_against_the_mean_matrix():
    outcome = compared(given()).outcomes([layer(patterns())])[0]
    model = pdist(patterns(), "correlation")
    per_subject = [rho(model, rdm) for rdm in subject_rdms()]
    assert outcome.raw == pytest.approx(np.mean(per_subject), abs=1e-10)
    assert outcome.spread == pytest.approx(np.std(per_subject, ddof=1), abs=1e-10)
    assert abs(outcome.raw - rho(model, subject_rdms().mean(axis=0))) > 0.05
    assert outcome.details is not None
    np.testing.assert_allclose(outcome.details["r"], per_subject, atol=1e-10)
    assert outcome.details["subject"].tolist() == ["m0", "m1", "m2", "m3", "m4"]


@pytest.mark.parametrize("compare", ["spearman", "corr", "cosine", "rho-a", "cosine_cov", "corr_cov"])
def test_ceilings_are_rsatoolboxs(compare):
    name = {"corr": "pearson", "rho-a": "rho_a"}.get(compare, compare)
    facts = compared(given(), f"rsa:rdm=squared_euclidean,compare={name}").facts
    expected = boot_noise_ceiling(RDMs(subject_rdms()), method=compare)
    np.testing.assert_allclose((facts.ceiling_lower, facts.ceiling), expected, atol=1e-10)


def test_score_is_the_share_of_the_upper_ceiling():
    region = compared(given())
    assert region.normalise(0.3) == pytest.approx(0.3 / region.facts.ceiling)
    assert region.normalise(-0.1) < 0
    outcome = region.outcomes([layer(patterns())])[0]
    assert 0.9 < region.normalise(outcome.raw) < 1.1


def test_visits_of_one_subject_are_averaged_first():
    names = ["a", "b", "a", "c", "b", "a"]
    region = compared(given(6, names))
    values = subject_rdms(6)
    averaged = np.stack([values[[0, 2, 5]].mean(axis=0), values[[1, 4]].mean(axis=0), values[3]])
    model = pdist(patterns(), "correlation")
    outcome = region.outcomes([layer(patterns())])[0]
    assert outcome.raw == pytest.approx(np.mean([rho(model, rdm) for rdm in averaged]), abs=1e-10)
    expected = boot_noise_ceiling(RDMs(averaged), method="spearman")
    np.testing.assert_allclose((region.facts.ceiling_lower, region.facts.ceiling), expected, atol=1e-10)
    assert region.resamples.subjects is not None and region.resamples.subjects.shape[1] == 3


@pytest.mark.parametrize("n_subjects", [1, 2])
def test_fewer_than_three_subjects_have_no_ceiling(n_subjects):
    region = compared(given(n_subjects))
    assert region.facts.notes == (f"no ceiling: it takes three subjects, there are {n_subjects}",)
    assert np.isnan(region.facts.ceiling) and np.isnan(region.normalise(0.5))
    assert region.facts.subject == ("m0" if n_subjects == 1 else "")
    assert region.resamples.unit == "stimuli"
    assert region.outcomes([layer(patterns())])[0].replicates.shape == (1, 20)


def test_two_visits_of_two_subjects_are_two_subjects():
    region = compared(given(4, ["a", "a", "b", "b"]))
    assert region.facts.notes == ("no ceiling: it takes three subjects, there are 2",)


def test_every_kind_of_bootstrap_equals_copies():
    region = compared(given())
    outcome = region.outcomes([layer(patterns())])[0]
    model, subjects = squareform(pdist(patterns(), "correlation")), [squareform(rdm) for rdm in subject_rdms()]
    assert region.resamples.subjects is not None
    for sample in range(6):
        copies = np.repeat(np.arange(N), region.resamples.stimuli[sample])
        first, second = np.triu_indices(N, 1)
        i, j = copies[first], copies[second]
        i, j = i[i != j], j[i != j]
        by_stimuli = np.array([rho(model[i, j], rdm[i, j]) for rdm in subjects])
        whole = np.array([rho(squareform(model), squareform(rdm)) for rdm in subjects])
        drawn = np.repeat(np.arange(5), region.resamples.subjects[sample])
        expected = [by_stimuli[drawn].mean(), whole[drawn].mean(), by_stimuli.mean()]
        np.testing.assert_allclose(outcome.replicates[:, sample], expected, atol=1e-9)


def test_with_fewer_than_three_subjects_pairs_are_told_apart_by_leaving_them_out():
    region = compared(given(2), n_resamples=N + 100)
    outcome = region.outcomes([layer(patterns())])[0]
    model, subjects = squareform(pdist(patterns(), "correlation")), [squareform(rdm) for rdm in subject_rdms(2)]
    jackknife, without = PairJackknife(region.resamples.stimuli), []
    for row in jackknife.left_out:
        kept = np.ix_(row == 1, row == 1)
        without.append(np.mean([rho(squareform(model[kept]), squareform(rdm[kept])) for rdm in subjects]))
    np.testing.assert_allclose(outcome.replicates[0], jackknife.replicates(np.array(without)), atol=1e-9)
    assert region.resamples.jackknifed
    assert not compared(given(2), n_resamples=N + 99).resamples.jackknifed
    assert not compared(given(3), n_resamples=N + 100).resamples.jackknifed


def test_a_layer_is_chosen_on_one_half_and_scored_on_the_other():
    region = compared(given())
    outcome = region.outcomes([layer(patterns())])[0]
    model = squareform(pdist(patterns(), "correlation"))
    expected = []
    for half in halves(N, 3, np.random.default_rng(0)):
        values = []
        for rows in half:
            block = np.ix_(rows, rows)
            first = squareform(model[block])
            values.append(np.mean([rho(first, squareform(squareform(rdm)[block])) for rdm in subject_rdms()]))
        expected += [values, values[::-1]]
    np.testing.assert_allclose(outcome.choosing[:, 0], np.array(expected)[:, 0], atol=1e-10)
    np.testing.assert_allclose(outcome.scoring[:, 0], np.array(expected)[:, 1], atol=1e-10)


def test_what_the_layer_is_chosen_by_knows_nothing_of_the_other_half():
    plain = compared(given()).outcomes([layer(patterns())])[0]
    (half, other), *_ = halves(N, 3, np.random.default_rng(0))
    values = np.stack([squareform(rdm) for rdm in subject_rdms()])
    noise = np.random.default_rng(1).gamma(2.0, size=values.shape)
    noise = noise + noise.transpose(0, 2, 1)
    touched = np.zeros((N, N), dtype=bool)
    touched[other] = touched[:, other] = True
    values = np.where(touched & ~np.eye(N, dtype=bool), noise, values)
    features = patterns()
    features[other] = np.random.default_rng(2).gamma(2.0, size=(len(other), 12))
    poisoned = compared(make_rdms(values, IDS, [f"m{k}" for k in range(5)])).outcomes([layer(features)])[0]
    np.testing.assert_allclose(poisoned.choosing[0], plain.choosing[0], atol=1e-10)
    assert abs(poisoned.scoring[0, 0] - plain.scoring[0, 0]) > 0.1


def test_halves_never_part_two_ids_of_one_image():
    images = np.array([f"image{i // 2:02d}" for i in range(N)])
    metadata = pd.DataFrame({"image": images}, index=IDS)
    region = compared(given(), metadata=metadata)
    outcome = region.outcomes([layer(patterns())])[0]
    for split, half in enumerate(halves(N, 3, np.random.default_rng(0), images)):
        assert not set(images[half[0]]) & set(images[half[1]])
        block = np.ix_(half[0], half[0])
        model = squareform(squareform(pdist(patterns(), "correlation"))[block])
        expected = np.mean([rho(model, squareform(squareform(rdm)[block])) for rdm in subject_rdms()])
        assert outcome.choosing[2 * split, 0] == pytest.approx(expected, abs=1e-10)


def test_responses_make_a_matrix_for_each_subject():
    values = np.concatenate([patterns(seed, 6) for seed in range(3)], axis=1)
    names = [name for name in ("b", "a", "c") for _ in range(6)]
    region = compared(make_responses(values, IDS, region="IT", subject=names))
    outcome = region.outcomes([layer(patterns(7))])[0]
    model = pdist(patterns(7), "correlation")
    expected = [rho(model, pdist(patterns(seed, 6), "correlation")) for seed in range(3)]
    assert outcome.raw == pytest.approx(np.mean(expected), abs=1e-10)
    assert outcome.details is not None and outcome.details["subject"].tolist() == ["b", "a", "c"]
    assert np.isfinite(region.facts.ceiling)
    assert (region.facts.n_units, region.facts.n_units_masked) == (18, 0)


def test_responses_are_averaged_over_repeats_and_masked():
    values = np.random.default_rng(3).poisson(5.0, (N, 8, 4)).astype(float)
    values[2, 1] = np.nan
    values[:, 5] = 3.0
    region = compared(
        make_responses(values, IDS, region="IT", subject="m", dims=("stimulus", "unit", "repeat")),
        "rsa:rdm=euclidean",
    )
    kept = np.delete(values.mean(axis=2), [1, 5], axis=1)
    expected = rho(pdist(patterns()), pdist(kept))
    assert region.outcomes([layer(patterns())])[0].raw == pytest.approx(expected, abs=1e-10)
    assert (region.facts.n_units, region.facts.n_units_masked, region.facts.subject) == (6, 2, "m")


def test_matrices_have_no_units_to_count():
    assert (compared(given()).facts.n_units, compared(given()).facts.n_units_masked) == (-1, 0)


@pytest.mark.parametrize("metric", ["rsa", "rsa:rdm=cosine"])
def test_a_silent_population_is_an_unmet_need_with_the_way_out(metric):
    values = patterns()
    values[3] = 0.0
    responses = make_responses(values, IDS, region="IT", subject="m")
    with pytest.raises(NeedsError, match=f"{OWNER}: .*index 3.*'euclidean'"):
        compared(responses, metric)
    assert np.isfinite(compared(responses, "rsa:rdm=euclidean").outcomes([layer(patterns())])[0].raw)


def test_one_unit_has_no_correlation_distance():
    with pytest.raises(NeedsError, match="do not vary across units"):
        compared(make_responses(patterns(0, 1), IDS, region="IT", subject="m"))


def test_a_layer_without_distances_does_not_spoil_the_others():
    silent = patterns()
    silent[5] = 0.0
    layers = [layer(patterns()), layer(silent, "silent"), layer(patterns(1))]
    region = compared(given())
    first, second, third = region.outcomes(layers)
    assert "such as 's05', does not vary across units in layer 'silent'" in second.note
    assert np.isnan(second.raw) and np.isnan(second.replicates).all()
    for outcome, other in zip((first, third), region.outcomes([layers[0], layers[2]]), strict=True):
        np.testing.assert_array_equal(outcome.replicates, other.replicates)
        assert outcome.raw == other.raw
    assert [outcome.raw for outcome in region.outcomes(layers[1:2])] == [pytest.approx(np.nan, nan_ok=True)]


def test_a_subject_who_answers_all_pairs_alike_leaves_no_value():
    values = subject_rdms()
    values[2] = 1.0
    outcome = compared(make_rdms(values, IDS, [f"m{k}" for k in range(5)])).outcomes([layer(patterns())])[0]
    assert np.isnan(outcome.raw)


def test_rows_and_their_ids_may_be_stored_in_any_order():
    order = np.random.default_rng(4).permutation(N)
    values = np.stack([squareform(rdm) for rdm in subject_rdms()])
    names = [f"m{k}" for k in range(5)]
    shuffled = make_rdms(values[:, order][:, :, order], [IDS[i] for i in order], names)
    plain, again = compared(given()), compared(shuffled)
    assert plain.facts == again.facts
    ours, theirs = (each.outcomes([layer(patterns())])[0] for each in (plain, again))
    assert ours.raw == pytest.approx(theirs.raw, abs=1e-10)
    np.testing.assert_allclose(ours.replicates, theirs.replicates, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours.scoring, theirs.scoring, rtol=0, atol=1e-10)


def test_nine_stimuli_are_too_few():
    ids = IDS[:9]
    with pytest.raises(ResponsesError, match="has 9 stimuli"):
        compared(make_rdms(np.ones((1, 36)), ids, ["m"]))


def test_ten_stimuli_are_enough():
    rows = slice(0, 10)
    values = pdist(patterns()[rows])[None]
    region = compared(make_rdms(values, IDS[rows], ["m"]), "rsa:rdm=euclidean")
    outcome = region.outcomes([Representation.from_features(patterns()[rows], IDS[rows])])[0]
    assert outcome.raw == pytest.approx(1.0)


@pytest.mark.parametrize("method", ["cosine_cov", "corr_cov"])
def test_the_dual_bootstrap_is_rsatoolboxs(method, monkeypatch):
    region = compared(given(4), f"rsa:rdm=squared_euclidean,compare={method}", n_resamples=12)
    drawn = region.resamples
    assert drawn.subjects is not None
    samples = iter(zip(drawn.subjects, drawn.stimuli, strict=True))

    def the_same(rdms, rdm_descriptor, pattern_descriptor):
        rows, columns = (np.repeat(np.arange(len(counts)), counts) for counts in next(samples))
        sample = rdms.subsample(rdm_descriptor, rows).subsample_pattern(pattern_descriptor, columns)
        return sample, rows, columns

    monkeypatch.setattr("rsatoolbox.inference.evaluate.bootstrap_sample", the_same)
    monkeypatch.setattr("rsatoolbox.inference.evaluate.tqdm.trange", range)
    layers = [patterns(), patterns(1)]
    models = [ModelFixed(f"layer {k}", pdist(x, "sqeuclidean")) for k, x in enumerate(layers)]
    result = eval_dual_bootstrap(models, RDMs(subject_rdms(4)), method=method, N=12)
    variance = result.model_var
    for k, outcome in enumerate(region.outcomes([layer(x) for x in layers])):
        np.testing.assert_allclose(outcome.replicates, result.evaluations[:, k, 0, 0].T, rtol=0, atol=1e-9)
        assert drawn.variance(outcome.replicates)[0] == pytest.approx(variance[k], rel=1e-6)
