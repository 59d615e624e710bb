import numpy as np
import pandas as pd
import pytest

from brainalign.compare import evaluate
from brainalign.compare.candidates import Candidate
from brainalign.compare.condition_rows import RECORDING
from brainalign.compare.conditions import Courses, courses_of, event_of, halves_of_trials
from brainalign.data import Recording, StimulusSet, make_responses
from brainalign.errors import AlignmentError, NeedsError, ResponsesError

CONDITIONS = [f"reach{i}" for i in range(8)]
TIMES = np.arange(30) / 100


def rotations(n_units: int, seed: int) -> np.ndarray:
    """Give (condition, time, unit) that rotate in three planes, seen by units along orthonormal axes."""
    rng = np.random.default_rng(seed)
    phases = np.arange(8) * np.pi / 4
    angle = phases[:, None] + 8 * TIMES
    planes = [f(k * angle) for k in (1, 2, 3) for f in (np.cos, np.sin)]
    return np.stack(planes, 2) @ np.linalg.qr(rng.standard_normal((n_units, 6)))[0].T


def labelled(values: np.ndarray, times=TIMES, region: str = "M1"):
    return make_responses(
        values.transpose(0, 2, 1), CONDITIONS, region=region, dims=("stimulus", "unit", "time"), time=times
    )


def recording(values: np.ndarray, angles: bool = True, responses=None) -> Recording:
    metadata = pd.DataFrame(index=pd.Index(CONDITIONS, name="stimulus", dtype=object))
    if angles:
        metadata["angle"] = 45.0 * np.arange(8)
    stimuli = StimulusSet("reaches", metadata)
    return Recording("reaches", stimuli, {"M1": labelled(values) if responses is None else responses})


def network(values: np.ndarray, times=TIMES) -> Candidate:
    layers = {"units": labelled(values, times, "units")}
    return Candidate("rnn", 0, "bptt", task="center_out", checkpoint=10, answers=lambda stimuli, event: layers)


def rows(*args, **options) -> pd.DataFrame:
    return evaluate(*args, **({"n_resamples": 20} | options)).scores.to_dataframe().reset_index(drop=True)


def test_the_brain_s_own_activity_has_the_highest_value_and_another_population_s_a_chance():
    brain = rotations(20, 0)
    found = rows([network(brain)], recording(brain), ["rsa_trajectory", "cca:n_components=3"])
    assert np.allclose(found["raw"], 1)
    assert (found["p_value"] == 1 / 21).all()
    other = np.random.default_rng(3).standard_normal(brain.shape).cumsum(1)
    found = rows([network(other)], recording(brain), ["rsa_trajectory"])
    assert abs(found["raw"][0]) < 0.5
    assert found["p_value"][0] > 0.05


def test_a_measure_of_one_side_has_a_row_of_the_recording_beside_the_network_s():
    brain = rotations(20, 0)
    found = rows([network(brain[:, ::-1])], recording(brain), ["jpca:normalise=none"])
    assert found["network"].tolist() == [RECORDING, "rnn"]
    assert found["layer"].tolist() == ["M1", "units"]
    # Time run backwards rotates as much.
    assert found["raw"][0] == pytest.approx(found["raw"][1], abs=1e-9)
    assert found["raw"][0] > 0.99
    assert (found["low"] <= found["raw"]).all() and (found["raw"] <= found["high"]).all()


def test_conditions_are_aligned_by_id_and_times_by_seconds():
    brain = rotations(20, 0)
    late = TIMES + 0.1
    layers = {"units": labelled(brain, late, "units").isel(stimulus=slice(None, None, -1))}
    shuffled = Candidate("rnn", answers=lambda stimuli, event: layers)
    found = rows([shuffled], recording(brain, responses=labelled(brain, late)), ["rsa_trajectory"])
    assert found["raw"][0] == pytest.approx(1)


def test_no_shared_times_are_told_in_the_row():
    brain = rotations(20, 0)
    found = rows([network(brain, TIMES + 5)], recording(brain), ["rsa_trajectory"])
    assert np.isnan(found["raw"][0])
    assert "share 0 times" in found["note"][0]


def test_unlabelled_conditions_are_matched_only_when_asked_for_and_say_so():
    # Conditions at all kinds of distances, which half of so many units see nearly as the other half does.
    rng = np.random.default_rng(0)
    brain = rng.standard_normal((8, 30, 5)).cumsum(1) @ rng.standard_normal((5, 400))
    order = np.random.default_rng(1).permutation(8)
    unlabelled = recording(brain, angles=False)
    with pytest.raises(NeedsError, match="match-conditions"):
        rows([network(brain[order])], unlabelled, ["rsa_trajectory"])
    found = rows([network(brain[order])], unlabelled, ["rsa_trajectory"], match_conditions=True)
    assert found["note"][0] == "matched"
    assert found["raw"][0] > 0.9
    # Labelled ones are never matched.
    found = rows([network(brain[order])], recording(brain), ["rsa_trajectory"], match_conditions=True)
    assert found["note"][0] == "" and found["raw"][0] < 0.9


def test_a_network_without_a_task_of_movement_is_refused():
    with pytest.raises(NeedsError, match="nor can it act them out"):
        rows([Candidate("convnet")], recording(rotations(6, 0)), ["jpca"])


def test_a_recurrent_network_is_not_shown_images():
    with pytest.raises(NeedsError, match="recurrent and sees no images"):
        rows("rnn", "simulated", ["rsa"])


def test_a_metric_of_images_has_a_row_that_says_why_not():
    found = rows([network(rotations(6, 0))], recording(rotations(6, 0)), ["ridge"])
    assert "there are none" in found["note"][0]


def test_without_draws_there_is_no_chance():
    brain = rotations(20, 0)
    found = rows([network(brain)], recording(brain), ["rsa_trajectory"], n_resamples=0)
    assert (
        np.isnan(found["chance"][0]) and np.isnan(found["p_value"][0]) and found["raw"][0] == pytest.approx(1)
    )


def test_trials_are_averaged_by_condition_and_halved():
    values = rotations(6, 0)
    trials = np.concatenate([values + 1, values - 1]).transpose(0, 2, 1)
    region = make_responses(trials, CONDITIONS * 2, region="M1", dims=("trial", "unit", "time"), time=TIMES)
    whole = courses_of(region, "M1")
    assert np.allclose(whole.values, values)
    first, second = next(halves_of_trials(region, "M1", 1, np.random.default_rng(0)))
    assert np.allclose((first.values + second.values) / 2, values)
    assert not np.allclose(first.values, second.values)
    assert list(halves_of_trials(region.isel(trial=slice(0, 9)), "M1", 3, np.random.default_rng(0))) == []


def test_a_ceiling_is_the_value_between_halves_of_trials():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((8, 30, 5)).cumsum(1) @ rng.standard_normal((5, 10))
    noisy = np.concatenate([values] * 4)
    noisy = noisy + 0.1 * np.random.default_rng(0).standard_normal(noisy.shape)
    region = make_responses(
        noisy.transpose(0, 2, 1), CONDITIONS * 4, region="M1", dims=("trial", "unit", "time"), time=TIMES
    )
    found = rows([network(values)], recording(values, responses=region), ["rsa_trajectory"])
    assert 0.9 < found["ceiling"][0] < 1
    assert found["score"][0] == pytest.approx(found["raw"][0] / found["ceiling"][0])


def test_rates_without_time_are_held_against_the_mean_after_the_event():
    values = rotations(6, 0)
    times = TIMES - 0.1
    mean = values[:, times >= -1e-9].mean(1)
    region = make_responses(mean, CONDITIONS, region="M1")
    found = rows([network(values, times)], recording(values, responses=region), ["rsa_trajectory"])
    assert found["raw"][0] == pytest.approx(1)


def test_preferred_directions_need_angles():
    angles = np.deg2rad(45 * np.arange(8))
    preferred = np.repeat([0.3, 0.3 + np.pi], 20)
    rates = 5 + np.cos(angles[:, None] - preferred)
    values = np.repeat(rates[:, None], 30, axis=1)
    found = rows([network(values)], recording(values), ["preferred_directions"], n_resamples=200)
    assert np.allclose(found["raw"], 1) and (found["p_value"] < 0.01).all()
    found = rows([network(values)], recording(values, angles=False), ["preferred_directions"])
    assert found["note"].str.contains("angles").all()


def test_units_that_lack_values_are_refused():
    values = rotations(6, 0)
    values[2, :, 1] = np.nan
    with pytest.raises(ResponsesError, match="lacks values of 1 units"):
        courses_of(labelled(values), "M1")


def test_a_condition_that_a_network_has_not_acted_out():
    course = Courses("units", ("a",), np.zeros((1, 30, 2)), TIMES)
    with pytest.raises(AlignmentError, match="under condition 'b'"):
        course.at(Courses("M1", ("b",), np.zeros((1, 30, 2)), TIMES))


def test_the_event_of_a_recording_is_read_from_its_responses():
    region = labelled(rotations(6, 0))
    assert event_of(recording(rotations(6, 0), responses=region)) == "go"
    for event, name in (("move_onset_time", "movement"), ("target_on_time", "target"), ("go_cue_time", "go")):
        region.attrs["align_to"] = event
        assert event_of(recording(rotations(6, 0), responses=region)) == name
