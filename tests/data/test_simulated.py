import importlib.util
import socket
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy.stats import poisson
from sklearn.linear_model import RidgeCV

from brainalign.data.load import load_recording
from brainalign.data.recording import Recording
from brainalign.metrics.reliability import split_half_reliability
from brainalign.networks import Gabor, load_network, preprocessing_of

REGIONS = ["simulated_V1", "simulated_IT", "simulated_shuffled"]


@pytest.fixture(scope="module")
def prepare() -> ModuleType:
    path = Path(__file__).parents[2] / "datasets" / "simulated" / "prepare.py"
    specification = importlib.util.spec_from_file_location("prepare_simulated", path)
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def recording() -> Recording:
    """Made without network access."""
    with pytest.MonkeyPatch.context() as patch:

        def refuse(*_):
            raise AssertionError("a connection was tried")

        patch.setattr(socket.socket, "connect", refuse)
        return load_recording("simulated")


@pytest.fixture(scope="module")
def rates(prepare, recording) -> dict[str, np.ndarray]:
    return prepare.true_rates(recording.stimuli)


def test_shapes_and_the_simulated_mark(recording):
    assert recording.name == "simulated" and recording.provenance.simulated
    assert recording.regions == REGIONS
    assert len(recording.stimuli) == 144
    for region in REGIONS:
        assert recording[region].shape == (144, 48, 8)
        assert set(recording[region]["subject"].values) == {"simulated"}


def test_stimuli_are_distinct_varied_and_of_contrast(recording):
    images = [np.asarray(recording.stimuli.image(i)) for i in recording.stimuli.ids]
    assert {image.shape for image in images} == {(64, 64, 3)}
    assert len({image.tobytes() for image in images}) == 144
    assert min(image.std() for image in images) >= 15
    assert recording.stimuli.metadata["photograph"].nunique() == 11
    # No two crops share a pixel: of one photograph, all corners lie on the grid, and none twice.
    corners = recording.stimuli.metadata[["photograph", "top", "left"]]
    assert not corners.duplicated().any()
    assert not (corners[["top", "left"]] % 128).any(axis=None)


def test_made_again_it_is_the_same(prepare, recording):
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002  (a disturbance, to show that global state does not matter)
    again = prepare.prepare({}, "", "simulated")
    assert again.stimuli.content_hash() == recording.stimuli.content_hash()
    for region in REGIONS:
        assert np.array_equal(again[region].values, recording[region].values)


def test_rates_are_those_of_cortex(rates):
    for of_region in rates.values():
        assert of_region.min() >= 0.5
        assert ((of_region.mean(axis=0) > 5.9) & (of_region.mean(axis=0) < 10.3)).all()


@pytest.mark.parametrize("region", REGIONS)
def test_counts_are_poisson_about_the_rates(recording, rates, region):
    counts = recording[region].values.astype(float)
    rate = rates[region][..., None]
    assert (counts == np.rint(counts)).all()
    # Standardised residuals: mean 0 and variance 1, each within four standard errors.
    residuals = (counts - rate) / np.sqrt(rate)
    n = residuals.size
    assert abs(residuals.mean()) < 4 / np.sqrt(n)
    fourth = np.mean(3 + 1 / rate)
    assert abs(residuals.var() - 1) < 4 * np.sqrt((fourth - 1) / n)
    # Independent from repeat to repeat.
    pairs = [np.mean(residuals[..., i] * residuals[..., i + 1]) for i in range(7)]
    assert np.abs(pairs).max() < 4 / np.sqrt(n / 8)


def test_drawing_by_the_inverse_gives_the_distribution(prepare):
    rate = np.full((100, 100), 3.0)
    counts = prepare.poisson_counts(rate, np.random.default_rng(0))
    for k in range(8):
        expected = poisson.pmf(k, 3.0)
        assert abs(np.mean(counts == k) - expected) < 4 * np.sqrt(expected * (1 - expected) / counts.size)


@pytest.mark.parametrize("region", REGIONS)
def test_reliability_is_what_poisson_noise_leaves(recording, rates, region):
    """Spearman and Brown's reliability of a mean over 8 repeats: signal variance / (signal + mean / 8)."""
    counts = recording[region].values.astype(float)
    measured = split_half_reliability(counts, 100, np.random.default_rng(0))
    signal, noise = rates[region].var(axis=0), rates[region].mean(axis=0) / 8
    expected = signal / (signal + noise)
    # The sampling error of a correlation over 144 stimuli, Fisher's (1 − r²) / √(n − 3), in each unit.
    halves = expected / (2 - expected)
    # (delta method through 2 r / (1 + r), whose slope is 2 / (1 + r)²).
    error = 2 / (1 + halves) ** 2 * (1 - halves**2) / np.sqrt(141)
    assert (np.abs(measured - expected) < 4 * error).all()
    assert abs(np.mean((measured - expected) / error)) < 4 / np.sqrt(48)
    assert 0.85 < np.median(measured) < 0.95


def test_shuffled_region_is_it_dealt_to_other_stimuli(rates):
    it, shuffled = rates["simulated_IT"], rates["simulated_shuffled"]
    assert sorted(map(tuple, it)) == sorted(map(tuple, shuffled))
    assert (it != shuffled).any(axis=1).mean() > 0.9


@pytest.fixture(scope="module")
def features(recording) -> dict[str, np.ndarray]:
    images = [recording.stimuli.image(i) for i in recording.stimuli.ids]
    network, gabor = load_network("convnet@untrained:7"), Gabor()
    found = {}
    with torch.inference_mode():
        x = preprocessing_of(network)(images)
        for name, block in network.get_submodule("blocks").named_children():
            x = block(x)
            found[f"blocks.{name}"] = x.flatten(1).double().numpy()
        found["head"] = network.get_submodule("head")(x.flatten(1)).double().numpy()
        other = load_network("convnet@untrained:8").get_submodule("blocks")
        found["another seed"] = other(preprocessing_of(network)(images)).flatten(1).double().numpy()
        found["gabor"] = gabor(gabor.preprocessing(images)).double().numpy()
    found["pixels"] = np.array([np.asarray(image.resize((32, 32))).ravel() for image in images], dtype=float)
    return found


def held_out_correlation(features: np.ndarray, responses: np.ndarray) -> float:
    """Median over units of scikit-learn's ridge on a quarter that it was not fitted on."""
    order = np.random.default_rng(0).permutation(len(features))
    train, test = order[36:], order[:36]
    centred = features - features[train].mean(axis=0)
    alphas = np.logspace(-4, 2, 13) * np.mean(np.sum(centred[train] ** 2, axis=1))
    fitted = RidgeCV(alphas, alpha_per_target=True).fit(centred[train], responses[train])
    predicted = fitted.predict(centred[test])
    return float(np.median([np.corrcoef(predicted[:, u], responses[test, u])[0, 1] for u in range(48)]))


def test_known_answer_is_there_to_be_found(recording, features):
    found = {
        region: {
            name: held_out_correlation(x, recording[region].values.mean(axis=-1))
            for name, x in features.items()
        }
        for region in REGIONS
    }
    v1, it, shuffled = (found[region] for region in REGIONS)
    convnet = ["blocks.0", "blocks.1", "blocks.2", "blocks.3", "head"]
    assert v1["gabor"] > 0.8
    assert v1["gabor"] - max(v1[name] for name in convnet) > 0.2
    assert v1["pixels"] < min(v1[name] for name in convnet)
    assert max(it, key=lambda name: it[name]) == "blocks.3"
    assert it["blocks.3"] > 0.8
    assert it["blocks.3"] - it["blocks.2"] > 0.03
    assert it["blocks.3"] - it["another seed"] > 0.1
    assert it["blocks.0"] < it["blocks.1"] < it["blocks.2"]
    assert max(it["gabor"], it["pixels"], it["head"]) < it["blocks.0"]
    # One unit's correlation over 36 stimuli has a standard error of 1/6; units share stimuli, not noise.
    assert max(abs(value) for value in shuffled.values()) < 0.15
