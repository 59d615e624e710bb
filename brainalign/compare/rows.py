"""Outcomes into rows of the Scores table."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from brainalign.compare.candidates import Candidate
from brainalign.compare.commitment import COMMITTED, commit
from brainalign.compare.comparison import Comparison, Outcome
from brainalign.compare.problems import Problem
from brainalign.compare.resampling import interval
from brainalign.compare.scores import VALUES
from brainalign.probing import Representation

NAN = float("nan")

ALL_LAYERS = "all layers"
"""What the column ``layer`` says of a score that layers earn together."""

ROUNDING = 1e-13
"""Share of the mean answer's square: a standard deviation of three units of float32's last place."""


def score_network(
    recording: str, problem: Problem, network: Candidate, layers: Sequence[Representation]
) -> tuple[list[dict], list[pd.DataFrame], Outcome | None]:
    """Score a network's layers, and the layer committed on other stimuli, in one region by one metric.

    Returns
    -------
    tuple
        Rows, tables of details, and the committed outcome (None where there is no comparison).
    """
    identity = {
        "recording": recording,
        "region": problem.region,
        "network": network.name,
        "task": network.task,
        "rule": network.rule,
        "seed": network.seed,
        "checkpoint": network.checkpoint,
        "metric": problem.metric.name,
    }
    comparison = problem.comparison
    if comparison is None:
        return [identity | empty_values(problem.unmet)], [], None
    aligned = [layer.select(comparison.facts.stimuli) for layer in layers]
    names = [layer.layer for layer in layers]
    of_layers = [
        {"layer": each.layer, "layer_units": each.n_units, "participation_ratio": each.participation_ratio()}
        for each in aligned
    ]
    if problem.metric.joint:
        names = [ALL_LAYERS]
        n_units = sum(layer.n_units for layer in layers)
        of_layers = [{"layer": ALL_LAYERS, "layer_units": n_units, "participation_ratio": NAN}]
    outcomes = _outcomes(comparison, aligned, problem.metric.joint)
    rows = [
        identity | of_layer | _values(comparison, outcome)
        for of_layer, outcome in zip(of_layers, outcomes, strict=True)
    ]
    committed = commit(outcomes, names, comparison.resamples)
    values = _values(comparison, committed)
    if problem.metric.family == "gram" and callable(problem.metric.chance):
        # Chance is higher on the halves that it is scored on than on all stimuli, which the ceiling is of.
        values["score"] = NAN
    rows.append(identity | {"layer": COMMITTED, "layer_units": -1, "participation_ratio": NAN} | values)
    details = [
        outcome.details.assign(**({"layer": layer} | dict(outcome.details) | identity))
        for layer, outcome in zip(names, outcomes, strict=True)
        if outcome.details is not None
    ]
    return rows, details, committed


def _outcomes(comparison: Comparison, layers: Sequence[Representation], joint: bool) -> list[Outcome]:
    """Compare the layers that tell stimuli apart; the others have no value, and do not spoil it for these."""
    alive = [layer for layer in layers if not _answers_all_alike(layer)]
    if joint and alive:
        return comparison.outcomes(alive)
    silent = Outcome.undefined(comparison.resamples, "the layer answers all stimuli alike")
    if joint:
        return [silent]
    found = iter(comparison.outcomes(alive))
    return [silent if _answers_all_alike(layer) else next(found) for layer in layers]


def _answers_all_alike(layer: Representation) -> bool:
    """Say whether a layer's variance over stimuli is no more than rounding of its mean answer."""
    variance = float(np.trace(layer.gram)) / len(layer.gram)
    return variance <= ROUNDING * layer.mean_norm or variance == 0


def _values(comparison: Comparison, outcome: Outcome) -> dict:
    facts = comparison.facts
    low = high = NAN
    note = outcome.note
    if np.isfinite(outcome.raw):
        low, high = interval(outcome.raw, *comparison.resamples.variance(outcome.replicates))
    elif not note:
        note = "the metric is undefined on these stimuli"
    return {
        "subject": facts.subject,
        "raw": outcome.raw,
        "low": low,
        "high": high,
        "spread": outcome.spread,
        "score": comparison.normalise(outcome.raw),
        "ceiling": facts.ceiling,
        "ceiling_lower": facts.ceiling_lower,
        "chance": NAN,
        "p_value": NAN,
        "n_stimuli": len(facts.stimuli),
        "n_units": facts.n_units,
        "n_units_masked": facts.n_units_masked,
        "resampled": comparison.resamples.unit,
        "note": "; ".join([*([note] if note else []), *facts.notes]),
    }


def empty_values(note: str) -> dict:
    """Give the values of a row that has none, with the reason."""
    counts = {"n_stimuli": 0, "n_units": 0, "n_units_masked": 0, "layer_units": -1}
    return dict.fromkeys(VALUES, NAN) | counts | {"subject": "", "layer": "", "resampled": "", "note": note}
