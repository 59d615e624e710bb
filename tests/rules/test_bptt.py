"""Backprop through time: the slope of the cost, in closed loop too, and through spikes."""

import pytest
import torch

from brainalign.errors import NeedsError
from brainalign.networks.alif import ALIF
from brainalign.networks.gru import GRU
from brainalign.networks.lif import LIF
from brainalign.networks.rnn import RNN
from brainalign.rules.bptt import BPTT
from brainalign.tasks.total_cost import total_cost
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer


@pytest.mark.parametrize("kind", [RNN, GRU])
@pytest.mark.parametrize("body", ["velocity", "point_mass"])
def test_is_the_slope_of_the_cost(reaching, update, kind, body):
    network, task, batch = reaching(f"center_out:body={body},n_targets=3", kind, units=7)
    given, _ = update(BPTT(), network, task, batch)
    generator, epsilon = torch.Generator().manual_seed(0), 1e-6
    along = {name: torch.randn(p.shape, generator=generator).double() for name, p in network.named_parameters()}
    costs = []
    with torch.no_grad():
        for by in (epsilon, -2 * epsilon):
            for name, parameter in network.named_parameters():
                parameter += by * along[name]
            costs.append(float(total_cost(network, task, batch)))
    slope = sum(float((given[name] * along[name]).sum()) for name in along)
    assert (costs[0] - costs[1]) / (2 * epsilon) == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("kind", [LIF, ALIF])
def test_trains_spiking_units(reaching, kind):
    network, task, _ = reaching(
        "center_out:body=velocity,n_targets=2,batch_size=8,movement=0.2", kind, units=24
    )
    trainer = Trainer(network.float(), task, BPTT(), find_optimizer("adam:lr=0.01"), seed=0)
    before = trainer.measure(None)["loss"]
    for _ in range(20):
        trainer.advance()
    assert trainer.measure(None)["loss"] < 0.5 * before


def test_a_network_without_a_state_is_refused(stack, teacher):
    with pytest.raises(NeedsError, match="'bptt' trains recurrent networks over time"):
        BPTT().check(stack((30, 20, 5)), teacher())
