"""The test against the lower noise ceiling, its resampled ceiling by copies, one by one."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata

from brainalign.compare.ceiling_test import ceiling_test, resampled_lower_ceiling
from brainalign.compare.resampling import Resamples
from brainalign.data import Recording
from brainalign.data.responses import make_rdms, make_responses
from brainalign.errors import NeedsError
from brainalign.metrics import find_metric
from brainalign.metrics.noise_ceiling import noise_ceiling
from brainalign.probing import Representation

N, N_SUBJECTS = 12, 5
IDS = [f"s{i:02d}" for i in range(N)]


def subjects(n_subjects=N_SUBJECTS, noise=1.0, seed=0):
    generator = np.random.default_rng(seed)
    shared = pdist(generator.normal(size=(N, 4)))
    return shared + noise * generator.gamma(1.0, size=(n_subjects, shared.size))


def people(rdms):
    names = [f"p{k}" for k in range(len(rdms))]
    return Recording("people", None, {}, {"IT": make_rdms(np.stack([squareform(x) for x in rdms]), IDS, names)})


def layer(seed, name="layer"):
    return Representation.from_features(np.random.default_rng(seed).normal(size=(N, 4)), IDS, name)


def correlation(x, y):
    return np.corrcoef(x, y)[0, 1]


NORMALISE = {"spearman": rankdata, "pearson": lambda rdm: (rdm - rdm.mean()) / rdm.std()}
COMPARE = {"spearman": lambda x, y: correlation(rankdata(x), rankdata(y)), "pearson": correlation}


def by_copies(rdms, stimuli, drawn, comparator):
    """Copy stimuli and subjects, drop pairs of a stimulus with itself; each against the mean of the others."""
    rows = np.repeat(np.arange(N), stimuli)
    first, second = np.triu_indices(len(rows), 1)
    apart = rows[first] != rows[second]
    normalised = [NORMALISE[comparator](rdm) for rdm in rdms]
    values = []
    for person in np.repeat(np.arange(len(rdms)), drawn):
        others = np.mean([normalised[k] for k in range(len(rdms)) if k != person], axis=0)
        x, y = (squareform(rdm)[rows[first], rows[second]][apart] for rdm in (others, rdms[person]))
        values.append(COMPARE[comparator](x, y))
    return np.mean(values)


@pytest.mark.parametrize("comparator", ["spearman", "pearson"])
def test_the_ceiling_of_samples_is_that_of_copies(comparator):
    rdms, drawn = subjects(), Resamples.draw(6, N, N_SUBJECTS, 0)
    assert drawn.subjects is not None
    kernel = find_metric(f"rsa:compare={comparator}").kernel
    observed, replicates = resampled_lower_ceiling(kernel, rdms, drawn.stimuli, drawn.subjects)
    assert observed == pytest.approx(noise_ceiling(rdms, comparator)[0], abs=1e-12)
    one, all_of_them = np.ones(N, dtype=int), np.ones(N_SUBJECTS, dtype=int)
    for sample, (m, w) in enumerate(zip(drawn.stimuli, drawn.subjects, strict=True)):
        expected = [
            by_copies(rdms, m, w, comparator),
            by_copies(rdms, one, w, comparator),
            by_copies(rdms, m, all_of_them, comparator),
        ]
        np.testing.assert_allclose(replicates[:, sample], expected, atol=1e-10)


def test_a_layer_far_below_the_ceiling_is_told_from_it_and_the_shared_one_is_not():
    generator = np.random.default_rng(0)
    shared = Representation.from_features(generator.normal(size=(N, 4)), IDS, "shared")
    table = ceiling_test(
        people(subjects(noise=0.5)), "IT", "rsa:rdm=euclidean", [shared, layer(5, "other")], 200
    )
    assert table["layer"].tolist() == ["shared", "other"]
    assert table.loc[0, "difference"] > 0 and table.loc[1, "high"] < 0
    assert table.loc[1, "p"] < 0.05
    np.testing.assert_allclose(table["difference"], table["raw"] - table["ceiling_lower"], atol=1e-15)
    np.testing.assert_array_equal(table["p"] < 0.05, (table["low"] > 0) | (table["high"] < 0))
    assert table.loc[1, "p_holm"] == 2 * table.loc[1, "p"]


@pytest.mark.parametrize("metric", ["cka", "ridge_fixed"])
def test_a_metric_without_a_lower_ceiling_says_the_way_out(metric):
    responses = np.random.default_rng(0).normal(size=(N, 6))
    shown = Recording("test", None, {"V4": make_responses(responses, IDS, region="V4", subject="m")})
    with pytest.raises(NeedsError, match=r"no lower noise ceiling under .*\(permutation_test\)"):
        ceiling_test(shown, "V4", metric, [layer(0)], 20)


def test_two_subjects_have_no_lower_ceiling():
    with pytest.raises(NeedsError, match="three subjects or more"):
        ceiling_test(people(subjects(2)), "IT", "rsa", [layer(0)], 20)
