"""Spheres of units, and groups as a user names them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rsatoolbox.util.searchlight import get_volume_searchlight
from scipy.spatial.distance import cdist

from brainalign.compare.unit_groups import find_groups, sphere_groups
from brainalign.data.responses import make_responses
from brainalign.errors import BrainalignError, UnknownNameError

IDS = [f"s{i}" for i in range(4)]
RESPONSES = make_responses(np.arange(20.0).reshape(4, 5), IDS, region="IT")
NAMED = RESPONSES.assign_coords(unit=["a", "b", "c", "d", "e"])


def grid(side=4):
    axes = np.meshgrid(*[np.arange(side)] * 3, indexing="ij")
    return np.stack(axes, axis=-1).reshape(-1, 3).astype(float)


@given(st.integers(1, 3), st.floats(0.1, 3.0), st.integers(0, 5))
def test_a_sphere_holds_the_units_within_the_radius(n_axes, radius, seed):
    places = np.random.default_rng(seed).normal(size=(25, n_axes))
    within = cdist(places, places) <= radius
    groups = sphere_groups(places, radius, min_units=1)
    assert list(groups) == [str(k) for k in range(25)]
    for centre, units in groups.items():
        np.testing.assert_array_equal(units, np.flatnonzero(within[int(centre)]))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_whole_spheres_of_a_volume_are_rsatoolboxs(capsys):
    mask = np.ones((6, 6, 6), dtype=int)
    # They count units nearer than the radius, and 2.1 lies between two distances of a grid.
    centres, neighbours = get_volume_searchlight(mask, radius=2.1, threshold=1.0, truncate_at_boundary=True)
    groups = sphere_groups(grid(6), 2.1)
    for centre, units in zip(centres, neighbours, strict=True):
        np.testing.assert_array_equal(groups[str(centre)], np.sort(units))


def test_units_at_exactly_the_radius_belong():
    assert sphere_groups(grid(3), 1.0)["13"].tolist() == [4, 10, 12, 13, 14, 16, 22]


def test_small_spheres_are_left_out_and_centres_have_names():
    places = np.array([[0.0], [1.0], [2.0], [9.0]])
    groups = sphere_groups(places, 1.0, min_units=3, names=["p", "q", "r", "s"])
    assert {centre: units.tolist() for centre, units in groups.items()} == {"q": [0, 1, 2]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coordinates": np.array([[0.0], [np.nan], [np.inf]])}, "2 of 3 units .such as index 1. are NaN"),
        ({"radius": 0.0}, "radius 0.0 holds no neighbours"),
        ({"radius": float("nan")}, "radius nan"),
        ({"min_units": 4}, "holds 4 units; the largest holds 3"),
        ({"names": ["a", "a", "b"]}, "2 different names were given for 3 units"),
        ({"names": ["a", "b"]}, "2 different names were given for 3 units"),
    ],
)
def test_spheres_that_cannot_be_are_refused(change, message):
    options = {"coordinates": np.array([[0.0], [1.0], [2.0]]), "radius": 1.0} | change
    with pytest.raises(BrainalignError, match=message):
        sphere_groups(**options)


@pytest.mark.parametrize(
    "groups",
    [
        {"x": [1, 3], "y": [0]},
        {"x": np.array([False, True, False, True, False]), "y": [True, False, False, False, False]},
        {"x": ["b", "d"], "y": ("a",)},
    ],
)
def test_units_are_given_by_index_mask_or_name(groups):
    found = find_groups(groups, NAMED)
    assert {name: units.tolist() for name, units in found.items()} == {"x": [1, 3], "y": [0]}


def test_groups_without_names_are_named_by_their_place():
    masks = np.array([[True, True, False, False, False], [False, False, False, False, True]])
    for groups in (masks, [[0, 1], [4]], [np.array([0, 1]), np.array([4])]):
        found = find_groups(groups, RESPONSES)
        assert {name: units.tolist() for name, units in found.items()} == {"0": [0, 1], "1": [4]}


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        ({}, BrainalignError, "No group of units was given"),
        ([], BrainalignError, "No group of units was given"),
        ({"x": []}, BrainalignError, "Group 'x' holds no unit"),
        ({"x": np.zeros(5, dtype=bool)}, BrainalignError, "Group 'x' holds no unit"),
        ({"x": [[0, 1]]}, BrainalignError, "Group 'x' holds no unit.*in one row"),
        ({"x": [True, False]}, BrainalignError, r"mask of shape \(2,\) over 5 units"),
        ({"x": [0, 5]}, UnknownNameError, "Group 'x' holds unit 5, but the responses have the units 0 to 4"),
        ({"x": [-1]}, UnknownNameError, "holds unit -1"),
        ({"x": ["a", "ee"]}, UnknownNameError, "Unknown unit of group 'x' 'ee'. Did you mean 'e'"),
        ({"x": [2, 2]}, BrainalignError, "holds a unit twice"),
        ({"x": [0.5, 1.0]}, BrainalignError, "names its units by float64"),
    ],
)
def test_groups_that_cannot_be_are_refused(groups, error, message):
    with pytest.raises(error, match=message):
        find_groups(groups, NAMED)


def test_names_need_a_coordinate():
    with pytest.raises(UnknownNameError, match="names unit 'a', but the responses have no coordinate 'unit'"):
        find_groups({"x": ["a"]}, RESPONSES)
