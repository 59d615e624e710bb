"""Kinematics: labels that must be there, units that must be said, and recordings that they must fit."""

import numpy as np
import pytest
import xarray as xr

from brainalign.data.kinematics import check_kinematics, make_kinematics, same_rows
from brainalign.data.recording import Recording
from brainalign.data.responses import make_rdms, make_responses
from brainalign.data.stimuli import StimulusSet
from brainalign.errors import AlignmentError, ResponsesError

UNITS = {"x_velocity": "mm/s", "y_velocity": "mm/s"}
REACHES = ["left", "right", "left"]
MOVED = make_kinematics(np.arange(6.0).reshape(3, 2), REACHES, UNITS)
M1 = make_responses(np.ones((3, 4)), REACHES, region="M1", dims=("trial", "unit"))
AVERAGED = make_responses(np.ones((2, 4)), ["left", "right"], region="PMd")


@pytest.mark.parametrize("first", ["trial", "stimulus"])
@pytest.mark.parametrize("time", [None, [0.0, 0.1, 0.2, 0.3]])
def test_labels_of_every_shape(first, time):
    dims = (first, "kinematic", *([] if time is None else ["time"]))
    values = np.arange(24.0).reshape(3, 2, 4)[..., 0 if time is None else slice(None)]
    moved = make_kinematics(values, ["a", "b", "c"], UNITS, dims=dims, time=time)
    assert moved.dims == dims
    assert check_kinematics(moved) is moved
    np.testing.assert_array_equal(moved.sel(kinematic="y_velocity").values, values[:, 1])
    assert moved.attrs["units"] == UNITS
    if time is not None:
        assert moved["time"].values.tolist() == time


def test_missing_samples_may_be_nan():
    assert np.isnan(make_kinematics(np.full((3, 2), np.nan), REACHES, UNITS)).all()


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.ones((2, 2)), {}, r"shape \(2, 2\) were given 3 stimulus ids"),
        (np.ones((3, 3)), {}, "names x_velocity, y_velocity; expected an id for each trial"),
        (np.ones(3), {}, r"shape \(3,\)"),
        (np.ones((3, 2)), {"time": [0.0, 1.0]}, "2 times were given for kinematics"),
        (
            np.ones((3, 2, 4)),
            {"time": [0.0], "dims": ("trial", "kinematic", "time")},
            "1 times were given for kinematics",
        ),
        (np.ones((3, 2)), {"dims": ("trial", "unit")}, "cannot have the dimensions .*'unit'.* expected one of"),
        (np.full((3, 2), np.inf), {}, "infinite values; mark what was not measured as NaN"),
        (np.full((3, 2), "fast"), {}, "are of type <U4; expected numbers"),
    ],
)
def test_wrong_arrays(values, options, message):
    with pytest.raises(ResponsesError, match=message):
        make_kinematics(values, REACHES, UNITS, **options)


@pytest.mark.parametrize(
    ("kinematics", "message"),
    [
        (MOVED.drop_vars("stimulus"), "lack the coordinate 'stimulus' along 'trial'"),
        (MOVED.drop_vars("kinematic"), "lack the coordinate 'kinematic' along 'kinematic'"),
        (MOVED.assign_coords(kinematic=["x", "x"]), "repeat a name along 'kinematic'"),
        (MOVED.drop_attrs(), "do not say the unit of 'x_velocity', 'y_velocity'; add it to the attribute"),
        (MOVED.assign_attrs(units={"x_velocity": "mm/s"}), "do not say the unit of 'y_velocity'"),
        (MOVED.assign_attrs(units="mm/s"), "do not say the unit of 'x_velocity'"),
        (xr.DataArray(np.ones(3), dims="trial"), "expected one of"),
    ],
)
def test_wrong_labels(kinematics, message):
    with pytest.raises(ResponsesError, match=message):
        check_kinematics(kinematics)


def test_rows_are_the_same_in_order_only():
    assert same_rows(MOVED, M1)
    assert not same_rows(MOVED[::-1].isel(trial=[1, 0, 2]), M1)
    assert not same_rows(MOVED[:2], M1)
    assert not same_rows(make_kinematics(np.ones((2, 2)), ["left", "right"], UNITS), AVERAGED)


def test_a_recording_keeps_kinematics_with_the_regions_that_they_fit():
    rdms = make_rdms(np.ones((1, 1)), ["left", "right"], ["s"])
    recording = Recording("lab", None, {"M1": M1, "PMd": AVERAGED}, {"EMG": rdms}, kinematics=MOVED)
    assert recording.kinematics is MOVED
    assert recording.only("M1").kinematics is MOVED
    assert recording.only("PMd").kinematics is None
    assert recording.only("EMG").kinematics is None
    averaged = make_kinematics(np.ones((2, 2)), ["left", "right"], UNITS, dims=("stimulus", "kinematic"))
    assert Recording("lab", None, {}, {"EMG": rdms}, kinematics=averaged).only("EMG").kinematics is averaged


def test_kinematics_of_other_trials():
    other = make_kinematics(np.ones((2, 2)), ["left", "left"], UNITS)
    with pytest.raises(
        AlignmentError, match=r"'lab' has kinematics of 2 rows \(trial\), .* \(3 for M1\). Give them"
    ):
        Recording("lab", StimulusSet.from_ids(["left", "right"]), {"M1": M1}, kinematics=other)


def test_wrong_kinematics_name_the_recording():
    with pytest.raises(ResponsesError, match="'lab': Kinematics do not say the unit"):
        Recording("lab", None, {"M1": M1}, kinematics=MOVED.drop_attrs())
