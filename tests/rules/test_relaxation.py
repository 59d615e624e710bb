"""Settling: what counts as settled, what is reported, and what is refused."""

import pytest
import torch

from brainalign.errors import TrainingError
from brainalign.rules.relaxation import ConvergenceError, change, descent, relax, secant_descent


def quadratic(n: int = 30):
    """Give the slopes of a batch of bowls, each sample's as steep as no other's, and their minima."""
    generator = torch.Generator().manual_seed(0)
    rotation = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))[0]
    matrix = rotation * torch.logspace(-2, 0, n, dtype=torch.float64) @ rotation.T
    sizes = torch.tensor([0.1, 1.0, 3.0, 10.0], dtype=torch.float64)[:, None]
    wanted = torch.randn(4, n, generator=generator, dtype=torch.float64)
    return (lambda x: [sizes * ((x[0] - wanted) @ matrix)]), wanted


def test_secant_descent_finds_the_minimum_of_every_sample_in_far_fewer_steps_than_one_rate():
    gradient, wanted = quadratic()
    start = [torch.zeros_like(wanted)]
    relaxed = relax(secant_descent(gradient, 0.1), start, 1e-10, 1000, "A bowl")
    torch.testing.assert_close(relaxed.activities[0], wanted, rtol=0, atol=1e-6)
    assert relaxed.residual <= 1e-10
    with pytest.raises(ConvergenceError):
        relax(descent(gradient, 0.1), start, 1e-10, 10 * relaxed.steps, "A bowl")


def test_each_sample_settles_as_it_does_alone():
    gradient, wanted = quadratic()

    def alone(x):
        return [gradient([x[0].expand_as(wanted)])[0][2:3]]

    both = relax(secant_descent(gradient, 0.1), [torch.zeros_like(wanted)], 0.0, 12, "A bowl").activities[0]
    only = relax(secant_descent(alone, 0.1), [torch.zeros_like(wanted[2:3])], 0.0, 12, "A bowl").activities[0]
    torch.testing.assert_close(both[2:3], only, rtol=1e-9, atol=1e-12)
    assert not torch.equal(only, torch.zeros_like(only))


def test_descent_takes_a_plain_step_and_reports_the_slope_it_left():
    gradient, wanted = quadratic()
    start = [torch.zeros_like(wanted)]
    relaxed = relax(descent(gradient, 0.05), start, 0.0, 1, "A bowl")
    torch.testing.assert_close(relaxed.activities[0], -0.05 * gradient(start)[0])
    assert float(relaxed.residual) == float(gradient(start)[0].abs().max())
    assert relaxed.steps == 1


def test_what_is_settled_already_stays():
    relaxed = relax(lambda x: (x, change(x, x)), [torch.ones(2, 3)], 1e-6, 5, "Rest")
    assert relaxed.steps == 0
    assert torch.equal(relaxed.activities[0], torch.ones(2, 3))


def test_what_does_not_settle_is_refused_with_its_residual():
    def swing(x):
        return [-x[0]], change(x, [-x[0]])

    with pytest.raises(
        ConvergenceError, match=r"A pendulum did not settle in 7 steps: the residual is 1, above"
    ):
        relax(swing, [torch.ones(1, 1)], 1e-3, 7, "A pendulum")
    assert issubclass(ConvergenceError, TrainingError)
    assert float(relax(swing, [torch.ones(1, 1)], 0.0, 7, "A pendulum").residual) == 1


def test_activities_that_are_no_numbers_are_refused_at_once():
    calls = []

    def burst(x):
        calls.append(1)
        return [x[0] * 1e200], change(x, [x[0] * 1e200])

    with pytest.raises(ConvergenceError, match="residual is inf|residual is nan"):
        relax(burst, [torch.ones(1, 1, dtype=torch.float64)], 1e-3, 1000, "A burst")
    assert len(calls) < 10
