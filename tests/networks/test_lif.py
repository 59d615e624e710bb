"""Spiking units: when they spike, how spikes are differentiated, and what a unit knows of itself."""

import math

import pytest
import torch

from brainalign.errors import BrainalignError
from brainalign.networks.alif import ALIF
from brainalign.networks.lif import LIF
from brainalign.networks.untrained import seeded


def driven(kind, drive, n_steps=200, **options):
    """Spikes and potentials, shape (time, unit), of units that see nothing but a constant drive."""
    with seeded(0):
        network = kind(1, 1, units=len(drive), **options).double()
    torch.nn.init.zeros_(network.recurrent.weight)
    with torch.no_grad():
        network.input.weight.copy_(torch.tensor(drive)[:, None])
        state, states = network.initial(1), []
        for _ in range(n_steps):
            state = network.step(torch.ones(1, 1).double(), state)
            states.append(network.parts(state))
    return torch.stack([each[1][0] for each in states]), torch.stack([each[0][0] for each in states])


def intervals(spikes, unit):
    return torch.diff(spikes[:, unit].nonzero()[:, 0])


def test_first_spikes_are_when_the_potential_reaches_the_threshold():
    drives = [0.55, 0.7, 1.0, 3.0, 0.45]
    spikes, potentials = driven(LIF, drives, alpha=0.1, threshold=0.5)
    for unit, drive in enumerate(drives[:-1]):
        first = math.ceil(math.log(1 - 0.5 / drive) / math.log(0.9))
        assert int(spikes[:, unit].argmax()) + 1 == first
        # v = I (1 − (1 − α)^t) until then.
        expected = drive * (1 - 0.9 ** torch.arange(1, first + 1).double())
        torch.testing.assert_close(potentials[:first, unit], expected)
    assert not spikes[:, -1].any()


def test_refractory_units_wait():
    spikes, _ = driven(LIF, [20.0], refractory=4)
    assert set(intervals(spikes, 0).tolist()) == {5}
    spikes, _ = driven(LIF, [20.0])
    assert set(intervals(spikes, 0).tolist()) == {1}


def test_adapting_units_slow_down_and_others_do_not():
    spikes, _ = driven(ALIF, [1.0], adaptation=0.02)
    found = intervals(spikes, 0)
    assert found[-1] >= found[0] + 2
    plain, _ = driven(LIF, [1.0])
    assert set(intervals(plain, 0).tolist()) <= {found[0].item(), found[0].item() + 1}
    without, _ = driven(ALIF, [1.0], beta=1e-12)
    assert torch.equal(plain, without)


def test_rates_are_spikes_filtered_and_outputs_their_linear_read_out():
    with seeded(0):
        network = ALIF(2, 3, units=10, readout=0.3).double()
    inputs = 2 * torch.randn(3, 30, 2, generator=torch.Generator().manual_seed(0)).double()
    state, rates = network.initial(3), torch.zeros(3, 10).double()
    for x in inputs.unbind(1):
        state = network.step(x, state)
        spikes = network.parts(state)[1]
        assert set(spikes.unique().tolist()) <= {0.0, 1.0}
        rates = 0.7 * rates + 0.3 * spikes
        torch.testing.assert_close(network.rates(state), rates)
    torch.testing.assert_close(network(inputs)[:, -1], network.head(rates))


def test_a_spike_changes_with_the_potential_by_a_triangle():
    with seeded(0):
        network = LIF(5, 1, units=5, alpha=1.0, threshold=0.5, gamma=0.3).double()
    with torch.no_grad():
        network.input.weight.copy_(torch.eye(5))
    potentials = torch.tensor([[0.5, 0.75, 0.25, 1.0, 1.5]]).double().requires_grad_()
    spikes = network.parts(network.step(potentials, network.initial(1)))[1]
    assert spikes.tolist() == [[0, 1, 0, 1, 1]]
    (slopes,) = torch.autograd.grad(spikes.sum(), potentials)
    torch.testing.assert_close(slopes, torch.tensor([[0.6, 0.3, 0.3, 0.0, 0.0]]).double())


@pytest.mark.parametrize("options", [{"alpha": 1.5}, {"readout": 1.5}, {"adaptation": 1.5}])
def test_steps_longer_than_a_time_constant_are_refused(options):
    with pytest.raises(BrainalignError, match="found 1.5; a time step is one time constant at most"):
        ALIF(3, 2, units=4, **options)


@pytest.mark.parametrize("kind", [LIF, ALIF])
def test_local_dynamics_are_the_derivatives_of_a_step(kind):
    """By autograd, of units without recurrent weights; the reset is no part of them."""
    with seeded(0):
        network = kind(2, 1, units=6, refractory=1).double()
    torch.nn.init.zeros_(network.recurrent.weight)
    generator = torch.Generator().manual_seed(1)
    state, x = network.initial(1), torch.randn(1, 2, generator=generator).double()
    for _ in range(4):
        state = network.step(3 * x, state).detach()
    local = network.local_dynamics(x, state)

    def hidden(moved):
        v, _, _, filtered = network.parts(moved)
        return torch.cat([v[:, None], filtered], 1)[0].T

    def stepped(of_unit):
        _, spikes, waiting, _ = network.parts(state)
        parts = torch.cat([of_unit.T[:1], spikes, waiting, of_unit.T[1:]])
        return hidden(network.step(x, parts.flatten()[None]))

    jacobian = torch.autograd.functional.jacobian(stepped, hidden(state))
    own = torch.stack([jacobian[k, :, k] for k in range(6)])
    assert own[:, 1, 0].abs().max() > 0
    torch.testing.assert_close(local.decay[0], own)
    by_bias = torch.autograd.grad(hidden(network.step(x, state)).sum(), network.input.bias)[0]
    torch.testing.assert_close(local.drive[0].sum(1), by_bias)
