"""Round trips to rsatoolbox and back, and what rsatoolbox computes from what it is given."""

import warnings

import numpy as np
import pytest
import rsatoolbox
import xarray as xr

from brainalign.data.responses import make_rdms, make_responses
from brainalign.errors import ResponsesError
from brainalign.metrics.interchange import (
    from_rsatoolbox_dataset,
    from_rsatoolbox_rdms,
    to_rsatoolbox_dataset,
    to_rsatoolbox_rdms,
)
from brainalign.metrics.rdm import rdm_from_features, to_condensed

IDS = ["zebra", "apple", "10", "face", "house"]


def labelled_rdms() -> xr.DataArray:
    values = np.random.default_rng(0).random((3, 10))
    return make_rdms(values, IDS, ["s2", "s1", "s2"]).rename("IT")


def labelled_responses(dims: tuple[str, ...]) -> xr.DataArray:
    sizes = {"stimulus": 5, "trial": 8, "unit": 3, "repeat": 4, "time": 6}
    values = np.random.default_rng(1).normal(size=[sizes[dim] for dim in dims])
    stimuli = IDS if dims[0] == "stimulus" else [*IDS, "face", "face", "zebra"]
    time = [0.0, 0.01, 0.02, 0.03, 0.04, 0.05] if "time" in dims else None
    return make_responses(values, stimuli, region="V4", subject=["a", "b", "a"], dims=dims, time=time)


def test_rdms_come_back_as_they_went():
    rdms = labelled_rdms()
    there = to_rsatoolbox_rdms(rdms, "correlation")
    assert isinstance(there, rsatoolbox.rdm.RDMs)
    assert there.dissimilarity_measure == "correlation"
    assert list(there.pattern_descriptors["stimulus"]) == IDS
    assert list(there.rdm_descriptors["subject"]) == ["s2", "s1", "s2"]
    np.testing.assert_array_equal(there.get_vectors(), to_condensed(rdms.values))
    np.testing.assert_array_equal(there.get_matrices(), rdms.values)
    xr.testing.assert_identical(from_rsatoolbox_rdms(there), rdms)
    assert to_rsatoolbox_rdms(from_rsatoolbox_rdms(there)) == there


def test_rdms_survive_the_files_of_rsatoolbox(tmp_path):
    rdms = labelled_rdms()
    path = str(tmp_path / "rdms.h5")
    to_rsatoolbox_rdms(rdms).save(path, file_type="hdf5")
    xr.testing.assert_identical(from_rsatoolbox_rdms(rsatoolbox.rdm.rdms.load_rdm(path)), rdms)


def test_rdms_under_other_descriptors():
    there = rsatoolbox.rdm.RDMs(
        np.random.default_rng(2).random((2, 3)), pattern_descriptors={"image": [7, 8, 9]}
    )
    back = from_rsatoolbox_rdms(there, stimulus="image", subject="index")
    assert back["stimulus"].values.tolist() == ["7", "8", "9"]
    assert back["subject"].values.tolist() == ["0", "1"]
    with pytest.raises(ResponsesError, match=r"no pattern descriptor 'stimulus'; it has \['image', 'index'\]"):
        from_rsatoolbox_rdms(there)
    with pytest.raises(ResponsesError, match="no RDM descriptor 'subject'"):
        from_rsatoolbox_rdms(there, stimulus="image")


def test_rdms_with_missing_pairs_raise():
    there = to_rsatoolbox_rdms(labelled_rdms()).subsample_pattern("stimulus", ["zebra", "zebra", "10"])
    with pytest.raises(ResponsesError, match="repeats 1 stimulus ids, such as 'zebra'"):
        from_rsatoolbox_rdms(there)
    there = to_rsatoolbox_rdms(labelled_rdms())
    there.dissimilarities[0, 2] = np.nan
    with pytest.raises(ResponsesError, match="subject 's2' holds NaN"):
        from_rsatoolbox_rdms(there)


@pytest.mark.parametrize(
    "dims",
    [
        ("stimulus", "unit"),
        ("stimulus", "unit", "repeat"),
        ("stimulus", "unit", "time"),
        ("stimulus", "unit", "repeat", "time"),
    ],
)
def test_responses_come_back_as_they_went(dims):
    responses = labelled_responses(dims)
    there = to_rsatoolbox_dataset(responses)
    assert isinstance(there, rsatoolbox.data.TemporalDataset if "time" in dims else rsatoolbox.data.Dataset)
    xr.testing.assert_identical(from_rsatoolbox_dataset(there), responses)


@pytest.mark.parametrize("dims", [("trial", "unit"), ("trial", "unit", "time")])
def test_trials_come_back_as_they_went(dims):
    responses = labelled_responses(dims)
    back = from_rsatoolbox_dataset(to_rsatoolbox_dataset(responses))
    xr.testing.assert_identical(back.drop_vars("trial"), responses)
    numbered = responses.assign_coords(trial=np.arange(100, 108))
    xr.testing.assert_identical(from_rsatoolbox_dataset(to_rsatoolbox_dataset(numbered)), numbered)


def test_trials_of_unique_stimuli_stay_trials():
    responses = labelled_responses(("trial", "unit")).isel(trial=slice(5))
    assert from_rsatoolbox_dataset(to_rsatoolbox_dataset(responses)).dims == ("trial", "unit")


def test_missing_repeats_are_left_out_and_come_back_missing():
    responses = labelled_responses(("stimulus", "unit", "repeat"))
    responses[0, :, 3] = np.nan
    responses[2, :, 0] = np.nan
    responses[1, 2, 1] = np.nan
    there = to_rsatoolbox_dataset(responses)
    assert there.n_obs == 5 * 4 - 2
    xr.testing.assert_identical(from_rsatoolbox_dataset(there), responses)


def test_other_coordinates_travel_too():
    responses = labelled_responses(("stimulus", "unit", "repeat")).assign_coords(
        category=("stimulus", np.array(list("aabbc"), dtype=object)), depth=("unit", [0.1, 0.2, 0.3])
    )
    there = to_rsatoolbox_dataset(responses)
    assert list(there.channel_descriptors["depth"]) == [0.1, 0.2, 0.3]
    xr.testing.assert_identical(from_rsatoolbox_dataset(there), responses)


def test_rsatoolbox_computes_the_same_rdm_from_the_repeats():
    responses = labelled_responses(("stimulus", "unit", "repeat"))
    dataset = to_rsatoolbox_dataset(responses)
    with warnings.catch_warnings():
        # rsatoolbox 0.3.2 fills an array of the type of each descriptor, whole numbers too, with NaN.
        warnings.filterwarnings("ignore", "invalid value encountered in cast", RuntimeWarning)
        there = rsatoolbox.rdm.calc_rdm(dataset, method="correlation", descriptor="stimulus")
    ordered = responses.sortby("stimulus").mean("repeat")
    np.testing.assert_allclose(
        there.get_vectors()[0], rdm_from_features(ordered.values, "correlation"), atol=1e-10
    )
    assert list(there.pattern_descriptors["stimulus"]) == sorted(IDS)


def test_callers_array_is_not_shared():
    responses = labelled_responses(("stimulus", "unit"))
    to_rsatoolbox_dataset(responses).measurements[:] = 0
    assert (responses.values != 0).all()


def test_a_stimulus_that_was_never_recorded_raises():
    responses = labelled_responses(("stimulus", "unit", "repeat"))
    responses[1] = np.nan
    with pytest.raises(ResponsesError, match="1 stimuli, such as 'apple', have no presentation"):
        to_rsatoolbox_dataset(responses)


def test_time_without_times_raises():
    responses = labelled_responses(("stimulus", "unit", "time")).drop_vars("time")
    with pytest.raises(ResponsesError, match="time dimension without times"):
        to_rsatoolbox_dataset(responses)


def test_datasets_need_their_labels():
    there = rsatoolbox.data.Dataset(np.ones((2, 3)), obs_descriptors={"stimulus": ["a", "b"]})
    with pytest.raises(ResponsesError, match="no channel descriptor 'region'"):
        from_rsatoolbox_dataset(there)
    with pytest.raises(ResponsesError, match="no observation descriptor 'image'"):
        from_rsatoolbox_dataset(there, stimulus="image")


@pytest.mark.parametrize("repeats", [[0, 0], [0, -1], [0.5, 1.0]])
def test_repeats_must_be_numbered(repeats):
    there = rsatoolbox.data.Dataset(
        np.ones((2, 1)),
        obs_descriptors={"stimulus": ["a", "a"], "repeat": repeats},
        channel_descriptors={"region": ["V4"], "subject": ["m"]},
    )
    with pytest.raises(ResponsesError, match="'repeat' must number the presentations"):
        from_rsatoolbox_dataset(there)
