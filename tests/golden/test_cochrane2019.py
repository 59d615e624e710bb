"""Facts of the four people who compare numbers of dots."""

import numpy as np
import pytest

from brainalign.data.load import load_recording
from brainalign.trajectory.behaviour import learning_curves

pytestmark = pytest.mark.data


@pytest.fixture
def recording(mirror):
    return load_recording("cochrane2019")


def test_people_and_trials(recording):
    table = recording.behaviour
    assert table.groupby("subject")["trial"].apply(list).to_dict() == {
        f"s{person}": list(range(1, 251)) for person in range(1, 5)
    }
    np.testing.assert_array_equal(table["correct"] == 1, (table["ratio"] > 0) == (table["response"] == 1))
    assert table["correct"].sum() == 778


def test_curves_by_block_and_person(recording):
    curves = learning_curves(recording, block=50)
    assert dict(curves.sizes) == {"subject": 4, "step": 5}
    by_hand = recording.behaviour["correct"].to_numpy().reshape(4, 5, 50).mean(axis=2)
    np.testing.assert_allclose(curves.values, by_hand, rtol=0, atol=1e-12)
    np.testing.assert_allclose(curves.mean("subject"), [0.745, 0.780, 0.725, 0.835, 0.805], atol=1e-12)


def test_large_ratios_are_easier(recording):
    table = recording.behaviour
    easy = table["ratio"].abs() > table["ratio"].abs().median()
    assert table.loc[easy, "correct"].mean() > table.loc[~easy, "correct"].mean() + 0.1
