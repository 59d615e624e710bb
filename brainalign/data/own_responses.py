"""Responses of one's own: an array and its labels, from the files that a card points at."""

from pathlib import Path

import numpy as np
import xarray as xr

from brainalign.data.array_files import read_matrix, read_npy, read_table, read_xarray
from brainalign.data.card import Card, CardRegion
from brainalign.data.own_stimuli import path_inside, row_ids
from brainalign.data.responses import RESPONSE_DIMS, make_responses
from brainalign.data.stimuli import StimulusSet
from brainalign.errors import ResponsesError


def own_responses(card: Card, name: str, stimuli: StimulusSet | None) -> xr.DataArray:
    """Read the responses of the region `name`.

    What the file itself says of its units (coordinates of ``.nc`` and ``.zarr``, columns of ``.csv``)
    is kept; the table of units adds to it, and comes first where both say something.
    """
    region = card.regions[name]
    path = path_inside(card, str(region.responses))
    array = _read(card, region, path, stimuli)
    dims = next((dims for dims in RESPONSE_DIMS if set(dims) == set(array.dims)), None)
    if dims is None or array["stimulus"].dims != dims[:1]:
        allowed = ", ".join("(" + ", ".join(dims) + ")" for dims in RESPONSE_DIMS)
        raise ResponsesError(
            f"{path} has the dimensions {array.dims}, and 'stimulus' along {array['stimulus'].dims}; expected "
            f"one of {allowed}, in any order, and 'stimulus' along the one named first."
        )
    array = _units_of_region(array.transpose(*dims), name, path)
    labels = _labels(array) | _unit_table(card, region, array)
    subject = labels.pop("subject", None)
    responses = make_responses(
        array.values,
        array["stimulus"].values.tolist(),
        region=name,
        subject=(region.subject or "") if subject is None else [str(each) for each in subject],
        dims=dims,
        time=_time(region, array),
    )
    return responses.assign_coords({label: ("unit", values) for label, values in labels.items()})


def _read(card: Card, region: CardRegion, path: Path, stimuli: StimulusSet | None) -> xr.DataArray:
    """Read an array with its dimensions and the coordinate ``stimulus``."""
    if path.suffix in (".nc", ".zarr"):
        return read_xarray(path)
    dims = region.dims or ["stimulus", "unit"]
    rows = "trial" if "trial" in dims else "stimulus"
    if path.suffix == ".csv":
        if list(dims) != [rows, "unit"]:
            raise ResponsesError(f"{path} has a row for each stimulus or trial; it cannot have `dims` {dims}.")
        return read_matrix(path, dims)
    values = read_npy(path)
    if values.ndim != len(dims):
        raise ResponsesError(
            f"{path} has the shape {values.shape}, which cannot have the dimensions {dims}; say in `dims` "
            "what each is."
        )
    ids = row_ids(card, region, stimuli, path)
    if len(ids) != values.shape[dims.index(rows)]:
        raise ResponsesError(
            f"{path} has the shape {values.shape} and the dimensions {dims}, but there are {len(ids)} ids for "
            f"{rows!r}; say in `dims` what each dimension is, or name the stimulus of each row in a table: "
            '`stimuli = "order.csv"`.'
        )
    return xr.DataArray(values, dims=dims, coords={"stimulus": (rows, np.array(ids, dtype=object))})


def _units_of_region(array: xr.DataArray, name: str, path: Path) -> xr.DataArray:
    """Keep the units of one region, where the file says which they are."""
    if "region" not in array.coords:
        return array
    regions = np.broadcast_to(array["region"].values, array.sizes["unit"])
    if name not in regions:
        raise ResponsesError(f"{path} has units of {sorted(set(regions.tolist()))} alone.")
    return array.isel(unit=regions == name)


def _labels(array: xr.DataArray) -> dict[str, np.ndarray]:
    """Give what the file says of each unit."""
    labels = {
        str(name): coordinate.values
        for name, coordinate in array.coords.items()
        if coordinate.dims == ("unit",) and name != "region"
    }
    if "subject" in array.coords:
        labels["subject"] = np.broadcast_to(array["subject"].values, array.sizes["unit"])
    return labels


def _unit_table(card: Card, region: CardRegion, array: xr.DataArray) -> dict[str, np.ndarray]:
    """Read what the table says of each unit: by name where the file names units, else in order."""
    if region.units is None:
        return {}
    path = path_inside(card, region.units)
    table = read_table(path, "unit", text=("subject",))
    reserved = sorted({"stimulus", "trial", "repeat", "time", "region"} & set(table.columns))
    if reserved:
        raise ResponsesError(f"{path}: a column about units cannot be called {reserved[0]!r}; rename it.")
    names = array["unit"].values.tolist() if "unit" in array.coords else table.index.tolist()
    if len(table) != array.sizes["unit"] or set(names) != set(table.index) or not table.index.is_unique:
        raise ResponsesError(
            f"{path} has {len(table)} rows for {table.index.nunique()} names; expected a row for each of the "
            f"{array.sizes['unit']} units, each under a name of its own, the one that the responses give it."
        )
    table = table.loc[names]
    labels = {"unit": np.array(names, dtype=object)}
    for column in table.columns:
        values = table[column].to_numpy()
        labels[str(column)] = values if values.dtype.kind in "biuf" else values.astype(object)
    return labels


def _time(region: CardRegion, array: xr.DataArray) -> list[float] | None:
    """Give the times that the card lists, else the file's."""
    if region.time is None:
        return array["time"].values.tolist() if "time" in array.coords else None
    if len(region.time) != array.sizes.get("time"):
        raise ResponsesError(
            f"`time` lists {len(region.time)} times, but the array has the dimensions {dict(array.sizes)}."
        )
    return region.time
