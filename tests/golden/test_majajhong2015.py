"""Facts of the IT responses to rendered objects: sizes, design, and linear decoding of category."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brainalign.data.cards import find_card
from brainalign.data.load import load_recording

pytestmark = pytest.mark.data


@pytest.fixture
def recording(mirror):
    return load_recording("majajhong2015")


def test_sizes_and_design(recording):
    metadata = recording.stimuli.metadata
    assert recording["IT"].shape == (5760, 168)
    assert np.isfinite(recording["IT"].values).all()
    assert recording.stimuli.images is None
    assert metadata["category"].nunique() == 8
    assert (metadata.groupby("category")["object"].nunique() == 8).all()
    assert metadata["variation"].value_counts().to_dict() == {"V0": 640, "V3": 2560, "V6": 2560}
    still = metadata[metadata["variation"] == "V0"]
    assert (still[["rxy", "rxz", "ryz", "ty", "tz"]] == 0).all(axis=None)
    assert (still["s"] == 1).all()


def test_card_says_what_is_missing(recording):
    assert recording["IT"].dims == ("stimulus", "unit")
    card, _ = find_card("majajhong2015")
    assert "no noise ceiling" in card.notes
    assert "does not state whose recording this is" in card.notes.replace("\n", " ")


@pytest.mark.parametrize(("variation", "accuracy"), [("V0", 0.90), ("V3", 0.85), ("V6", 0.63)])
def test_category_is_decoded(variation, accuracy, recording):
    chosen = (recording.stimuli.metadata["variation"] == variation).to_numpy()
    responses = recording["IT"].values[chosen].astype(float)
    category = recording.stimuli.metadata["category"].to_numpy()[chosen]
    decoder = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    quarters = StratifiedKFold(4, shuffle=True, random_state=0)
    found = cross_val_score(decoder, responses, category, cv=quarters).mean()
    # Over random choices of four quarters the mean itself has a standard deviation of 0.01.
    assert found == pytest.approx(accuracy, abs=0.02)


def test_decoding_needs_the_order_of_the_table(recording):
    chosen = (recording.stimuli.metadata["variation"] == "V3").to_numpy()
    responses = recording["IT"].values[chosen].astype(float)
    category = np.random.default_rng(0).permutation(recording.stimuli.metadata["category"].to_numpy()[chosen])
    decoder = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    assert cross_val_score(decoder, responses, category, cv=4).mean() == pytest.approx(1 / 8, abs=0.03)
