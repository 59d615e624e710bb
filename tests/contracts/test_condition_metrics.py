"""Every metric of activity over time under conditions, against the facts that it declares of itself."""

import numpy as np
import pytest

from brainalign.compare.condition_rows import OF_CONDITIONS
from brainalign.errors import ResponsesError
from brainalign.metrics import METRICS, Metric, find_metric

NAMES = [name for name in METRICS if find_metric(name).family in OF_CONDITIONS]
N_CONDITIONS, N_UNITS = 8, 14
TIMES = np.arange(60) / 100 - 0.25
ANGLES = 45.0 * np.arange(N_CONDITIONS)

pytestmark = pytest.mark.parametrize("metric", [find_metric(name) for name in NAMES], ids=NAMES)


def smooth(seed: int, n_units: int = N_UNITS) -> np.ndarray:
    """Give (condition, time, unit) of smooth courses, positive as rates are."""
    rng = np.random.default_rng(seed)
    walks = rng.standard_normal((N_CONDITIONS, len(TIMES), n_units)).cumsum(1)
    return np.exp(0.2 * walks) * rng.gamma(2.0, size=n_units)


def value(metric: Metric, x: np.ndarray, y: np.ndarray | None = None) -> float:
    kernel, rng = metric.kernel, np.random.default_rng(0)
    if metric.family == "tuning":
        return kernel.value(x.mean(axis=1), ANGLES, rng)
    if metric.family == "dynamics":
        return kernel.value(x, TIMES, rng)
    return kernel.compare(x, x if y is None else y, TIMES, rng)


def test_calls_itself_as_the_catalogue_does(metric):
    assert metric.name in METRICS
    assert metric.label.strip() and metric.citation.strip()
    assert metric.needs & {"time", "labels"}
    assert "gram" not in metric.needs


@pytest.mark.parametrize("seed", range(3))
def test_stays_in_its_range(metric, seed):
    low, high = metric.range
    for other in (smooth(seed + 10), smooth(seed), smooth(seed)[:, ::-1]):
        assert low - 1e-9 <= value(metric, smooth(seed), other) <= high + 1e-9


def test_the_same_seed_gives_the_same_digits(metric):
    assert value(metric, smooth(0), smooth(1)) == value(metric, smooth(0), smooth(1))


def test_the_order_of_units_changes_nothing(metric):
    order = np.random.default_rng(2).permutation(N_UNITS)
    tolerance = 0.02 if metric.name == "dynamical_similarity" else 1e-8
    assert value(metric, smooth(0)[..., order], smooth(1)) == pytest.approx(
        value(metric, smooth(0), smooth(1)), abs=tolerance
    )


def test_missing_values_are_refused(metric):
    broken = smooth(0)
    broken[1, 2, 3] = np.nan
    with pytest.raises(ResponsesError, match="NaN"):
        value(metric, broken, smooth(1))


def test_a_null_has_as_many_draws_as_asked_for(metric):
    if not hasattr(metric.kernel, "null"):
        pytest.skip("a comparison, whose null is the smooth chance, or a measure that declares none")
    shown, second = (smooth(0).mean(axis=1), ANGLES) if metric.family == "tuning" else (smooth(0), TIMES)
    null = metric.kernel.null(shown, second, 5, np.random.default_rng(1))
    assert null.shape == (5,) and np.isfinite(null).all()
    assert np.ptp(null) > 0


def test_a_side_is_most_like_itself(metric):
    if metric.family != "trajectory":
        pytest.skip("a measure of one side")
    same, other = value(metric, smooth(0)), value(metric, smooth(0), smooth(1))
    assert same > other
