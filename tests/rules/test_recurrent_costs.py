"""Multiply-adds of rules over time, in passes forward, as they declare."""

import dataclasses

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from brainalign.networks.alif import ALIF
from brainalign.networks.rnn import RNN
from brainalign.rules.bptt import BPTT
from brainalign.rules.e_prop import EProp
from brainalign.rules.force import Force
from brainalign.rules.reward_modulated_hebb import RewardModulatedHebb
from brainalign.rules.rflo import RFLO
from brainalign.tasks import find_task

RULES = [
    (BPTT, RNN),
    (BPTT, ALIF),
    (RFLO, RNN),
    (EProp, RNN),
    (EProp, ALIF),
    (Force, RNN),
    (RewardModulatedHebb, RNN),
]


@pytest.mark.parametrize(("rule", "kind"), RULES)
def test_costs_the_multiply_adds_that_it_declares(rule, kind):
    """Of a wide network, where little but the recurrent weights' own products counts."""
    task = find_task("center_out:body=velocity,batch_size=4,n_targets=4,movement=0.1")
    network, generator = kind(task.n_inputs, task.n_outputs, units=256), torch.Generator().manual_seed(0)
    state, batch = rule().init(network, task, generator), next(task.batches(generator))
    batch = dataclasses.replace(batch, step=10**6)
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        task.rollout(network, batch)
    with FlopCounterMode(display=False) as steps:
        list(rule().updates(network, task, batch, state, generator))
    assert steps.get_total_flops() / forward.get_total_flops() == pytest.approx(rule.passes, rel=0.1)
