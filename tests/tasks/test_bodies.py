"""Bodies: what every one of them promises, and what is known exactly of the simple ones."""

import math

import pytest
import torch

from brainalign.errors import UnknownNameError
from brainalign.tasks.bodies import BODIES, PointMass, VelocityBody, find_body
from brainalign.tasks.isometric import NEWTONS_PER_METRE, Isometric

LIKE = torch.zeros((), dtype=torch.float64)


def drawn(body, n=3, steps=5, seed=0):
    """Controls for some steps, within the body's bounds."""
    low, high = body.bounds or (-1.0, 1.0)
    numbers = torch.rand(steps, n, body.n_controls, generator=torch.Generator().manual_seed(seed))
    return low + (high - low) * numbers.double()


def moved(body, controls):
    """Every state from rest on."""
    states = [body.rest(controls.shape[1], LIKE)]
    for each in controls:
        states.append(body.step(states[-1], each))
    return states


@pytest.fixture(params=BODIES)
def body(request):
    return find_body(request.param, 0.01)


def test_the_hand_rests_at_the_origin(body):
    state = body.rest(4, LIKE)
    position, velocity = body.hand(state)
    assert position.shape == velocity.shape == (4, 2)
    assert position.abs().max() < 1e-15 and velocity.abs().max() == 0
    assert body.feedback(state).shape == (4, body.n_feedback)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_states_are_of_the_type_of_the_inputs(body, dtype):
    state = body.rest(2, torch.zeros((), dtype=dtype))
    state = body.step(state, drawn(body, 2)[0].to(dtype))
    assert {each.dtype for each in (state, *body.hand(state), body.feedback(state))} == {dtype}


def test_a_step_changes_nothing_in_place_and_can_be_taken_again(body):
    controls = drawn(body)
    state = moved(body, controls)[-1]
    before = state.clone()
    first, second = body.step(state, controls[0]), body.step(state, controls[0])
    assert torch.equal(state, before) and torch.equal(first, second) and not torch.equal(first, before)


def test_samples_move_apart_from_each_other(body):
    controls = drawn(body)
    together = moved(body, controls)[-1]
    alone = moved(body, controls[:, 1:2])[-1]
    torch.testing.assert_close(together[1:2], alone, rtol=1e-12, atol=1e-12)


def test_gradients_are_those_of_finite_differences(body):
    def end(controls):
        state = moved(body, controls)[-1]
        return torch.cat([*body.hand(state), body.feedback(state)], 1)

    assert torch.autograd.gradcheck(end, drawn(body, n=2, steps=3).requires_grad_(), eps=1e-7, atol=1e-5)


@pytest.mark.parametrize("name", BODIES)
def test_velocity_is_what_position_changes_by(name):
    dt = 1e-4
    body = find_body(name, dt)
    controls = drawn(body, steps=1).expand(300, -1, -1)
    hands = [body.hand(state) for state in moved(body, controls)]
    for (before, early), (after, late) in zip(hands[1:-1], hands[2:], strict=True):
        # Euler's steps move by the velocity before or after: within one step's change of their mean
        away = ((after - before) / dt - (early + late) / 2).abs().max()
        assert away <= (late - early).abs().max() + 1e-6 < 0.02 * late.abs().max() + 0.02


def test_a_velocity_is_what_is_asked_for():
    controls = drawn(VelocityBody(0.02))
    position, velocity = VelocityBody(0.02).hand(moved(VelocityBody(0.02), controls)[-1])
    torch.testing.assert_close(position, 0.02 * controls.sum(0))
    assert torch.equal(velocity, controls[-1])


def test_a_pushed_mass_ends_at_the_speed_at_which_friction_is_as_large():
    body = PointMass(0.01, mass=2.0, friction=4.0)
    states = moved(body, torch.tensor([[1.0, -2.0]], dtype=torch.float64).expand(1000, 1, 2))
    speeds = torch.stack([body.hand(state)[1][0, 0] for state in states])
    assert body.hand(states[-1])[1][0].tolist() == pytest.approx([0.25, -0.5])
    kept = 1 - 0.01 * 4.0 / 2.0
    expected = 0.25 * (1 - kept ** torch.arange(1001, dtype=torch.float64))
    torch.testing.assert_close(speeds, expected, rtol=1e-10, atol=1e-12)


def test_a_mass_without_friction_keeps_its_momentum():
    body = PointMass(0.01, friction=0.0)
    controls = torch.zeros(50, 1, 2, dtype=torch.float64)
    controls[0] = 3.0
    states = moved(body, controls)
    assert all(torch.equal(body.hand(state)[1], body.hand(states[1])[1]) for state in states[1:])


@pytest.mark.parametrize("dt", [0.001, 0.01, 0.05])
def test_isometric_force_follows_exponentially_whatever_the_step(dt):
    body = Isometric(dt, lag=0.05)
    steps = round(0.1 / dt)
    states = moved(body, torch.full((steps, 1, 2), 3.0, dtype=torch.float64))
    expected = 3.0 * (1 - math.exp(-2))
    assert body.feedback(states[-1])[0].tolist() == pytest.approx([expected] * 2, rel=1e-12)
    assert body.hand(states[-1])[0][0].tolist() == pytest.approx([expected / NEWTONS_PER_METRE] * 2, rel=1e-12)


def test_an_unknown_body_is_said():
    with pytest.raises(UnknownNameError, match="Unknown body 'point_mas'. Did you mean 'point_mass'"):
        find_body("point_mas", 0.01)
