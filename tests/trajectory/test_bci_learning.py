"""What learning changes in a population: planted changes are found, halves of one population are alike."""

import numpy as np
import pytest

from brainalign.data.load import load_recording
from brainalign.errors import ResponsesError
from brainalign.trajectory.bci_learning import (
    against_halves,
    decoded_share,
    nearest_distances,
    repertoire_change,
    subspace_overlap,
    tuning_change,
)
from brainalign.trajectory.neural_engagement import engagement

ANGLES = np.repeat(np.arange(0.0, 360.0, 45.0), 40)


def tuned(preferred, depth=2.0, baseline=5.0):
    return baseline + depth * np.cos(np.deg2rad(ANGLES[:, None] - np.asarray(preferred, float)))


def clouds(turn, rng, spread=0.3):
    """Patterns on a circle in four dimensions, by the movement's angle turned so far."""
    turned = np.deg2rad(ANGLES + turn)
    plane = np.stack([np.cos(turned), np.sin(turned), 0 * turned, 0 * turned], axis=1)
    return 3 * plane + spread * rng.normal(size=plane.shape)


def test_turns_and_depths_of_tuning_are_found():
    found = tuning_change(tuned([10, 350, 90]), tuned([40, 20, 80], depth=3, baseline=6), ANGLES, ANGLES)
    np.testing.assert_allclose(found["turned"], [30, 30, -10], atol=1e-9)
    np.testing.assert_allclose(found["depth_after"] - found["depth_before"], 1, atol=1e-9)
    np.testing.assert_allclose(found["baseline_after"], 6, atol=1e-9)


def test_subspaces_that_are_the_same_or_orthogonal():
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    before, after = (rng.normal(size=(300, 3)) @ axes[:, a : a + 3].T for a in (0, 3))
    assert subspace_overlap(before, before @ np.eye(12), 3) == pytest.approx(1, abs=1e-9)
    assert subspace_overlap(before, 2 * before[::-1] + 7, 3) == pytest.approx(1, abs=1e-9)
    assert subspace_overlap(before, after, 3) == pytest.approx(0, abs=1e-9)


def test_the_decoded_share_is_that_of_the_row_space():
    rng = np.random.default_rng(0)
    patterns = rng.normal(size=(4000, 5)) * np.array([3.0, 2.0, 1.0, 1.0, 1.0])
    share = decoded_share(patterns, np.array([[1.0, 1, 0, 0, 0], [1.0, -1, 0, 0, 0]]))
    assert share == pytest.approx(13 / 16, abs=0.02)
    mixed = rng.normal(size=(2, 2)) @ np.array([[1.0, 1, 0, 0, 0], [1.0, -1, 0, 0, 0]])
    assert decoded_share(patterns, mixed) == pytest.approx(share, abs=1e-12)


def test_nearest_distances_against_a_loop():
    rng = np.random.default_rng(0)
    patterns, repertoire = rng.normal(size=(6, 3)), rng.normal(size=(9, 3))
    expected = [min(np.linalg.norm(p - r) for r in repertoire) for p in patterns]
    np.testing.assert_allclose(nearest_distances(patterns, repertoire), expected, atol=1e-12)


def test_reassociation_keeps_the_repertoire_and_realignment_does_not():
    rng = np.random.default_rng(0)
    before = clouds(0, rng)
    reassociated = repertoire_change(before, clouds(45, rng), ANGLES, ANGLES, rng)
    realigned = repertoire_change(before, clouds(0, rng) + [0, 0, 4, 0], ANGLES, ANGLES, rng)
    same = repertoire_change(before, clouds(0, rng), ANGLES, ANGLES, rng)
    assert reassociated.repertoire == pytest.approx(1, abs=0.15) and reassociated.clouds > 2
    assert realigned.repertoire > 3 and realigned.clouds > 2
    assert same.repertoire == pytest.approx(1, abs=0.15) and same.clouds < 0.6


def test_halves_of_one_population_cover_what_chance_makes():
    rng = np.random.default_rng(0)
    before, unchanged, changed = clouds(0, rng), clouds(0, rng), clouds(20, rng)
    null = against_halves(
        lambda a, b: repertoire_change(before[a], before[b], ANGLES[a], ANGLES[b], rng).clouds, 320, 20, rng
    )
    assert repertoire_change(before, unchanged, ANGLES, ANGLES, rng).clouds < np.quantile(null, 0.95)
    assert repertoire_change(before, changed, ANGLES, ANGLES, rng).clouds > null.max()


def test_engagement_is_the_planted_axis_in_units_of_reference():
    rng = np.random.default_rng(0)
    targets, reference = np.tile(np.arange(4), 100), np.arange(400) < 200
    loadings = np.abs(rng.normal(size=(30, 5)))
    strength = rng.normal(size=400) + np.where(reference, 0, 2)
    axes = np.abs(rng.normal(size=(4, 5)))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    factors = 3 * strength[:, None] * axes[targets] + rng.normal(size=(4, 5))[targets]
    factors += 0.05 * rng.normal(size=factors.shape)
    found = engagement(factors, targets, reference, loadings)
    for target in range(4):
        assert np.corrcoef(found[targets == target], strength[targets == target])[0, 1] > 0.99
        here = found[(targets == target) & reference]
        assert here.mean() == pytest.approx(0, abs=1e-9) and here.std(ddof=1) == pytest.approx(1, abs=1e-9)
    assert found[~reference].mean() == pytest.approx(2, abs=0.4)
    np.testing.assert_allclose(engagement(factors, targets, reference, -loadings), -found, atol=1e-9)


def test_bad_input():
    rng = np.random.default_rng(0)
    with pytest.raises(ResponsesError, match=r"before \(4, 3\) and after \(4, 2\) does not fit"):
        subspace_overlap(np.ones((4, 3)), np.ones((4, 2)))
    with pytest.raises(ResponsesError, match="NaN or infinite"):
        subspace_overlap(np.ones((4, 3)), np.full((4, 3), np.nan))
    with pytest.raises(ResponsesError, match="4 components were asked for of 3 units"):
        subspace_overlap(rng.normal(size=(9, 3)), rng.normal(size=(9, 3)), 4)
    with pytest.raises(ResponsesError, match=r"decoder \(2, 4\) does not fit 3 units"):
        decoded_share(np.ones((4, 3)), np.ones((2, 4)))
    with pytest.raises(ResponsesError, match="movements in common"):
        repertoire_change(np.ones((4, 3)), np.ones((4, 3)), np.zeros(4), np.ones(4), rng)
    with pytest.raises(ResponsesError, match="Target '1' has 2 trials of reference"):
        engagement(rng.normal(size=(5, 2)), np.array([1, 1, 0, 0, 0]), np.ones(5, bool), np.ones((3, 2)))
    with pytest.raises(ResponsesError, match=r"Factors \(5, 2\) with 4 targets"):
        engagement(np.ones((5, 2)), np.zeros(4), np.ones(5, bool), np.ones((3, 2)))


@pytest.mark.data
def test_motor_cortex_reassociates(mirror):
    """Golub et al. (2018): no new patterns, but others for each movement."""
    before, after = (load_recording(f"golub2018/{part}")["M1"] for part in ("before", "after"))
    rng = np.random.default_rng(0)
    factors = before.attrs["factors"], after.attrs["factors"]
    movements = before["stimulus"].values.astype(str), after["stimulus"].values.astype(str)
    found = repertoire_change(*factors, *movements, rng)

    def between(a, b):
        return repertoire_change(factors[0][a], factors[0][b], movements[0][a], movements[0][b], rng)

    halves = [between(*np.array_split(rng.permutation(552), 2)) for _ in range(20)]
    assert found.clouds > max(each.clouds for each in halves)
    assert found.repertoire < max(each.repertoire for each in halves)
