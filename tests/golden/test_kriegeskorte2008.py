"""Facts of the 92 images in monkey IT, human IT and judgement."""

import numpy as np
import pytest
from rsatoolbox.inference import boot_noise_ceiling
from rsatoolbox.rdm import RDMs
from scipy.io import loadmat
from scipy.stats import spearmanr

from brainalign.data.cards import find_card
from brainalign.data.load import load_recording

pytestmark = pytest.mark.data

PAIRS = np.triu_indices(92, 1)


@pytest.fixture
def recording(mirror):
    return load_recording("kriegeskorte2008")


def _vectors(rdms):
    return rdms.values[:, PAIRS[0], PAIRS[1]]


def _published(mirror):
    card, _ = find_card("kriegeskorte2008")
    url = next(file.url for file in card.files if "supplementalData" in file.path)
    content = loadmat(mirror / url.removeprefix("https://"), simplify_cells=True)
    return content, {rdm["name"]: rdm["RDM"] for rdm in content["RDMs_mIT_hIT_fig1"]}


def test_regions_and_subjects(recording):
    assert recording.regions == ["monkey_IT", "human_IT", "behaviour"]
    assert [recording[region].sizes["subject"] for region in recording.regions] == [1, 8, 16]
    assert recording["human_IT"]["subject"].values.tolist() == [
        s for s in ("BE", "KO", "SN", "TI") for _ in "12"
    ]
    assert recording["behaviour"]["subject"].values.tolist() == [f"subject{i + 1}" for i in range(16)]
    for region in recording.regions:
        assert recording[region]["stimulus"].values.tolist() == recording.stimuli.ids
        assert not np.diagonal(recording[region].values, axis1=1, axis2=2).any()


def test_monkey_and_human_it_agree(recording, mirror):
    _, published = _published(mirror)
    monkey = _vectors(recording["monkey_IT"])[0]
    np.testing.assert_array_equal(monkey, published["mIT_674neurons"])
    assert spearmanr(monkey, published["hITvisStim_316vx"])[0] == pytest.approx(0.439, abs=0.002)
    human = _vectors(recording["human_IT"]).mean(axis=0)
    assert spearmanr(monkey, human)[0] == pytest.approx(0.439, abs=0.002)


def test_mean_of_the_eight_visits_is_the_published_human_rdm(recording, mirror):
    _, published = _published(mirror)
    mean = _vectors(recording["human_IT"]).mean(axis=0)
    np.testing.assert_allclose(mean, published["hITvisStim_316vx"], rtol=1e-6)
    assert np.corrcoef(mean, published["hITvisStim_316vx"])[0, 1] == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(
    ("region", "lower", "upper"), [("human_IT", 0.372, 0.666), ("behaviour", 0.477, 0.577)]
)
def test_noise_ceiling(region, lower, upper, recording):
    subjects = recording[region].groupby("subject").mean()
    ceiling = boot_noise_ceiling(RDMs(_vectors(subjects)), method="spearman")
    np.testing.assert_allclose(ceiling, (lower, upper), atol=0.002)


def test_images_and_categories(recording, mirror):
    content, _ = _published(mirror)
    stimuli = recording.stimuli
    assert len(stimuli) == 92
    assert all(
        stimuli.images[i].shape == (175, 175, 3) and stimuli.images[i].dtype == np.uint8 for i in stimuli.ids
    )
    assert all((stimuli.images[i][0, 0] == 128).all() for i in stimuli.ids)
    counts = stimuli.metadata["category"].value_counts().to_dict()
    assert counts == {
        "human bodypart": 12,
        "human face": 12,
        "nonhuman bodypart": 12,
        "nonhuman face": 12,
        "natural inanimate": 23,
        "artificial inanimate": 21,
    }
    # The file says it twice: with each image, and as a table of 92 by 12 labels.
    labels = dict(zip(content["categoryLabels"], content["categoryVectors"].T.astype(bool), strict=True))
    metadata = stimuli.metadata
    np.testing.assert_array_equal(metadata["animate"], labels["animate"])
    np.testing.assert_array_equal(metadata["face"], labels["face"])
    np.testing.assert_array_equal(metadata["human"], labels["human"])
    np.testing.assert_array_equal(~metadata["natural"], labels["artiObj"])
    np.testing.assert_array_equal(metadata["category"].str.contains("bodypart"), labels["body"])


@pytest.mark.parametrize("region", ["monkey_IT", "human_IT", "behaviour"])
def test_faces_are_alike(region, recording):
    # The paper's main finding, true only where labels and matrices are in step.
    face = recording.stimuli.metadata["face"].to_numpy()
    rdm = recording[region].mean("subject").values
    generator = np.random.default_rng(0)
    others = [_mean_within(rdm, generator.permutation(face)) for _ in range(1000)]
    assert _mean_within(rdm, face) < min(others)


def _mean_within(rdm, members):
    return rdm[np.ix_(members, members)][np.triu_indices(members.sum(), 1)].mean()
