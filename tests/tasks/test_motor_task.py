"""Tasks that move a body: cost, closed loop, conditions of a recording, and what goes wrong."""

import numpy as np
import pandas as pd
import pytest
import torch

from brainalign.data import StimulusSet
from brainalign.errors import BrainalignError, DivergedError, NeedsError
from brainalign.networks.recurrent import RecurrentNetwork
from brainalign.networks.rnn import RNN
from brainalign.tasks import find_task
from brainalign.tasks.center_out import CenterOut
from brainalign.tasks.total_cost import gradient, total_cost
from brainalign.training.measure import measure


class Player(RecurrentNetwork):
    """Plays outputs back, one a time step, whatever it is shown. The state counts steps."""

    def __init__(self, task, outputs):
        super().__init__(task.n_inputs, 1, task.n_outputs)
        self.outputs = torch.nn.Parameter(outputs)

    def initial(self, n):
        return torch.zeros(n, 1, dtype=self.outputs.dtype)

    def step(self, x, state):
        return state + 1

    def rates(self, state):
        return 0 * state

    def readout(self, state):
        return self.outputs[:, int(state[0, 0]) - 1]


def small(task, units=16, seed=0):
    torch.manual_seed(seed)
    return RNN(task.n_inputs, task.n_outputs, units=units)


def conditions(angles=None, n=4):
    ids = [f"c{number}" for number in range(n if angles is None else len(angles))]
    metadata = pd.DataFrame(index=pd.Index(ids, name="stimulus", dtype=object))
    if angles is not None:
        metadata["angle"] = np.asarray(angles, dtype=float)
    return StimulusSet("conditions", metadata)


def test_velocities_that_lead_to_the_targets_reach_them():
    task = CenterOut(body="velocity", effort=0.0, rate=0.0)
    batch = next(task.held_out())
    wanted = batch.targets[..., :2]
    velocity = torch.diff(wanted, dim=1, prepend=torch.zeros_like(wanted[:, :1])) / task.dt
    outputs = task.rollout(Player(task, velocity), batch)
    assert task.endpoint_error(outputs, batch).max() < 1e-6
    assert task.correct(outputs, batch).tolist() == [1.0] * 8
    assert task.cost(outputs, batch).max() < 1e-8


def test_a_hand_that_stays_misses_by_the_distance():
    task = CenterOut(body="point_mass")
    batch = next(task.held_out())
    outputs = task.rollout(Player(task, torch.zeros(8, 75, 2)), batch)
    assert task.further(outputs, batch)["endpoint_error"].tolist() == pytest.approx([0.1] * 8)
    assert task.correct(outputs, batch).tolist() == [0.0] * 8


def test_cost_is_the_equations():
    task = CenterOut(effort=0.3, distance=0.2)
    batch = next(task.seen(3))
    generator = torch.Generator().manual_seed(1)
    outputs = torch.rand(3, 75, 7, generator=generator)
    found = task.cost(outputs.double(), batch)
    for sample in range(3):
        total = 0.0
        for time in range(75):
            wanted_x, wanted_y, weight = batch.targets[sample, time].double().tolist()
            x, y, _, _, u1, u2, rates = outputs[sample, time].double().tolist()
            total += weight / 0.2**2 * ((x - wanted_x) ** 2 + (y - wanted_y) ** 2)
            total += 0.3 / 2 * (u1**2 + u2**2) + rates
        assert float(found[sample]) == pytest.approx(total / 75, rel=1e-9)


def test_a_rollout_is_a_loop_through_network_and_body():
    task = CenterOut(body="point_mass", rate=0.7)
    network, batch = small(task), next(task.seen(2))
    course, kept = task.course(network, batch, keep_rates=True)
    state, position, velocity = network.initial(2), torch.zeros(2, 2), torch.zeros(2, 2)
    for time in range(batch.inputs.shape[1]):
        state = network.step(torch.cat([batch.inputs[:, time], 10 * position, velocity], 1), state)
        force = network.readout(state)
        velocity = velocity + 0.01 * (force - 5 * velocity)
        position = position + 0.01 * velocity
        expected = torch.cat([position, velocity, force, 0.7 * state.square().mean(1, keepdim=True)], 1)
        torch.testing.assert_close(course[:, time], expected)
        torch.testing.assert_close(kept[time], state)


def test_what_is_sensed_reaches_the_network():
    task = CenterOut(body="point_mass")
    network, batch = small(task), next(task.seen(2))
    closed = task.rollout(network, batch)
    with torch.no_grad():
        network.input.weight[:, 3:] = 0
    assert not torch.allclose(task.rollout(network, batch)[..., :2], closed[..., :2], atol=1e-4)


@pytest.mark.parametrize("name", ["torque_arm", "arm", "point_mass"])
def test_the_gradient_through_the_body_is_that_of_finite_differences(name):
    if name == "arm":
        pytest.importorskip("motornet", reason="MotorNet is not installed")
    task = CenterOut(body=name, n_targets=2, cue=0.02, reaction=0.02, movement=0.1, hold=0.04)
    network = small(task, units=6).double()
    batch = next(task.seen())
    batch = type(batch)(batch.inputs.double(), batch.targets.double())
    found = gradient(network, task, batch)
    generator = torch.Generator().manual_seed(3)
    direction = {
        key: torch.randn(value.shape, generator=generator, dtype=torch.float64) for key, value in found.items()
    }
    costs = []
    for step in (1e-6, -1e-6):
        moved = small(task, units=6).double()
        with torch.no_grad():
            for key, value in moved.named_parameters():
                value += step * direction[key]
            costs.append(float(total_cost(moved, task, batch)))
    expected = sum(float((found[key] * direction[key]).sum()) for key in found)
    assert (costs[0] - costs[1]) / 2e-6 == pytest.approx(expected, rel=1e-4)


def test_controls_stay_within_the_bounds_of_the_body(monkeypatch):
    task = CenterOut(body="velocity")
    monkeypatch.setattr(task.of_body, "bounds", (-0.2, 0.5), raising=False)
    outputs = torch.linspace(-50, 50, 8 * 75 * 2).reshape(8, 75, 2)
    controls = task.rollout(Player(task, outputs), next(task.held_out()))[..., 4:-1]
    assert float(controls.detach().min()) == pytest.approx(-0.2) and float(
        controls.detach().max()
    ) == pytest.approx(0.5)


def test_training_brings_the_hand_nearer():
    task = CenterOut(body="point_mass", n_targets=4, batch_size=16, dt=0.02)
    network = small(task, units=32)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.005)
    batch = next(task.held_out())

    def error():
        with torch.no_grad():
            return float(task.endpoint_error(task.rollout(network, batch), batch).mean())

    before = error()
    for trials in list(task.batches(torch.Generator().manual_seed(0)))[:60]:
        optimizer.zero_grad()
        total_cost(network, task, trials).backward()
        optimizer.step()
    assert error() < 0.03 < before


def test_answers_are_at_the_angles_of_the_recording():
    task = CenterOut(body="point_mass")
    network = small(task)
    found = task.answers(network, conditions([90, 0, 45]))
    units = found["units"]
    assert units.dims == ("stimulus", "unit", "time") and units.shape == (3, 16, 75)
    assert list(units["stimulus"].values) == ["c0", "c1", "c2"]
    # the first state is that after the first step
    assert float(units["time"][0]) == pytest.approx(task.dt - task.go_time)
    for event, zero in (("target", task.cue), ("movement", task.go_time + task.reaction)):
        shifted = task.answers(network, conditions([90, 0, 45]), event)["units"]
        assert float(shifted["time"][0]) == pytest.approx(task.dt - zero)
    assert set(found["units"]["region"].values) == {"units"}
    assert found["outputs"].shape == (3, 2, 75)
    _, rates = task.course(network, next(task.held_out()), keep_rates=True)
    expected = torch.stack(rates, 1).transpose(1, 2)[[2, 0, 1]]
    np.testing.assert_allclose(units.values, expected.detach().numpy(), atol=1e-6)


def test_conditions_without_angles_are_answered_at_equal_ones():
    task = CenterOut(body="point_mass")
    network = small(task)
    without = task.answers(network, conditions(n=4))["units"]
    at_angles = task.answers(network, conditions([0, 90, 180, 270]))["units"]
    np.testing.assert_allclose(without.values, at_angles.values, atol=1e-6)


def test_a_network_that_gives_no_numbers_is_said_with_the_time_step():
    task = CenterOut(body="point_mass")
    outputs = torch.zeros(8, 75, 2)
    outputs[3, 40] = float("nan")
    batch = next(task.held_out())
    with pytest.raises(DivergedError, match="'point_mass'.* gives no numbers from time step 40 of 75 on"):
        measure(Player(task, outputs), task, [batch])


def test_a_body_that_flies_away_is_said():
    task = CenterOut(body="torque_arm")
    with pytest.raises(DivergedError, match="'torque_arm'.* gives no numbers from time step"):
        measure(Player(task, torch.full((8, 75, 2), 1e12)), task, [next(task.held_out())])
    network = small(task)
    torch.nn.init.constant_(network.head.bias, float("inf"))
    with pytest.raises(DivergedError, match="gives no numbers from time step 0 of 75 on"):
        task.answers(network, conditions(n=3))


@pytest.mark.parametrize("name", ["torque_arm", "arm", "isometric"])
def test_rollouts_of_perturbed_networks_can_be_vectorised(name):
    if name == "arm":
        pytest.importorskip("motornet", reason="MotorNet is not installed")
    task = CenterOut(body=name, n_targets=2, cue=0.02, reaction=0.02, movement=0.1, hold=0.04)
    network, batch = small(task, units=6), next(task.seen())
    parameters = {key: torch.stack([value, 1.1 * value]).detach() for key, value in network.named_parameters()}
    rollout = _Rollout(task, network)

    def end(*values):
        named = {f"network.{key}": value for key, value in zip(parameters, values, strict=True)}
        return torch.func.functional_call(rollout, named, (batch,))

    found = torch.vmap(end, randomness="same")(*parameters.values())
    for number in range(2):
        alone = end(*(value[number] for value in parameters.values()))
        torch.testing.assert_close(found[number], alone, rtol=1e-4, atol=1e-5)


class _Rollout(torch.nn.Module):
    def __init__(self, task, network):
        super().__init__()
        self.task, self.network = task, network

    def forward(self, batch):
        return self.task.rollout(self.network, batch)


def test_networks_that_do_not_fit_are_said():
    task, batch = CenterOut(body="point_mass"), next(CenterOut(body="point_mass").held_out())
    with pytest.raises(NeedsError, match="needs a recurrent network, such as rnn or gru; found a Linear"):
        task.rollout(torch.nn.Linear(7, 2), batch)
    with pytest.raises(NeedsError, match="needs 7 inputs and 2 outputs; the RNN has 7 and 3"):
        task.rollout(RNN(7, 3, units=4), batch)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"distance": 0.0}, "Option distance of center_out is 0.0"),
        ({"effort": -1.0}, "Option effort of center_out is -1.0"),
        ({"body": "octopus"}, "Unknown body 'octopus'"),
    ],
)
def test_bad_options_are_said(options, said):
    with pytest.raises(BrainalignError, match=said):
        CenterOut(**options)


def test_bad_asks_are_said():
    with pytest.raises(BrainalignError, match="At most 0 trials"):
        next(CenterOut().seen(0))
    with pytest.raises(BrainalignError, match="has no images; leave 'digits' out"):
        find_task("center_out:digits")


def test_names_hold_the_options_that_are_not_the_default():
    name = "center_out:body=velocity,distance=0.2"
    assert find_task(name).name == name
    assert find_task("center_out").name == "center_out"
    assert find_task("center_out:body=velocity").n_inputs == 3
