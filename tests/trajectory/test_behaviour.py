"""Learning curves: against plain loops over rows, with gaps that stay gaps, and anchors that are known."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from brainalign.data import Recording, make_responses
from brainalign.errors import NeedsError, ResponsesError, UnknownNameError
from brainalign.trajectory.behaviour import count_back, learning_curves


@pytest.fixture
def trials():
    """Seven people of two groups and unequal patience, three items, rows of 0 to 4 trials in no order."""
    generator = np.random.default_rng(3)
    rows = [
        {"subject": f"p{person}", "group": "ab"[person % 2], "trial": trial, "item": item}
        for person in range(7)
        for trial in range(1, 13 - person)
        for item in ("hard", "easy", "middling")
    ]
    table = pd.DataFrame(rows)
    table["n_trials"] = generator.integers(0, 5, len(table))
    right = generator.integers(0, table["n_trials"] + 1)
    table["correct"] = np.where(table["n_trials"] > 0, right / table["n_trials"].clip(1), np.nan)
    return table.sample(frac=1, random_state=0)


def _by_loop(table, lows, highs, item=None):
    """Average row by row, in the order of the subjects' first rows."""
    subjects = list(dict.fromkeys(table["subject"]))
    curves = np.full((len(subjects), len(lows)), np.nan)
    for s, subject in enumerate(subjects):
        for b, (low, high) in enumerate(zip(lows, highs, strict=True)):
            right = answered = 0.0
            for row in table.itertuples():
                if (
                    row.subject == subject
                    and low <= row.trial <= high
                    and item in (None, row.item)
                    and row.n_trials
                ):
                    right += row.correct * row.n_trials
                    answered += row.n_trials
            if answered:
                curves[s, b] = right / answered
    return curves


def test_curves_are_weighted_means_of_rows(trials):
    curves = learning_curves(trials)
    steps = range(1, 13)
    np.testing.assert_allclose(curves.values, _by_loop(trials, steps, steps), rtol=0, atol=1e-14)
    assert curves.dims == ("subject", "step")
    assert curves["subject"].values.tolist() == list(dict.fromkeys(trials["subject"]))
    assert curves["step"].values.tolist() == list(steps)
    assert curves.name == "correct"
    assert np.isnan(curves.values).any()


def test_blocks_and_items(trials):
    curves = learning_curves(trials, block=5, item="item")
    assert curves.dims == ("subject", "step", "item")
    assert curves["step"].values.tolist() == [3, 8, 11.5]
    assert curves["item"].values.tolist() == list(dict.fromkeys(trials["item"]))
    for item in curves["item"].values:
        expected = _by_loop(trials, [1, 6, 11], [5, 10, 12], item)
        np.testing.assert_allclose(curves.sel(item=item).values, expected, rtol=0, atol=1e-14)


def test_origin_shifts_the_blocks(trials):
    curves = learning_curves(trials, block=5, origin=0)
    assert curves["step"].values.tolist() == [2.5, 7, 11]
    np.testing.assert_allclose(curves.values, _by_loop(trials, [0, 5, 10], [4, 9, 14]), rtol=0, atol=1e-14)


def test_order_of_rows_changes_nothing_but_the_order_of_names(trials):
    ordered = trials.sort_values(["subject", "trial"])
    other = learning_curves(ordered, item="item")
    xr.testing.assert_allclose(learning_curves(trials, item="item").reindex_like(other), other, atol=1e-14)


def test_a_table_is_left_as_it_was(trials):
    before = trials.copy()
    learning_curves(trials, item="item", block=3, after_last=1.0)
    count_back(trials)
    pd.testing.assert_frame_equal(trials, before)


def test_what_is_constant_in_a_subject_labels_it(trials):
    curves = learning_curves(trials, item="item")
    assert set(curves.coords) == {"subject", "step", "item", "group"}
    expected = ["ab"[int(name[1:]) % 2] for name in curves["subject"].values]
    assert curves["group"].values.tolist() == expected
    assert curves[curves["group"] == "b"].sizes["subject"] == 3


def test_a_subject_without_a_value_stays_as_a_row_of_nan():
    table = pd.DataFrame({"subject": ["b", "a", "c"], "trial": [1, 1, 2], "correct": [np.nan, 1.0, 0.0]})
    for after_last in (None, 1.0):
        curves = learning_curves(table, after_last=after_last)
        assert curves["subject"].values.tolist() == ["b", "a", "c"]
        assert np.isnan(curves.sel(subject="b")).all()


def test_gaps_are_never_zero_nor_filled_before_the_last_trial():
    table = pd.DataFrame(
        {"subject": ["a", "a", "b", "b"], "trial": [1, 3, 2, 4], "correct": [0.0, 0.0, 1.0, 0.0]}
    )
    nan = np.nan
    np.testing.assert_array_equal(learning_curves(table).values, [[0, nan, 0, nan], [nan, 1, nan, 0]])
    np.testing.assert_array_equal(
        learning_curves(table, after_last=0.9).values, [[0, nan, 0, 0.9], [nan, 1, nan, 0]]
    )


def test_steps_that_are_no_whole_numbers_are_left_alone():
    table = pd.DataFrame({"subject": ["a", "b"], "age": [6.2, 6.4], "correct": [0.0, 1.0]})
    assert learning_curves(table, step="age")["step"].values.tolist() == [6.2, 6.4]
    assert learning_curves(table, step="age", block=1, origin=6)["step"].values.tolist() == pytest.approx([6.3])


def test_the_bias_of_both_ways_to_treat_those_who_left():
    """All-or-none learners at 0.5 before and 0.95 after, gone once five in a row were right."""
    generator = np.random.default_rng(0)
    rows, truth = [], np.zeros(60)
    for person in range(600):
        learned = generator.geometric(0.08)
        chance = np.where(np.arange(1, 61) < learned, 0.5, 0.95)
        truth += chance / 600
        run = 0
        for trial in range(1, 61):
            right = generator.random() < chance[trial - 1]
            rows.append({"subject": person, "trial": trial, "correct": float(right)})
            run = run + 1 if right else 0
            if run == 5:
                break
    table = pd.DataFrame(rows)
    those_left = learning_curves(table, block=10).mean("subject").values
    all_right = learning_curves(table, block=10, after_last=1.0).mean("subject").values
    truth = truth.reshape(6, 10).mean(axis=1)
    assert (those_left[1:4] < truth[1:4] - 0.05).all()
    assert (all_right[1:] > truth[1:] + 0.02).all()


def test_counting_back_aligns_at_the_last_error():
    table = pd.DataFrame(
        {
            "subject": list("aaaabbbc"),
            "trial": [1, 2, 3, 4, 1, 2, 3, 1],
            "correct": [0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0],
        }
    )
    assert count_back(table)["from_last_error"].fillna(99).tolist() == [-2, -1, 0, 1, -2, -1, 0, 99]
    assert count_back(table, "last_trial")["from_last_trial"].tolist() == [-3, -2, -1, 0, -2, -1, 0, 0]
    curves = learning_curves(count_back(table), step="from_last_error")
    np.testing.assert_array_equal(
        curves.values, [[0, 1, 0, 1], [1, 0, 0, np.nan], [np.nan] * 4]
    )  # fmt: skip
    blocks = learning_curves(count_back(table), step="from_last_error", block=2, origin=0)
    assert blocks["step"].values.tolist() == [-1.5, 0.5]


def test_all_or_none_learning_is_flat_before_the_last_error():
    """The curve from the beginning rises; aligned at the last error it stays at the chance it was made with."""
    generator = np.random.default_rng(1)
    rows = []
    for person in range(500):
        last_error = generator.integers(1, 40)
        guesses = (generator.random(last_error) < 0.5).astype(float)
        guesses[-1] = 0
        for trial, right in enumerate([*guesses, *np.ones(40 - last_error)], start=1):
            rows.append({"subject": person, "trial": trial, "correct": right})
    table = pd.DataFrame(rows)
    forward = learning_curves(table).mean("subject").values
    assert forward[-1] - forward[0] > 0.4
    backward = learning_curves(count_back(table), step="from_last_error").mean("subject")
    before = backward.sel(step=slice(-20, -1)).values
    assert abs(before[10:].mean() - before[:10].mean()) < 0.04
    assert abs(before.mean() - 0.5) < 0.02
    assert backward.sel(step=0) == 0
    assert (backward.sel(step=slice(1, None)) == 1).all()


def test_a_recording_says_where_curves_come_from(trials):
    curves = learning_curves(Recording("lab", behaviour=trials), block=2)
    assert curves.attrs == {"recording": "lab", "simulated": 0, "block": 2, "step_is": "trial"}
    xr.testing.assert_equal(curves, learning_curves(trials, block=2))
    assert "from_last_error" in count_back(Recording("lab", behaviour=trials))


def test_curves_can_be_written_and_read(trials, tmp_path):
    curves = learning_curves(Recording("lab", behaviour=trials), item="item", block=2)
    curves.to_netcdf(tmp_path / "curves.nc", engine="h5netcdf")
    with xr.open_dataarray(tmp_path / "curves.nc", engine="h5netcdf") as read:
        np.testing.assert_array_equal(read.values, curves.values)
        assert read["group"].values.tolist() == curves["group"].values.tolist()


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        (
            {},
            {"value": "correct_"},
            UnknownNameError,
            "Unknown column of behaviour 'correct_'. Did you mean 'correct'",
        ),
        ({}, {"step": "trials"}, UnknownNameError, "Did you mean 'trial'"),
        ({}, {"item": "itm"}, UnknownNameError, "Did you mean 'item'"),
        ({}, {"step": "group"}, ResponsesError, "The column 'group' holds .*; expected numbers"),
        ({}, {"value": "item"}, ResponsesError, "The column 'item' holds .*; expected numbers"),
        ({}, {"block": 0}, ResponsesError, "A block of 0 steps"),
        ({}, {"block": np.nan}, ResponsesError, "A block of nan steps"),
        (
            {"correct": np.nan},
            {},
            ResponsesError,
            "No row of behaviour has a value of 'correct' at a step of 'trial'",
        ),
        ({"n_trials": 0}, {}, ResponsesError, "No row of behaviour has a value"),
        ({"correct": 2.0}, {}, ResponsesError, "leaves"),
    ],
)
def test_wrong_curves(trials, change, options, error, message):
    with pytest.raises(error, match=message):
        learning_curves(trials.assign(**change), **options)


def test_wrong_recording_and_anchor(trials):
    neural = Recording("lab", responses={"V4": make_responses(np.ones((2, 1)), ["a", "b"], region="V4")})
    for ask in (learning_curves, count_back):
        with pytest.raises(NeedsError, match="'lab' holds no behaviour"):
            ask(neural)
    with pytest.raises(UnknownNameError, match="Unknown anchor 'last_eror'. Did you mean 'last_error'"):
        count_back(trials, "last_eror")
    with pytest.raises(UnknownNameError, match="Unknown column of behaviour 'trial'"):
        count_back(trials.drop(columns="trial"))
