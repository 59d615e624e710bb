"""Cochrane et al. (2019): four people learn to tell which of two colours has more dots."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import rdata

from brainalign.data.recording import Recording


def prepare(files: Mapping[str, Path], part: str, name: str) -> Recording:
    """Make the recording: a row a person and trial."""
    table = rdata.read_rda(files["anstrain.RData"])["anstrain"]
    behaviour = pd.DataFrame(
        {
            "subject": table["subID"].astype(str),
            "trial": table["trialNum"].astype(int),
            "ratio": table["ratio"],
            "size_ratio": table["sizeRat"],
            "response": table["resp"].astype(int),
            "correct": table["acc"].astype(float),
        }
    )
    return Recording(name, behaviour=behaviour.reset_index(drop=True))
