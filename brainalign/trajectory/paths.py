"""The paths that representations take through the space of representations while networks learn."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import numpy as np
import xarray as xr

from brainalign.compare.commitment import COMMITTED
from brainalign.compare.scores import versions
from brainalign.data import Recording, StimulusSet
from brainalign.errors import BrainalignError, NeedsError, ResponsesError
from brainalign.names import unknown_name
from brainalign.networks import preprocessing_of
from brainalign.training import Run
from brainalign.trajectory.path_points import (
    NETWORK,
    SUBJECT,
    Brain,
    Point,
    brain_of,
    brain_points,
    checkpoint_points,
    network_points,
    open_runs,
    pixel_point,
    shared_stimuli,
)
from brainalign.trajectory.second_order import SecondOrder, find_space

LABELS = tuple(field.name for field in fields(Point) if field.name != "kept")


def representational_paths(
    runs: Iterable[str | Path | Run],
    recording: Recording,
    layers: str | Sequence[str],
    metric: str = "rsa",
    *,
    regions: Sequence[str] | None = None,
    commit_to: str | None = None,
    seed: int = 0,
) -> xr.Dataset:
    r"""Compare every checkpoint of every run, pixels and the brain with each other.

    A point is how a layer, or a brain, tells the stimuli apart. Under ``rsa`` it is an RDM, and the distance of
    two is 1 − ρ, with ρ the comparator; under ``procrustes`` a configuration of the stimuli up to rotation and
    size, and the distance an angle. Either way points lie on a sphere, and the similarity is a cosine. The
    brain is there as its subjects, as its subjects pooled, and as two halves of its data, whose distance is
    that of noise, and for halves of the subjects also of how these differ.

    Parameters
    ----------
    runs
        Training runs, or their folders, of one network and task: rules × seeds.
    recording
        What the brain answered, with the images.
    layers
        One layer of the networks or several; or ``committed``: the one layer that is most like `commit_to` in
        half of the stimuli, at the last checkpoint of all runs; all distances are then over the other half.
    metric
        ``rsa`` with options (`brainalign.trajectory.second_order.UNIT_LENGTH` comparators), or ``procrustes``.
    regions
        Regions of the recording; all by default. Stimuli are those that all of them answered.
    commit_to
        The region of ``committed``.
    seed
        Draws the brain's halves, and the stimuli on which a layer is chosen.

    Returns
    -------
    xarray.Dataset
        ``distance`` and ``similarity``, dims (point, point\_), with the coords of `Point` along ``point``. NaN
        where a layer does not tell stimuli apart; ``note`` says why. Memory: 16 bytes a point and pair of
        points, and what the space takes (`RdmSpace`, `ShapeSpace`).

    Raises
    ------
    BrainalignError
        No run, one with a single checkpoint, two of one rule and seed, or ``committed`` without its region.
    AlignmentError
        Regions that share fewer than ten stimuli.
    NeedsError
        ``procrustes`` with a region that has RDMs alone.
    ResponsesError
        Activations that are not finite; the run and the step are named.
    UnknownNameError
        A layer, region or metric that there is not.
    """
    opened = open_runs(runs)
    name, space = find_space(metric)
    brain = brain_of(recording, regions)
    stimuli = shared_stimuli(recording, brain)
    facts = {"layers": layers if isinstance(layers, str) else ", ".join(layers), "commit_to": commit_to or ""}
    if layers == COMMITTED:
        order = np.random.default_rng(seed).permutation(len(stimuli))
        choosing, scoring = (sorted(stimuli.ids[k] for k in half) for half in np.array_split(order, 2))
        layers = _committed(opened, brain, commit_to, stimuli.select(choosing), space, seed)
        stimuli = stimuli.select(scoring)
    points = [
        *network_points(opened, stimuli, [layers] if isinstance(layers, str) else list(layers), space),
        pixel_point(stimuli, preprocessing_of(opened[0].load(opened[0].steps[0])).size, space),
        *brain_points(brain, stimuli.ids, space, seed),
    ]
    return _dataset(points, space).assign_attrs(
        facts,
        metric=name,
        recording=recording.name,
        n_stimuli=len(stimuli),
        network=opened[0].settings.network,
        task=opened[0].settings.task,
        seed=seed,
        simulated=int(recording.provenance.simulated),
        citation=recording.provenance.citation,
        versions=versions(),
    )


def paths_between(points: Sequence[Point], metric: str = "rsa") -> xr.Dataset:
    """Compare points that were made by hand; see `representational_paths`.

    Examples
    --------
    >>> rdms = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    >>> paths_between([Point("subject", rdm, region="IT") for rdm in rdms]).distance.values.round(6).tolist()
    [[0.0, 2.0], [2.0, 0.0]]
    """
    name, space = find_space(metric)
    return _dataset(points, space).assign_attrs(metric=name, simulated=0)


def _dataset(points: Sequence[Point], space: SecondOrder) -> xr.Dataset:
    """Compare the points that have a place, and label them all."""
    held = [(k, each) for k, point in enumerate(points) if (each := point.kept) is not None]
    if not held:
        reason = points[0].note if points else "there is none"
        raise ResponsesError(f"No point has a place, so there is nothing to compare: {reason}")
    placed, kept = zip(*held, strict=True)
    for (first, one), (second, other) in pairwise(held):
        if len(one) != len(other):
            raise ResponsesError(
                f"{points[second].name} is over other stimuli than {points[first].name}: it holds {len(other)} "
                f"rows or pairs, not {len(one)}."
            )
    similarity = np.full((len(points), len(points)), np.nan)
    similarity[np.ix_(placed, placed)] = space.similarity(kept)
    columns = {label: [getattr(point, label) for point in points] for label in LABELS}
    coords = {
        label: ("point", np.array(values, dtype=int if label in ("seed", "checkpoint") else object))
        for label, values in columns.items()
    }
    dims = ("point", "point_")
    return xr.Dataset(
        {"distance": (dims, space.distance(similarity)), "similarity": (dims, similarity)}, coords=coords
    )


def _committed(
    runs: Sequence[Run], brain: Brain, region: str | None, stimuli: StimulusSet, space: SecondOrder, seed: int
) -> str:
    """Choose the layer that is most like a region's subjects, over the last checkpoints of all runs."""
    if region is None:
        raise BrainalignError("A layer is committed to a region; name it as commit_to.")
    if region not in brain:
        raise unknown_name("region to commit to", region, brain)
    points = [
        point for run in runs for point in checkpoint_points(run.checkpoints("last")[0], stimuli, None, space)
    ]
    points += brain_points({region: brain[region]}, stimuli.ids, space, seed)
    found = _dataset(points, space)
    own, layer = found["kind"].values, found["layer"].values
    likeness = found["similarity"].values[:, own == SUBJECT].mean(axis=1)
    means = {name: likeness[(own == NETWORK) & (layer == name)].mean() for name in dict.fromkeys(layer) if name}
    defined = {name: value for name, value in means.items() if np.isfinite(value)}
    if not defined:
        raise NeedsError(f"No layer tells the stimuli apart in all runs, so none can be committed to {region}.")
    return max(defined, key=lambda name: defined[name])
