"""Groups of units: spheres around each, and groups that a user names."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.names import unknown_name

Groups = Mapping[Any, Any] | Sequence[Any] | np.ndarray
Members = Int[np.ndarray, " _"]


def sphere_groups(
    coordinates: Float[np.ndarray, "unit axis"],
    radius: float,
    min_units: int = 2,
    names: Sequence[str] | None = None,
) -> dict[str, Members]:
    """Give for each unit all units within a radius of it, itself included.

    Parameters
    ----------
    coordinates
        Place of each unit, in any unit of length: voxels, millimetres, or layers of a cortical sheet.
    radius
        In the same unit; units at exactly this distance belong to the sphere.
    min_units
        Spheres of fewer units, as at the border of a mask, are left out.
    names
        Names of the units, by default their indices. A group has the name of its centre.

    Returns
    -------
    :
        Indices of each group's units, ascending.

    Raises
    ------
    BrainalignError
        Coordinates that are not finite, a radius that is not above 0, names that repeat or do not
        fit, or no sphere left.

    Examples
    --------
    >>> groups = sphere_groups(np.array([[0.0], [1.0], [2.0], [9.0]]), 1.0)
    >>> {centre: units.tolist() for centre, units in groups.items()}
    {'0': [0, 1], '1': [0, 1, 2], '2': [1, 2]}
    """
    unplaced = np.flatnonzero(~np.isfinite(coordinates).all(axis=1))
    if unplaced.size:
        raise BrainalignError(
            f"The coordinates of {unplaced.size} of {len(coordinates)} units (such as index {unplaced[0]}) "
            "are NaN or infinite; leave these units out of responses and coordinates alike."
        )
    if not radius > 0:
        raise BrainalignError(f"A sphere of radius {radius} holds no neighbours; give a radius above 0.")
    centres = [str(k) for k in range(len(coordinates))] if names is None else [str(name) for name in names]
    if len(set(centres)) != len(coordinates):
        raise BrainalignError(
            f"{len(set(centres))} different names were given for {len(coordinates)} units; give each its own."
        )
    within = KDTree(coordinates).query_ball_point(coordinates, radius, return_sorted=True)
    found = {
        centre: np.array(units)
        for centre, units in zip(centres, within, strict=True)
        if len(units) >= min_units
    }
    if not found:
        largest = max((len(units) for units in within), default=0)
        raise BrainalignError(
            f"No sphere of radius {radius} holds {min_units} units; the largest holds {largest}. Give a larger "
            "radius or a smaller min_units."
        )
    return found


def find_groups(groups: Groups, responses: xr.DataArray) -> dict[str, Members]:
    """Give the indices of each group's units in the responses.

    Parameters
    ----------
    groups
        Groups by name, or without names, which are then their places. Each is a boolean mask over the
        units, indices of units, or names of units (coordinate ``unit`` of the responses). An array of
        booleans, (group, unit), is a mask a row.

    Raises
    ------
    BrainalignError
        No group, a group without units or with one twice, or a mask of another length.
    UnknownNameError
        A unit that the responses do not have.
    """
    named = groups.items() if isinstance(groups, Mapping) else enumerate(groups)
    found = {str(name): _members(str(name), units, responses) for name, units in named}
    if not found:
        raise BrainalignError("No group of units was given; name one at least (`sphere_groups` makes them).")
    return found


def _members(name: str, units: Any, responses: xr.DataArray) -> Members:
    given, n_units = np.asarray(units), responses.sizes["unit"]
    if given.dtype.kind == "b" and given.shape != (n_units,):
        raise BrainalignError(f"Group {name!r} is a mask of shape {given.shape} over {n_units} units.")
    if given.ndim != 1 or given.size == 0 or (given.dtype.kind == "b" and not given.any()):
        raise BrainalignError(f"Group {name!r} holds no unit; leave it out, or give its units in one row.")
    if given.dtype.kind in "UO":
        members = _places(name, given, responses)
    elif given.dtype.kind == "b":
        members = np.flatnonzero(given)
    elif given.dtype.kind in "iu":
        members = given.astype(np.int64)
    else:
        raise BrainalignError(
            f"Group {name!r} names its units by {given.dtype}; give indices, names or a mask."
        )
    outside = members[(members < 0) | (members >= n_units)]
    if outside.size:
        raise UnknownNameError(
            f"Group {name!r} holds unit {outside[0]}, but the responses have the units 0 to {n_units - 1}."
        )
    if len(np.unique(members)) < len(members):
        raise BrainalignError(f"Group {name!r} holds a unit twice; name each of its units once.")
    return members


def _places(name: str, given: np.ndarray, responses: xr.DataArray) -> Members:
    if "unit" not in responses.coords:
        raise UnknownNameError(
            f"Group {name!r} names unit {str(given[0])!r}, but the responses have no coordinate 'unit' to find "
            "it by; give indices, or add the coordinate."
        )
    place = {str(unit): k for k, unit in enumerate(responses["unit"].values)}
    for unit in given:
        if str(unit) not in place:
            raise unknown_name(f"unit of group {name!r}", str(unit), place)
    return np.array([place[str(unit)] for unit in given])
