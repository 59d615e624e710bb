"""Correlation distances of all pairs of stimuli, from features."""

from collections.abc import Callable

import numpy as np
from rsatoolbox.data.dataset import Dataset
from rsatoolbox.rdm.calc import calc_rdm

from benchmarks.rows import Row, require_equal, times_faster, times_floor
from benchmarks.simulated import features_and_responses, ids
from benchmarks.timing import fastest, measured
from brainalign import Representation, find_metric

REPEATS = 9


def measure(small: bool) -> list[Row]:
    """Time ours, rsatoolbox's and one matrix product on the same float32 features."""
    n, p = (60, 300) if small else (1000, 9216)
    features = _features(n, p)
    dataset = Dataset(features)
    runs = fastest(
        2 if small else REPEATS,
        {
            "ours": lambda: distances(features),
            "peer": lambda: calc_rdm(dataset, method="correlation"),
            "floor": lambda: features @ features.T,
        },
    )
    ours, peer, floor = (runs[name] for name in ("ours", "peer", "floor"))
    require_equal("rdm", ours.result, peer.result.dissimilarities[0], 1e-5)
    peak = measured(alone, n, p).peak_mb
    claim = f"correlation RDM, {n} × {p}, Gram matrix included"
    return [
        times_faster(
            "rdm_rsatoolbox", f"{claim}: against rsatoolbox calc_rdm", ours.seconds, peer.seconds, 20, peak
        ),
        times_floor(
            "rdm_floor", f"{claim}: against one float32 product X Xᵀ", ours.seconds, floor.seconds, 2, peak
        ),
    ]


def distances(features: np.ndarray) -> np.ndarray:
    """Condensed correlation distances by way of the Gram matrix."""
    layer = Representation.from_features(features, ids(len(features)))
    return find_metric("rsa").kernel.rdm(layer)


def alone(start: Callable[[], None], n: int, p: int) -> None:
    """Ours in a process of its own."""
    features = _features(n, p)
    start()
    distances(features)


def _features(n: int, p: int) -> np.ndarray:
    return features_and_responses(n, p, 1)[0]
