"""Splits are Brain-Score's, disjoint, and never part two ids of one image."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

from brainalign.compare.splits import commitment_split, halves, labels, train_test_splits
from brainalign.errors import ResponsesError


def assert_same(splits, expected):
    assert len(splits) == 10
    for (train, test), (expected_train, expected_test) in zip(splits, expected, strict=True):
        np.testing.assert_array_equal(train, expected_train)
        np.testing.assert_array_equal(test, expected_test)


@pytest.mark.parametrize("n", [50, 51, 59, 70, 92, 99, 280, 640, 1200, 2560])
def test_equals_brain_scores(n):
    expected = ShuffleSplit(10, train_size=0.9, random_state=1).split(np.empty(n))
    assert_same(train_test_splits(n), expected)


@pytest.mark.parametrize("n", [50, 70, 255, 640, 2560])
def test_with_strata_equals_brain_scores(n):
    strata = np.array([f"object{i % 5}" for i in range(n)])
    expected = StratifiedShuffleSplit(10, train_size=0.9, random_state=1).split(np.empty(n), strata)
    assert_same(train_test_splits(n, strata), expected)


@given(n=st.integers(10, 300))
def test_test_sets_hold_a_tenth_and_at_least_five(n):
    for train, test in train_test_splits(n):
        assert len(test) == max(int(np.ceil(n / 10)), 5)
        assert sorted([*train, *test]) == list(range(n))


@given(n_strata=st.integers(2, 30), each=st.integers(2, 12))
def test_every_stratum_is_in_every_test_set_that_can_hold_it(n_strata, each):
    strata = np.repeat([f"s{i}" for i in range(n_strata)], each)
    if len(strata) < 10:
        return
    for train, test in train_test_splits(len(strata), strata):
        assert not set(train) & set(test)
        assert len(test) >= max(n_strata, 5, len(strata) // 10)
        shares = pd.Series(strata[test]).value_counts()
        assert shares.max() - shares.reindex(np.unique(strata), fill_value=0).min() <= 1


def test_a_stratum_of_one_stimulus_raises():
    strata = np.array(["a"] * 30 + ["b"])
    with pytest.raises(ResponsesError, match="Stratum 'b' holds a single stimulus.*'stratum'"):
        train_test_splits(31, strata)


def pairs(n):
    """Every stimulus under two ids."""
    return np.array([f"image{i % (n // 2)}" for i in range(n)])


@given(n=st.integers(30, 200).map(lambda half: 2 * half))
def test_no_image_is_in_training_and_in_test_set(n):
    groups = pairs(n)
    for (train, test), (whole, same) in zip(
        train_test_splits(n, groups=groups), train_test_splits(n), strict=True
    ):
        np.testing.assert_array_equal(test, same)
        assert not set(groups[train]) & set(groups[test])
        # No more than that is left out.
        np.testing.assert_array_equal(train, [row for row in whole if groups[row] not in groups[test]])


def test_unique_images_change_nothing():
    ids = np.array([f"image{i:03d}" for i in range(100)])
    assert_same(train_test_splits(100, groups=ids), train_test_splits(100))
    generators = [np.random.default_rng(0) for _ in range(2)]
    for grouped, plain in zip(
        halves(60, 3, generators[0], ids[:60]), halves(60, 3, generators[1]), strict=True
    ):
        np.testing.assert_array_equal(grouped[0], plain[0])
        np.testing.assert_array_equal(grouped[1], plain[1])


@given(n=st.integers(10, 400), seed=st.integers(0, 1000))
def test_commitment_parts_the_training_set(n, seed):
    train = np.random.default_rng(seed).permutation(1000)[:n]
    fit, choose = commitment_split(train, np.random.default_rng(seed))
    assert sorted([*fit, *choose]) == sorted(train)
    assert abs(len(fit) - 2 * len(choose)) <= 2


def test_commitment_leaves_out_images_that_were_fitted_on():
    groups = pairs(80)
    for train, test in train_test_splits(80, groups=groups):
        fit, choose = commitment_split(train, np.random.default_rng(0), groups)
        sets = [set(groups[rows]) for rows in (fit, choose, test)]
        assert len(choose) >= len(train) // 3 - 1
        assert not sets[0] & sets[1] and not sets[0] & sets[2] and not sets[1] & sets[2]


@given(n=st.integers(10, 200), n_halvings=st.integers(1, 5), seed=st.integers(0, 1000))
def test_halves_hold_every_stimulus_once(n, n_halvings, seed):
    found = halves(n, n_halvings, np.random.default_rng(seed))
    assert len(found) == n_halvings
    for first, second in found:
        assert sorted([*first, *second]) == list(range(n))
        assert len(first) == n // 2
    if n_halvings > 1 and n > 20:
        assert any((found[0][0] != first).any() for first, _ in found[1:])


def test_halves_never_share_an_image():
    groups = pairs(60)
    for first, second in halves(60, 3, np.random.default_rng(0), groups):
        assert len(first) == 30 and len(second) >= 29
        assert not set(groups[first]) & set(groups[second])


def test_images_that_are_nearly_all_the_same_raise():
    groups = np.array(["blank"] * 95 + [f"image{i}" for i in range(5)])
    with pytest.raises(ResponsesError, match="Only 0 stimuli are left.*column 'image'"):
        train_test_splits(100, groups=np.full(100, "blank"))
    with pytest.raises(ResponsesError, match="column 'image'"):
        halves(100, 3, np.random.default_rng(0), groups)


def metadata():
    table = {"image": ["a", "a", None, "d"], "stratum": [1, 2, 2, np.nan], "other": list("wxyz")}
    return pd.DataFrame(table, index=pd.Index(["s1", "s2", "s3", "s4"], name="stimulus"))


def test_labels_follow_the_ids():
    assert labels(metadata(), "image", ["s4", "s2", "s1"]).tolist() == ["d", "a", "a"]
    assert labels(metadata(), "stratum", ["s3", "s1"]).tolist() == ["2.0", "1.0"]


def test_a_stimulus_without_a_label_stands_alone():
    assert labels(metadata(), "image", ["s3", "s1"]).tolist() == ["s3", "a"]


def test_no_column_no_labels():
    assert labels(metadata(), "missing", ["s1"]) is None
    assert labels(None, "image", ["s1"]) is None
