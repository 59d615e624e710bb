"""Facts of the rat's 20 000 trials, and what commands say of a recording of behaviour alone."""

import numpy as np
import pytest

import brainalign as ba
from brainalign.cli.fetch import fetch
from brainalign.compare.partition import only_region
from brainalign.data.load import load_recording
from brainalign.errors import NeedsError
from brainalign.trajectory.behaviour import learning_curves
from brainalign.trajectory.half_ceilings import half_ceilings

pytestmark = pytest.mark.data


@pytest.fixture
def recording(mirror):
    return load_recording("roy2021")


def test_trials_days_and_answers(recording):
    table = recording.behaviour
    assert len(table) == 20_000
    assert set(table["subject"]) == {"W053"}
    assert table["trial"].tolist() == list(range(1, 20_001))
    assert sorted(set(table["session"])) == list(range(1, 81))
    assert table["session"].is_monotonic_increasing
    # The file says what was right in three ways, and the sounds in a fourth.
    np.testing.assert_array_equal(table["correct"] == 1, table["choice"] == table["answer"])
    np.testing.assert_array_equal(table["answer"] == 2, table["sound_a"] > table["sound_b"])


def test_the_rat_learns(recording):
    curves = learning_curves(recording, block=1000)
    assert dict(curves.sizes) == {"subject": 1, "step": 20}
    np.testing.assert_allclose(
        curves.values[0], recording.behaviour["correct"].to_numpy().reshape(20, -1).mean(1)
    )
    assert ((curves[0, :3] >= 0.55) & (curves[0, :3] <= 0.60)).all()
    assert curves[0, -2:].mean() == pytest.approx(0.70, abs=0.01)
    sessions = learning_curves(recording, step="session")
    assert dict(sessions.sizes) == {"subject": 1, "step": 80}
    first = recording.behaviour.query("session == 1")["correct"]
    assert (len(first), sessions[0, 0].item()) == (199, pytest.approx(first.mean()))


def test_one_rat_has_no_halves(recording):
    with pytest.raises(NeedsError, match="1 subject has values"):
        half_ceilings(learning_curves(recording, block=1000), 10, np.random.default_rng(0))


def test_it_is_fetched_listed_and_said_to_be_nothing_neural(recording, capsys):
    fetch(["roy2021"])
    assert "roy2021: behaviour, 20000 rows of 1 subjects" in capsys.readouterr().out
    asked = [
        lambda: ba.score("convnet", "roy2021"),
        lambda: ba.score("convnet", recording, "rsa"),
        lambda: ba.decode(recording, "answer"),
        lambda: only_region(recording, None),
        lambda: recording.only("IT"),
    ]
    for ask in asked:
        with pytest.raises(
            NeedsError, match="'roy2021' holds behaviour alone: there is nothing neural to score"
        ):
            ask()
