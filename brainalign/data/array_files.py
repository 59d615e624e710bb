"""Read arrays and tables from files: ``.npy``, ``.csv``, ``.nc`` and ``.zarr``, without unpickling."""

import functools
import json
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.errors import CardError

MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL"]
"""How tables write a missing value, in columns that are no text."""


def read_npy(path: Path) -> np.ndarray:
    """Read an array of numbers that `numpy.save` wrote."""
    try:
        with path.open("rb") as file:
            array = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CardError(
            f"{path} cannot be read as an array of numbers: {error}. Save it with numpy.save, as numbers."
        ) from error
    if not isinstance(array, np.ndarray):
        raise CardError(f"{path} holds several arrays; save the one that is meant with numpy.save.")
    return _numbers(array, path)


def read_table(path: Path, ids: str = "stimulus", text: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a table whose rows are named by the column `ids`, else by the first column.

    Parameters
    ----------
    path
        A comma-separated file with a name above each column.
    ids
        The column that names the rows, and the name of the index.
    text
        Further columns to keep as text, whatever they look like.

    Returns
    -------
    pandas.DataFrame
        Its index holds the names as text: ``007`` stays so.
    """
    read = functools.partial(pd.read_csv, path, encoding="utf-8-sig", skipinitialspace=True)
    try:
        names = read(nrows=0).columns.tolist()
        first = ids if ids in names else names[0]
        words = {first, *text} & set(names)
        missing = {name: MISSING for name in names if name not in words}
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            table = read(
                index_col=False, dtype=dict.fromkeys(words, str), keep_default_na=False, na_values=missing
            )
    except (OSError, ValueError, pd.errors.ParserWarning) as error:
        raise CardError(
            f"{path} cannot be read as a table: {error}. Save it as UTF-8 text with commas between the "
            "columns and a name above each."
        ) from error
    index = pd.Index(table[first], name=ids, dtype=object)
    return table.drop(columns=first).set_axis(index)


def read_matrix(path: Path, dims: Sequence[str]) -> xr.DataArray:
    """Read a matrix: stimulus ids as `read_table` finds them, numbers in all other columns.

    Returns
    -------
    xarray.DataArray
        Dimensions `dims`; the ids are the coordinate ``stimulus`` along the first, the columns' names
        label the second; empty cells are NaN.
    """
    table = read_table(path)
    words = [name for name in table.columns if table[name].dtype.kind not in "fiu"]
    if words or table.shape[1] == 0:
        problem = f"the column {words[0]!r} holds other things than numbers" if words else "has one column"
        raise CardError(
            f"{path}: {problem}. Expected ids in the first column and numbers in all others, commas between."
        )
    columns = np.array(list(table.columns), dtype=object)
    coords = {"stimulus": (dims[0], table.index.to_numpy()), dims[1]: columns}
    return xr.DataArray(table.to_numpy(dtype=float), dims=list(dims), coords=coords)


def read_xarray(path: Path) -> xr.DataArray:
    """Read an array with its own dimensions and coordinates, among them ``stimulus``."""
    options = {}
    if path.suffix == ".zarr":
        _refuse_pickles(path)
        options = {"consolidated": False}
    try:
        with xr.open_dataset(path, engine=_engine(path), decode_times=False, backend_kwargs=options) as file:
            dataset = file.load()
    except (OSError, ValueError, LookupError, RuntimeError, TypeError) as error:
        raise CardError(f"{path} cannot be read: {error}. Save it with xarray.") from error
    if len(dataset.data_vars) != 1:
        raise CardError(
            f"{path} holds {len(dataset.data_vars)} arrays ({', '.join(map(str, dataset.data_vars))}); save "
            "the one that is meant in a file of its own."
        )
    array = next(iter(dataset.data_vars.values()))
    _numbers(array.values, path)
    if "stimulus" not in array.coords:
        raise CardError(f"{path} has no coordinate 'stimulus'; name the stimulus of each row there.")
    array = array.assign_coords(
        {
            name: (array[name].dims, array[name].values.astype(str).astype(object))
            for name in ("stimulus", "other_stimulus", "subject", "unit")
            if name in array.coords and array[name].dtype.kind in "iu"
        }
    )
    odd = [i for i in array["stimulus"].values.ravel().tolist() if not isinstance(i, str)]
    if odd:
        raise CardError(f"{path} names a stimulus {odd[0]!r}; ids must be text.")
    return array


def _numbers(array: np.ndarray, path: Path) -> np.ndarray:
    if array.dtype.kind not in "fiu":
        raise CardError(f"{path} holds values of type {array.dtype}; expected numbers.")
    return array


def _engine(path: Path) -> str:
    if path.suffix == ".zarr":
        return "zarr"
    with path.open("rb") as file:
        return "scipy" if file.read(3) == b"CDF" else "h5netcdf"


def _refuse_pickles(store: Path) -> None:
    """Raise if a Zarr store asks to be unpickled, which may run any code."""

    def check(section: dict) -> dict:
        if "pickle" in (section.get("id"), section.get("name")):
            raise CardError(f"{store} holds pickled Python objects, which are not read; save it as numbers.")
        return section

    for pattern in (".zarray", ".zmetadata", "zarr.json"):
        for file in store.rglob(pattern):
            try:
                json.loads(file.read_bytes(), object_hook=check)
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise CardError(f"{file} is damaged: {error}.") from error
