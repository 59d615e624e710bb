"""Score networks against recordings, layer by layer: the measuring wing in one call."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import xarray as xr
from torch import nn
from tqdm import tqdm

from brainalign.compare.candidates import Candidate, TrainedNetwork, TrainingRun, candidates
from brainalign.compare.committed import CommittedRegion
from brainalign.compare.condition_rows import Options, score_conditions
from brainalign.compare.conditions import of_conditions
from brainalign.compare.differences import DIFFERENCES, Entry, paired_differences
from brainalign.compare.problems import Prepare, Problem, make_problems, raise_unmet
from brainalign.compare.rows import score_network
from brainalign.compare.scores import make_scores, save_scores, versions
from brainalign.data import Recording, StimulusSet, load_recording
from brainalign.errors import BrainalignError, NeedsError
from brainalign.metrics import Metric, find_metric
from brainalign.networks import Preprocessing, RecurrentNetwork
from brainalign.probing import Representation, probe

DEFAULT_METRICS = ("ridge", "rsa")
DEFAULT_CONDITION_METRICS = ("jpca", "tangling", "participation_ratio")

LABELS = ("recording", "region", "metric")
DETAILS = (
    "subject",
    "r",
    "recording",
    "region",
    "network",
    "task",
    "rule",
    "seed",
    "checkpoint",
    "metric",
    "layer",
)

Network = str | nn.Module | tuple[str, nn.Module] | TrainedNetwork | TrainingRun | Candidate


@dataclass(frozen=True)
class Evaluation:
    """What scoring gives.

    Parameters
    ----------
    scores
        The Scores table.
    differences
        Paired differences between networks at their committed layers.
    details
        Values per unit or per subject behind each row.
    committed
        Of each region and metric that can be compared, the networks' outcomes behind `differences`, with their
        bootstrap samples.
    """

    scores: xr.Dataset
    differences: pd.DataFrame
    details: pd.DataFrame
    committed: tuple[CommittedRegion, ...] = ()

    def save(self, path: str | Path) -> list[Path]:
        """Write the table (netCDF and CSV) and, beside it, the differences and the details (CSV)."""
        return save_scores(self.scores, path, {"differences": self.differences, "details": self.details})


def evaluate(
    networks: Network | Sequence[Network],
    recordings: str | Recording | Sequence[str | Recording],
    metrics: str | Sequence[str] | None = None,
    *,
    layers: str | Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    reduction: str = "whole",
    n_resamples: int = 1000,
    seed: int = 0,
    batch_size: int = 32,
    memory: int | None = None,
    spool: str | Path | bool = True,
    precision: str = "single",
    cache: bool = True,
    device: str | None = None,
    match_conditions: bool = False,
    prepare: Prepare = make_problems,
) -> Evaluation:
    """Score networks against recordings, and compare the networks with each other.

    Parameters
    ----------
    networks
        Names, modules, pairs of a name and a module, training runs (each checkpoint is scored), or single
        checkpoints of them. Of a run the last that is given enters the differences between networks.
    recordings
        Names or recordings.
    metrics
        Names with options; by default ridge and rsa, each where the recording allows it.
    layers, preprocessing, reduction, batch_size, memory, spool, precision, cache, device
        How the networks are probed; see `brainalign.probing.probe`. Layers and preprocessing are
        for networks that are not controls. Metrics that need single units (`one_to_one`, `soft_matching`)
        keep all features of a network in memory, and out of the cache.
    n_resamples
        Bootstrap samples behind each interval; with 0 there are no intervals. Of recordings of conditions
        without images, draws of each null distribution.
    seed
        Seed of splits of repeats, of halves of stimuli, and of bootstrap samples.
    match_conditions
        Whether to match conditions one to one by the data themselves where a recording does not tell which they
        are: on half of the units, scored on the other half, and the null repeats the search.
    prepare
        Makes a recording's regions ready for metrics; for callers that keep what it gives from one call to the
        next.

    Raises
    ------
    NeedsError
        A metric that was named and that a single recording does not allow (with several recordings
        its row is NaN with a note), or a recording without images.
    ResponsesError
        Fewer than ten stimuli, or activations that are NaN.
    """
    found = _recordings(recordings)
    entrants = _candidates(networks)
    chosen = _metrics(DEFAULT_METRICS if metrics is None else metrics)
    acted, found = [r for r in found if of_conditions(r)], [r for r in found if not of_conditions(r)]
    globs = None if layers is None else tuple([layers] if isinstance(layers, str) else layers)
    of_acted = Options(n_resamples, seed, match_conditions, globs)
    if metrics is None and acted:
        chosen_acted = [find_metric(name) for name in DEFAULT_CONDITION_METRICS]
    else:
        chosen_acted = chosen
    rows: list[dict] = []
    for recording in acted:
        rows += [
            _marked(row, recording) for row in score_conditions(recording, chosen_acted, entrants, of_acted)
        ]
    stimuli = [_shown(recording) for recording in found]
    problems = [prepare(recording, chosen, n_resamples, seed) for recording in found]
    if metrics is None:
        # Of several defaults those that a recording allows; all, with the reasons, if it allows none.
        problems = [[each for each in some if each.comparison] or some for some in problems]
    if len(found) == 1:
        raise_unmet(problems[0])
    details, committed_regions = [], []
    options = {
        "reduction": reduction,
        "batch_size": batch_size,
        "memory": memory,
        "spool": spool,
        "precision": precision,
        "keep_features": any("features" in metric.needs for metric in chosen),
        "cache": cache,
        "device": device,
    }
    for recording, shown, of_recording in zip(found, stimuli, problems, strict=True):

        def probed(network: Candidate, shown: StimulusSet = shown) -> list[Representation]:
            chosen_layers = None if network.control else layers
            own = None if network.control else preprocessing
            return list(probe(_seeing(network), shown, chosen_layers, preprocessing=own, **options).values())

        new_rows, new_details, regions = _scored(recording, of_recording, entrants, probed)
        rows += new_rows
        details += new_details
        committed_regions += regions
    used = chosen_acted if not found else [*chosen, *(m for m in chosen_acted if m not in chosen)]
    attrs = _attributes([*acted, *found], used, n_resamples, seed, reduction)
    return Evaluation(
        make_scores(rows, attrs),
        _stacked([_labelled(each) for each in committed_regions], LABELS + DIFFERENCES),
        _stacked(details, DETAILS),
        tuple(committed_regions),
    )


def score(
    network: Network | Sequence[Network],
    recording: str | Recording | Sequence[str | Recording],
    metrics: str | Sequence[str] | None = None,
    **options,
) -> xr.Dataset:
    """Score one or more networks against one or more recordings; `evaluate` says what the options are.

    Returns
    -------
    xarray.Dataset
        The Scores table: one dimension ``cell``, a row for each layer, region and metric, and one at
        the layer ``committed`` on other stimuli than it is scored on.
    """
    return evaluate(network, recording, metrics, **options).scores


def _scored(
    recording: Recording,
    problems: Sequence[Problem],
    entrants: Sequence[Candidate],
    probed: Callable[[Candidate], list[Representation]],
) -> tuple[list[dict], list[pd.DataFrame], list[CommittedRegion]]:
    """Score every network in the regions of a recording with images.

    Returns
    -------
    tuple
        Rows, tables of details, and each region's outcomes at committed layers.
    """
    compared = {each.identity[:-1]: each for each in entrants}
    rows, details = [], []
    entries: list[list[Entry]] = [[] for _ in problems]
    for network in tqdm(entrants, recording.name, unit="network", delay=2, leave=False, disable=None):
        seen = probed(network)
        for problem, entered in zip(problems, entries, strict=True):
            new_rows, new_details, committed = score_network(recording.name, problem, network, seen)
            rows += [_marked(row, recording) for row in new_rows]
            details += new_details
            if committed is not None and compared[network.identity[:-1]] is network:
                entered.append(Entry(network.label, network.seed, committed))
    regions = [
        _committed(recording.name, problem, entered)
        for problem, entered in zip(problems, entries, strict=True)
        if problem.comparison is not None
    ]
    return rows, details, regions


def _seeing(network: Candidate) -> nn.Module:
    """Load a network that can be shown images."""
    module = network.load()
    if isinstance(module, RecurrentNetwork):
        raise NeedsError(
            f"Network {network.name!r} is recurrent and sees no images; score it on a recording of movement, "
            "such as churchland2012 (`brainalign list recordings`)."
        )
    return module


def _listed(value, kind: str) -> list:
    """Make a list of one thing or several; a pair (name, module) is one network."""
    pair = isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], nn.Module)
    values = list(value) if isinstance(value, list | tuple) and not pair else [value]
    if not values:
        raise BrainalignError(f"No {kind} was given; name one at least.")
    return values


def _recordings(recordings) -> list[Recording]:
    found: dict[str, Recording] = {}
    for each in dict.fromkeys(_listed(recordings, "recording")):
        recording = load_recording(each) if isinstance(each, str) else each
        if recording.name in found:
            raise BrainalignError(
                f"Two recordings are named {recording.name!r}, and the table could not tell them apart; give "
                "each a name of its own."
            )
        found[recording.name] = recording
    return list(found.values())


def _candidates(networks) -> list[Candidate]:
    found: dict[tuple, Candidate] = {}
    for one in (one for each in _listed(networks, "network") for one in candidates(each)):
        same = found.setdefault(one.identity, one)
        if same != one:
            raise BrainalignError(
                f"Two networks are named {one.label!r}, and the table could not tell them apart; give pairs "
                "(name, module) with names of their own, or score them in tables of their own."
            )
    return list(found.values())


def _metrics(names) -> list[Metric]:
    metrics = [find_metric(name) for name in _listed(names, "metric")]
    return list({metric.name: metric for metric in metrics}.values())


def _shown(recording: Recording) -> StimulusSet:
    """Stimuli of a recording that some region answers, sorted by id, so that their order changes nothing."""
    recording.require_regions()
    if recording.stimuli is None or recording.stimuli.images is None:
        raise NeedsError(
            f"Recording {recording.name!r} comes without images, so no network can be shown its stimuli. "
            "Give its images by a card of your own, or choose another recording (`brainalign list recordings`)."
        )
    answered = {i for region in recording.regions for i in recording[region]["stimulus"].values.tolist()}
    return recording.stimuli.select(sorted(answered))


def _marked(row: dict, recording: Recording) -> dict:
    """Say SIMULATED in the row of a simulated recording, for a CSV file has no other place for it."""
    if not recording.provenance.simulated:
        return row
    return row | {"note": "; ".join(["SIMULATED", *filter(None, [row["note"]])])}


def _committed(recording: str, problem: Problem, entries: Sequence[Entry]) -> CommittedRegion:
    comparison = problem.comparison
    assert comparison is not None
    of_region = (recording, problem.region, problem.metric.name, comparison.facts.stimuli)
    return CommittedRegion(*of_region, comparison.resamples, tuple(entries))


def _labelled(region: CommittedRegion) -> pd.DataFrame:
    table = paired_differences(region.entries, region.resamples)
    for place, name in enumerate(LABELS):
        table.insert(place, name, getattr(region, name))
    return table


def _stacked(tables: Sequence[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    kept = [table for table in tables if len(table)]
    return pd.concat(kept, ignore_index=True) if kept else pd.DataFrame(columns=list(columns))


def _attributes(
    recordings: Sequence[Recording], metrics: Sequence[Metric], n_resamples: int, seed: int, reduction: str
) -> dict[str, object]:
    """Provenance of a table."""
    return {
        "title": "Scores of networks against recordings",
        "interval": "95 % t-interval of raw",
        "n_resamples": n_resamples,
        "seed": seed,
        "reduction": reduction,
        "simulated": int(any(recording.provenance.simulated for recording in recordings)),
        "metric_labels": json.dumps({metric.name: metric.label for metric in metrics}),
        "metric_citations": json.dumps({metric.name: metric.citation for metric in metrics}),
        "citations": json.dumps({each.name: each.provenance.citation for each in recordings}),
        "licences": json.dumps({each.name: each.provenance.licence for each in recordings}),
        "stimuli": json.dumps({each.name: each.stimuli.content_hash() for each in recordings if each.stimuli}),
        "versions": versions(),
    }
