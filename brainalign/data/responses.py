"""Responses and dissimilarities as plain `xarray.DataArray`s, checked and never subclassed."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from brainalign.data.stimuli import check_ids
from brainalign.errors import ResponsesError

RESPONSE_DIMS = (
    ("stimulus", "unit"),
    ("stimulus", "unit", "repeat"),
    ("stimulus", "unit", "time"),
    ("stimulus", "unit", "repeat", "time"),
    ("trial", "unit"),
    ("trial", "unit", "time"),
)
RDM_DIMS = ("subject", "stimulus", "other_stimulus")


def make_responses(
    values: np.ndarray,
    stimuli: Sequence[str],
    *,
    region: str,
    subject: str | Sequence[str] = "",
    dims: Sequence[str] = ("stimulus", "unit"),
    time: Sequence[float] | np.ndarray | None = None,
) -> xr.DataArray:
    """Label an array of responses and check it.

    Parameters
    ----------
    values
        Responses, in the order of `dims`; NaN where a repeat is missing.
    stimuli
        Id of each stimulus, or of each trial's stimulus.
    region
        The recorded area.
    subject
        One name for all units, or one for each.
    dims
        One of `RESPONSE_DIMS`.
    time
        Seconds from a named event, where there is a time dimension.

    Examples
    --------
    >>> import numpy as np
    >>> make_responses(np.ones((3, 2)), ["a", "b", "c"], region="V4").sizes["unit"]
    2
    """
    values = np.asarray(values)
    if tuple(dims) not in RESPONSE_DIMS or values.ndim != len(dims):
        raise ResponsesError(
            f"Responses of shape {values.shape} cannot have the dimensions {tuple(dims)}; expected one of "
            f"{_allowed_dims()}, one size a dimension."
        )
    sizes = dict(zip(dims, values.shape, strict=True))
    n_units = sizes.get("unit", 0)
    subjects = [subject] * n_units if isinstance(subject, str) else list(subject)
    if len(subjects) != n_units:
        raise ResponsesError(f"{len(subjects)} subjects were named for {n_units} units.")
    n_rows = sizes.get(dims[0], 0)
    if len(stimuli) != n_rows:
        raise ResponsesError(f"{len(stimuli)} stimulus ids were given for {n_rows} rows of responses.")
    coords: dict = {
        "stimulus": (dims[0], np.array(list(stimuli), dtype=object)),
        "region": ("unit", np.array([region] * n_units, dtype=object)),
        "subject": ("unit", np.array(subjects, dtype=object)),
    }
    if time is not None:
        if "time" not in sizes or len(time) != sizes["time"]:
            raise ResponsesError(f"{len(time)} times were given for responses of sizes {sizes}.")
        coords["time"] = ("time", np.asarray(time, dtype=float))
    return check_responses(xr.DataArray(values, dims=list(dims), coords=coords, name=region))


def check_responses(responses: xr.DataArray) -> xr.DataArray:
    """Return the responses unchanged if they are well formed.

    Raises
    ------
    ResponsesError
        Dimensions other than `RESPONSE_DIMS`, a missing coordinate, ids that repeat, or values that
        are infinite or no numbers.
    """
    if tuple(responses.dims) not in RESPONSE_DIMS:
        raise ResponsesError(
            f"Responses have the dimensions {tuple(responses.dims)}; expected one of {_allowed_dims()}."
        )
    first = responses.dims[0]
    for name, dim in (("stimulus", first), ("region", "unit"), ("subject", "unit")):
        if name not in responses.coords or responses.coords[name].dims != (dim,):
            raise ResponsesError(f"Responses lack the coordinate {name!r} along {dim!r}.")
    if first == "stimulus":
        check_ids(responses["stimulus"].values.tolist(), "The responses")
    if responses.dtype.kind not in "fiu":
        raise ResponsesError(f"Responses are of type {responses.dtype}; expected numbers.")
    if responses.dtype.kind == "f" and np.isinf(responses.values).any():
        raise ResponsesError("Responses hold infinite values; mark missing ones as NaN.")
    return responses


def _allowed_dims() -> str:
    return ", ".join("(" + ", ".join(dims) + ")" for dims in RESPONSE_DIMS)


def make_rdms(values: np.ndarray, stimuli: Sequence[str], subjects: Sequence[str]) -> xr.DataArray:
    """Label dissimilarity matrices, one a subject, and check them.

    Parameters
    ----------
    values
        Shape (subject, stimulus, stimulus), or (subject, pair) with each row the row-major upper
        triangle without the diagonal.
    stimuli
        Stimulus ids.
    subjects
        Subject of each matrix; a name that repeats marks repeated visits of one subject.

    Examples
    --------
    >>> import numpy as np
    >>> make_rdms(np.array([[1.0, 2.0, 3.0]]), ["a", "b", "c"], ["s1"]).shape
    (1, 3, 3)
    """
    values = np.asarray(values)
    n = len(stimuli)
    if values.ndim == 2 and values.shape[1] == n * (n - 1) // 2:
        rows, columns = np.triu_indices(n, 1)
        square = np.zeros((len(values), n, n))
        square[:, rows, columns] = values
        square[:, columns, rows] = values
        values = square
    if values.shape != (len(subjects), n, n):
        raise ResponsesError(
            f"Dissimilarities of shape {values.shape} fit neither ({len(subjects)}, {n}, {n}) nor "
            f"({len(subjects)}, {n * (n - 1) // 2}), for {len(subjects)} subjects and {n} stimuli."
        )
    ids = np.array(list(stimuli), dtype=object)
    names = np.array(list(subjects), dtype=object)
    coords = {"subject": names, "stimulus": ids, "other_stimulus": ids}
    return check_rdms(xr.DataArray(values, dims=list(RDM_DIMS), coords=coords))


def check_rdms(rdms: xr.DataArray) -> xr.DataArray:
    """Return the dissimilarity matrices unchanged if they are finite, symmetric and well labelled."""
    if tuple(rdms.dims) != RDM_DIMS or any(dim not in rdms.coords for dim in RDM_DIMS):
        raise ResponsesError(
            f"Dissimilarities have the dimensions {tuple(rdms.dims)}; expected {RDM_DIMS}, each labelled."
        )
    check_ids(rdms["stimulus"].values.tolist(), "The dissimilarity matrices")
    if rdms["stimulus"].values.tolist() != rdms["other_stimulus"].values.tolist():
        raise ResponsesError("Rows and columns of the dissimilarity matrices name different stimuli.")
    values = rdms.values
    off_diagonal = values[:, ~np.eye(values.shape[1], dtype=bool)]
    if not np.isfinite(off_diagonal).all():
        bad = rdms["subject"].values[~np.isfinite(off_diagonal).all(axis=1)]
        raise ResponsesError(
            f"The dissimilarity matrix of subject {bad[0]!r} holds NaN or infinite values; leave out the "
            "stimuli concerned, so that all subjects are compared over the same pairs."
        )
    if not np.allclose(values, values.transpose(0, 2, 1), equal_nan=True):
        raise ResponsesError("A dissimilarity matrix is not symmetric.")
    return rdms
