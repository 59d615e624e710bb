"""The arm without muscles: Lagrange's equations, energy, and dynamics undone."""

import pytest
import torch
from torch.autograd.functional import jvp

from brainalign.errors import BrainalignError
from brainalign.tasks.motor_task import minimum_jerk
from brainalign.tasks.torque_arm import FRICTION, TorqueArm

LIKE = torch.zeros((), dtype=torch.float64)


@pytest.fixture
def state():
    return torch.randn(20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def torques():
    return torch.randn(20, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def energy(arm, state):
    velocity = state[:, 2:]
    return 0.5 * torch.einsum("si,sij,sj->s", velocity, arm.inertia(state), velocity)


def test_inertia_is_that_of_two_rods(state):
    """Kinetic energy from the velocities of the centres of mass, with m = (1.4, 1), s₂ = 0.16 m."""
    arm = TorqueArm(0.01)

    def centre(angles):
        both = angles.sum(1)
        elbow = 0.30 * torch.stack([angles[:, 0].cos(), angles[:, 0].sin()], 1)
        return elbow + 0.16 * torch.stack([both.cos(), both.sin()], 1)

    _, velocity = jvp(centre, (state[:, :2],), (state[:, 2:],))
    # the links' own inertias are about shoulder and elbow: the second's, less m₂ s₂², is about its centre
    turning = 0.5 * 0.025 * state[:, 2] ** 2 + 0.5 * (0.045 - 0.16**2) * state[:, 2:].sum(1) ** 2
    torch.testing.assert_close(energy(arm, state), 0.5 * velocity.square().sum(1) + turning)


def test_acceleration_solves_lagranges_equations(state, torques):
    arm = TorqueArm(0.01, friction=0.0)

    def momentum(state):
        return (arm.inertia(state) @ state[:, 2:, None])[..., 0]

    _, change = jvp(momentum, state, torch.cat([state[:, 2:], arm.acceleration(state, torques)], 1))
    state = state.clone().requires_grad_()
    (by_state,) = torch.autograd.grad(energy(arm, state).sum(), state)
    torch.testing.assert_close(change - by_state[:, :2], torques)


def test_friction_takes_the_power_that_torques_do_not_give(state, torques):
    arm = TorqueArm(0.01)
    flow = torch.cat([state[:, 2:], arm.acceleration(state, torques)], 1)
    _, power = jvp(lambda each: energy(arm, each), (state,), (flow,))
    velocity, friction = state[:, 2:], torch.tensor(FRICTION, dtype=torch.float64)
    lost = torch.einsum("si,ij,sj->s", velocity, friction, velocity)
    assert (lost > 0).all()
    torch.testing.assert_close(power, (velocity * torques).sum(1) - lost)


def test_energy_is_kept_the_better_the_smaller_the_steps(state):
    drifts = []
    for dt in (4e-3, 2e-3, 1e-3):
        arm = TorqueArm(dt, friction=0.0)
        after = state
        for _ in range(round(0.2 / dt)):
            after = arm.step(after, torch.zeros(20, 2, dtype=torch.float64))
        drifts.append(float((energy(arm, after) / energy(arm, state) - 1).abs().median()))
    assert drifts[2] < 0.01
    assert drifts[0] / drifts[1] == pytest.approx(2, rel=0.15)
    assert drifts[1] / drifts[2] == pytest.approx(2, rel=0.15)


def test_without_torques_the_arm_stays_at_rest():
    arm = TorqueArm(0.01)
    rest = arm.rest(2, LIKE)
    assert torch.equal(arm.step(rest, torch.zeros(2, 2, dtype=torch.float64)), rest)


def test_the_inverse_gives_the_torques_back(state, torques):
    arm = TorqueArm(0.01)
    torch.testing.assert_close(arm.inverse(state, arm.step(state, torques)), torques, rtol=0, atol=1e-12)


def test_angles_are_those_of_the_hand(state):
    arm = TorqueArm(0.01)
    angles = torch.cat([state[:, :1], 0.2 + 2.5 * state[:, 1:2].sigmoid()], 1)
    position, _ = arm.hand(torch.cat([angles, state[:, 2:]], 1))
    found = arm.angles(position)
    torch.testing.assert_close(found[:, 1], angles[:, 1])
    torch.testing.assert_close(found[:, 0].cos(), angles[:, 0].cos())
    torch.testing.assert_close(found[:, 0].sin(), angles[:, 0].sin())


def test_velocity_is_the_derivative_of_position(state):
    arm = TorqueArm(0.01)

    def position(angles):
        return arm.hand(torch.cat([angles, state[:, 2:]], 1))[0]

    _, velocity = jvp(position, (state[:, :2],), (state[:, 2:],))
    torch.testing.assert_close(arm.hand(state)[1], velocity)


def test_a_course_is_followed_exactly():
    arm = TorqueArm(0.01)
    done = minimum_jerk(torch.linspace(0, 1, 60, dtype=torch.float64))
    targets = torch.tensor([[0.1, 0.0], [-0.07, 0.07], [0.0, -0.1]], dtype=torch.float64)
    course = done[:, None] * targets[:, None]
    torques = arm.controls_for(course)
    state = arm.rest(3, LIKE)
    for step in range(60):
        state = arm.step(state, torques[:, step])
        torch.testing.assert_close(arm.hand(state)[0], course[:, step], rtol=0, atol=1e-12)


def test_out_of_reach_is_said():
    arm = TorqueArm(0.01)
    with pytest.raises(BrainalignError, match=r"cannot be at \(0, 0.3\) m from where it rests"):
        arm.angles(torch.tensor([[0.0, 0.1], [0.0, 0.3]]))
