"""Make the regions of a recording ready for metrics, and say what a metric lacks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
import xarray as xr

from brainalign.compare.comparison import Comparison
from brainalign.compare.decoding import Decoding
from brainalign.compare.gram_similarity import GramSimilarity
from brainalign.compare.joint_predictivity import JointPredictivity
from brainalign.compare.matching import Matching
from brainalign.compare.predictivity import Predictivity
from brainalign.compare.rdm_comparison import RdmComparison
from brainalign.compare.reverse_predictivity import ReversePredictivity
from brainalign.compare.weighted_rsa import WeightedRsa
from brainalign.data import Recording
from brainalign.errors import NeedsError
from brainalign.metrics import Metric

FAMILIES: dict[str, Callable[..., Comparison]] = {
    "predictivity": Predictivity,
    "joint_predictivity": JointPredictivity,
    "reverse": ReversePredictivity,
    "matching": Matching,
    "decoding": Decoding,
    "rdm": RdmComparison,
    "joint_rdm": WeightedRsa,
    "gram": GramSimilarity,
}


@dataclass(frozen=True)
class Problem:
    """One region under one metric; without a comparison, the reason is in `unmet`."""

    region: str
    metric: Metric
    comparison: Comparison | None
    unmet: str = ""


Prepare = Callable[[Recording, Sequence[Metric], int, int], list[Problem]]
"""Takes a recording, metrics, a number of bootstrap samples and a seed, as `make_problems` does."""


def make_problems(
    recording: Recording, metrics: Sequence[Metric], n_resamples: int, seed: int
) -> list[Problem]:
    """Make every region of a recording ready for every metric that it allows."""
    return [
        _problem(recording, region, metric, n_resamples, seed)
        for region in recording.regions
        for metric in metrics
    ]


def _problem(recording: Recording, region: str, metric: Metric, n_resamples: int, seed: int) -> Problem:
    owner = f"Region {region!r} of {recording.name!r}"
    metadata = None if recording.stimuli is None else recording.stimuli.metadata
    if metric.family not in FAMILIES:
        words = f"{metric.name} compares activity under conditions without images, and {owner} is of images"
        return Problem(region, metric, None, words)
    has = provides(recording[region], metadata)
    missing = metric.needs - has
    if missing:
        words = f"{owner} has no {' and no '.join(sorted(missing))}, which {metric.name} needs"
        return Problem(region, metric, None, words)
    try:
        family = FAMILIES[metric.family]
        return Problem(region, metric, family(metric, recording[region], owner, n_resamples, seed, metadata))
    except NeedsError as error:
        return Problem(region, metric, None, str(error))


def provides(region: xr.DataArray, metadata: pd.DataFrame | None = None) -> set[str]:
    """Give what metrics may ask for and a region, together with any network and its stimuli's metadata, has."""
    has = {"gram", "features", "rdm"}
    if metadata is not None and len(metadata.columns):
        has.add("labels")
    if "other_stimulus" in region.dims:
        return has
    has.add("responses")
    if "repeat" in region.dims or "trial" in region.dims:
        has.add("repeats")
    if "time" in region.dims:
        has.add("time")
    return has


def raise_unmet(problems: Sequence[Problem]) -> None:
    """Raise if a metric that was named finds no region that it can be used on."""
    for metric in {problem.metric.name: problem.metric for problem in problems}.values():
        of_metric = [problem for problem in problems if problem.metric.name == metric.name]
        if all(problem.comparison is None for problem in of_metric):
            allowed = {problem.metric.name for problem in problems if problem.comparison}
            way_out = f"Metrics that it allows: {', '.join(sorted(allowed))}." if allowed else ""
            reasons = "; ".join(problem.unmet.rstrip(".") for problem in of_metric)
            raise NeedsError(f"{reasons}. {way_out or 'Choose another metric (`brainalign list metrics`).'}")
