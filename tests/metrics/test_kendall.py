"""Weighted concordance against a loop over all pairs of pairs."""

import numpy as np
import pytest

from brainalign.metrics.kendall import concordance


def by_loop(x: np.ndarray, y: np.ndarray, multiplicity: np.ndarray) -> list[int]:
    first, second = np.triu_indices(multiplicity.shape[1], 1)
    signs = np.sign(np.subtract.outer(x, x)) * np.sign(np.subtract.outer(y, y))
    totals = []
    for counts in multiplicity:
        weights = [int(a) * int(b) for a, b in zip(counts[first], counts[second], strict=True)]
        totals.append(sum(int(v) * w for v, w in zip(signs @ np.array(weights), weights, strict=True)) // 2)
    return totals


@pytest.mark.parametrize("n_places", [2, 3, 20, 400, 100000])
@pytest.mark.parametrize("most", [3, 300])
def test_equals_a_loop_over_all_pairs_of_pairs(n_places, most):
    generator = np.random.default_rng(0)
    n_pairs = 35 * 34 // 2
    x, y = (
        np.unique(generator.integers(0, n_places, n_pairs), return_inverse=True)[1],
        np.unique(generator.integers(0, n_places, n_pairs), return_inverse=True)[1],
    )
    # With counts in the hundreds the sums are beyond what float32 holds exactly.
    multiplicity = generator.integers(0, most, (4, 35))
    assert concordance(x, y, multiplicity).tolist() == by_loop(x, y, multiplicity)


def test_one_ranking_tied_and_the_other_not():
    generator = np.random.default_rng(1)
    x = generator.integers(0, 2, 595)
    y = generator.permutation(595)
    multiplicity = generator.integers(0, 3, (4, 35))
    assert concordance(x, y, multiplicity).tolist() == by_loop(x, y, multiplicity)
    assert concordance(y, x, multiplicity).tolist() == by_loop(x, y, multiplicity)


def test_a_ranking_with_itself_counts_every_pair_of_pairs():
    places = np.random.default_rng(2).permutation(595)
    multiplicity = np.ones((1, 35), dtype=np.int64)
    assert concordance(places, places, multiplicity).tolist() == [595 * 594 / 2]
    assert concordance(places, 594 - places, multiplicity).tolist() == [-595 * 594 / 2]


def test_no_resample_gives_no_value():
    places = np.arange(595)
    assert concordance(places, places, np.ones((0, 35), dtype=np.int64)).shape == (0,)
