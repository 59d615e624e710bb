"""Whether the paths of two rules come apart by more than those of one rule under other seeds."""

from itertools import product

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int
from scipy import stats

from brainalign.errors import BrainalignError
from brainalign.names import unknown_name
from brainalign.trajectory.path_geometry import FEWEST_SEEDS, each_path

Array = np.ndarray

MOST_EXACT = 12
"""Seeds up to which all swaps are gone through."""
N_SWAPS = 4999


def rules_apart(
    paths: xr.Dataset, rule: str, other: str, layer: str | None = None, seed: int = 0
) -> tuple[pd.DataFrame, pd.Series]:
    r"""Compare the distance between two rules at the same step with that between seeds of one rule.

    .. math:: \text{excess} = \operatorname{mean}_{s \ne r}\Big[ d(A_s, B_r)
        - \tfrac12 \big(d(A_s, A_r) + d(B_s, B_r)\big)\Big]

    over pairs of different seeds s, r, so that the start that runs of one seed share counts on neither side. 0
    is expected if the rule makes no difference. Under ``rsa`` it estimates, without bias, half the squared
    distance between the rules' mean vectors.

    p is that of a permutation test, one-sided: within each seed the two rules change places, which is what may
    be changed if the rule makes no difference, in all :math:`2^{n-1}` ways for up to 12 seeds and else in 4999
    random ones. Five seeds allow no p below 1/16, six none below 1/32. Steps are not corrected for their
    number; the whole path, all steps after the first on average, has one p of its own.

    Parameters
    ----------
    paths
        What `representational_paths` returns.
    rule, other
        Two of its rules.
    layer
        The layer; may be left out where there is one.
    seed
        Draws the swaps of more than 12 seeds.

    Returns
    -------
    tuple
        A table, a row a step that all runs have: checkpoint, between, within, excess, p. And for the whole
        path: excess, p, n_seeds, first and last step, `change` of the excess between them (positive: the paths
        diverge; negative: they converge) with the ends of its 95 % jackknife t-interval over seeds, and a note
        where there is none.

    Raises
    ------
    UnknownNameError
        A rule or layer that the paths do not hold.
    BrainalignError
        Fewer than two seeds or steps that both rules have, several layers and none named, or one rule named
        twice.
    """
    steps, seeds, places = _matched(paths, rule, other, layer)
    distance = paths["distance"].values
    between = distance[places[0][:, :, None], places[1][:, None, :]]
    own = [distance[each[:, :, None], each[:, None, :]] for each in places]
    within = (own[0] + own[1]) / 2
    excess = (between + between.transpose(0, 2, 1)) / 2 - within
    signs = _signs(len(seeds), seed)
    table = pd.DataFrame(
        {
            "checkpoint": steps,
            "between": _off_diagonal_mean(between),
            "within": _off_diagonal_mean(within),
            "excess": _off_diagonal_mean(excess),
            "p": [_p(each, signs) for each in excess],
        }
    )
    whole, grown = excess[1:].mean(axis=0), excess[-1] - excess[1]
    low, high, note = _jackknife(grown)
    summary = {"rule": rule, "other": other, "excess": float(_off_diagonal_mean(whole)), "p": _p(whole, signs)}
    summary |= {"n_seeds": len(seeds), "first": steps[1], "last": steps[-1]}
    return table, pd.Series(
        summary | {"change": float(_off_diagonal_mean(grown)), "low": low, "high": high, "note": note}
    )


def _matched(
    paths: xr.Dataset, rule: str, other: str, layer: str | None
) -> tuple[list[int], list[int], list[Int[Array, "step seed"]]]:
    """Give steps and seeds that both rules have, and for each rule the places of its points."""
    found = list(each_path(paths))
    layers = list(dict.fromkeys(path.layer for path in found))
    if layer is None and len(layers) > 1:
        raise BrainalignError(f"These paths are of the layers {', '.join(layers)}; name one as layer.")
    layer = layer or layers[0]
    if layer not in layers:
        raise unknown_name("layer of these paths", layer, layers)
    if rule == other:
        raise BrainalignError(f"Rule {rule!r} was named twice; name two rules.")
    runs: list[dict[int, dict[int, int]]] = []
    for name in (rule, other):
        own = {path.seed: path.points for path in found if (path.rule, path.layer) == (name, layer)}
        if not own:
            raise unknown_name("rule of these paths", name, [path.rule for path in found])
        steps_of = paths["checkpoint"].values.tolist()
        runs.append({seed: {steps_of[k]: int(k) for k in points} for seed, points in own.items()})
    seeds = sorted(set(runs[0]) & set(runs[1]))
    steps = sorted(set.intersection(*(set(run[seed]) for run in runs for seed in seeds))) if seeds else []
    if len(seeds) < 2 or len(steps) < 2:
        raise BrainalignError(
            f"{rule} (seeds {_listed(runs[0])}) and {other} (seeds {_listed(runs[1])}) share {len(seeds)} "
            f"seeds, and these {len(steps)} steps; it takes 2 of each. Train both rules with the same "
            "seeds and checkpoints."
        )
    return steps, seeds, [np.array([[run[seed][step] for seed in seeds] for step in steps]) for run in runs]


def _listed(run: dict[int, dict[int, int]]) -> str:
    return ", ".join(map(str, sorted(run)))


def _signs(n: int, seed: int) -> Float[Array, "swap seed"]:
    """Give −1 where the rules of a seed change places; swapping all is swapping none."""
    if n <= MOST_EXACT:
        return np.array([(1, *rest) for rest in product((1, -1), repeat=n - 1)], dtype=float)
    random = np.random.default_rng(seed).choice((-1.0, 1.0), (N_SWAPS, n))
    return np.vstack([np.ones(n), random])


def _p(excess: Float[Array, "seed seed"], signs: Float[Array, "swap seed"]) -> float:
    """Share of swaps with an excess as large: a swapped pair of seeds changes its sign."""
    if not np.isfinite(excess).all():
        return np.nan
    apart = excess - np.diag(np.diag(excess))
    swapped = np.einsum("ks,sr,kr->k", signs, apart, signs)
    rounding = 1e-12 * np.abs(apart).sum()
    return float((swapped >= apart.sum() - rounding).mean())


def _off_diagonal_mean(values: Float[Array, "*step seed seed"]) -> Float[Array, "*step"]:
    n = values.shape[-1]
    return np.asarray(values[..., ~np.eye(n, dtype=bool)].mean(axis=-1))


def _jackknife(values: Float[Array, "seed seed"]) -> tuple[float, float, str]:
    """95 % interval of the mean over pairs of different seeds, leaving one seed out at a time."""
    n = len(values)
    if n < FEWEST_SEEDS:
        return np.nan, np.nan, f"no interval: {n} seeds, it takes {FEWEST_SEEDS}"
    whole = _off_diagonal_mean(values)
    without = [_off_diagonal_mean(np.delete(np.delete(values, k, 0), k, 1)) for k in range(n)]
    pseudo = n * whole - (n - 1) * np.array(without)
    half = stats.t.ppf(0.975, n - 1) * stats.sem(pseudo)
    return float(pseudo.mean() - half), float(pseudo.mean() + half), ""
