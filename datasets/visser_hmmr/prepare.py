"""Visser & Speekenbrink (2022): children on the balance scale, discrimination learning, weather prediction."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import rdata
from rdata.conversion import DEFAULT_CLASS_MAP

from brainalign.data.recording import Recording

ITEMS = {
    "w": "weight",
    "d": "distance",
    "cw": "conflict-weight",
    "cd": "conflict-distance",
    "cb": "conflict-balance",
}
"""Types of balance-scale items, by the prefix of their columns."""


def prepare(files: Mapping[str, Path], part: str, name: str) -> Recording:
    """Make the recording of one of the three tables."""
    table = rdata.read_rda(files[f"{part}.rda"], constructor_dict=CONSTRUCTORS)[part]
    tidy = {"balance8": _balance, "discrimination": _discrimination, "WPT": _weather}
    return Recording(name, behaviour=tidy[part](table))


def _balance(table: pd.DataFrame) -> pd.DataFrame:
    """Lay the item types below each other: a row a child, occasion and type, with the proportion correct."""
    shared = pd.DataFrame(
        {
            "subject": [f"child_{number:04d}" for number in table["id"]],
            "age": table["age"].to_numpy(float),
            "year": table["age"].round().to_numpy(int),
            "sex": table["sex"].astype(str).to_numpy(),
            "grade": table["group"].to_numpy(int),
            "school": table["school"].astype(str).to_numpy(),
            "occasion": table["time"].to_numpy(int),
        }
    )
    parts = []
    for prefix, item in ITEMS.items():
        right, answered = table[f"{prefix}c"].to_numpy(float), table[f"{prefix}s"].to_numpy(float)
        correct = np.divide(right, answered, out=np.full(len(table), np.nan), where=answered > 0)
        parts.append(shared.assign(item=item, correct=correct, n_trials=answered.astype(int)))
    return pd.concat(parts, ignore_index=True)


def _discrimination(table: pd.DataFrame) -> pd.DataFrame:
    """Part the one column of all answers into the people's series, by their lengths."""
    lengths = np.asarray(table.attrs["ntimes"], int)
    people = [f"person_{number:03d}" for number in range(1, len(lengths) + 1)]
    return pd.DataFrame(
        {
            "subject": np.repeat(np.array(people, dtype=object), lengths),
            "trial": np.concatenate([np.arange(1, length + 1) for length in lengths]),
            "correct": (table["acc"] == "correct").to_numpy(float),
        }
    )


def _weather(table: pd.DataFrame) -> pd.DataFrame:
    """Name the columns, and say which predictions came true."""
    outcome, response = table["y"].astype(str), table["r"].astype(str)
    tidy = pd.DataFrame(
        {
            "subject": table["id"].astype(str),
            "group": table["group"].astype(str),
            "medication": table["med"].astype(object).where(table["med"].notna(), ""),
            "occasion": table["occ"].astype(int),
            "trial": table["trial"].astype(int),
            **{f"cue_{cue}": table[f"c{cue}"].astype(int) for cue in range(1, 5)},
            "outcome": outcome,
            "response": response,
            "correct": (outcome == response).astype(float),
        }
    )
    return tidy.reset_index(drop=True)


def _with_lengths(columns: Mapping, attributes: Mapping) -> pd.DataFrame:
    """Make a data frame that keeps R's attribute ``ntimes``, the length of each person's series."""
    table = pd.DataFrame(dict(columns))
    table.attrs["ntimes"] = attributes.get("ntimes")
    return table


CONSTRUCTORS = {**DEFAULT_CLASS_MAP, "data.frame": _with_lengths}
