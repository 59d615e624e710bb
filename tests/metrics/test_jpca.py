"""jPCA on dynamics that are known, against least squares, against its null, and on motor cortex."""

import numpy as np
import pytest
import scipy.io
import scipy.linalg

from brainalign.errors import ResponsesError, UnknownNameError
from brainalign.metrics.jpca import JpcaKernel, jpca, linear_dynamics
from brainalign.metrics.tensor_max_entropy import TensorMaximumEntropy, p_above
from brainalign.metrics.trajectories import Preprocessing, reduced

STEP = 0.01
TIMES = STEP * np.arange(40)


def run(generator: np.ndarray, initial: np.ndarray, times: np.ndarray = TIMES) -> np.ndarray:
    """States (condition, time, component) of dx/dt = xM, exactly."""
    return np.stack([initial @ scipy.linalg.expm(generator * t) for t in times], axis=1)


def skew(*hertz: float) -> np.ndarray:
    return scipy.linalg.block_diag(*(2 * np.pi * f * np.array([[0.0, 1.0], [-1.0, 0.0]]) for f in hertz))


def balanced(n: int) -> np.ndarray:
    """Conditions that start in both directions of every axis."""
    return np.concatenate([np.eye(n), -np.eye(n)])


def rotating(n_units: int = 20, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """Twelve conditions that rotate in two planes of a population, from unlike states."""
    generator = np.random.default_rng(seed)
    states = run(skew(2.0, 1.0), generator.normal(size=(12, 4)))
    axes = np.linalg.qr(generator.normal(size=(n_units, 4)))[0]
    return states @ axes.T + noise * generator.normal(size=(12, len(TIMES), n_units))


@pytest.mark.parametrize("step", [0.001, 0.01, 0.1])
def test_skew_dynamics_have_ratio_one_at_any_step(step):
    states = run(skew(2.1, 0.7), np.random.default_rng(0).normal(size=(5, 4)), step * np.arange(30))
    found = linear_dynamics(states, step)
    assert found.r2_skew == pytest.approx(1, abs=1e-12) and found.ratio == pytest.approx(1, abs=1e-12)


def test_frequencies_are_found_with_the_mean_over_conditions_subtracted():
    times = 0.02 * np.arange(50)
    states = run(skew(2.0, 1.0), balanced(4), times)
    kernel = JpcaKernel(4, Preprocessing("none"))
    assert kernel.value(states, times) == pytest.approx(1, abs=1e-10)
    planes = kernel.planes(states, times)
    assert [plane.frequency for plane in planes] == pytest.approx([2.0, 1.0], abs=1e-9)
    assert [plane.share for plane in planes] == pytest.approx([0.5, 0.5], abs=1e-9)


def test_symmetric_dynamics_have_ratio_zero():
    generator = np.random.default_rng(0)
    root = generator.normal(size=(4, 4))
    symmetric = -root @ root.T
    found = linear_dynamics(run(symmetric, balanced(4), TIMES), STEP)
    assert found.r2_skew == pytest.approx(0, abs=1e-12) and found.r2_free > 0.9
    assert JpcaKernel(4, Preprocessing("none")).value(run(symmetric, balanced(4)), TIMES) < 1e-10


@pytest.mark.parametrize("n_components", [2, 3, 6])
def test_both_fits_are_those_of_least_squares(n_components):
    generator = np.random.default_rng(1)
    states = generator.normal(size=(7, 15, n_components)).cumsum(axis=1) * np.linspace(1, 5, n_components)
    found = linear_dynamics(states, STEP)
    velocity = (np.diff(states, axis=1) / STEP).reshape(-1, n_components)
    middle = ((states[:, 1:] + states[:, :-1]) / 2).reshape(-1, n_components)
    free, *_ = np.linalg.lstsq(middle, velocity, rcond=None)
    np.testing.assert_allclose(found.free, free, rtol=1e-8, atol=1e-8)
    pairs = list(zip(*np.triu_indices(n_components, 1), strict=True))
    basis = np.zeros((len(pairs), n_components, n_components))
    for k, (i, j) in enumerate(pairs):
        basis[k, i, j], basis[k, j, i] = 1, -1
    design = np.stack([(middle @ each).ravel() for each in basis], axis=1)
    coefficients, *_ = np.linalg.lstsq(design, velocity.ravel(), rcond=None)
    best = np.tensordot(coefficients, basis, axes=1)
    np.testing.assert_allclose(found.skew, best, rtol=1e-8, atol=1e-8)
    r2 = [1 - np.sum((velocity - middle @ each) ** 2) / np.sum(velocity**2) for each in (free, best)]
    assert [float(found.r2_free), float(found.r2_skew)] == pytest.approx(r2, abs=1e-10)
    projected = (free - free.T) / 2
    assert 1 - np.sum((velocity - middle @ projected) ** 2) / np.sum(velocity**2) < found.r2_skew - 1e-6


def test_more_components_than_dimensions_change_nothing():
    x = rotating()
    kernel, wide = (JpcaKernel(n, Preprocessing("none")) for n in (4, 9))
    assert wide.value(x, TIMES) == pytest.approx(kernel.value(x, TIMES), abs=1e-8)
    assert len(wide.planes(x, TIMES)) == 2


@pytest.mark.parametrize("normalise", ["none", "sd", "soft"])
def test_declared_invariances(normalise):
    generator = np.random.default_rng(2)
    x = rotating(noise=0.02)
    metric = jpca(normalise=normalise)
    value = metric.kernel.value(x, TIMES)
    assert metric.kernel.value(x + generator.normal(size=20), TIMES) == pytest.approx(value, abs=1e-9)
    assert metric.kernel.value(x[generator.permutation(12)], TIMES) == pytest.approx(value, abs=1e-9)
    common = 3 * generator.normal(size=(len(TIMES), 20))
    if normalise != "soft":
        assert metric.kernel.value(5 * x, TIMES) == pytest.approx(value, abs=1e-9)
    if normalise == "none":
        rotation = np.linalg.qr(generator.normal(size=(20, 20)))[0]
        assert metric.kernel.value(5 * x @ rotation, TIMES) == pytest.approx(value, abs=1e-9)
        assert metric.kernel.value(x + common, TIMES) == pytest.approx(value, abs=1e-9)
        assert jpca(subtract_mean=False, normalise="none").kernel.value(x + common, TIMES) < value - 0.01
    in_order, shuffled = (metric.kernel.fit(each, TIMES) for each in (x, x[:, generator.permutation(40)]))
    assert shuffled.r2_skew < 0.3 * in_order.r2_skew


def test_planes_turn_counter_clockwise_and_start_along_their_first_axis():
    x = rotating(noise=0.05)
    kernel = JpcaKernel(4, Preprocessing("none"))
    planes = kernel.planes(x, TIMES)
    assert [plane.frequency for plane in planes] == pytest.approx([2, 1], rel=0.2)
    axes = np.concatenate([plane.axes for plane in planes], axis=1)
    np.testing.assert_allclose(axes.T @ axes, np.eye(4), atol=1e-10)
    prepared = x - x.mean(axis=0)
    for plane in planes:
        np.testing.assert_allclose(plane.projections, prepared @ plane.axes, atol=1e-10)
        share = np.sum(plane.projections**2) / np.sum(prepared**2)
        assert plane.share == pytest.approx(share, abs=1e-10)
        ahead, behind = plane.projections[:, 1:], plane.projections[:, :-1]
        turning = behind[..., 0] * ahead[..., 1] - behind[..., 1] * ahead[..., 0]
        assert turning.sum() > 0
        spread = np.cov(plane.projections[:, 0].T)
        assert abs(spread[0, 1]) < 1e-10 and spread[0, 0] >= spread[1, 1]


def test_batches_are_their_parts():
    both = np.stack([rotating(noise=0.5, seed=seed) for seed in (0, 1)])
    found = linear_dynamics(reduced(both, 5).scores, STEP)
    for k in range(2):
        assert found.ratio[k] == pytest.approx(float(linear_dynamics(reduced(both[k], 5).scores, STEP).ratio))


def test_rotations_stand_out_from_surrogates_and_a_surrogate_does_not():
    kernel = JpcaKernel(4, Preprocessing("none"))
    x = rotating(noise=0.1)
    null = kernel.null(x, TIMES, 99, np.random.default_rng(0))
    assert null.shape == (99,) and (null >= 0).all() and (null <= 1).all()
    assert p_above(kernel.value(x, TIMES), null) == 0.01
    ps = []
    for surrogate in TensorMaximumEntropy.fit(x).sample(20, np.random.default_rng(1)):
        own = kernel.null(surrogate, TIMES, 39, np.random.default_rng(2))
        ps.append(p_above(kernel.value(surrogate, TIMES), own))
    # Of 20 true nulls five or more fall under 0.05 with a chance of 0.003.
    assert np.sum(np.array(ps) <= 0.05) < 5 and 0.2 < np.mean(ps) < 0.8


def test_the_null_is_the_value_of_each_surrogate_and_follows_from_the_seed():
    x = rotating(noise=0.5)
    kernel = JpcaKernel(5, Preprocessing("soft", "0.1:0.3"))
    null = kernel.null(x, TIMES, 6, np.random.default_rng(4))
    drawn = TensorMaximumEntropy.fit(x).sample(6, np.random.default_rng(4))
    np.testing.assert_allclose(null, [kernel.value(each, TIMES) for each in drawn], rtol=1e-10)
    assert (kernel.null(x, TIMES, 6, np.random.default_rng(5)) != null).all()


def test_where_nothing_moves_there_is_no_value():
    still = np.repeat(np.random.default_rng(0).normal(size=(5, 1, 8)), len(TIMES), axis=1)
    kernel = JpcaKernel(2, Preprocessing("none"))
    assert np.isnan(kernel.value(still, TIMES)) and kernel.planes(still, TIMES) == []


def test_bad_input_raises():
    with pytest.raises(UnknownNameError, match="a rotation needs 2 or more"):
        jpca(n_components=1)
    with pytest.raises(UnknownNameError, match="Did you mean 'none'"):
        jpca(normalise="non")
    x = rotating()
    with pytest.raises(ResponsesError, match="21 components were asked for"):
        JpcaKernel(21).value(x, TIMES)
    x[0, 0, 0] = np.inf
    for call in (JpcaKernel().planes, JpcaKernel().value, JpcaKernel().fit):
        with pytest.raises(ResponsesError, match="jPCA was asked for of trajectories of which 1 values"):
            call(x, TIMES)
    with pytest.raises(ResponsesError, match="NaN or infinite"):
        JpcaKernel().null(x, TIMES, 3, np.random.default_rng(0))


@pytest.mark.data
def test_motor_cortex_rotates_more_than_its_surrogates(mirror):
    """Movement times and dimensions of the authors' demonstration (−50 to 350 ms, both left out; 10)."""
    files = list(mirror.glob("raw.githubusercontent.com/gamaleldin/TME/*/data/exampleData.mat"))
    if not files:
        pytest.skip(f"{mirror} holds no exampleData.mat of gamaleldin/TME")
    data = scipy.io.loadmat(files[0])
    x, times = data["dataTensor"].transpose(2, 0, 1), data["t"].ravel() / 1000
    kernel = JpcaKernel(10, Preprocessing("none", "-0.04:0.34"))
    null = kernel.null(x, times, 199, np.random.default_rng(0))
    assert p_above(kernel.value(x, times), null) < 0.02
    frequencies = [plane.frequency for plane in kernel.planes(x, times)]
    assert 1 < frequencies[0] < 3  # Churchland et al. 2012: rotations of about one to three hertz in reaching
    own = TensorMaximumEntropy.fit(x)
    for found, wanted in zip(own.covariances(), _covariances(x - own.mean), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6 * np.diagonal(wanted).min())
    surrogate = own.sample(1, np.random.default_rng(1))[0]
    assert p_above(kernel.value(surrogate, times), null) > 0.05


def _covariances(centred: np.ndarray) -> list[np.ndarray]:
    return [
        np.einsum(f"ctu,{other}->{out}", centred, centred)
        for other, out in (("dtu", "cd"), ("csu", "ts"), ("ctv", "uv"))
    ]
