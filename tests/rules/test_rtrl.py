"""Real-time recurrent learning: in open loop equal to backprop through time, in closed loop not."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from brainalign.errors import NeedsError
from brainalign.networks.ei_rnn import EIRNN
from brainalign.networks.lif import LIF
from brainalign.networks.rnn import RNN
from brainalign.rules import perturbations
from brainalign.rules.bptt import BPTT
from brainalign.rules.rtrl import RTRL
from brainalign.tasks import Schedule


def largest_difference(a, b):
    assert set(a) == set(b)
    return max(float((a[name] - b[name]).abs().max() / b[name].abs().max()) for name in a)


@pytest.mark.parametrize(("kind", "options"), [(RNN, {"gain": 1.5}), (RNN, {"alpha": 1.0}), (EIRNN, {})])
def test_is_backprop_through_time_in_open_loop(reaching, update, kind, options):
    name = "center_out:body=velocity,n_targets=4,rate=0.1,effort=0.01"
    network, task, batch = reaching(name, kind, units=10, **options)
    task = replace(task, weight=Schedule(((0, 0.5),)))
    exact, _ = update(BPTT(), network, task, batch)
    given, _ = update(RTRL(), network, task, batch)
    assert set(given) == {name for name, _ in network.named_parameters()}
    assert largest_difference(given, exact) < 1e-10


def test_leaves_out_what_comes_back_through_the_body(reaching, update):
    network, task, batch = reaching("center_out:body=point_mass,n_targets=4", units=10)
    exact, _ = update(BPTT(), network, task, batch)
    given, _ = update(RTRL(), network, task, batch)
    assert largest_difference(given, exact) > 1e-3


def test_trials_can_go_one_by_one(sequences, update, monkeypatch):
    network, task, batch = sequences(units=6)
    at_once, _ = update(RTRL(), network, task, batch)
    monkeypatch.setattr(perturbations, "MEMORY", 1)
    singly, _ = update(RTRL(), network, task, batch)
    assert largest_difference(singly, at_once) < 1e-12


@pytest.mark.parametrize("n_units", [16, 32])
def test_multiply_adds_grow_with_the_square_of_units_and_are_those_declared(reaching, update, n_units):
    network, task, batch = reaching(units=n_units)
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        task.rollout(network, batch)
    with FlopCounterMode(display=False) as steps:
        update(RTRL(), network, task, batch)
    found = steps.get_total_flops() / forward.get_total_flops()
    assert found == pytest.approx(RTRL.passes * (n_units / 32) ** 2, rel=0.1)


def test_spiking_units_are_refused(sequences):
    network, task, _ = sequences(kind=LIF, units=4)
    with pytest.raises(NeedsError, match="'rtrl' needs a network of leaky rate units"):
        RTRL().check(network, task)
