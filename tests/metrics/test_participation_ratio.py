"""The participation ratio of trajectories is that of representations, with known dimensions."""

import numpy as np
import pytest

from brainalign.errors import ResponsesError
from brainalign.metrics.participation_ratio import ParticipationRatioKernel, participation_ratio
from brainalign.metrics.trajectories import Preprocessing
from brainalign.probing import Representation

PLAIN = ParticipationRatioKernel(Preprocessing("none", subtract_mean=False))


@pytest.mark.parametrize("n_units", [7, 200])
def test_equals_that_of_a_representation(n_units):
    x = np.random.default_rng(0).normal(size=(4, 12, n_units)) * np.linspace(1, 4, n_units) + 3
    of_layer = Representation.from_features(x.reshape(48, n_units), [str(k) for k in range(48)])
    assert PLAIN.value(x, np.arange(12.0)) == pytest.approx(of_layer.participation_ratio(), rel=1e-10)


@pytest.mark.parametrize("n_dimensions", [1, 3, 8])
def test_dimensions_of_equal_variance_are_counted(n_dimensions):
    # Whole periods of sines of different frequency are orthogonal and equally large.
    phase = 2 * np.pi * np.arange(50) / 50
    x = np.stack([np.sin(k * phase) for k in range(1, n_dimensions + 1)], axis=1)[None]
    mixed = x @ np.linalg.qr(np.random.default_rng(0).normal(size=(10, 10)))[0][:n_dimensions]
    assert PLAIN.value(mixed, np.arange(50.0)) == pytest.approx(n_dimensions, rel=1e-10)


def test_a_common_course_is_left_out_where_it_is_asked_for():
    x = np.random.default_rng(0).normal(size=(6, 30, 5))
    common = 100 * np.arange(30.0)[:, None] * np.ones(5)
    times = np.arange(30.0)
    assert participation_ratio(normalise="none").kernel.value(x + common, times) == pytest.approx(1, abs=0.01)
    centred = participation_ratio(subtract_mean=True, normalise="none").kernel
    assert centred.value(x + common, times) == pytest.approx(centred.value(x, times), rel=1e-6)


def test_where_nothing_varies_there_is_no_value_and_bad_input_raises():
    assert np.isnan(PLAIN.value(np.ones((3, 4, 5)), np.arange(4.0)))
    with pytest.raises(ResponsesError, match="The participation ratio was asked for of .* NaN or infinite"):
        PLAIN.value(np.full((3, 4, 5), np.nan), np.arange(4.0))
