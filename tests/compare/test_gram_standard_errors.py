"""Standard errors of shape measures against their spread over experiments with other stimuli and noise."""

import numpy as np
import pytest

from brainalign.compare.resampling import Resamples, interval
from brainalign.metrics import find_metric

EXPERIMENTS = [
    ("procrustes", 15),
    ("procrustes", 300),
    ("procrustes:alpha=0.1", 300),
    ("procrustes:alpha=0.0", 15),
    ("svcca", 15),
    ("svcca", 300),
    ("svcca:variance=0.9", 300),
    ("svcca:variance=0.7", 300),
    ("pwcca", 15),
    ("pwcca", 300),
    ("pwcca:variance=0.7", 300),
]


def standard_errors(metric, width, n, q, n_experiments):
    """Values of many experiments with other stimuli and noise, and each one's standard error and dof."""
    fixed = np.random.default_rng(0)
    to_layer, to_region = fixed.normal(size=(30, width)) / 2, fixed.normal(size=(30, q)) / 2
    kernel = find_metric(metric).kernel
    by_pairs = kernel.jackknifed is not False
    resamples = Resamples.draw(400, n, 0, 0, of_pairs=by_pairs, jackknifed=kernel.jackknifed)
    values, errors, dof = np.empty((3, n_experiments))
    for trial in range(n_experiments):
        generator = np.random.default_rng([1, trial])
        latent = generator.normal(size=(n, 30)) / np.sqrt(np.arange(1, 31))
        x = np.tanh(latent @ to_layer)
        y = np.exp(0.5 * np.tanh(latent @ to_region)) + 0.3 * generator.normal(size=(n, q))
        values[trial] = kernel.value(x @ x.T, y)
        replicates = kernel.resampler(y, resamples.stimuli)(x @ x.T)
        variance, dof[trial] = resamples.variance(replicates[None])
        errors[trial] = np.sqrt(variance)
    return values, errors, dof


@pytest.mark.parametrize(("metric", "width"), [("procrustes", 100), ("svcca", 20)])
def test_standard_error_is_the_spread_over_experiments(metric, width):
    values, errors, _ = standard_errors(metric, width, n=60, q=8, n_experiments=120)
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(values.std(ddof=1), rel=0.25)


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "width"), EXPERIMENTS)
def test_intervals_hold_the_expected_value(metric, width):
    values, errors, dof = standard_errors(metric, width, n=200, q=20, n_experiments=300)
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(values.std(ddof=1), rel=0.15)
    low, high = np.array([interval(v, e**2, d) for v, e, d in zip(values, errors, dof, strict=True)]).T
    covered = np.mean((low < values.mean()) & (values.mean() < high))
    assert 0.90 < covered < 0.985
