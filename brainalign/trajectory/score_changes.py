"""How far scores move from the first checkpoint to the last."""

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import t as student

KEYS = ["recording", "region", "metric", "layer", "network", "task", "rule"]


def score_changes(scores: xr.Dataset) -> pd.DataFrame:
    """Give raw scores before and after training, and their paired change over seeds.

    Parameters
    ----------
    scores
        A table of scores of trained runs over their checkpoints.

    Returns
    -------
    DataFrame
        A row for each recording, region, metric, layer, network, task and rule: ``before`` and ``after`` (means
        over seeds at the first and the last checkpoint), ``change``, ``half_width`` of its 95 % t-interval over
        seeds (NaN for one seed), ``n_seeds``.
    """
    table = scores.to_dataframe().reset_index(drop=True).query("checkpoint >= 0")
    first, last = table["checkpoint"].min(), table["checkpoint"].max()
    rows = []
    for key, part in table.groupby(KEYS, sort=False):
        wide = part.pivot(index="seed", columns="checkpoint", values="raw").reindex(columns=[first, last])
        before, after = wide.dropna().to_numpy().T
        change, n = after - before, len(before)
        half = student.ppf(0.975, n - 1) * change.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
        means = [each.mean() if n else np.nan for each in (before, after, change)]
        rows.append((*np.atleast_1d(np.array(key, dtype=object)), *means, half, n))
    columns = [*KEYS, "before", "after", "change", "half_width", "n_seeds"]
    return pd.DataFrame(rows, columns=columns).set_index(KEYS)
