"""To and from ``rsatoolbox`` objects: RDMs and datasets with their stimulus ids and subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from brainalign.data.responses import check_rdms, check_responses, make_rdms
from brainalign.errors import ResponsesError
from brainalign.metrics.rdm import to_condensed, to_square

# rsatoolbox takes seconds to import, so the functions import it when they are called.
if TYPE_CHECKING:
    from rsatoolbox.data.dataset import Dataset, TemporalDataset
    from rsatoolbox.rdm.rdms import RDMs


def to_rsatoolbox_rdms(rdms: xr.DataArray, measure: str | None = None) -> RDMs:
    """Make an ``rsatoolbox.rdm.RDMs`` from labelled dissimilarity matrices.

    Parameters
    ----------
    rdms
        Matrices that `make_rdms` makes; the upper triangle is taken.
    measure
        What the dissimilarities are, such as ``correlation``.

    Returns
    -------
    :
        With the pattern descriptor ``stimulus``, the RDM descriptor ``subject`` and, where the array has a
        name, the descriptor ``region``.

    Raises
    ------
    ResponsesError
        Matrices that `check_rdms` does not accept.
    """
    from rsatoolbox.rdm.rdms import RDMs

    check_rdms(rdms)
    return RDMs(
        to_condensed(rdms.values.astype(np.float64)),
        dissimilarity_measure=measure,
        descriptors={} if rdms.name is None else {"region": str(rdms.name)},
        rdm_descriptors={"subject": rdms["subject"].values.tolist()},
        pattern_descriptors={"stimulus": rdms["stimulus"].values.tolist()},
    )


def from_rsatoolbox_rdms(rdms: RDMs, stimulus: str = "stimulus", subject: str = "subject") -> xr.DataArray:
    """Make labelled dissimilarity matrices from an ``rsatoolbox.rdm.RDMs``.

    Parameters
    ----------
    rdms
        The dissimilarities.
    stimulus
        Name of the pattern descriptor that holds the stimulus ids, made strings here.
    subject
        Name of the RDM descriptor that holds the subjects.

    Returns
    -------
    :
        As from `make_rdms`; other descriptors and the name of the measure are left behind.

    Raises
    ------
    ResponsesError
        A descriptor that there is not, ids that repeat, or dissimilarities that are NaN.
    """
    labelled = make_rdms(
        to_square(np.asarray(rdms.get_vectors(), dtype=np.float64)),
        _descriptor(rdms.pattern_descriptors, stimulus, "pattern"),
        _descriptor(rdms.rdm_descriptors, subject, "RDM"),
    )
    return labelled.rename(rdms.descriptors.get("region"))


def to_rsatoolbox_dataset(responses: xr.DataArray) -> Dataset | TemporalDataset:
    """Make an ``rsatoolbox`` dataset from responses.

    Each presentation is an observation: repeats become observations of their own, under the descriptor
    ``repeat``, and those in which no unit was recorded are left out. With a time dimension the dataset is a
    ``TemporalDataset``.

    Parameters
    ----------
    responses
        An array that `check_responses` accepts. Coordinates along the stimuli or trials become observation
        descriptors, those along the units channel descriptors.

    Raises
    ------
    ResponsesError
        Responses that are ill formed, a time dimension without times, or a stimulus without any presentation.
    """
    from rsatoolbox.data.dataset import Dataset, TemporalDataset

    check_responses(responses)
    first = str(responses.dims[0])
    values = responses.values
    observed = _coordinates(responses, first)
    if first == "trial":
        observed.setdefault("trial", np.arange(len(values)))
    if "repeat" in responses.dims:
        values, observed = _unrolled(np.moveaxis(values, responses.dims.index("repeat"), 1), observed)
    described = {
        "descriptors": {} if responses.name is None else {"region": str(responses.name)},
        "obs_descriptors": {name: list(labels) for name, labels in observed.items()},
        "channel_descriptors": {name: list(labels) for name, labels in _coordinates(responses, "unit").items()},
    }
    if "time" not in responses.dims:
        return Dataset(values.copy(), **described)
    if "time" not in responses.coords:
        raise ResponsesError("Responses have a time dimension without times; give its coordinate in seconds.")
    times = {"time": responses["time"].values.copy()}
    return TemporalDataset(values.copy(), time_descriptors=times, **described)


def from_rsatoolbox_dataset(dataset: Dataset | TemporalDataset, stimulus: str = "stimulus") -> xr.DataArray:
    """Make responses from an ``rsatoolbox`` dataset; the inverse of `to_rsatoolbox_dataset`.

    Parameters
    ----------
    dataset
        With the channel descriptors ``region`` and ``subject``. An observation descriptor ``repeat`` (whole
        numbers from 0) makes a repeat dimension, NaN where one is missing; without it, ids that repeat or a
        descriptor ``trial`` make observations trials.
    stimulus
        Name of the observation descriptor that holds the stimulus ids, made strings here.

    Raises
    ------
    ResponsesError
        A descriptor that there is not, or that does not fit.
    """
    observed = dict(dataset.obs_descriptors)
    ids = np.array(_descriptor(observed, stimulus, "observation"), dtype=object)
    units = {name: _labels(values) for name, values in dataset.channel_descriptors.items()}
    for name in ("region", "subject"):
        units[name] = np.array(_descriptor(units, name, "channel"), dtype=object)
    del observed[stimulus]
    values = np.array(dataset.measurements)
    if "repeat" in observed:
        first, after = "stimulus", ["unit", "repeat"]
        values, ids, observed = _rolled(values, ids, observed)
    else:
        first = "trial" if "trial" in observed or len(set(ids)) < len(ids) else "stimulus"
        after = ["unit"]
    coords: dict = {name: (first, _labels(labels)) for name, labels in observed.items()}
    coords |= {name: ("unit", labels) for name, labels in units.items()}
    coords["stimulus"] = (first, ids)
    times = getattr(dataset, "time_descriptors", None)
    if times is not None:
        coords["time"] = ("time", np.asarray(times["time"]))
        after.append("time")
    name = dataset.descriptors.get("region")
    return check_responses(xr.DataArray(values, dims=[first, *after], coords=coords, name=name))


def _coordinates(responses: xr.DataArray, dim: str) -> dict[str, np.ndarray]:
    return {str(name): coord.values for name, coord in responses.coords.items() if coord.dims == (dim,)}


def _unrolled(
    values: np.ndarray, observed: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Make (stimulus, repeat, …) a list of presentations, without those that hold nothing."""
    held = np.asarray(~np.isnan(values).all(axis=tuple(range(2, values.ndim))))
    empty = observed["stimulus"][held.sum(axis=1) == 0]
    if len(empty):
        raise ResponsesError(
            f"{len(empty)} stimuli, such as {empty[0]!r}, have no presentation in which a unit was recorded; "
            "leave them out."
        )
    rows, repeats = np.nonzero(held)
    return values[held], {name: labels[rows] for name, labels in observed.items()} | {"repeat": repeats}


def _rolled(
    values: np.ndarray, ids: np.ndarray, observed: Mapping[str, Sequence]
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Put presentations back into (stimulus, unit, repeat, …), the stimuli in the order of their first."""
    place = {stimulus: k for k, stimulus in enumerate(dict.fromkeys(ids))}
    rows = np.array([place[stimulus] for stimulus in ids])
    repeats = np.asarray(observed["repeat"])
    if (
        repeats.dtype.kind not in "iu"
        or (repeats < 0).any()
        or len({*zip(rows, repeats, strict=True)}) < len(rows)
    ):
        raise ResponsesError(
            "The observation descriptor 'repeat' must number the presentations of each stimulus by whole "
            "numbers from 0, none twice."
        )
    whole = np.full((len(place), repeats.max() + 1, *values.shape[1:]), np.nan)
    whole[rows, repeats] = values
    leading = np.unique(rows, return_index=True)[1]
    kept = {name: _labels(labels)[leading] for name, labels in observed.items() if name != "repeat"}
    return np.moveaxis(whole, 1, 2), ids[leading], kept


def _descriptor(descriptors: Mapping, name: str, kind: str) -> list[str]:
    if name not in descriptors:
        raise ResponsesError(
            f"The rsatoolbox object has no {kind} descriptor {name!r}; it has {sorted(descriptors)}. Name the "
            "one to use, or add it."
        )
    return [str(value) for value in descriptors[name]]


def _labels(values: Sequence | np.ndarray) -> np.ndarray:
    labels = np.asarray(values)
    return labels.astype(object) if labels.dtype.kind in "US" else labels
