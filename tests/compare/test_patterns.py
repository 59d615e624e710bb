"""Responses in the form that metrics compare: averaged, sorted, masked and counted."""

import numpy as np
import pytest
import xarray as xr

from brainalign.compare.patterns import find_patterns
from brainalign.data.responses import make_responses
from brainalign.errors import NeedsError, ResponsesError

OWNER = "Region 'V4' of 'test'"
N = 20
IDS = [f"s{i:02d}" for i in range(N)]


def counts(n_units=4, n_repeats=5, seed=0):
    return np.random.default_rng(seed).poisson(5.0, (N, n_units, n_repeats)).astype(float)


def repeated(values, ids=IDS, subject="m"):
    return make_responses(values, ids, region="V4", subject=subject, dims=("stimulus", "unit", "repeat"))


def as_trials(values, generator=None):
    """Presentations one after another, those that are missing left out, in any order."""
    rows = [(i, values[i, :, k]) for i in range(N) for k in range(values.shape[2])]
    rows = [(i, trial) for i, trial in rows if not np.isnan(trial).all()]
    if generator is not None:
        rows = [rows[k] for k in generator.permutation(len(rows))]
    trials, ids = np.stack([trial for _, trial in rows]), [IDS[i] for i, _ in rows]
    return make_responses(trials, ids, region="V4", subject="m", dims=("trial", "unit"))


def test_averages_over_repeats_that_are_there():
    values = counts()
    values[3, :, 2:] = np.nan
    found = find_patterns(repeated(values), OWNER)
    np.testing.assert_allclose(found.mean, np.nanmean(values, axis=2), rtol=1e-14)
    assert found.stimuli == tuple(IDS)
    assert found.n_masked == 0


def test_rows_come_out_sorted_by_id():
    order = np.random.default_rng(1).permutation(N)
    values = counts()
    plain = find_patterns(repeated(values), OWNER)
    shuffled = find_patterns(repeated(values[order], [IDS[i] for i in order]), OWNER)
    assert shuffled.stimuli == plain.stimuli
    np.testing.assert_array_equal(shuffled.mean, plain.mean)
    np.testing.assert_array_equal(shuffled.repeats, plain.repeats)


def test_ids_sort_as_text():
    ids = [f"image{i}" for i in range(N)]
    found = find_patterns(make_responses(counts()[:, :, 0], ids, region="V4", subject="m"), OWNER)
    assert found.stimuli == tuple(sorted(ids))
    np.testing.assert_array_equal(found.mean[1], counts()[1, :, 0])
    np.testing.assert_array_equal(found.mean[2], counts()[10, :, 0])


def test_trials_equal_repeats_in_whatever_order_they_are_stored():
    values = counts()
    values[3, :, 2:] = values[7, :, 1] = np.nan
    plain = find_patterns(repeated(values), OWNER)
    for generator in (None, np.random.default_rng(2), np.random.default_rng(3)):
        found = find_patterns(as_trials(values, generator), OWNER)
        assert found.stimuli == plain.stimuli
        np.testing.assert_array_equal(found.mean, plain.mean)
        np.testing.assert_array_equal(found.repeats, plain.repeats)


def test_empty_repeats_at_the_end_change_nothing():
    values = counts()
    padded = np.concatenate([values, np.full((N, 4, 3), np.nan)], axis=2)
    np.testing.assert_array_equal(
        find_patterns(repeated(padded), OWNER).repeats, find_patterns(repeated(values), OWNER).repeats
    )


def test_presentations_stay_whole():
    # All units of one presentation carry its number, so a torn one would show.
    values = np.arange(N * 5.0).reshape(N, 1, 5) + np.zeros((1, 4, 1))
    values = np.take_along_axis(
        values, np.random.default_rng(4).permuted(np.tile(np.arange(5), (N, 1, 1)), axis=2), axis=2
    )
    found = find_patterns(repeated(values), OWNER)
    assert (found.repeats == found.repeats[:, :1]).all()
    np.testing.assert_array_equal(np.sort(found.repeats[:, 0]), np.sort(values[:, 0]))


def test_repeats_of_one_stimulus_never_go_to_another():
    values = counts()
    found = find_patterns(repeated(values), OWNER)
    for row in range(N):
        ours = {tuple(found.repeats[row, :, k]) for k in range(5)}
        assert ours == {tuple(values[row, :, k]) for k in range(5)}


def test_does_not_change_the_callers_array():
    responses = repeated(counts())
    responses.values[0, 0] = np.nan
    before = responses.copy(deep=True)
    find_patterns(responses, OWNER)
    xr.testing.assert_identical(responses, before)


def test_units_that_miss_a_stimulus_or_never_change_are_masked_and_counted():
    values = counts(n_units=6)
    values[4, 1] = np.nan
    values[5, 2, :4] = np.nan
    values[:, 3] = 2.0
    values[:, 5, 1:] = np.nan
    values[:, 5, 0] = 0.0
    responses = repeated(values, subject=["a", "a", "b", "b", "b", "b"]).assign_coords(
        unit=[f"u{i}" for i in range(6)]
    )
    found = find_patterns(responses, OWNER)
    assert found.units == ("u0", "u2", "u4")
    assert found.subjects == ("a", "b", "b")
    assert found.n_masked == 3
    np.testing.assert_allclose(found.mean, np.nanmean(values[:, [0, 2, 4]], axis=2), rtol=1e-14)


def test_a_constant_unit_is_found_behind_the_rounding_of_its_mean():
    values = counts()
    values[:, 2] = 0.1
    values[::2, 2, 3:] = np.nan
    # The mean of three and of five equal numbers need not be the same floating-point number.
    assert np.ptp(np.nansum(values[:, 2], axis=1) / (~np.isnan(values[:, 2])).sum(axis=1)) > 0
    assert find_patterns(repeated(values), OWNER).n_masked == 1


def test_a_small_modulation_on_a_large_rate_is_no_constant():
    values = 1e6 + 1e-3 * counts()
    assert find_patterns(repeated(values), OWNER).n_masked == 0


def test_a_unit_that_is_silent_but_once_is_kept():
    values = np.zeros((N, 4, 5))
    values[3] = 1.0
    assert find_patterns(repeated(values), OWNER).n_masked == 0


def test_no_unit_left_raises():
    values = counts()
    values[0, :2] = np.nan
    values[:, 2:] = 1.0
    with pytest.raises(ResponsesError, match="no unit left: of 4, 2 miss responses and 2 never change"):
        find_patterns(repeated(values), OWNER)


@pytest.mark.parametrize("dims", [("stimulus", "unit", "time"), ("trial", "unit", "time")])
def test_responses_over_time_must_be_averaged_first(dims):
    responses = make_responses(counts(), IDS, region="V4", subject="m", dims=dims, time=0.1 * np.arange(5.0))
    with pytest.raises(NeedsError, match=r"choose a window and average it first.*mean\('time'\)"):
        find_patterns(responses, OWNER)
    averaged = responses.sel(time=slice(0.05, 0.35)).mean("time")
    np.testing.assert_allclose(find_patterns(averaged, OWNER).mean, counts()[:, :, 1:4].mean(axis=2))


@pytest.mark.parametrize("n", [1, 9])
def test_fewer_than_ten_stimuli_raise(n):
    responses = repeated(counts()[:n], IDS[:n])
    with pytest.raises(ResponsesError, match=f"has {n} stimuli; a comparison needs 10 at least"):
        find_patterns(responses, OWNER)
    assert find_patterns(repeated(counts()[:10], IDS[:10]), OWNER).stimuli == tuple(IDS[:10])


def test_trials_count_by_stimulus():
    responses = make_responses(
        np.random.default_rng(0).normal(size=(90, 3)),
        [IDS[i % 9] for i in range(90)],
        region="V4",
        subject="m",
        dims=("trial", "unit"),
    )
    with pytest.raises(ResponsesError, match="has 9 stimuli"):
        find_patterns(responses, OWNER)


@pytest.mark.parametrize("n_repeated", [0, 9, 10])
def test_a_few_repeated_stimuli_are_no_repeats(n_repeated):
    values = counts(n_repeats=3)
    values[n_repeated:, :, 1:] = np.nan
    found = find_patterns(repeated(values), OWNER)
    assert (found.repeats is None) == (n_repeated < 10)
    np.testing.assert_allclose(found.mean, np.nanmean(values, axis=2), rtol=1e-14)


def test_one_repeat_is_no_repeats():
    assert find_patterns(repeated(counts(n_repeats=1)), OWNER).repeats is None
    assert find_patterns(repeated(counts(n_repeats=1)).isel(repeat=0), OWNER).repeats is None


def test_units_without_names_are_numbered():
    assert find_patterns(repeated(counts()), OWNER).units == ("0", "1", "2", "3")


def test_whole_numbers_are_taken():
    found = find_patterns(repeated(counts().astype(np.int32)), OWNER)
    np.testing.assert_allclose(found.mean, counts().mean(axis=2), rtol=1e-14)
