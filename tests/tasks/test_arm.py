"""The arm with muscles: MotorNet's own steps, kinematics, limits, and what each muscle does."""

import sys

import pytest
import torch
from torch.autograd.functional import jvp

from brainalign.errors import BrainalignError
from brainalign.tasks.arm import REST, MuscleArm

motornet = pytest.importorskip("motornet", reason="MotorNet is not installed: this test moves its arm")

LIKE = torch.zeros((), dtype=torch.float64)
MUSCLES = ("pectoralis", "deltoid", "brachioradialis", "tricepslat", "biceps", "tricepslong")
LIMITS = torch.deg2rad(torch.tensor([135.0, 155.0], dtype=torch.float64))


def moved(arm, controls, like=LIKE):
    state = arm.rest(controls.shape[1], like)
    for each in controls:
        state = arm.step(state, each)
    return state


def excited(muscle, amount=0.5, steps=10):
    controls = torch.zeros(steps, 1, 6, dtype=torch.float64)
    controls[..., MUSCLES.index(muscle)] = amount
    return controls


@pytest.fixture
def arm():
    return MuscleArm(0.01)


def test_steps_are_motornets_own(arm):
    plant = motornet.effector.RigidTendonArm26(motornet.muscle.RigidTendonHillMuscleThelen(), timestep=0.01)
    plant.reset(options={"joint_state": torch.tensor([REST]).expand(4, -1)})
    controls = torch.rand(60, 4, 6, generator=torch.Generator().manual_seed(0))
    state = arm.rest(4, controls)
    origin = plant.states["fingertip"]
    for each in controls:
        plant.step(each)
        state = arm.step(state, each)
    assert torch.equal(state[:, :4], plant.states["joint"])
    assert torch.equal(state[:, 4:], plant.states["muscle"].flatten(1))
    assert torch.equal(arm.hand(state)[0], plant.states["fingertip"] - origin)
    assert plant.muscle_name == list(MUSCLES)


def test_the_hand_is_where_the_joints_put_it(arm):
    state = arm.rest(50, LIKE).clone()
    numbers = torch.rand(50, 4, generator=torch.Generator().manual_seed(1)).double()
    state[:, :4] = torch.cat([numbers[:, :2] * LIMITS, numbers[:, 2:] - 0.5], 1)

    def position(shoulder, elbow):
        both = shoulder + elbow
        return torch.stack(
            [
                0.309 * shoulder.cos() + 0.333 * both.cos(),
                0.309 * shoulder.sin() + 0.333 * both.sin(),
            ],
            -1,
        )

    angles, speeds = state[:, :2], state[:, 2:4]
    there, velocity = jvp(position, tuple(angles.unbind(1)), tuple(speeds.unbind(1)))
    rest = position(*torch.tensor(REST, dtype=torch.float64))
    torch.testing.assert_close(arm.hand(state)[0], there - rest, rtol=0, atol=1e-7)
    torch.testing.assert_close(arm.hand(state)[1], velocity, rtol=0, atol=1e-7)


def test_at_rest_the_arm_nearly_stays(arm):
    still = moved(arm, torch.zeros(20, 1, 6, dtype=torch.float64))
    assert arm.hand(still)[0].norm() < 0.002
    excited_alike = moved(arm, torch.full((20, 1, 6), 0.02, dtype=torch.float64))
    pulled = moved(arm, excited("biceps", steps=20))
    assert 0.002 < arm.hand(excited_alike)[0].norm() < 0.02 < arm.hand(pulled)[0].norm()


@pytest.mark.parametrize(
    ("muscle", "joint", "sign"),
    [
        ("pectoralis", 0, 1),
        ("deltoid", 0, -1),
        ("brachioradialis", 1, 1),
        ("tricepslat", 1, -1),
        ("biceps", 1, 1),
        ("tricepslong", 1, -1),
    ],
)
def test_flexors_flex_and_extensors_extend(arm, muscle, joint, sign):
    change = moved(arm, excited(muscle))[0, joint] - REST[joint]
    assert sign * change > 0.005


def test_a_muscle_that_shortens_is_sensed_as_shorter(arm):
    state = moved(arm, excited("biceps"))
    biceps, triceps = MUSCLES.index("biceps"), MUSCLES.index("tricepslong")
    change = (arm.feedback(state) - arm.feedback(arm.rest(1, LIKE)))[0]
    assert change[biceps] < 0 < change[triceps]
    assert change[6 + biceps] < 0 < change[6 + triceps]
    torch.testing.assert_close(arm.feedback(state)[:, 12:], 10 * arm.hand(state)[0])


def test_joints_stay_within_their_limits_and_activation_between_0_and_1(arm):
    generator = torch.Generator().manual_seed(2)
    state = arm.rest(20, LIKE)
    for step in range(300):
        if step % 30 == 0:
            controls = (torch.rand(20, 6, generator=generator) < 0.5).double()
        state = arm.step(state, controls)
        assert torch.isfinite(state).all()
        assert (state[:, :2] >= 0).all() and (state[:, :2] <= LIMITS + 1e-6).all()
        active = state[:, 4:10]
        assert (active >= 0).all() and (active <= 1).all()
    assert (state[:, :2] - torch.tensor(REST)).abs().min() > 0


def test_muscles_at_rest_brake_a_moving_arm(arm):
    state = arm.rest(1, LIKE).clone()
    state[:, 2:4] = torch.tensor([2.0, -2.0])
    speeds = []
    for _ in range(20):
        state = arm.step(state, torch.zeros(1, 6, dtype=torch.float64))
        speeds.append(float(arm.hand(state)[1].norm()))
    braced = arm.rest(1, LIKE).clone()
    braced[:, 2:4] = torch.tensor([2.0, -2.0])
    for _ in range(20):
        braced = arm.step(braced, torch.full((1, 6), 0.2, dtype=torch.float64))
    assert arm.hand(braced)[1].norm() < speeds[-1] < speeds[0]


def test_an_arm_made_in_inference_mode_can_be_differentiated(arm):
    with torch.inference_mode():
        arm.rest(1, LIKE)
    controls = excited("biceps").requires_grad_()
    (gradient,) = torch.autograd.grad(arm.hand(moved(arm, controls))[0].sum(), controls)
    assert gradient[0, 0, MUSCLES.index("biceps")] != 0


def test_a_missing_motornet_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "motornet", None)
    with pytest.raises(BrainalignError, match=r"'arm' needs the package 'motornet'.*brainalign\[motor\]"):
        MuscleArm(0.01)
