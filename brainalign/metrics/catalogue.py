"""The metrics by name, with options in brackets of the name: ``rsa:rdm=euclidean,compare=tau_a``."""

import inspect
from collections.abc import Callable
from dataclasses import replace

from brainalign.metrics.banded import ridge_banded
from brainalign.metrics.canonical import pwcca, svcca
from brainalign.metrics.cka import cka_metric
from brainalign.metrics.condition_invariant import condition_invariant
from brainalign.metrics.decoding import decoding
from brainalign.metrics.direction_tuning import preferred_directions
from brainalign.metrics.dynamical_similarity import dynamical_similarity
from brainalign.metrics.jpca import jpca
from brainalign.metrics.lagged_predictivity import ridge_lagged
from brainalign.metrics.matching import one_to_one, soft_matching
from brainalign.metrics.metric import Metric
from brainalign.metrics.participation_ratio import participation_ratio
from brainalign.metrics.pcr import pcr
from brainalign.metrics.pls import pls
from brainalign.metrics.procrustes import procrustes
from brainalign.metrics.reverse import reverse_ridge
from brainalign.metrics.ridge import ridge, ridge_fixed
from brainalign.metrics.rsa import rsa
from brainalign.metrics.subspaces import subspace_alignment
from brainalign.metrics.tangling import tangling_metric
from brainalign.metrics.trajectory_canonical import cca
from brainalign.metrics.trajectory_procrustes import procrustes_trajectory
from brainalign.metrics.trajectory_rsa import rsa_trajectory
from brainalign.metrics.weighted_rsa import rsa_weighted
from brainalign.names import read_options, snake_case, unknown_name

METRICS: dict[str, Callable[..., Metric]] = {
    "rsa": rsa,
    "rsa_weighted": rsa_weighted,
    "ridge": ridge,
    "ridge_fixed": ridge_fixed,
    "pls": pls,
    "pcr": pcr,
    "ridge_banded": ridge_banded,
    "reverse_ridge": reverse_ridge,
    "one_to_one": one_to_one,
    "soft_matching": soft_matching,
    "decoding": decoding,
    "cka": cka_metric,
    "procrustes": procrustes,
    "svcca": svcca,
    "pwcca": pwcca,
    "jpca": jpca,
    "tangling": tangling_metric,
    "participation_ratio": participation_ratio,
    "subspace_alignment": subspace_alignment,
    "condition_invariant": condition_invariant,
    "preferred_directions": preferred_directions,
    "dynamical_similarity": dynamical_similarity,
    "ridge_lagged": ridge_lagged,
    "cca": cca,
    "procrustes_trajectory": procrustes_trajectory,
    "rsa_trajectory": rsa_trajectory,
}

FROM_ZERO = frozenset({"procrustes:alpha", "ridge_lagged:max_lag", "ridge_lagged:max_lead"})
"""Numbers that may be 0; all others are above."""


def find_metric(name: str) -> Metric:
    """Make a metric from its name and options.

    Raises
    ------
    UnknownNameError
        A metric or an option that does not exist, or a value of the wrong kind.

    Examples
    --------
    >>> find_metric("pls:n_components=10").options["n_components"]
    10
    """
    key, _, text = name.partition(":")
    key = snake_case(key)
    if key not in METRICS:
        raise unknown_name("metric", key, METRICS)
    make = METRICS[key]
    defaults = {option: p.default for option, p in inspect.signature(make).parameters.items()}
    options = read_options(key, text, defaults, FROM_ZERO)
    metric = make(**options)
    changed = [f"{option}={metric.options[option]}" for option in metric.options if option in options]
    return replace(metric, name=f"{key}:{','.join(changed)}" if changed else key)
