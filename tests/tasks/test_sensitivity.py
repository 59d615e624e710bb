"""Sensitivity of recurrent networks: against the Jacobian that autograd finds."""

import pytest
import torch
from torch.autograd.functional import jacobian

from brainalign.errors import NeedsError
from brainalign.networks.gru import GRU
from brainalign.networks.rnn import RNN
from brainalign.tasks.center_out import CenterOut
from brainalign.tasks.sensitivity import sensitivity
from brainalign.tasks.task import Batch


@pytest.fixture
def network():
    torch.manual_seed(0)
    return RNN(3, 2, units=7, gain=1.5).double()


@pytest.fixture
def shown():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(4, n, generator=generator, dtype=torch.float64) for n in (3, 7)]


def test_it_is_the_jacobians_frobenius_norm(network, shown):
    x, state = shown
    found = sensitivity(network, x, state)
    for sample in range(4):

        def driven(h, x=x[sample : sample + 1]):
            return network.activation(network.preactivation(x, h[None]))[0]

        expected = jacobian(driven, state[sample]).square().sum() / 7
        torch.testing.assert_close(found[sample], expected)


def test_its_gradient_is_that_of_finite_differences(network, shown):
    x, state = shown

    def of_weight(weight):
        network.recurrent.weight = torch.nn.Parameter(weight)
        return sensitivity(network, x, state).sum()

    weight = network.recurrent.weight.detach().clone()
    (found,) = torch.autograd.grad(of_weight(weight), network.recurrent.weight)
    step = torch.zeros_like(weight)
    step[2, 3] = 1e-6
    slope = (of_weight(weight + step) - of_weight(weight - step)).item() / 2e-6
    assert found[2, 3].item() == pytest.approx(slope, rel=1e-6)


def test_it_can_be_measured_without_gradients(network, shown):
    with torch.no_grad():
        found = sensitivity(network, *shown)
    torch.testing.assert_close(found, sensitivity(network, *shown).detach())


def test_saturated_units_are_insensitive(network, shown):
    x, state = shown
    assert (sensitivity(network, 100 * x, state) < 0.1 * sensitivity(network, 0 * x, 0 * state)).all()


def test_networks_of_other_units_are_refused():
    network = GRU(3, 2, units=7)
    with pytest.raises(NeedsError, match="needs leaky units, such as those of rnn or ei_rnn; found a GRU"):
        sensitivity(network, torch.zeros(1, 3), network.initial(1))


def test_a_task_adds_its_mean_over_time_to_the_cost(network):
    plain, smooth = (CenterOut(body="velocity", sensitivity=weight) for weight in (0.0, 0.3))
    (batch,) = plain.seen(3)
    batch = Batch(batch.inputs.double(), batch.targets.double())
    state, total = network.initial(3), 0
    for x in batch.inputs.unbind(1):
        total = total + sensitivity(network, x, state)
        state = network.step(x, state)
    costs = [task.cost(task.rollout(network, batch), batch) for task in (plain, smooth)]
    torch.testing.assert_close(costs[1] - costs[0], 0.3 * total / 75)
    assert smooth.differentiates_network and not plain.differentiates_network
