"""The points that paths are drawn among: checkpoints of networks, pixels, and the brain with its own noise."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from brainalign.compare.patterns import FEWEST_STIMULI, Patterns, find_patterns
from brainalign.data import Recording, StimulusSet
from brainalign.errors import AlignmentError, BrainalignError, ResponsesError
from brainalign.metrics.noise_ceiling import average_visits
from brainalign.metrics.reliability import split_halves
from brainalign.networks import load_network
from brainalign.probing import Representation, probe
from brainalign.training import Checkpoint, Run
from brainalign.trajectory.second_order import SecondOrder

Array = np.ndarray

NETWORK, PIXELS, REGION, SUBJECT, HALF = "network", "pixels", "region", "subject", "half"


@dataclass(frozen=True, eq=False)
class Point:
    """A representation of the stimuli, and what tells it from others.

    Parameters
    ----------
    kind
        ``network``; ``pixels``; ``subject``, one brain; ``region``, its subjects pooled; ``half``, half of its
        data.
    kept
        What the space keeps of it, or None where that is not defined, with the reason in `note`.
    subject
        The subject; of a half, what was halved.
    """

    kind: str
    kept: Array | None
    layer: str = ""
    rule: str = ""
    seed: int = -1
    checkpoint: int = -1
    region: str = ""
    subject: str = ""
    note: str = ""

    @property
    def name(self) -> str:
        """Say which point this is."""
        told = (self.rule, f"seed {self.seed}", f"step {self.checkpoint}", self.layer)
        return ", ".join(told if self.kind == NETWORK else filter(None, (self.kind, self.region, self.subject)))


Brain = Mapping[str, Patterns | xr.DataArray]
"""For each region its responses, brought into form, or its RDMs."""


def open_runs(runs: Iterable[str | Path | Run]) -> list[Run]:
    """Open runs, and check that they can be told apart and that each is a path.

    Raises
    ------
    BrainalignError
        No run, one with a single checkpoint, or two of one rule and seed.
    """
    opened = [each if isinstance(each, Run) else Run.open(each) for each in runs]
    if not opened:
        raise BrainalignError("No run was given, so there is no path; give the folders of training runs.")
    held: dict[tuple[str, int], Run] = {}
    for run in opened:
        if len(run.steps) < 2:
            raise BrainalignError(f"{run.path} has {len(run.steps)} checkpoint; a path needs 2 or more.")
        key = run.settings.rule, run.settings.seed
        if key in held:
            raise BrainalignError(
                f"{held[key].path} and {run.path} are both of rule {key[0]!r}, seed {key[1]}; give the runs of "
                "one network and task, each once."
            )
        held[key] = run
    return opened


def brain_of(recording: Recording, regions: Sequence[str] | None) -> Brain:
    """Bring the regions into form."""
    return {
        region: recording[region]
        if region in recording.rdms
        else find_patterns(recording[region], f"{recording.name}, {region}")
        for region in (recording.regions if regions is None else regions)
    }


def shared_stimuli(recording: Recording, brain: Brain) -> StimulusSet:
    """Give the stimuli with images that every region answered, sorted by id.

    Raises
    ------
    AlignmentError
        Fewer than ten, or a recording without stimuli.
    """
    answered = [set(_ids(each)) for each in brain.values()]
    shared = sorted(set.intersection(*answered)) if answered and recording.stimuli else []
    if recording.stimuli is None or len(shared) < FEWEST_STIMULI:
        raise AlignmentError(
            f"The regions {', '.join(brain)} of {recording.name!r} share {len(shared)} stimuli that networks "
            f"can be shown; paths need {FEWEST_STIMULI}. Name regions that answered the same stimuli."
        )
    return recording.stimuli.select(shared)


def _ids(region: Patterns | xr.DataArray) -> Sequence[str]:
    return region.stimuli if isinstance(region, Patterns) else region["stimulus"].values.tolist()


def point_of(layer: Representation, space: SecondOrder, stimuli: Sequence[str], kind: str, **labels) -> Point:
    """Make the point of a network's layer; without a place where its dissimilarities are undefined.

    Raises
    ------
    AlignmentError
        The network was not shown these stimuli.
    """
    aligned = layer.select(stimuli)
    try:
        return Point(kind, space.of_layer(aligned), layer.layer, **labels)
    except ResponsesError as error:
        return Point(kind, None, layer.layer, **labels, note=str(error))


def network_points(
    runs: Sequence[Run], stimuli: StimulusSet, layers: Sequence[str] | None, space: SecondOrder
) -> list[Point]:
    """Give each run's checkpoints, layer by layer; features of one checkpoint are held at a time."""
    return [
        point
        for run in runs
        for checkpoint in run.checkpoints()
        for point in checkpoint_points(checkpoint, stimuli, layers, space)
    ]


def checkpoint_points(
    checkpoint: Checkpoint, stimuli: StimulusSet, layers: Sequence[str] | None, space: SecondOrder
) -> list[Point]:
    """Give one checkpoint's layers.

    Raises
    ------
    ResponsesError
        Activations that are NaN or infinite; the run and the step are named.
    """
    who = {"rule": checkpoint.rule, "seed": checkpoint.seed, "checkpoint": checkpoint.step}
    try:
        found = probe(checkpoint.load(), stimuli, layers)
    except ResponsesError as error:
        raise ResponsesError(f"{checkpoint.run.path}, step {checkpoint.step}: {error}") from error
    return [point_of(each, space, stimuli.ids, NETWORK, **who) for each in found.values()]


def pixel_point(stimuli: StimulusSet, image_size: int, space: SecondOrder) -> Point:
    """Give the pixels at the size at which the networks see the stimuli."""
    (found,) = probe(load_network("pixels", image_size), stimuli).values()
    return point_of(found, space, stimuli.ids, PIXELS)


def brain_points(brain: Brain, stimuli: Sequence[str], space: SecondOrder, seed: int) -> list[Point]:
    """Give each region's subjects, the subjects pooled, and two halves of its data.

    Halves are of the repeats, drawn at random; else of the visits, every other one of each subject; else of the
    subjects, drawn at random. A region with none of these has no halves.

    Raises
    ------
    ResponsesError
        A region without a subject of two units, or with responses whose dissimilarities are undefined.
    """
    points = []
    for region, answers in brain.items():
        generator = np.random.default_rng(seed)
        try:
            if isinstance(answers, Patterns):
                subjects, halved, halves = _of_responses(answers, stimuli, space, generator)
            else:
                subjects, halved, halves = _of_rdms(answers, stimuli, space, generator)
        except ResponsesError as error:
            raise ResponsesError(f"Region {region!r}: {error}") from error
        if not subjects:
            raise ResponsesError(f"Region {region!r} has no subject of two units or more; leave it out.")
        points += [Point(SUBJECT, kept, region=region, subject=name) for name, kept in subjects.items()]
        points.append(Point(REGION, space.pooled(list(subjects.values())), region=region))
        points += [
            Point(HALF, space.pooled(each), region=region, subject=f"half {k + 1} of the {halved}")
            for k, each in enumerate(halves)
        ]
    return points


Parts = tuple[dict[str, Array], str, list[list[Array]]]


def _of_responses(
    patterns: Patterns, stimuli: Sequence[str], space: SecondOrder, generator: np.random.Generator
) -> Parts:
    """Give what is kept of each subject, what is halved, and what is kept of each subject in either half."""
    place = {stimulus: row for row, stimulus in enumerate(patterns.stimuli)}
    rows = [place[stimulus] for stimulus in stimuli]
    names = np.array(patterns.subjects, dtype=object)

    def by_subject(values: Array) -> dict[str, Array]:
        known = np.isfinite(values).all(axis=0)
        kept = {name: values[:, known & (names == name)] for name in dict.fromkeys(patterns.subjects)}
        return {name: space.of_patterns(each) for name, each in kept.items() if each.shape[1] > 1}

    subjects = by_subject(patterns.mean[rows])
    if patterns.repeats is not None:
        of_repeats = [by_subject(half) for half in split_halves(patterns.repeats[rows], generator)]
        if all(of_repeats):
            return subjects, "repeats", [list(half.values()) for half in of_repeats]
    return subjects, "subjects", _in_two(list(subjects.values()), generator)


def _of_rdms(
    rdms: xr.DataArray, stimuli: Sequence[str], space: SecondOrder, generator: np.random.Generator
) -> Parts:
    """Give the same of a region that has RDMs alone."""
    chosen = rdms.sel(stimulus=list(stimuli), other_stimulus=list(stimuli))
    names = [str(name) for name in chosen["subject"].values]
    visits = np.stack([space.of_rdm(matrix) for matrix in chosen.values])
    means, subjects = average_visits(visits, names)
    of_subject = dict(zip(subjects, means, strict=True))
    if len(names) == len(subjects):
        return of_subject, "subjects", _in_two(list(means), generator)
    halves: list[list[Array]] = [[], []]
    for name in subjects:
        own = visits[[k for k, other in enumerate(names) if other == name]]
        if len(own) > 1:
            halves[0].append(own[0::2].mean(axis=0))
            halves[1].append(own[1::2].mean(axis=0))
    return of_subject, "visits", halves


def _in_two(kept: Sequence[Array], generator: np.random.Generator) -> list[list[Array]]:
    """Halve the subjects; nothing where there is one."""
    if len(kept) < 2:
        return []
    order = generator.permutation(len(kept))
    middle = len(kept) // 2
    return [[kept[k] for k in half] for half in (order[:middle], order[middle:])]
