"""Learning curves of animals and people: tables of trials as arrays (subject, step)."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from pandas.api.types import is_numeric_dtype

from brainalign.data import Recording, check_behaviour
from brainalign.errors import NeedsError, ResponsesError
from brainalign.names import unknown_name

ANCHORS = ("last_error", "last_trial")


def learning_curves(
    trials: pd.DataFrame | Recording,
    value: str = "correct",
    *,
    step: str = "trial",
    item: str | None = None,
    block: int | float | None = None,
    origin: int | float | None = None,
    after_last: int | float | None = None,
) -> xr.DataArray:
    """Average what each subject did at each step of learning.

    ``curve[s, t] = sum_i n_i v_i / sum_i n_i`` over the rows i of subject s in block t, v the value and n the
    row's ``n_trials`` (1 where there is no such column). Where no row has a value the curve is NaN: never 0,
    and never carried over from a neighbour.

    Parameters
    ----------
    trials
        A table of behaviour, a row a trial, or a recording with one.
    value
        The column to average: ``correct`` gives proportions, ``hand_angle`` degrees.
    step
        The column of numbers that learning runs along: trials, sessions, cycles, occasions, years of age. Rows
        that share it (trials of one number on several occasions) are averaged.
    item
        A column whose values get curves of their own, along a third dimension ``item``.
    block
        So many steps make one, counted from `origin`; the last block may hold fewer. None leaves them alone.
    origin
        Where a block begins; by default the first step there is. Give 0 for steps that `count_back` numbers, so
        that no block spans the anchor.
    after_last
        What counts for a subject at the steps after its last one, before blocks are formed. Where people stop
        at a criterion there is no unbiased choice. None (NaN) averages over those who are still at it: the fast
        leave first, so the mean curve is too low and may fall though nobody gets worse. 1.0 counts those who
        left as right for ever: the mean curve is too high, by as much as they would still err, and rises to 1
        by construction. The truth lies between the two; `count_back` asks another question.

    Returns
    -------
    xarray.DataArray
        Dimensions (subject, step) or (subject, step, item), float64, in the unit of `value`. The coordinate
        ``step`` is the mean of a block's steps. Columns that say one thing in all rows of each subject (group,
        age, sex) are coordinates along ``subject``. One curve's `values` are what stages are sought in.

    Raises
    ------
    UnknownNameError
        A column that the table does not have.
    NeedsError
        A recording without behaviour.
    ResponsesError
        A table that `check_behaviour` refuses, steps or values that are no numbers, a block that is not above
        0, or no value at all.

    Examples
    --------
    >>> trials = pd.DataFrame({"subject": list("aaab"), "trial": [1, 2, 3, 1], "correct": [0.0, 1.0, 1.0, 1.0]})
    >>> learning_curves(trials, block=2).values.tolist()
    [[0.5, 1.0], [1.0, nan]]
    >>> learning_curves(trials, block=2, after_last=1.0).mean("subject").values.tolist()
    [0.75, 1.0]
    """
    table, attrs = _table(trials)
    columns = {"subject": "subject", "step": step} | ({"item": item} if item else {})
    _check(table, value, [*columns.values()], step, block)
    sums = _sums(table, value, columns)
    total, count, steps = sums["total"].values, sums["count"].values, sums["step"].values.astype(float)
    if after_last is not None:
        still_to_come = np.flip(np.cumsum(np.flip(count, 1), axis=1), 1)
        gone = (still_to_come == 0) & count.any(axis=1, keepdims=True)
        total, count = np.where(gone, after_last, total), np.where(gone, 1.0, count)
    if block is not None:
        number = np.floor((steps - (steps[0] if origin is None else origin)) / block)
        begin = np.unique(number, return_index=True)[1]
        total, count = np.add.reduceat(total, begin, axis=1), np.add.reduceat(count, begin, axis=1)
        steps = np.add.reduceat(steps, begin) / np.diff(begin, append=len(steps))
        attrs["block"] = block
    curves = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    coords = {dim: sums[dim].values for dim in columns} | {"step": steps}
    coords |= _constants(table, {value, "n_trials", *columns, *columns.values()})
    return xr.DataArray(curves, coords, list(columns), value, attrs | {"step_is": step})


def count_back(trials: pd.DataFrame | Recording, at: str = "last_error") -> pd.DataFrame:
    """Count each subject's trials back from its last error, or from its last trial.

    A curve over these steps (`learning_curves` with ``step="from_last_error"``) shows how people did *before*
    they had learned, which a mean from the first trial on blurs, as each learns at another time. If learning
    is all or none, the proportion correct is flat before the last error.

    What is so by selection says nothing: the last error is wrong and all after it right; of the last trials
    as many are right as the criterion demands. And far back only the slow ones are left.

    Parameters
    ----------
    trials
        A table with ``subject``, ``trial`` and ``correct``, or a recording with one.
    at
        ``last_error`` or ``last_trial``.

    Returns
    -------
    pandas.DataFrame
        A copy with one more column, ``from_last_error`` or ``from_last_trial``: 0 there, -1 the trial before;
        NaN throughout for a subject without an error.

    References
    ----------
    Hayes (1953), Psychol Rev 60:269, on backward curves.

    Examples
    --------
    >>> trials = pd.DataFrame({"subject": list("aaab"), "trial": [1, 2, 3, 1], "correct": [1.0, 0.0, 1.0, 1.0]})
    >>> count_back(trials)["from_last_error"].tolist()
    [-1.0, 0.0, 1.0, nan]
    """
    table, _ = _table(trials)
    _check(table, "correct", ["subject", "trial"], "trial", None)
    if at not in ANCHORS:
        raise unknown_name("anchor", at, ANCHORS)
    counted = table["trial"].where(table["correct"] < 1) if at == "last_error" else table["trial"]
    return table.assign(**{f"from_{at}": table["trial"] - counted.groupby(table["subject"]).transform("max")})


def _table(trials: pd.DataFrame | Recording) -> tuple[pd.DataFrame, dict[str, object]]:
    """Give the table, and where it comes from."""
    if isinstance(trials, pd.DataFrame):
        return check_behaviour(trials), {}
    if trials.behaviour is None:
        raise NeedsError(
            f"Recording {trials.name!r} holds no behaviour; choose one that does, or give a table."
        )
    return trials.behaviour, {"recording": trials.name, "simulated": int(trials.provenance.simulated)}


def _check(table: pd.DataFrame, value: str, columns: list[str], step: str, block: int | float | None) -> None:
    for column in (*columns, value):
        if column not in table:
            raise unknown_name("column of behaviour", column, map(str, table.columns))
    for column in (step, value):
        if not is_numeric_dtype(table[column]):
            raise ResponsesError(f"The column {column!r} holds {table[column].dtype}; expected numbers.")
    if block is not None and not block > 0:
        raise ResponsesError(f"A block of {block} steps was asked for; expected a number above 0.")


def _sums(table: pd.DataFrame, value: str, columns: Mapping[str, str]) -> xr.Dataset:
    """Add values and trials up by subject, step and item, in float64; 0 of 0 where there are none."""
    weight = table["n_trials"].astype(float) if "n_trials" in table else pd.Series(1.0, table.index)
    rows = pd.DataFrame({dim: table[column].to_numpy() for dim, column in columns.items()})
    rows["total"] = (table[value].astype(float) * weight).to_numpy()
    rows["count"] = weight.to_numpy()
    rows = rows[rows.notna().all(axis=1) & (rows["count"] > 0)]
    if rows.empty:
        raise ResponsesError(f"No row of behaviour has a value of {value!r} at a step of {columns['step']!r}.")
    sums = xr.Dataset.from_dataframe(pd.DataFrame(rows.groupby(list(columns)).sum()))
    # Names in the order of the table, and with the subjects that have no value at all.
    names = [dim for dim, column in columns.items() if dim == "subject" or not is_numeric_dtype(table[column])]
    sums = sums.assign_coords({dim: sums[dim].astype(object) for dim in names})
    order = {dim: table.drop_duplicates(columns[dim])[columns[dim]].to_numpy(object) for dim in names}
    return sums.reindex(order).fillna(0.0)


def _constants(table: pd.DataFrame, leave_out: set[str]) -> dict[str, tuple[str, np.ndarray]]:
    """Find the columns that say one thing of each subject."""
    by_subject = table.groupby("subject", sort=False)
    first = table.drop_duplicates("subject")
    return {
        str(column): ("subject", first[column].to_numpy(None if is_numeric_dtype(first[column]) else object))
        for column in table.columns
        if column not in leave_out and np.all(by_subject[column].nunique(dropna=False) == 1)
    }
