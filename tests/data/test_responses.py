"""Responses and RDMs: labels, shapes, and what is refused."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from brainalign.data.responses import RESPONSE_DIMS, check_rdms, check_responses, make_rdms, make_responses
from brainalign.errors import ResponsesError

IDS = ["a", "b", "c"]
RDM = np.array([[0.0, 1, 2], [1, 0, 3], [2, 3, 0]])


@pytest.mark.parametrize("dims", RESPONSE_DIMS)
def test_every_form_of_responses(dims):
    sizes = {"stimulus": 3, "trial": 3, "unit": 2, "repeat": 4, "time": 5}
    values = np.random.default_rng(0).normal(size=[sizes[dim] for dim in dims])
    time = [0.0, 0.1, 0.2, 0.3, 0.4] if "time" in dims else None
    made = make_responses(values, IDS, region="V4", subject=["m1", "m2"], dims=dims, time=time)
    assert made.dims == dims
    assert made["stimulus"].dims == dims[:1]
    assert made["region"].values.tolist() == ["V4", "V4"]
    assert made["subject"].values.tolist() == ["m1", "m2"]
    assert ("time" in made.coords) == ("time" in dims)
    np.testing.assert_array_equal(made.values, values)


def test_trials_may_repeat_a_stimulus():
    made = make_responses(np.ones((3, 2)), ["a", "b", "a"], region="V4", dims=("trial", "unit"))
    assert made["stimulus"].values.tolist() == ["a", "b", "a"]


def test_missing_values_are_kept():
    values = np.array([[1.0, np.nan], [2, 3], [4, 5]])
    np.testing.assert_array_equal(make_responses(values, IDS, region="V4").values, values)


def test_callers_array_is_not_changed():
    values = np.arange(6.0).reshape(3, 2)
    before = values.copy()
    make_responses(values, IDS, region="V4")
    make_rdms(RDM[None], IDS, ["s"])
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize(
    ("values", "ids", "options", "message"),
    [
        (np.ones((3, 2, 1)), IDS, {}, r"shape \(3, 2, 1\) cannot have the dimensions"),
        (np.ones((3, 2)), IDS, {"dims": ("unit", "stimulus")}, r"expected one of \(stimulus, unit\)"),
        (np.ones((3, 2)), IDS[:2], {}, "2 stimulus ids were given for 3 rows"),
        (np.ones((3, 2)), ["a", "b", "b"], {}, "repeats 1 stimulus ids, such as 'b'"),
        (np.ones((3, 2)), IDS, {"subject": ["m1"]}, "1 subjects were named for 2 units"),
        (np.array([[1, np.inf]] * 3), IDS, {}, "infinite values; mark missing ones as NaN"),
        (np.array([["x", "y"]] * 3), IDS, {}, "expected numbers"),
        (np.ones((3, 2), dtype=complex), IDS, {}, "expected numbers"),
        (np.ones((3, 2), dtype=bool), IDS, {}, "expected numbers"),
    ],
)
def test_wrong_responses(values, ids, options, message):
    with pytest.raises(ResponsesError, match=message):
        make_responses(values, ids, region="V4", **options)


@pytest.mark.parametrize("label", ["stimulus", "region", "subject"])
def test_responses_without_a_label(label):
    made = make_responses(np.ones((3, 2)), IDS, region="V4")
    with pytest.raises(ResponsesError, match=f"lack the coordinate '{label}'"):
        check_responses(made.drop_vars(label))


def test_check_returns_the_same_object():
    made = make_responses(np.ones((3, 2)), IDS, region="V4")
    assert check_responses(made) is made
    rdms = make_rdms(RDM[None], IDS, ["s"])
    assert check_rdms(rdms) is rdms


@given(hnp.arrays(float, st.integers(2, 8).map(lambda n: n * (n - 1) // 2), elements=st.floats(0, 9)))
def test_triangle_and_square_agree(triangle):
    n = round((1 + np.sqrt(1 + 8 * len(triangle))) / 2)
    ids = [str(i) for i in range(n)]
    from_triangle = make_rdms(triangle[None], ids, ["s"]).values[0]
    position = 0
    for row in range(n):
        assert from_triangle[row, row] == 0
        for column in range(row + 1, n):
            assert from_triangle[row, column] == from_triangle[column, row] == triangle[position]
            position += 1
    np.testing.assert_array_equal(make_rdms(from_triangle[None], ids, ["s"]).values[0], from_triangle)


def test_rdms_are_labelled_on_both_sides():
    rdms = make_rdms(np.stack([RDM, 2 * RDM]), IDS, ["s", "s"])
    assert rdms["subject"].values.tolist() == ["s", "s"]
    assert rdms.sel(stimulus="a", other_stimulus="c").values.tolist() == [2.0, 4.0]


def test_diagonal_may_be_undefined():
    undefined = RDM.copy()
    np.fill_diagonal(undefined, np.nan)
    assert make_rdms(undefined[None], IDS, ["s"]).shape == (1, 3, 3)


def with_pair(value: float, other: float) -> np.ndarray:
    rdm = RDM.copy()
    rdm[0, 1], rdm[1, 0] = value, other
    return rdm[None]


@pytest.mark.parametrize(
    ("values", "subjects", "message"),
    [
        (with_pair(9, 1), ["s"], "not symmetric"),
        (with_pair(np.nan, np.nan), ["s"], "subject 's' holds NaN or infinite"),
        (with_pair(np.inf, np.inf), ["s"], "subject 's' holds NaN or infinite"),
        (RDM[None], ["s", "t"], r"shape \(1, 3, 3\) fit neither \(2, 3, 3\) nor \(2, 3\)"),
        (np.ones((1, 4, 4)), ["s"], r"shape \(1, 4, 4\) fit neither"),
        (np.ones((1, 5)), ["s"], r"shape \(1, 5\) fit neither"),
    ],
)
def test_wrong_rdms(values, subjects, message):
    with pytest.raises(ResponsesError, match=message):
        make_rdms(values, IDS, subjects)


def test_rdms_with_other_labels():
    rdms = make_rdms(RDM[None], IDS, ["s"])
    with pytest.raises(ResponsesError, match="Rows and columns .* name different stimuli"):
        check_rdms(rdms.assign_coords(other_stimulus=["c", "b", "a"]))
    with pytest.raises(ResponsesError, match="each labelled"):
        check_rdms(rdms.drop_vars("subject"))
    with pytest.raises(ResponsesError, match="repeats 1 stimulus ids"):
        make_rdms(RDM[None], ["a", "b", "b"], ["s"])
    with pytest.raises(ResponsesError, match="expected"):
        check_rdms(xr.DataArray(RDM, dims=["stimulus", "other_stimulus"]))
