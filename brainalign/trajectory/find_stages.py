"""Find the stages of learning curves: of an array, of a table of scores, or of a table of training."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from brainalign.errors import BrainalignError
from brainalign.trajectory.curves import LABELS, Curve, score_curves, training_curves
from brainalign.trajectory.stages import MEASURES, NO_STAGE, NOT_TESTABLE, STAGES, stages_of

PER_CURVE = ("verdict", "reason", "n_stages", "clock", "margin", "best_without", "interval")


def find_stages(
    curves: ArrayLike | xr.DataArray | xr.Dataset | pd.DataFrame,
    steps: ArrayLike | None = None,
    *,
    resamples: ArrayLike | None = None,
) -> xr.Dataset:
    r"""Find transitions between plateaus in learning curves, and when they happen.

    A curve is described as :math:`c + \sum_k g_k\, \sigma((t - m_k)/s_k)`, a sum of logistic stages in training
    steps or their logarithm, and by seven courses without a stage: a constant, and a line, an exponential and a
    power law in steps and in their logarithm. (An exponential in steps looks like a stage on checkpoints at
    equal ratios.) Noise is taken as correlated from one checkpoint to the next. Stages are found where the
    Bayesian information criterion of the mean curve is lower with them by 20 than under every course without;
    of several stages, each further one must lower it by 8. Both were set by simulation (``benchmarks``). Seeds
    must share them: from five seeds on, the interval of each stage's gain must not hold 0.

    Onset, half-time and end of a stage are where a tenth, half and nine tenths of its gain are done; they are
    fitted again to the curve of each seed (and subject). Values are means over these; intervals are 95 %
    t-intervals over seeds, or over seeds and subjects as crossed samples; below five seeds there are none.

    Parameters
    ----------
    curves
        An array ``(checkpoint,)``, ``(seed, checkpoint)`` or ``(seed, subject, checkpoint)``, a DataArray
        with these dimensions in any order, a table of scores, or a table of training. NaN means a missing
        value; checkpoints at which any curve lacks its value are left out and counted.
    steps
        Training steps, increasing, one a checkpoint; with tables, which have their own, none. Of a
        DataArray its coordinate ``checkpoint`` serves.
    resamples
        ``(resample, checkpoint)``: the mean curve under resampled stimuli, whose variance joins that over
        seeds.

    Returns
    -------
    xarray.Dataset
        Dimension ``stage`` (none found: size 0), with ``onset``, ``half_time``, ``width`` (steps from a tenth
        to nine tenths) and ``gain``, each with ``_low``, ``_high`` and ``_by_seed``. Attributes: ``verdict``
        (``stages``, ``no stage`` or ``not testable``), ``reason``, ``interval``, and what was compared. For a
        table, a dimension ``curve`` besides, with its labels; the attributes of each curve are variables.

    Raises
    ------
    BrainalignError
        Where shapes do not agree, steps do not increase, or values are infinite.

    Examples
    --------
    >>> steps = np.arange(30.0)
    >>> found = find_stages(0.1 + 0.5 / (1 + np.exp(-(steps - 15))), steps)
    >>> found.attrs["verdict"], found["half_time"].values.round(1)
    ('stages', array([15.]))
    >>> find_stages(np.exp(-steps / 10), steps).attrs["verdict"]
    'no stage'
    >>> find_stages(np.arange(5.0), np.arange(5.0)).attrs["reason"]
    '5 checkpoints; stages are told from smooth courses with 24 or more'
    """
    if isinstance(curves, xr.Dataset | pd.DataFrame):
        if steps is not None or resamples is not None:
            raise BrainalignError("A table has its own steps; give `steps` and `resamples` with arrays only.")
        table = score_curves(curves) if isinstance(curves, xr.Dataset) else training_curves(curves)
        return together(table, [stages_of(each.values[:, None], each.steps) for each in table])
    values, steps = _checked(curves, steps)
    drawn = None
    if resamples is not None:
        drawn = np.asarray(resamples, dtype=float)
        if drawn.ndim != 2 or drawn.shape[1] != len(steps):
            raise BrainalignError(
                f"`resamples` has the shape {drawn.shape}; (resample, {len(steps)} checkpoints) is needed."
            )
    return stages_of(values, steps, drawn)


def together(curves: Sequence[Curve], found: Sequence[xr.Dataset]) -> xr.Dataset:
    """Put the stages of several curves along a dimension ``curve``, with NaN where one has fewer."""
    parts = []
    for curve, stages in zip(curves, found, strict=True):
        facts = {name: stages.attrs.get(name, np.nan if name == "margin" else "") for name in PER_CURVE}
        facts["n_checkpoints_left_out"] = stages.attrs["n_checkpoints_left_out"]
        stages = stages.drop_attrs(deep=False).assign(facts)
        places = {"stage": np.arange(stages.sizes["stage"]), "seed": list(curve.seeds)}
        parts.append(stages.assign_coords({**places, **curve.labels}))
    table = xr.concat(
        parts, "curve", data_vars="all", coords=list(LABELS), compat="equals", join="outer", fill_value=np.nan
    )
    verdicts = [stages.attrs["verdict"] for stages in found]
    counts = {name: verdicts.count(name) for name in (STAGES, NOT_TESTABLE)}
    verdict = STAGES if counts[STAGES] else NOT_TESTABLE if counts[NOT_TESTABLE] == len(parts) else NO_STAGE
    reason = f"{counts[STAGES]} of {len(parts)} curves have stages, {counts[NOT_TESTABLE]} are not testable"
    return table.assign_attrs(verdict=verdict, reason=reason)


def stage_table(found: xr.Dataset) -> pd.DataFrame:
    """Give a row a stage, and one for each curve without: labels, verdict, measures with intervals, reason."""
    curves = [found.isel(curve=i) for i in range(found.sizes["curve"])] if "curve" in found.dims else [found]
    rows = []
    for curve in curves:
        facts = {name: curve[name].item() if name in curve else curve.attrs.get(name, "") for name in PER_CURVE}
        labels = {name: curve[name].item() for name in LABELS if name in curve.coords}
        first = {**labels, "verdict": facts.pop("verdict"), "n_stages": int(facts.pop("n_stages"))}
        for stage in range(max(first["n_stages"], 1)):
            measures = {
                name: float(curve[name][stage]) if first["n_stages"] else np.nan
                for measure in MEASURES
                for name in (measure, f"{measure}_low", f"{measure}_high")
            }
            rows.append({**first, "stage": stage + 1 if first["n_stages"] else 0, **measures, **facts})
    return pd.DataFrame(rows)


def _checked(curves: ArrayLike | xr.DataArray, steps: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    """Give curves as (seed, subject, checkpoint), and their steps."""
    if isinstance(curves, xr.DataArray):
        if steps is None and "checkpoint" in curves.coords:
            steps = curves["checkpoint"].values
        order = [name for name in ("seed", "subject", "checkpoint") if name in curves.dims]
        if set(order) != set(curves.dims) or "checkpoint" not in order:
            raise BrainalignError(
                f"Curves have the dimensions {', '.join(map(str, curves.dims))}; `checkpoint`, and `seed` and "
                "`subject` where there are several, are needed."
            )
        if order == ["subject", "checkpoint"]:
            curves = curves.expand_dims("seed")
            order = ["seed", *order]
        curves = curves.transpose(*order).values
    values = np.asarray(curves, dtype=float)
    if not 1 <= values.ndim <= 3 or values.size == 0:
        raise BrainalignError(
            f"Curves have the shape {values.shape}; (seed, checkpoint), (checkpoint,) or "
            "(seed, subject, checkpoint) is needed."
        )
    if np.isinf(values).any():
        raise BrainalignError(f"Curves hold {int(np.isinf(values).sum())} infinite values; NaN means missing.")
    if steps is None:
        raise BrainalignError("Give `steps`, the training step of each checkpoint.")
    steps = np.asarray(steps, dtype=float)
    if steps.shape != values.shape[-1:]:
        raise BrainalignError(f"Curves have {values.shape[-1]} checkpoints, but there are {steps.size} steps.")
    wrong = np.flatnonzero(~(np.diff(steps) > 0))
    if wrong.size:
        raise BrainalignError(
            f"Steps must increase; step {steps[wrong[0] + 1]:g} follows {steps[wrong[0]]:g} at checkpoint "
            f"{wrong[0] + 1}. No course over time can be tested. Sort the checkpoints, and leave out what is "
            "there twice."
        )
    shape = {1: (1, 1, -1), 2: (len(values), 1, -1), 3: values.shape}[values.ndim]
    return values.reshape(shape), steps
