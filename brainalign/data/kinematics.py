"""Movement beside responses, as a plain `xarray.DataArray`, checked and never subclassed."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from brainalign.errors import ResponsesError

KINEMATICS_DIMS = (
    ("stimulus", "kinematic"),
    ("stimulus", "kinematic", "time"),
    ("trial", "kinematic"),
    ("trial", "kinematic", "time"),
)


def make_kinematics(
    values: np.ndarray,
    stimuli: Sequence[str],
    units: Mapping[str, str],
    *,
    dims: Sequence[str] = ("trial", "kinematic"),
    time: Sequence[float] | np.ndarray | None = None,
) -> xr.DataArray:
    """Label an array of kinematics and check it.

    Parameters
    ----------
    values
        Positions, velocities and the like, in the order of `dims`; NaN where nothing was measured.
    stimuli
        Id of each stimulus, or of each trial's stimulus.
    units
        The name of each row along ``kinematic``, in order, and its unit.
    dims
        One of `KINEMATICS_DIMS`.
    time
        Seconds from a named event, where there is a time dimension.

    Raises
    ------
    ResponsesError
        Sizes that do not agree, or what `check_kinematics` refuses.

    Examples
    --------
    >>> import numpy as np
    >>> units = {"x_velocity": "mm/s", "y_velocity": "mm/s"}
    >>> make_kinematics(np.ones((3, 2)), ["left", "left", "right"], units).sizes["trial"]
    3
    """
    values = np.asarray(values)
    if tuple(dims) not in KINEMATICS_DIMS or values.ndim != len(dims):
        raise ResponsesError(
            f"Kinematics of shape {values.shape} cannot have the dimensions {tuple(dims)}; expected one of "
            f"{_allowed_dims()}, one size a dimension."
        )
    if values.shape[:2] != (len(stimuli), len(units)):
        raise ResponsesError(
            f"Kinematics of shape {values.shape} were given {len(stimuli)} stimulus ids and the names "
            f"{', '.join(units)}; expected an id for each {dims[0]} and a name for each row along 'kinematic'."
        )
    if time is not None and ("time" not in dims or len(time) != values.shape[-1]):
        raise ResponsesError(f"{len(time)} times were given for kinematics {tuple(dims)} of {values.shape}.")
    coords: dict = {
        "stimulus": (dims[0], np.array(list(stimuli), dtype=object)),
        "kinematic": np.array(list(units), dtype=object),
    }
    if time is not None:
        coords["time"] = np.asarray(time, dtype=float)
    return check_kinematics(xr.DataArray(values, dims=list(dims), coords=coords, attrs={"units": dict(units)}))


def check_kinematics(kinematics: xr.DataArray) -> xr.DataArray:
    """Return the kinematics unchanged if they are well formed.

    Parameters
    ----------
    kinematics
        Dimensions (trial | stimulus, kinematic[, time]), a coordinate ``stimulus`` along the first and
        names along ``kinematic`` (``x_velocity``, ``y_velocity``, …), whose units the attribute ``units``
        maps them to.

    Raises
    ------
    ResponsesError
        Dimensions other than `KINEMATICS_DIMS`, a missing coordinate, names that repeat or lack a unit,
        or values that are infinite or no numbers.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> check_kinematics(xr.DataArray(np.ones((3, 2)), dims=["trial", "velocity"]))
    Traceback (most recent call last):
    brainalign.errors.ResponsesError: Kinematics have the dimensions ('trial', 'velocity'); expected one of ...
    """
    if tuple(kinematics.dims) not in KINEMATICS_DIMS:
        raise ResponsesError(
            f"Kinematics have the dimensions {kinematics.dims}; expected one of {_allowed_dims()}."
        )
    for name, dim in (("stimulus", kinematics.dims[0]), ("kinematic", "kinematic")):
        if name not in kinematics.coords or kinematics.coords[name].dims != (dim,):
            raise ResponsesError(f"Kinematics lack the coordinate {name!r} along {dim!r}.")
    names = kinematics["kinematic"].values.tolist()
    if len(set(names)) < len(names):
        raise ResponsesError(f"Kinematics repeat a name along 'kinematic': {names}; give each its own.")
    units = kinematics.attrs.get("units", {})
    bare = [name for name in names if not isinstance(units, Mapping) or not units.get(name)]
    if bare:
        raise ResponsesError(
            f"Kinematics do not say the unit of {', '.join(map(repr, bare))}; add it to the attribute 'units', "
            'a mapping of names to units such as {"x_velocity": "mm/s"}.'
        )
    if kinematics.dtype.kind not in "fiu":
        raise ResponsesError(f"Kinematics are of type {kinematics.dtype}; expected numbers.")
    if kinematics.dtype.kind == "f" and np.isinf(kinematics.values).any():
        raise ResponsesError("Kinematics hold infinite values; mark what was not measured as NaN.")
    return kinematics


def same_rows(kinematics: xr.DataArray, labelled: xr.DataArray) -> bool:
    """Whether two arrays have the same trials, or the same stimuli, in the same order."""
    mine, theirs = kinematics["stimulus"], labelled["stimulus"]
    return mine.dims == theirs.dims and mine.values.tolist() == theirs.values.tolist()


def _allowed_dims() -> str:
    return ", ".join("(" + ", ".join(dims) + ")" for dims in KINEMATICS_DIMS)
