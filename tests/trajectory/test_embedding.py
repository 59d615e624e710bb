import json

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import cdist
from sklearn.manifold import smacof

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.trajectory.embedding import classical_scaling, in_plane, stress
from brainalign.trajectory.path_geometry import chords_of
from brainalign.trajectory.path_points import Point
from brainalign.trajectory.paths import paths_between

RSA = "rsa:compare=cosine"


def on_a_circle(n=12, radius=0.6):
    """Points of a circle on the sphere: their chords are those of a plane."""
    angles = np.sort(np.random.default_rng(0).uniform(0, 2 * np.pi, n))
    ring = np.column_stack([radius * np.cos(angles), radius * np.sin(angles)])
    return np.column_stack([ring, np.full(n, np.sqrt(1 - radius**2))]), ring


def as_paths(vectors, regions=("IT",)):
    networks = [Point("network", v, "conv", "backprop", 0, k) for k, v in enumerate(vectors[: -len(regions)])]
    stars = [Point("region", v, region=r) for v, r in zip(vectors[-len(regions) :], regions, strict=True)]
    return paths_between([*networks, *stars], RSA)


@pytest.mark.parametrize("method", ["classical", "smacof"])
def test_a_planar_configuration_is_found_again(method):
    vectors, ring = on_a_circle()
    placed = in_plane(as_paths(vectors), method)
    assert placed.attrs["stress"] < 1e-6
    assert cdist(placed.position, placed.position) == pytest.approx(cdist(ring, ring), abs=1e-5)
    assert json.loads(placed.attrs["kept_distances"])["IT"] == pytest.approx(1)


def test_classical_scaling_gives_the_distances_back_in_as_many_dimensions_as_they_have():
    points = np.random.default_rng(0).normal(size=(9, 4))
    found = classical_scaling(cdist(points, points))
    assert found.shape == (9, 9)
    assert cdist(found, found) == pytest.approx(cdist(points, points))
    assert np.abs(found[:, 4:]).max() < 1e-6
    turned = found[:, :4] @ orthogonal_procrustes(found[:, :4], points - points.mean(axis=0))[0]
    assert turned == pytest.approx(points - points.mean(axis=0))
    assert (np.diff(found.var(axis=0)) <= 1e-12).all()


def test_smacof_is_never_worse_than_where_it_starts_and_its_stress_is_sklearns():
    vectors = np.random.default_rng(0).normal(size=(15, 10))
    paths = as_paths(vectors)
    placed = in_plane(paths, n_starts=2)
    assert placed.attrs["stress"] <= in_plane(paths, "classical").attrs["stress"]
    assert (
        placed.attrs["stress"] == min(placed.attrs["stress_of_starts"])
        and len(placed.attrs["stress_of_starts"]) == 3
    )
    chords, position = chords_of(paths), placed.position.values
    raw = smacof(chords, init=position, n_init=1, max_iter=1, normalized_stress=False)[1]
    there = cdist(position, position)
    assert stress(chords, position) == pytest.approx(np.sqrt(raw / (there**2).sum() * 2), rel=1e-5)


def test_the_same_paths_and_seed_have_the_same_plane_and_other_starts_turn_nothing():
    vectors, _ = on_a_circle()
    paths = as_paths(vectors)
    first, second, third = (in_plane(paths, seed=seed).position.values for seed in (0, 0, 5))
    assert np.array_equal(first, second)
    assert first == pytest.approx(third, abs=1e-4)
    assert first == pytest.approx(in_plane(paths, "classical").position.values, abs=1e-4)


def test_a_plane_that_lies_about_a_region_is_found_out():
    """Networks vary in two large directions that tell nothing of how near the region is, which a third does."""
    generator = np.random.default_rng(0)
    wide, height = generator.uniform(-1, 1, (40, 2)), generator.uniform(-0.15, 0.15, 40)
    networks = np.column_stack([wide, height, np.full(40, 3.0)])
    region = np.array([[0.0, 0.0, 0.3, 3.0]])
    kept = json.loads(in_plane(as_paths(np.vstack([networks, region]))).attrs["kept_distances"])
    flat = np.column_stack([wide, 0 * height, np.full(40, 3.0)])
    honest = json.loads(in_plane(as_paths(np.vstack([flat, region * [1, 1, 0, 1]]))).attrs["kept_distances"])
    assert kept["IT"] < honest["IT"]
    assert honest["IT"] > 0.99


def test_points_of_other_kinds_or_without_a_place_are_left_out():
    vectors, _ = on_a_circle()
    points = [Point("network", v, "conv", "backprop", 0, k) for k, v in enumerate(vectors)]
    points += [
        Point("subject", vectors[0], region="IT"),
        Point("network", None, "conv", "backprop", 0, 99, note="flat"),
    ]
    placed = in_plane(paths_between(points, RSA))
    assert np.isfinite(placed.position.values).all(axis=1).tolist() == [True] * 12 + [False, False]


def test_too_few_points_and_unknown_methods_are_errors():
    vectors, _ = on_a_circle(2)
    with pytest.raises(BrainalignError, match="2 points of the kinds network, pixels, region, half.*takes 3"):
        in_plane(as_paths(vectors))
    with pytest.raises(UnknownNameError, match="'tsne'.*Choices: classical, smacof"):
        in_plane(as_paths(vectors), "tsne")
