"""Noise ceilings against rsatoolbox, in their limits, and on recorded RDMs."""

from contextlib import nullcontext

import numpy as np
import pytest
import rsatoolbox
import scipy.io

from brainalign.errors import ResponsesError
from brainalign.metrics.comparators import COMPARATORS
from brainalign.metrics.noise_ceiling import average_visits, noise_ceiling
from brainalign.metrics.rdm import to_condensed

RSATOOLBOX_NAMES = {
    "spearman": "spearman",
    "pearson": "corr",
    "kendall_tau_a": "tau-a",
    "rho_a": "rho-a",
    "cosine": "cosine",
    "cosine_cov": "cosine_cov",
    "corr_cov": "corr_cov",
}
HOME = "raw.githubusercontent.com"
IMAGES_92 = f"{HOME}/rsagroup/rsatoolbox/f1f83cadb7243492a1aae7460466e0f0140b20ac/demos/92imageData"
CICHY = (
    f"{HOME}/cvai-roig-lab/Net2Brain/05ac462951ef792ff2ba70c4b97d5409a8e44289/input_data/brain_data/92images"
)


def subjects(n: int, noise: float, digits: int = 8) -> np.ndarray:
    generator = np.random.default_rng(0)
    shared = generator.gamma(2, size=105)
    return (shared + noise * generator.gamma(2, size=(n, 105))).round(digits)


@pytest.mark.parametrize("digits", [8, 0])
@pytest.mark.parametrize("name", COMPARATORS)
def test_equals_rsatoolbox(name, digits):
    rdms = subjects(6, noise=1.0, digits=digits)
    method = RSATOOLBOX_NAMES[name]
    # rsatoolbox says that its ceiling of tau is approximate, as the docstring here does.
    expectation = pytest.warns(UserWarning, match="averaged ranks") if method == "tau-a" else nullcontext()
    with expectation:
        expected = rsatoolbox.inference.boot_noise_ceiling(rsatoolbox.rdm.RDMs(rdms), method=method)
    np.testing.assert_allclose(noise_ceiling(rdms, name), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", COMPARATORS)
def test_subjects_who_agree_leave_no_room(name):
    rdms = np.repeat(subjects(1, noise=1.0), 4, axis=0)
    np.testing.assert_allclose(noise_ceiling(rdms, name), (1.0, 1.0), atol=1e-12)


@pytest.mark.parametrize("name", COMPARATORS)
def test_lower_is_below_upper_and_both_fall_with_noise(name):
    ceilings = [noise_ceiling(subjects(5, noise), name) for noise in (0.2, 1.0, 3.0)]
    assert all(lower < upper for lower, upper in ceilings)
    assert ceilings == sorted(ceilings, reverse=True)


def test_scale_of_a_subject_does_not_matter():
    rdms = subjects(4, noise=1.0)
    scaled = rdms * np.array([1.0, 100.0, 0.01, 5.0])[:, None]
    for name in COMPARATORS:
        np.testing.assert_allclose(noise_ceiling(scaled, name), noise_ceiling(rdms, name), atol=1e-10)


@pytest.mark.parametrize("name", COMPARATORS)
def test_a_subject_without_an_order_leaves_no_ceiling(name):
    rdms = subjects(4, noise=1.0)
    rdms[2] = 0.0
    assert np.isnan(noise_ceiling(rdms, name)).all()


@pytest.mark.parametrize("name", ["cosine_cov", "corr_cov"])
def test_each_subject_is_compared_by_its_own_noise(name):
    rdms = subjects(4, noise=1.0)
    variances = np.random.default_rng(1).gamma(2, size=(4, 15))
    normalised = COMPARATORS[name].normalise(rdms)
    lower, upper = [], []
    for k in range(4):
        others = np.delete(normalised, k, axis=0).mean(axis=0)
        for pooled, found in ((normalised.mean(axis=0), upper), (others, lower)):
            found.append(
                whitened_directly(pooled[None], rdms[k : k + 1], variances[k], name == "corr_cov").item()
            )
    np.testing.assert_allclose(
        noise_ceiling(rdms, name, variances), (np.mean(lower), np.mean(upper)), rtol=0, atol=1e-10
    )
    np.testing.assert_allclose(
        noise_ceiling(rdms, name, np.full((4, 15), 3.0)), noise_ceiling(rdms, name), rtol=0, atol=1e-12
    )


def whitened_directly(x: np.ndarray, y: np.ndarray, variances: np.ndarray, centred: bool) -> np.ndarray:
    """Cosines after V is written down and inverted."""
    first, second = np.triu_indices(len(variances), 1)
    contrasts = np.zeros((len(first), len(variances)))
    contrasts[np.arange(len(first)), first], contrasts[np.arange(len(first)), second] = 1, -1
    inverse = np.linalg.inv((contrasts @ np.diag(variances) @ contrasts.T) ** 2)
    if centred:
        x, y = (rdms - rdms.mean(axis=1, keepdims=True) for rdms in (x, y))
    lengths = [np.sqrt(np.einsum("ri,ij,rj->r", rdms, inverse, rdms)) for rdms in (x, y)]
    return x @ inverse @ y.T / np.outer(*lengths)


def test_two_subjects_are_too_few():
    with pytest.raises(ResponsesError, match="3 subjects or more; 2 given"):
        noise_ceiling(subjects(2, noise=1.0), "spearman")


def test_missing_dissimilarities_raise():
    rdms = subjects(3, noise=1.0)
    rdms[1, 4] = np.nan
    with pytest.raises(ResponsesError, match="NaN or infinite"):
        noise_ceiling(rdms, "spearman")


def test_visits_are_averaged_within_subjects():
    rdms = subjects(5, noise=1.0)
    averaged, names = average_visits(rdms, ["b", "a", "b", "c", "a"])
    assert names == ["b", "a", "c"]
    np.testing.assert_allclose(averaged, [(rdms[0] + rdms[2]) / 2, (rdms[1] + rdms[4]) / 2, rdms[3]])


def test_visits_need_a_subject_each():
    with pytest.raises(ResponsesError, match="4 subjects were named for 5 RDMs"):
        average_visits(subjects(5, noise=1.0), ["a", "b", "c", "d"])


@pytest.mark.data
def test_human_inferior_temporal_cortex_visits_averaged(mirror):
    visits = scipy.io.loadmat(mirror / IMAGES_92 / "92_brainRDMs.mat")["RDMs"][0]
    rdms = np.stack([to_condensed(visit["RDM"].astype(float)) for subject in visits for visit in subject])
    averaged, names = average_visits(rdms, [f"subject {k}" for k in range(4) for _ in range(2)])
    assert len(names) == 4
    assert noise_ceiling(averaged, "spearman") == pytest.approx((0.372, 0.666), abs=0.002)


@pytest.mark.data
def test_similarity_judgements(mirror):
    judged = scipy.io.loadmat(mirror / IMAGES_92 / "92_behavRDMs.mat")["rdms_behav_92"][0]
    rdms = np.stack([to_condensed(one["RDM"].astype(float)) for one in judged])
    assert noise_ceiling(rdms, "spearman") == pytest.approx((0.477, 0.577), abs=0.002)


@pytest.mark.data
@pytest.mark.parametrize(("region", "expected"), [("EVC", (0.242, 0.392)), ("IT", (0.453, 0.542))])
def test_cichy_regions(mirror, region, expected):
    rdms = to_condensed(np.load(mirror / CICHY / f"fmri_{region}_RDMs.npz", allow_pickle=False)["Net_RDM"])
    assert noise_ceiling(rdms, "spearman") == pytest.approx(expected, abs=0.002)
