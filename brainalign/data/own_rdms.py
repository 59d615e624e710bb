"""Dissimilarity matrices of one's own, from the files that a card points at."""

from pathlib import Path

import numpy as np
import xarray as xr

from brainalign.data.array_files import read_matrix, read_npy, read_xarray
from brainalign.data.card import Card, CardRegion
from brainalign.data.own_stimuli import path_inside, row_ids
from brainalign.data.responses import RDM_DIMS, make_rdms
from brainalign.data.stimuli import StimulusSet, check_ids
from brainalign.errors import ResponsesError


def own_rdms(card: Card, name: str, stimuli: StimulusSet | None) -> xr.DataArray:
    """Read the matrices of the region `name`, from one file or from several of the same stimuli.

    Rows and columns are matched by stimulus id, where the files name them.
    """
    region = card.regions[name]
    paths = [path_inside(card, file) for file in region.rdms]
    read = [_read(card, region, path, stimuli) for path in paths]
    ids = read[0]["stimulus"].values.tolist()
    for path, rdms in zip(paths, read, strict=True):
        if set(rdms["stimulus"].values) != set(ids):
            raise ResponsesError(f"{paths[0]} and {path} name different stimuli.")
    values = np.concatenate([rdms.sel(stimulus=ids, other_stimulus=ids).values for rdms in read])
    subjects = region.subjects or [subject for rdms in read for subject in rdms["subject"].values.tolist()]
    if len(subjects) != len(values) or (len(values) > 1 and "" in subjects):
        raise ResponsesError(
            f"there are {len(values)} dissimilarity matrices; name the subject of each in `subjects`, "
            f"which is {region.subjects}."
        )
    return make_rdms(values, ids, subjects)


def _read(card: Card, region: CardRegion, path: Path, stimuli: StimulusSet | None) -> xr.DataArray:
    """Read one file; a subject that it does not name is the empty string."""
    if path.suffix == ".npy":
        return _read_unlabelled(card, region, path, stimuli)
    array = read_matrix(path, RDM_DIMS[1:]) if path.suffix == ".csv" else read_xarray(path)
    if "subject" not in array.dims:
        array = array.drop_vars("subject", errors="ignore").expand_dims(subject=[""])
    if set(array.dims) != set(RDM_DIMS) or array["stimulus"].dims != ("stimulus",):
        raise ResponsesError(f"{path} has the dimensions {array.dims}; expected {RDM_DIMS}, in any order.")
    ids = array["stimulus"].values.tolist()
    check_ids(ids, str(path))
    if "other_stimulus" in array.coords:
        others = array["other_stimulus"].values.tolist()
        strange = sorted(set(others) ^ set(ids))
        if strange or len(others) != len(ids):
            raise ResponsesError(
                f"{path} has {len(ids)} rows and {len(others)} columns, which must name the same stimuli; "
                f"they differ in {strange[:3]}."
            )
        array = array.sel(other_stimulus=ids)
    subjects = array["subject"].values.tolist() if "subject" in array.coords else [""] * array.sizes["subject"]
    return make_rdms(array.transpose(*RDM_DIMS).values, ids, subjects)


def _read_unlabelled(card: Card, region: CardRegion, path: Path, stimuli: StimulusSet | None) -> xr.DataArray:
    """Read a square matrix, several, or the upper triangles of one or several."""
    values, ids = np.atleast_1d(read_npy(path)), row_ids(card, region, stimuli, path)
    n = len(ids)
    # Three stimuli have three pairs: only the number of subjects tells one matrix from three triangles.
    three_triangles = n == 3 and len(region.subjects or []) == 3
    if values.ndim == 1 or (values.shape == (n, n) and not three_triangles):
        values = values[None]
    return make_rdms(values, ids, [""] * len(values))
