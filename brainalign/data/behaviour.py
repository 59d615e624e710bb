"""Behaviour as a plain tidy table, one row a trial, checked and never subclassed."""

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from brainalign.errors import ResponsesError


def check_behaviour(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of behaviour unchanged if it is well formed.

    Parameters
    ----------
    table
        A row a trial. ``subject`` names who answered. Two more names have a meaning of their own where they
        stand: ``correct``, the proportion of the row's trials that were right (0 or 1 of a single trial, NaN of
        none), and ``n_trials``, how many trials a row stands for where files give sums (absent: one). All other
        columns (``trial``, ``session``, ``item``, ``group``, …) are the recording's own.

    Raises
    ------
    ResponsesError
        No rows, columns that share a name, no ``subject`` or one that is missing, infinite numbers, proportions
        outside [0, 1] or no numbers, or numbers of trials that are missing or negative.

    Examples
    --------
    >>> len(check_behaviour(pd.DataFrame({"subject": ["rat", "rat"], "trial": [1, 2], "correct": [0.0, 1.0]})))
    2
    """
    if table.empty or not table.columns.is_unique:
        raise ResponsesError(
            f"The table of behaviour has {len(table)} rows and the columns {list(map(str, table.columns))}; "
            "expected a row a trial, and a name of its own for each column."
        )
    if "subject" not in table or np.any(table["subject"].isna()):
        raise ResponsesError("The table of behaviour does not say whose each trial is; name it in 'subject'.")
    for column in ("correct", "n_trials"):
        if column in table and not is_numeric_dtype(table[column]):
            raise ResponsesError(
                f"The column {column!r} of behaviour holds {table[column].dtype}; expected numbers."
            )
    for column in table.columns[[dtype.kind == "f" for dtype in table.dtypes]]:
        if np.any(np.isinf(table[column])):
            raise ResponsesError(f"The column {column!r} of behaviour is infinite somewhere; mark gaps as NaN.")
    if "correct" in table and not np.all(table["correct"].dropna().astype(float).between(0, 1)):
        raise ResponsesError(
            "The column 'correct' of behaviour leaves [0, 1]; give the proportion of right ones."
        )
    if "n_trials" in table and not np.all(table["n_trials"].astype(float) >= 0):
        raise ResponsesError(
            "The column 'n_trials' of behaviour is missing or negative somewhere; give a count."
        )
    return table
