"""The condition-invariant share against a loop, planted shares, and its null."""

import numpy as np
import pytest

from brainalign.errors import ResponsesError
from brainalign.metrics.condition_invariant import (
    ConditionInvariantKernel,
    condition_invariant,
    condition_invariant_share,
)
from brainalign.metrics.tensor_max_entropy import p_above
from brainalign.metrics.trajectories import Preprocessing

TIMES = 0.01 * np.arange(30)
PLAIN = ConditionInvariantKernel(Preprocessing("none", subtract_mean=False))


def test_equals_a_loop_and_the_rest_is_the_other_marginal():
    x = np.random.default_rng(0).normal(size=(4, 6, 3)) + np.arange(3)
    common, rest, total = 0.0, 0.0, 0.0
    for u in range(3):
        mean = x[:, :, u].mean()
        for t in range(6):
            at_time = x[:, t, u].mean()
            for c in range(4):
                common += (at_time - mean) ** 2
                rest += (x[c, t, u] - at_time) ** 2
                total += (x[c, t, u] - mean) ** 2
    assert float(condition_invariant_share(x)) == pytest.approx(common / total, rel=1e-12)
    assert common + rest == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("planted", [0.0, 0.3, 1.0])
def test_planted_shares_are_found(planted):
    generator = np.random.default_rng(1)
    common = generator.normal(size=(1, 30, 8))
    common -= common.mean(axis=1, keepdims=True)
    own = generator.normal(size=(6, 30, 8))
    own -= own.mean(axis=0)
    common *= np.sqrt(planted / (6 * np.sum(common**2)))
    own *= np.sqrt((1 - planted) / np.sum(own**2))
    assert PLAIN.value(5 + common + own, TIMES) == pytest.approx(planted, abs=1e-12)


def test_conditions_with_nothing_in_common_give_one_over_their_number():
    generator = np.random.default_rng(2)
    x = generator.normal(size=(8, 30, 200))
    assert PLAIN.value(x, TIMES) == pytest.approx(1 / 8, abs=0.01)
    null = PLAIN.null(x, TIMES, 200, generator)
    assert null.mean() == pytest.approx(1 / 8, abs=0.01)
    assert p_above(PLAIN.value(x, TIMES), null) > 0.01


def test_a_common_course_stands_out_from_the_null_and_turned_over_courses_do_not():
    generator = np.random.default_rng(3)
    common = generator.normal(size=(1, 30, 5))
    x = common + generator.normal(size=(10, 30, 5))
    assert p_above(PLAIN.value(x, TIMES), PLAIN.null(x, TIMES, 199, generator)) < 0.02
    signs = np.array([1, -1] * 5)[:, None, None]
    turned = signs * common + generator.normal(size=(10, 30, 5))
    assert p_above(PLAIN.value(turned, TIMES), PLAIN.null(turned, TIMES, 199, generator)) > 0.05


def test_declared_invariances():
    generator = np.random.default_rng(4)
    x = generator.normal(size=(5, 30, 7)) + generator.normal(size=(30, 7))
    kernel = condition_invariant(normalise="none").kernel
    rotation = np.linalg.qr(generator.normal(size=(7, 7)))[0]
    assert kernel.value(3 * x @ rotation + 2, TIMES) == pytest.approx(kernel.value(x, TIMES), rel=1e-10)
    assert kernel.value(x[::-1, ::-1], TIMES) == pytest.approx(kernel.value(x, TIMES), rel=1e-10)


def test_bad_input_raises_and_constants_have_no_value():
    assert np.isnan(PLAIN.value(np.ones((3, 30, 2)), TIMES))
    with pytest.raises(ResponsesError, match="of one condition is all of it; give two or more"):
        PLAIN.value(np.ones((1, 30, 2)), TIMES)
    with pytest.raises(
        ResponsesError, match="The condition-invariant signal was asked for of .* NaN or infinite"
    ):
        PLAIN.value(np.full((3, 30, 2), np.nan), TIMES)
