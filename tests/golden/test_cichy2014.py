"""Facts of the fMRI dissimilarities; images and matrices are in the order of Kriegeskorte et al. (2008)."""

import numpy as np
import pytest
from rsatoolbox.inference import boot_noise_ceiling
from rsatoolbox.rdm import RDMs
from scipy.stats import spearmanr

from brainalign.data.load import load_recording

pytestmark = pytest.mark.data

PAIRS = np.triu_indices(92, 1)


@pytest.fixture
def recording(mirror):
    return load_recording("cichy2014")


def _vectors(rdms):
    return rdms.values[:, PAIRS[0], PAIRS[1]]


def test_regions_subjects_and_images(recording):
    assert recording.regions == ["EVC", "IT"]
    for region in recording.regions:
        assert recording[region].shape == (15, 92, 92)
        assert len(set(recording[region]["subject"].values)) == 15
        assert recording[region]["stimulus"].values.tolist() == recording.stimuli.ids
    assert recording.stimuli.ids[0] == "image_01"
    assert recording.stimuli.images["image_07"].path.name == "image_07.jpg"


@pytest.mark.parametrize(("region", "lower", "upper"), [("EVC", 0.242, 0.392), ("IT", 0.453, 0.542)])
def test_noise_ceiling(region, lower, upper, recording):
    ceiling = boot_noise_ceiling(RDMs(_vectors(recording[region])), method="spearman")
    np.testing.assert_allclose(ceiling, (lower, upper), atol=0.002)


def test_images_are_those_of_kriegeskorte2008_in_the_same_order(recording):
    other = load_recording("kriegeskorte2008").stimuli
    assert recording.stimuli.ids == other.ids
    here = np.array([_pixels(recording.stimuli.image(i)) for i in other.ids])
    assert np.median(here[:, 0, 0]) == 255
    for index, stimulus in enumerate(other.ids):
        there = _pixels(other.image(stimulus))
        shown = np.abs(there - 128).max(axis=-1) > 8  # all but the grey ground
        difference = np.abs(here[:, shown] - there[shown]).mean(axis=(1, 2))
        assert difference.argmin() == index


def _pixels(image):
    return np.asarray(image, dtype=np.int16)[::5, ::5]


def test_categories_are_those_of_kriegeskorte2008(recording):
    other = load_recording("kriegeskorte2008").stimuli.metadata["category"]
    assert recording.stimuli.metadata["category"].tolist() == other.tolist()


def test_matrices_are_in_the_order_of_the_images(recording):
    # Two experiments on IT agree only if rows mean the same images; IT more than EVC.
    human_it = _vectors(load_recording("kriegeskorte2008")["human_IT"]).mean(axis=0)
    agreement = {r: spearmanr(_vectors(recording[r]).mean(axis=0), human_it)[0] for r in recording.regions}
    assert agreement["IT"] > 0.3
    assert agreement["IT"] > agreement["EVC"] + 0.1
