"""Facts of the balance scale, discrimination learning and weather prediction, and of their curves."""

import numpy as np
import pandas as pd
import pytest
import rdata

from brainalign.data.cards import find_card
from brainalign.data.load import load_recording
from brainalign.trajectory.behaviour import count_back, learning_curves
from brainalign.trajectory.half_ceilings import half_ceilings

pytestmark = pytest.mark.data


@pytest.fixture
def balance(mirror):
    return load_recording("visser_hmmr/balance8")


@pytest.fixture
def discrimination(mirror):
    return load_recording("visser_hmmr/discrimination")


@pytest.fixture
def weather(mirror):
    return load_recording("visser_hmmr/WPT")


def _published(mirror, name):
    card, _ = find_card("visser_hmmr")
    url = next(file.url for file in card.files if file.path == f"{name}.rda")
    return rdata.read_rda(mirror / url.removeprefix("https://"))[name]


def test_balance_is_what_the_file_says(balance, mirror):
    table, published = balance.behaviour, _published(mirror, "balance8")
    assert table["subject"].nunique() == 1004
    assert len(table) == 1004 * 8 * 5
    assert set(table["item"]) == {
        "weight",
        "distance",
        "conflict-weight",
        "conflict-distance",
        "conflict-balance",
    }
    right = (table["correct"] * table["n_trials"]).fillna(0).groupby(table["item"]).sum()
    for item, prefix in (("distance", "d"), ("conflict-weight", "cw"), ("conflict-balance", "cb")):
        assert right[item] == pytest.approx(published[f"{prefix}c"].sum(), abs=1e-6)
    assert table["n_trials"].sum() == np.nansum(published["totalTrials"])


def test_balance_what_was_never_answered_is_missing(balance):
    table = balance.behaviour
    missing = table[table["n_trials"] == 0]
    assert missing["correct"].isna().all()
    assert table.loc[table["n_trials"] > 0, "correct"].notna().all()
    assert missing.groupby("item").size().to_dict() == {
        "weight": 603,
        "distance": 603,
        "conflict-weight": 603,
        "conflict-distance": 603,
        "conflict-balance": 604,
    }


@pytest.mark.parametrize(
    ("item", "at_6", "at_16"),
    [("distance", 0.17, 0.96), ("conflict-distance", 0.09, 0.80), ("conflict-weight", 0.88, 0.34)],
)
def test_balance_from_6_to_16_years(balance, item, at_6, at_16):
    table = balance.behaviour
    by_year = table[table["item"] == item].groupby("year")["correct"].mean()
    assert by_year.index.tolist() == list(range(6, 17))
    assert by_year[6] == pytest.approx(at_6, abs=0.005)
    assert by_year[16] == pytest.approx(at_16, abs=0.005)


def test_balance_curves_by_year_and_by_occasion(balance):
    table = balance.behaviour
    years = learning_curves(balance, step="year", item="item")
    assert dict(years.sizes) == {"subject": 1004, "step": 11, "item": 5}
    # Cross-sectional: each child at one age alone, three children nowhere.
    assert np.bincount(years.notnull().any("item").sum("step").values).tolist() == [3, 1001]
    child = table[(table["subject"] == "child_0002") & (table["item"] == "distance")]
    expected = (child["correct"] * child["n_trials"]).sum() / child["n_trials"].sum()
    assert years.sel(subject="child_0002", step=6, item="distance") == pytest.approx(expected)
    means = years.sel(item=["distance", "conflict-distance", "conflict-weight"]).mean("subject")
    change = (means.sel(step=16) - means.sel(step=6)).values
    assert (np.sign(change) == [1, 1, -1]).all()
    assert (abs(change) > 0.5).all()
    occasions = learning_curves(balance, step="occasion", item="item")
    assert dict(occasions.sizes) == {"subject": 1004, "step": 8, "item": 5}
    assert {"age", "year", "sex", "grade", "school"} <= set(occasions.coords)


def test_balance_halves_of_the_children_agree(balance):
    years = learning_curves(balance, step="year", item="item")
    found = half_ceilings(years.sel(item="distance", drop=True), 50, np.random.default_rng(0))
    assert found.n_subjects == 1001
    assert found.ceiling > 0.98
    shuffled = balance.behaviour.assign(
        year=np.random.default_rng(1).permutation(balance.behaviour["year"].to_numpy())
    )
    chance = half_ceilings(
        learning_curves(shuffled, step="year", item="item").sel(item="distance", drop=True),
        50,
        np.random.default_rng(0),
    )
    assert chance.correlation < 0.5


def test_discrimination_is_what_the_file_says(discrimination, mirror):
    table = discrimination.behaviour
    assert (table["subject"].nunique(), len(table)) == (192, 3139)
    published = (_published(mirror, "discrimination")["acc"] == "correct").to_numpy()
    np.testing.assert_array_equal(table["correct"], published)
    assert table["correct"].sum() == 2289


def test_discrimination_ends_for_each_at_nine_right_of_the_last_ten(discrimination):
    for _, person in discrimination.behaviour.groupby("subject", sort=False):
        right = person["correct"].to_numpy()
        assert person["trial"].tolist() == list(range(1, len(right) + 1))
        reached = [end for end in range(1, len(right) + 1) if right[max(0, end - 10) : end].sum() >= 9]
        assert reached == [len(right)]


def test_discrimination_both_forward_curves_and_what_selection_makes_certain(discrimination):
    those_left = learning_curves(discrimination, block=5)
    all_right = learning_curves(discrimination, block=5, after_last=1.0)
    assert those_left.notnull().sum("subject").values[[0, -1]].tolist() == [192, 3]
    assert all_right.notnull().all()
    # Among those who are still at it the proportion falls from the second block on: the fast have left.
    left, everyone = those_left.mean("subject").values, all_right.mean("subject").values
    assert left[3] < left[1] - 0.05
    assert (np.diff(everyone) > 0).all()
    at_error = learning_curves(count_back(discrimination), step="from_last_error").mean("subject")
    assert at_error.sel(step=0) == 0
    assert (at_error.sel(step=slice(1, None)) == 1).all()
    at_end = learning_curves(count_back(discrimination, "last_trial"), step="from_last_trial")
    assert at_end.sel(step=slice(-9, 0)).sum("step").values.tolist() == [9] * 192


def test_weather_prediction(weather, mirror):
    table, published = weather.behaviour, _published(mirror, "WPT")
    assert table["subject"].nunique() == 24
    assert (table.groupby(["subject", "occasion"]).size() == 200).all()
    assert table.groupby("group")["subject"].nunique().to_dict() == {"Control": 13, "PD": 11}
    assert set(table.loc[table["group"] == "PD", "medication"]) == {"on", "off"}
    assert set(table.loc[table["group"] == "Control", "medication"]) == {""}
    hits = [outcome == response for outcome, response in zip(published["y"], published["r"], strict=True)]
    np.testing.assert_array_equal(table["correct"], hits)
    curves = learning_curves(weather, block=50)
    assert dict(curves.sizes) == {"subject": 24, "step": 4}
    means = curves.mean("subject").values
    np.testing.assert_allclose(means[[0, -1]], [0.64, 0.70], atol=0.005)
    occasions = learning_curves(weather, block=50, item="occasion")
    assert occasions["item"].values.tolist() == [1, 2]
    np.testing.assert_allclose(occasions.mean("item").values, curves.values, atol=1e-12)


def test_unanswered_tables_keep_their_types(balance, weather):
    for table in (balance.behaviour, weather.behaviour):
        assert not table.drop(columns="correct").isna().any(axis=None)
        assert isinstance(table.index, pd.RangeIndex)
