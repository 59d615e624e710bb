"""Isometric force: targets in newtons, a hand that cannot move."""

import pytest
import torch

from brainalign.errors import BrainalignError
from brainalign.networks.rnn import RNN
from brainalign.tasks import find_task
from brainalign.tasks.isometric import NEWTONS_PER_METRE
from brainalign.tasks.isometric_force import IsometricForce
from brainalign.tasks.total_cost import total_cost


def test_it_is_found_by_its_name():
    assert find_task("isometric_force:n_targets=16").name == "isometric_force:n_targets=16"


def test_the_error_is_given_in_newtons():
    task = IsometricForce(distance=0.2)
    batch = next(task.held_out())
    outputs = torch.zeros(8, batch.inputs.shape[1], 7)
    found = task.further(outputs, batch)
    assert found["force_error"].tolist() == pytest.approx([3.0] * 8)
    assert found["endpoint_error"].tolist() == pytest.approx([0.2] * 8)


def test_forces_asked_for_ahead_of_the_lag_end_at_the_targets():
    """Asking for F + τ dF/dt makes the force that is wanted; asking for F alone comes late by τ."""
    task = IsometricForce(dt=0.001)
    wanted = NEWTONS_PER_METRE * next(task.held_out()).targets[..., :2].double()
    change = torch.diff(wanted, dim=1, prepend=torch.zeros_like(wanted[:, :1])) / task.dt
    errors = []
    for asked in (wanted + 0.05 * change, wanted):
        state, worst = task.of_body.rest(8, wanted), 0.0
        for time in range(wanted.shape[1]):
            state = task.of_body.step(state, asked[:, time])
            worst = max(worst, float((task.of_body.feedback(state) - wanted[:, time]).norm(dim=1).max()))
        errors.append(worst)
    assert errors[0] < 0.01 < 0.1 < errors[1]


def test_a_network_learns_to_push():
    task = IsometricForce(n_targets=4, batch_size=16, dt=0.02)
    torch.manual_seed(0)
    network = RNN(task.n_inputs, task.n_outputs, units=32)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.005)
    batch = next(task.held_out())

    def error():
        with torch.no_grad():
            return float(task.further(task.rollout(network, batch), batch)["force_error"].mean())

    before = error()
    for trials in list(task.batches(torch.Generator().manual_seed(0)))[:50]:
        optimizer.zero_grad()
        total_cost(network, task, trials).backward()
        optimizer.step()
    assert error() < 0.3 < before


def test_a_body_that_moves_is_refused():
    with pytest.raises(BrainalignError, match="a hand that cannot move; found the body 'point_mass'"):
        IsometricForce(body="point_mass")
