"""NWB files: rates against a loop over single spikes, every option, and input that cannot be used."""

import builtins
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from brainalign.data.load import load_recording, recording_names
from brainalign.data.nwb import recording_from_nwb
from brainalign.data.nwb_session import TimeSeries, read_session
from brainalign.errors import NeedsError, ResponsesError, UnknownNameError

ABOUT_MOVEMENT = {"align_to": "move_onset_time", "before": 0.2, "after": 0.4, "bin_width": 0.05}
CONDITION = "trial_type+trial_version"


def _rates(content, unit):
    """Count every spike of a unit by itself: (trial, time), in spikes/s."""
    counts = np.zeros((5, 12))
    for trial, onset in enumerate(content.trials["move_onset_time"][:5]):
        for spike in content.spike_times[unit]:
            place = math.floor((spike - (onset - 0.2)) / 0.05 + 1e-6)
            if 0 <= place < 12:
                counts[trial, place] += 1
    return counts / 0.05


def test_single_trials_are_counts_over_the_width_of_a_bin(write_session):
    path, content = write_session()
    recording = recording_from_nwb(path, **ABOUT_MOVEMENT, condition=CONDITION)
    assert recording.name == "session"
    assert recording.regions == ["M1", "PMd"]
    assert recording.provenance.species == "Macaca mulatta"
    assert recording.provenance.citation == "doi:10.1234/reach"
    for region, units in (("M1", (0, 2)), ("PMd", (1, 3))):
        rates = recording[region]
        assert rates.sizes == {"trial": 5, "unit": 2, "time": 12}
        assert rates["unit"].values.tolist() == [str(100 + unit) for unit in units]
        assert rates["heldout"].values.tolist() == [unit == 0 for unit in units]
        assert set(rates["subject"].values) == {"Jenkins"}
        assert rates["trial_index"].values.tolist() == [0, 1, 2, 3, 4]
        assert rates["stimulus"].values.tolist() == ["1/0", "1/0", "2/0", "2/0", "1/1"]
        np.testing.assert_allclose(rates["time"], np.arange(-0.175, 0.4, 0.05), atol=1e-12)
        for row, unit in enumerate(units):
            np.testing.assert_allclose(rates.values[:, row], _rates(content, unit))
    metadata = recording.stimuli.metadata
    assert recording.stimuli.ids == ["1/0", "1/1", "2/0"]
    assert metadata["trial_type"].tolist() == [1, 1, 2]


def test_a_file_is_a_recording_by_its_path_with_options(write_session):
    path, _ = write_session()
    named = f"{path}:align_to=move_onset_time,before=0.2,after=0.4,bin_width=0.05,condition={CONDITION}"
    loaded, made = load_recording(named), recording_from_nwb(path, **ABOUT_MOVEMENT, condition=CONDITION)
    assert recording_names(named) == [named] and loaded.regions == made.regions
    for region in made.regions:
        assert loaded[region].identical(made[region])
    with pytest.raises(UnknownNameError, match="Unknown option of nwb 'aling_to'.*'align_to'"):
        load_recording(f"{path}:aling_to=x")
    with pytest.raises(UnknownNameError, match="nwb:bin_width is '0'"):
        load_recording(f"{path}:bin_width=0")


def test_what_is_left_out_is_counted(write_session):
    path, content = write_session()
    rates = recording_from_nwb(path, **ABOUT_MOVEMENT)["M1"]
    inside = sum((_rates(content, unit) * 0.05).sum() for unit in (0, 2))
    total = sum(len(content.spike_times[unit]) for unit in (0, 2))
    assert rates.attrs["n_spikes_outside"] == total - round(inside)
    assert rates.attrs["n_trials_without_event"] == 1
    assert rates.attrs["n_trials_outside"] == 0
    assert rates.attrs["unit"] == "spikes/s"


def test_overlapping_windows_count_no_spike_as_outside_twice(write_session):
    trials = pd.DataFrame({"start_time": [0.0, 0.5], "stop_time": [2.0, 2.0]})
    path, _ = write_session(n_units=1, trials=trials, spike_times=[np.array([0.1, 0.75, 1.6])])
    recording = recording_from_nwb(path, after=1.0, bin_width=0.1)
    assert recording["M1"].attrs["n_spikes_outside"] == 1
    assert recording["M1"].sum().item() == pytest.approx(3 / 0.1)


def test_a_spike_on_an_edge_falls_in_the_bin_after_it(write_session):
    trials = pd.DataFrame({"start_time": [0.1 * number for number in range(3)], "stop_time": 5.0})
    spikes = np.array([0.1 * number for number in range(7)])
    path, _ = write_session(n_units=1, trials=trials, spike_times=[spikes])
    counts = recording_from_nwb(path, after=0.4, bin_width=0.1)["M1"].values * 0.1
    np.testing.assert_allclose(counts, np.ones((3, 1, 4)))


def test_averages_and_repeats_are_of_the_single_trials(write_session):
    path, _ = write_session()
    options = {**ABOUT_MOVEMENT, "condition": "trial_type"}
    single = recording_from_nwb(path, **options)["PMd"]
    averaged = recording_from_nwb(path, **options, trials="average")["PMd"]
    repeated = recording_from_nwb(path, **options, trials="repeat")["PMd"]
    assert averaged.dims == ("stimulus", "unit", "time")
    assert repeated.sizes == {"stimulus": 2, "unit": 2, "repeat": 3, "time": 12}
    assert averaged["stimulus"].values.tolist() == repeated["stimulus"].values.tolist() == ["1", "2"]
    np.testing.assert_allclose(averaged.values[0], single.values[[0, 1, 4]].mean(axis=0))
    np.testing.assert_array_equal(repeated.values[0].transpose(1, 0, 2), single.values[[0, 1, 4]])
    assert np.isnan(repeated.values[1, :, 2]).all()
    np.testing.assert_allclose(repeated.mean("repeat").values, averaged.values)


def test_trials_without_a_condition_are_conditions_of_their_own(write_session):
    recording = recording_from_nwb(write_session()[0], **ABOUT_MOVEMENT)
    assert recording["M1"]["stimulus"].values.tolist() == [f"trial{index}" for index in range(5)]
    assert recording.stimuli.metadata.columns.empty


def test_smoothing_is_the_gaussian_of_the_window_alone(write_session):
    path, _ = write_session()
    raw = recording_from_nwb(path, **ABOUT_MOVEMENT)["M1"].values
    smoothed = recording_from_nwb(path, **ABOUT_MOVEMENT, sigma=0.1)["M1"].values
    lag = np.arange(12)[:, None] - np.arange(12)
    # The filter is cut off at four standard deviations.
    weights = np.where(abs(lag) <= 8, np.exp(-0.5 * (lag / 2) ** 2), 0)
    expected = np.einsum("ts,nus->nut", weights / weights.sum(axis=1, keepdims=True), raw)
    np.testing.assert_allclose(smoothed, expected, atol=1e-10)


@pytest.mark.parametrize("form", ["single", "average", "repeat"])
def test_soft_normalisation_divides_by_the_range_of_averages_and_five(write_session, form):
    path, _ = write_session()
    options = {**ABOUT_MOVEMENT, "condition": "trial_type"}
    averaged = recording_from_nwb(path, **options, trials="average")["M1"].values
    span = averaged.max(axis=(0, 2)) - averaged.min(axis=(0, 2)) + 5
    plain = recording_from_nwb(path, **options, trials=form)["M1"]
    soft = recording_from_nwb(path, **options, trials=form, soft_normalise=True)["M1"]
    shape = [1, 2] + [1] * (plain.ndim - 2)
    np.testing.assert_allclose(soft.values, plain.values / span.reshape(shape))
    assert soft.attrs["unit"] == "softly normalised"


@pytest.mark.parametrize("stamped", [True, False])
def test_kinematics_are_the_hand_at_the_centres_of_bins(write_session, stamped):
    path, content = write_session(stamped=stamped)
    moved = recording_from_nwb(path, **ABOUT_MOVEMENT, kinematics="hand_vel+hand_pos+speed").kinematics
    assert moved["kinematic"].values.tolist() == [
        "x_velocity",
        "y_velocity",
        "x_position",
        "y_position",
        "speed",
    ]
    assert moved.attrs["units"] == {
        "x_velocity": "m/s", "y_velocity": "m/s", "x_position": "m", "y_position": "m", "speed": "m/s",
    }  # fmt: skip
    moments = content.trials["move_onset_time"].values[:5, None] + moved["time"].values
    np.testing.assert_allclose(moved.sel(kinematic="x_position"), 0.003 * moments, atol=1e-12)
    np.testing.assert_allclose(moved.sel(kinematic="y_velocity"), 0.002 * moments, atol=1e-12)
    # Between samples a line stands for the parabola: off by a quarter of a squared half step at most.
    np.testing.assert_allclose(moved.sel(kinematic="y_position"), 0.001 * moments**2, atol=2.6e-8)


def test_kinematics_are_averaged_with_the_trials(write_session):
    path, _ = write_session()
    options = {**ABOUT_MOVEMENT, "condition": "trial_type", "kinematics": "hand_vel"}
    single = recording_from_nwb(path, **options).kinematics
    averaged = recording_from_nwb(path, **options, trials="average").kinematics
    assert averaged.dims == ("stimulus", "kinematic", "time")
    np.testing.assert_allclose(averaged.values[1], single.values[[2, 3]].mean(axis=0))


def test_a_gap_between_samples_is_missing(write_session):
    path, _ = write_session()
    session = read_session(path, ["hand_vel"])
    found = session.series["hand_vel"]
    kept = (found.times < 0.75) | (found.times > 0.85)
    gappy = {"hand_vel": TimeSeries(found.times[kept], found.values[kept], found.unit)}
    moved = recording_from_nwb(
        replace(session, series=gappy), **ABOUT_MOVEMENT, kinematics="hand_vel"
    ).kinematics
    missing = np.isnan(moved.sel(kinematic="x_velocity").values)
    moments = 0.7 + moved["time"].values
    np.testing.assert_array_equal(missing[0], (moments > 0.741) & (moments < 0.859))
    assert not missing[2:].any()


def test_a_unit_that_was_not_observed_is_missing_and_left_out_of_averages(write_session):
    whole, late = np.array([[0.0, 6.0], [6.0, 12.0]]), np.array([[2.0, 12.0]])
    path, _ = write_session(observed=[late, whole, whole, whole])
    options = {**ABOUT_MOVEMENT, "condition": "trial_type"}
    single = recording_from_nwb(path, **options)["M1"]
    assert np.isnan(single.values[0, 0]).all()
    assert np.isfinite(single.values[1:]).all() and np.isfinite(single.values[0, 1]).all()
    averaged = recording_from_nwb(path, **options, trials="average")["M1"]
    np.testing.assert_allclose(averaged.values[0, 0], single.values[[1, 4], 0].mean(axis=0))


def test_trials_are_selected_and_angles_are_told(write_session):
    path, _ = write_session()
    recording = recording_from_nwb(
        path, **ABOUT_MOVEMENT, condition="cond_dir", angle="cond_dir", select={"split": ["train", "val"]}
    )
    assert recording.stimuli.metadata["angle"].to_dict() == {"0": 0.0, "180": 180.0, "90": 90.0}
    one = recording_from_nwb(path, **ABOUT_MOVEMENT, select={"split": "val", "trial_type": 2})
    assert one["M1"]["trial_index"].values.tolist() == [3]
    assert one["M1"].attrs["n_trials_without_event"] == 0


def test_a_window_that_leaves_trials_is_the_users_to_decide(write_session):
    path, _ = write_session()
    options = {**ABOUT_MOVEMENT, "after": 0.6}
    with pytest.raises(
        ResponsesError, match=r"leaves 1 of 5 trials; .* is 0\.700 s before it and 0\.450 s after"
    ):
        recording_from_nwb(path, **options)
    dropped = recording_from_nwb(path, **options, outside="drop")["M1"]
    assert dropped["trial_index"].values.tolist() == [0, 2, 3, 4]
    assert dropped.attrs["n_trials_outside"] == 1
    kept = recording_from_nwb(path, **options, outside="keep")["M1"]
    np.testing.assert_array_equal(kept.values[[0, 2, 3, 4]], dropped.values)
    with pytest.raises(ResponsesError, match="leaves every trial"):
        recording_from_nwb(path, **(options | {"after": 5.0}), outside="drop")


def test_a_region_that_is_named_holds_all_units(write_session):
    path, _ = write_session(locations=None)
    with pytest.raises(ResponsesError, match=r"does not say where 4 of 4 units lie; name it: region='M1'"):
        recording_from_nwb(path, **ABOUT_MOVEMENT)
    assert recording_from_nwb(path, **ABOUT_MOVEMENT, region="M1")["M1"].sizes["unit"] == 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"spike_times": []}, "holds no units with spike times"),
        ({"trials": None}, "holds no trials"),
    ],
)
def test_files_without_units_or_trials(write_session, given, message):
    path, _ = write_session(**given)
    with pytest.raises(ResponsesError, match=f"session.nwb {message}"):
        recording_from_nwb(path)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"align_to": "move_onset"},
            UnknownNameError,
            "column of the trials table 'move_onset'.*'move_onset_time'",
        ),
        ({"condition": "trial_typ"}, UnknownNameError, "Did you mean 'trial_type'"),
        ({"angle": "direction"}, UnknownNameError, "column of the trials table 'direction'"),
        ({"select": {"splitt": "val"}}, UnknownNameError, "Did you mean 'split'"),
        (
            {"kinematics": "hand_speed"},
            UnknownNameError,
            "time series of the NWB file 'hand_speed'.*Did you mean 'speed'",
        ),
        ({"trials": "mean"}, UnknownNameError, "form of trials 'mean'.*Choices: average, repeat, single"),
        ({"outside": "ignore"}, UnknownNameError, "Choices: drop, keep, raise"),
        ({"align_to": "split"}, ResponsesError, "The column 'split' of the trials table holds no times"),
        ({"select": {"split": "test"}}, ResponsesError, r"None of 6 trials has \{'split': 'test'\}"),
        ({"select": {"split": "none"}}, ResponsesError, "None of 1 trials has a time in 'move_onset_time'"),
        ({"bin_width": 0.07}, ResponsesError, "no whole number of bins of 0.07 s"),
        ({"bin_width": 0.0}, ResponsesError, "in bins of 0.0 s is empty"),
        ({"after": -0.2}, ResponsesError, "from -0.2 to -0.2 s in bins of 0.05 s is empty"),
        ({"sigma": -1.0}, ResponsesError, "sigma is -1.0 s; expected 0 or above"),
        (
            {"condition": CONDITION, "trials": "repeat"},
            ResponsesError,
            "1 of 3 conditions have a single trial, such as '1/1': no repeats. Name coarser",
        ),
        (
            {"condition": "trial_type", "angle": "cond_dir"},
            ResponsesError,
            "condition '1' differ in 'cond_dir'",
        ),
        (
            {"condition": "notes"},
            ResponsesError,
            r"2 of 5 trials have no condition in 'notes', such as trial 1",
        ),
        ({"kinematics": "hand_pos+eye_pos"}, ResponsesError, "hold 'x_position'; ask for one"),
    ],
)
def test_options_that_do_not_fit_the_file(write_session, options, error, message):
    path, _ = write_session()
    with pytest.raises(error, match=message):
        recording_from_nwb(path, **(ABOUT_MOVEMENT | options))


def test_files_that_are_none(tmp_path):
    pytest.importorskip("pynwb", reason="reading NWB files needs the extra nwb")
    with pytest.raises(ResponsesError, match=r"There is no file .*absent\.nwb"):
        recording_from_nwb(tmp_path / "absent.nwb")
    (tmp_path / "text.nwb").write_text("no hierarchy")
    with pytest.raises(ResponsesError, match=r"text\.nwb cannot be opened as an NWB file"):
        recording_from_nwb(tmp_path / "text.nwb")
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "plain.nwb", "w") as file:
        file["numbers"] = [1, 2]
    with pytest.raises(ResponsesError, match=r"plain\.nwb cannot be read as an NWB file"):
        recording_from_nwb(tmp_path / "plain.nwb")


def test_a_card_with_a_file_of_ones_own_is_loaded_by_its_folder(write_session, tmp_path):
    write_session(stamped=True)
    (tmp_path / "card.toml").write_text('name = "lab"\nspecies = "macaque"\n')
    (tmp_path / "prepare.py").write_text(
        "from pathlib import Path\n"
        "from brainalign.data.nwb import recording_from_nwb\n"
        "def prepare(files, part, name):\n"
        "    file = Path(__file__).with_name('session.nwb')\n"
        "    options = {'align_to': 'go_cue_time', 'condition': 'trial_type', 'trials': 'average'}\n"
        "    return recording_from_nwb(file, **options)\n"
    )
    recording = load_recording(tmp_path)
    assert recording.name == "lab"
    assert recording["M1"].sizes == {"stimulus": 2, "unit": 2, "time": 25}


def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch):
    original = builtins.__import__

    def missing(name, *arguments, **keywords):
        if name == "pynwb":
            raise ImportError(name)
        return original(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(NeedsError, match=r"pip install 'brainalign\[nwb\]'"):
        recording_from_nwb(tmp_path / "session.nwb")
