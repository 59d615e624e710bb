"""The Scores table: one row for each layer, region and metric."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.errors import BrainalignError
from brainalign.files import written_whole

LABELS = ("recording", "region", "subject", "network", "layer", "metric", "task", "rule")
NUMBERS = ("seed", "checkpoint")
VALUES = (
    "raw",
    "low",
    "high",
    "spread",
    "score",
    "ceiling",
    "ceiling_lower",
    "chance",
    "p_value",
    "participation_ratio",
)
OF_NULL = ("chance", "p_value")
TEXTS = ("resampled", "note")
COUNTS = ("n_stimuli", "n_units", "n_units_masked", "layer_units")

LONG_NAMES = {
    "raw": "value of the metric",
    "low": "lower end of the 95 % interval of raw",
    "high": "upper end of the 95 % interval of raw",
    "spread": "standard deviation over splits or subjects (descriptive)",
    "score": "raw normalised by the ceiling",
    "ceiling": "highest raw that the noise of the recording allows",
    "ceiling_lower": "lower bound of the ceiling, where it has two",
    "chance": "mean of raw under the null distribution, where it was drawn",
    "p_value": "share of the null distribution that is as high as raw",
    "participation_ratio": "effective number of dimensions of the layer",
    "n_stimuli": "number of stimuli compared",
    "n_units": "number of recorded units compared (-1: dissimilarity matrices)",
    "n_units_masked": "number of recorded units left out",
    "layer_units": "number of units of the layer (-1: several layers)",
    "resampled": "what the interval resamples",
    "note": "why a value is missing, what was left out",
}


def make_scores(rows: Sequence[Mapping[str, object]], attrs: Mapping[str, object]) -> xr.Dataset:
    """Make the table, an `xarray.Dataset` with the one dimension ``cell``, from a mapping for each row.

    A label that a row lacks is empty, a seed or checkpoint −1, what a null distribution says NaN.
    """
    absent = dict.fromkeys(LABELS, "") | dict.fromkeys(NUMBERS, -1) | dict.fromkeys(OF_NULL, float("nan"))
    table = pd.DataFrame([absent | dict(row) for row in rows])
    coords, variables = {}, {}
    for name in LABELS:
        coords[name] = ("cell", np.array(table[name], dtype=object))
    for name in NUMBERS:
        coords[name] = ("cell", table[name].to_numpy(dtype=np.int64))
    for name in VALUES:
        variables[name] = ("cell", table[name].to_numpy(dtype=np.float64), {"long_name": LONG_NAMES[name]})
    for name in COUNTS:
        variables[name] = ("cell", table[name].to_numpy(dtype=np.int64), {"long_name": LONG_NAMES[name]})
    for name in TEXTS:
        variables[name] = ("cell", np.array(table[name], dtype=object), {"long_name": LONG_NAMES[name]})
    return xr.Dataset(variables, coords, dict(attrs))


def versions() -> str:
    """Versions of what computed a table, as JSON."""
    names = ("brainalign", "torch", "torchvision", "numpy", "scipy", "scikit-learn", "xarray")
    found = {name: version(name) for name in names}
    commit = _commit()
    return json.dumps(found | ({"commit": commit} if commit else {}))


def _commit() -> str:
    """Commit of the checkout that this file lies in, or an empty text."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        said = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return said.stdout.strip() if said.returncode == 0 else ""


def save_scores(
    scores: xr.Dataset, path: str | Path, details: Mapping[str, pd.DataFrame] | None = None
) -> list[Path]:
    """Write a table as netCDF and as CSV, and other tables beside it.

    Parameters
    ----------
    scores
        The table.
    path
        ``scores.nc`` or ``scores.csv``; the other is written too.
    details
        Tables by name: ``units`` becomes ``scores.units.csv``.

    Returns
    -------
    list
        The files written.
    """
    path = Path(path)
    if path.suffix not in (".nc", ".csv"):
        raise BrainalignError(f"Scores are written as .nc and .csv; {path.name!r} ends in neither.")
    tables = {path.with_suffix(".csv"): scores.to_dataframe().reset_index(drop=True)}
    for name, table in (details or {}).items():
        tables[path.with_suffix(f".{name}.csv")] = table
    with written_whole(path.with_suffix(".nc")) as temporary:
        scores.to_netcdf(temporary, engine="h5netcdf")
    for target, table in tables.items():
        with written_whole(target) as temporary:
            table.to_csv(temporary, index=False)
    return [path.with_suffix(".nc"), *tables]


def load_scores(path: str | Path) -> xr.Dataset:
    """Read a table that `save_scores` wrote as netCDF."""
    with xr.open_dataset(path, engine="h5netcdf") as stored:
        scores = stored.load()
    # Texts come back with a fixed width.
    return scores.assign_coords({name: scores[name].astype(object) for name in LABELS}).assign(
        {name: scores[name].astype(object) for name in TEXTS}
    )
