"""How far each layer's weights move over training, when, and in which layers change is centred."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from torch import nn

from brainalign.errors import BrainalignError
from brainalign.names import unknown_name
from brainalign.training import Run

OF_A_RUN = ["network", "task", "rule", "seed"]


def weight_changes(run: Run, layers: Sequence[str] | None = None) -> pd.DataFrame:
    r"""Give each layer's relative change of weights since the first checkpoint.

    .. math:: c_l(t) = \|W_l(t) - W_l(0)\|_F \,/\, \|W_l(0)\|_F

    Parameters
    ----------
    run
        A run with checkpoints.
    layers
        Modules with weights, in an order of one's own; by default all whose weights are matrices or
        convolutions, in the network's order.

    Returns
    -------
    pd.DataFrame
        A row a layer and checkpoint: ``network, task, rule, seed, layer, index`` (from 0), ``step, change``.

    Raises
    ------
    UnknownNameError
        A layer without weights of that kind.
    BrainalignError
        Fewer than two checkpoints, or weights that are all 0 at first, which have no relative change.

    Notes
    -----
    Measure of Wenliang & Seitz (2018), per layer and over training.
    """
    checkpoints = run.checkpoints()
    if len(checkpoints) < 2:
        raise BrainalignError(f"{run.path} has one checkpoint alone; a change needs two or more.")
    before = _weights(checkpoints[0].load())
    names = list(before) if layers is None else list(layers)
    for name in names:
        if name not in before:
            raise unknown_name("layer with weights", name, before)
        if not before[name].any():
            raise BrainalignError(f"The weights of {name!r} are 0 at first; leave it out of the layers.")
    facts = {name: getattr(checkpoints[0], name) for name in OF_A_RUN}
    rows = []
    for checkpoint in checkpoints:
        now = _weights(checkpoint.load())
        for index, name in enumerate(names):
            change = np.linalg.norm(now[name] - before[name]) / np.linalg.norm(before[name])
            rows.append(
                facts | {"layer": name, "index": index, "step": checkpoint.step, "change": float(change)}
            )
    return pd.DataFrame(rows)


def half_times(changes: pd.DataFrame) -> pd.DataFrame:
    """Give the step at which each layer has first moved half as far as it has in the end.

    Linear between checkpoints; NaN for a layer that ends where it began.

    Parameters
    ----------
    changes
        Of one run or several, as `weight_changes` gives them.

    Examples
    --------
    >>> facts = {"network": "mlp", "task": "", "rule": "", "seed": 0, "layer": "head", "index": 0}
    >>> changes = pd.DataFrame([facts | {"step": step, "change": step / 10} for step in (0, 2, 8)])
    >>> half_times(changes)["half_time"].tolist()
    [4.0]
    """
    rows = []
    for _, of_layer in changes.sort_values("step").groupby([*OF_A_RUN, "layer", "index"], sort=False):
        facts = of_layer[[*OF_A_RUN, "layer", "index"]].iloc[0].to_dict()
        reached = _first_reached(of_layer["step"].to_numpy(), of_layer["change"].to_numpy())
        rows.append(facts | {"half_time": reached})
    return pd.DataFrame(rows)


def centres(changes: pd.DataFrame) -> pd.DataFrame:
    r"""Give the layer at which change is centred: the mean index, weighted by relative change.

    .. math:: \bar l(t) = \sum_l l\, c_l(t) \Big/ \sum_l c_l(t)

    Low where lower layers change more. A read-out that was drawn anew moves by another cause than the layers
    below it; leave its rows out beforehand.

    Parameters
    ----------
    changes
        Of one run or several, as `weight_changes` gives them.

    Returns
    -------
    pd.DataFrame
        ``network, task, rule, seed, step, centre``; NaN where nothing has changed, as at the first checkpoint.
    """
    weighted = changes.assign(weighted=changes["index"] * changes["change"])
    keys = [*OF_A_RUN, "step"]
    sums = weighted.groupby(keys, sort=False, as_index=False).agg({"weighted": "sum", "change": "sum"})
    return sums[keys].assign(centre=sums["weighted"] / sums["change"].where(sums["change"] > 0))


def _weights(network: nn.Module) -> dict[str, np.ndarray]:
    return {
        name.rpartition(".")[0]: parameter.detach().double().cpu().numpy()
        for name, parameter in network.named_parameters()
        if name.endswith("weight") and parameter.ndim > 1
    }


def _first_reached(steps: np.ndarray, change: np.ndarray) -> float:
    """Give the step at which a change first reaches half of its last value."""
    half = change[-1] / 2
    if half == 0:
        return float("nan")
    above = int(np.flatnonzero(change >= half)[0])
    if above == 0:
        return float(steps[0])
    part = (half - change[above - 1]) / (change[above] - change[above - 1])
    return float(steps[above - 1] + part * (steps[above] - steps[above - 1]))
