"""Searchlight: every layer held against many groups of units, with tests that allow for how many they are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int
from scipy.stats import false_discovery_control
from tqdm import tqdm

from brainalign.compare.group_blocks import ORDERS, Block, rdm_blocks, single_blocks
from brainalign.compare.patterns import find_patterns
from brainalign.compare.problems import FAMILIES, provides
from brainalign.compare.rdm_comparison import with_noise
from brainalign.compare.rdm_vectors import is_inner_product
from brainalign.compare.unit_groups import Groups, Members, find_groups
from brainalign.errors import BrainalignError, NeedsError, ResponsesError
from brainalign.metrics import Metric, find_metric
from brainalign.probing import Representation

Array = np.ndarray
Layers = Mapping[str, Representation] | Sequence[Representation]

MEMORY = 512 * 2**20
"""Bytes that RDMs and their products may take, about."""

ROUNDING = 1e-12
"""A value this much below the observed one counts as equal to it: the same sums, in another order."""


def searchlight(
    layers: Layers,
    responses: xr.DataArray,
    groups: Groups,
    metric: str = "rsa",
    *,
    n_permutations: int = 1000,
    seed: int = 0,
    memory: int = MEMORY,
    metadata: pd.DataFrame | None = None,
) -> xr.Dataset:
    r"""Compare layers with groups of units, such as the voxels within a radius of each voxel.

    Each group is a region of its own: its value is the one that `brainalign.score` gives for these units.
    RSA by a comparator that is an inner product (all but ``kendall_tau_a``, and those with
    ``stimulus_noise=estimated``), with groups of one subject each, is one matrix product for all groups and
    layers: O(groups · layers · stimuli²) per permutation. Every other metric is computed group by group and
    order by order, which takes groups × permutations of its fits: ask for fewer permutations, or for none.

    The stimuli of the layers are permuted, all groups and layers alike, so that what neighbours share is kept.
    Tests are one-sided (more alike than by chance), with :math:`p = (1 + \#\{\text{permuted} \ge
    \text{observed}\}) / (1 + N)`: never zero, and never below 1/(1 + N). They take stimuli to be exchangeable,
    and are of this subject's responses; for a population, test the maps of several subjects.

    Parameters
    ----------
    layers
        As `brainalign.probe` gives them; they must have been shown the stimuli of the responses.
    responses
        Of one region or a whole volume, as `brainalign.make_responses` makes them. Units that miss
        responses or never change are left out of every group.
    groups
        See `find_groups`; `sphere_groups` makes them from coordinates.
    metric
        A name with options: ``rsa:rdm=crossnobis`` normalises each group's noise across repeats,
        and ``ridge`` cross-validates.
    n_permutations
        How many, or 0 for values without tests.
    seed
        Of permutations, and of the metric's splits.
    memory
        Bytes that the RDMs of one chunk of groups may take.
    metadata
        Of the stimuli, for the columns ``image`` and ``stratum`` of cross-validated metrics.

    Returns
    -------
    xarray.Dataset
        Dimensions (group, layer): ``raw``, and, of all groups and layers together, ``p`` (uncorrected),
        ``p_family_wise`` (by the maximum over the whole table), ``p_false_discovery`` (Benjamini & Hochberg;
        no smaller than 1/(1 + N) times cells per cell of that p, so large tables take many permutations).
        Per group ``n_units`` and ``note`` (why it has no value). For correction within one layer's map,
        give that layer alone.

    Raises
    ------
    BrainalignError
        No layer, no group, or one without units; `find_groups` says what else.
    NeedsError
        A metric whose needs the responses do not meet.
    ResponsesError
        A single unit where correlation distance was asked for, or no group that can be compared.

    References
    ----------
    Kriegeskorte, Goebel & Bandettini (2006), PNAS 103:3863; Nichols & Holmes (2002), Human Brain Mapping 15:1;
    Phipson & Smyth (2010), Stat Appl Genet Mol Biol 9:39.
    """
    named = dict(layers) if isinstance(layers, Mapping) else {layer.layer: layer for layer in layers}
    if len(named) < len(layers) or not named:
        problem = "Two layers have one name" if named else "No layer was given"
        raise BrainalignError(
            f"{problem}; give one or more, as `brainalign.probe` does, each with its own name."
        )
    if n_permutations < 0:
        raise BrainalignError(f"{n_permutations} permutations were asked for; give 1000 or so, or 0 for none.")
    found = find_metric(metric)
    _check_needs(found, responses)
    members = find_groups(groups, responses)
    _check_sizes(found, members)
    patterns = find_patterns(responses.assign_coords(unit=np.arange(responses.sizes["unit"])), "The region")
    aligned = [layer.select(patterns.stimuli) for layer in named.values()]
    if found.family == "rdm" and is_inner_product(found.kernel) and _of_one_subject_each(members, responses):
        known = with_noise(patterns, "The region") if found.kernel.needs_repeats else patterns
        blocks = rdm_blocks(found.kernel, known, aligned, list(members.values()), memory)
    else:
        blocks = single_blocks(found, responses, aligned, members, seed, metadata)
    joint = getattr(FAMILIES[found.family], "joint", False)
    table = _compare(blocks, _orders(len(patterns.stimuli), n_permutations, seed), len(members))
    return xr.Dataset(
        table.variables(),
        {"group": _texts(members), "layer": _texts(["all layers"] if joint else named)},
        {
            "title": f"Searchlight: {found.label}",
            "metric": found.name,
            "n_stimuli": len(patterns.stimuli),
            "n_permutations": n_permutations,
            "seed": seed,
            "citation": found.citation,
        },
    )


def _check_needs(metric: Metric, responses: xr.DataArray) -> None:
    if "unit" not in responses.dims:
        raise NeedsError(f"A searchlight needs responses of units; these have the dimensions {responses.dims}.")
    missing = metric.needs - provides(responses)
    if missing:
        raise NeedsError(
            f"The responses have no {' and no '.join(sorted(missing))}, which {metric.name} needs."
        )


def _check_sizes(metric: Metric, members: Mapping[str, Members]) -> None:
    single = [name for name, units in members.items() if len(units) < 2]
    if single and metric.options.get("rdm") == "correlation":
        raise ResponsesError(
            f"{len(single)} groups hold a single unit, such as {single[0]!r}, so correlation distance is "
            "undefined; leave them out (min_units=2 in `sphere_groups`), or use rsa:rdm=euclidean."
        )


def _of_one_subject_each(members: Mapping[str, Members], responses: xr.DataArray) -> bool:
    _, subject = np.unique(responses["subject"].values.astype(str), return_inverse=True)
    return all((subject[units] == subject[units[0]]).all() for units in members.values())


def _orders(n_stimuli: int, n_permutations: int, seed: int) -> Int[Array, "order n"]:
    """Random orders of the stimuli, with the order as it is in the first place."""
    orders = np.tile(np.arange(n_stimuli), (1 + n_permutations, 1))
    np.random.default_rng(seed).permuted(orders[1:], axis=1, out=orders[1:])
    return orders


def _compare(blocks: Iterable[Block], orders: Int[Array, "order n"], n_groups: int) -> "_Table":
    """Compute the values of all blocks, and how many orders of the stimuli give as much."""
    raw, reached, n_units, notes = [], [], [], []
    highest = np.full(len(orders) - 1, -np.inf)
    with tqdm(total=n_groups, desc="searchlight", unit="group", delay=2, leave=False, disable=None) as progress:
        for block in blocks:
            observed = block.values(orders[:1])[0]
            as_high = np.zeros(observed.shape, dtype=np.int64)
            for start in range(1, len(orders), ORDERS):
                permuted = block.values(orders[start : start + ORDERS])
                as_high += (permuted >= observed - ROUNDING).sum(axis=0)
                top = highest[start - 1 : start - 1 + len(permuted)]
                np.fmax(top, np.fmax.reduce(permuted.reshape(len(permuted), -1), axis=1), out=top)
            raw.append(observed)
            reached.append(as_high)
            n_units += block.n_units
            notes += block.notes
            progress.update(len(observed))
    table = _Table(np.concatenate(raw), np.concatenate(reached), highest, n_units, notes)
    if not np.isfinite(table.raw).any():
        raise ResponsesError(
            f"No group can be compared with any layer; the first: {notes[0] or 'undefined values'}."
        )
    return table


@dataclass(frozen=True)
class _Table:
    """Values of all groups and layers, in how many permutations each was reached, and the highest in each."""

    raw: Float[Array, "group layer"]
    reached: Int[Array, "group layer"]
    highest: Float[Array, " permutation"]
    n_units: list[int]
    notes: list[str]

    def variables(self) -> dict[str, tuple]:
        """Give what the table holds, with p values if there were permutations."""
        cells, n = ("group", "layer"), len(self.highest)
        found = {"raw": (cells, self.raw)}
        if n:
            known = np.isfinite(self.raw)
            p = np.where(known, (1 + self.reached) / (1 + n), np.nan)
            below = np.searchsorted(np.sort(self.highest), self.raw - ROUNDING)
            adjusted = np.full_like(p, np.nan)
            adjusted[known] = false_discovery_control(p[known], method="bh")
            found |= {
                "p": (cells, p),
                "p_family_wise": (cells, np.where(known, (1 + n - below) / (1 + n), np.nan)),
                "p_false_discovery": (cells, adjusted),
            }
        return found | {"n_units": ("group", np.array(self.n_units)), "note": ("group", _texts(self.notes))}


def _texts(values: Iterable[str]) -> Array:
    return np.array(list(values), dtype=object)
