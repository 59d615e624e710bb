"""Trials as synapses see them: errors at each step, through the body and not through the network."""

from dataclasses import replace

import pytest
import torch

from brainalign.errors import NeedsError
from brainalign.networks.gru import GRU
from brainalign.rules.recurrent_trials import check_steps, leaky_network, run_trials, through_readout
from brainalign.tasks import LayerCost, Schedule


@pytest.mark.parametrize("body", ["velocity", "point_mass"])
def test_errors_are_those_of_a_body_that_is_moved_by_the_same_outputs(reaching, body):
    """The network is gone: its outputs, played back, move the body."""
    network, task, batch = reaching(f"center_out:body={body},n_targets=3,effort=0.1", units=8)
    outputs = task.rollout(network, batch)[..., 4:-1].detach().requires_grad_()
    state, course = task.of_body.rest(len(batch), batch.inputs), []
    for controls in outputs.unbind(1):
        state = task.of_body.step(state, controls)
        course.append(torch.cat([*task.of_body.hand(state), controls, torch.zeros(len(batch), 1).double()], 1))
    cost = task.cost(torch.stack(course, 1), batch).mean()
    (expected,) = torch.autograd.grad(cost, outputs)
    given = run_trials(network, task, batch).output_errors
    torch.testing.assert_close(given, expected.transpose(0, 1), rtol=1e-10, atol=1e-12)


def test_errors_of_rates_are_what_the_cost_holds_of_them(reaching):
    network, task, batch = reaching("center_out:body=velocity,rate=0.3", units=8)
    trials = run_trials(network, task, batch)
    n_steps = len(trials.rates)
    expected = 2 * 0.3 * trials.rates / (8 * n_steps * len(batch))
    torch.testing.assert_close(trials.rate_errors, expected, rtol=1e-10, atol=1e-14)


def test_what_is_kept_is_what_the_network_did(sequences):
    network, task, batch = sequences()
    trials = run_trials(network, task, batch)
    assert torch.equal(trials.inputs, batch.inputs.transpose(0, 1))
    state = network.initial(4)
    for x, before, rates in zip(trials.inputs, trials.before, trials.rates, strict=True):
        assert torch.equal(state, before)
        state = network.step(x, state)
        assert torch.equal(state, rates)
    # The plain output error of a task without a body, of the mean over samples.
    error = (network(batch.inputs) - batch.targets).transpose(0, 1) / 4
    torch.testing.assert_close(trials.output_errors, error)
    torch.testing.assert_close(through_readout(network, trials), error @ network.head.weight)


def test_the_weight_of_the_step_counts(sequences):
    network, task, batch = sequences()
    halved = replace(task, weight=Schedule(((0, 1.0), (10, 0.0))))
    full, half = run_trials(network, task, batch), run_trials(network, halved, replace(batch, step=5))
    torch.testing.assert_close(half.output_errors, 0.5 * full.output_errors)


def test_costs_within_the_network_are_refused(sequences):
    _, task, _ = sequences()
    cost = LayerCost("size", lambda answer, _: answer.square().mean(1), Schedule())
    with pytest.raises(NeedsError, match="errors of outputs and of rates alone"):
        check_steps("rflo", replace(task, at_layers={"head": cost}))


def test_networks_of_other_units_are_refused():
    with pytest.raises(NeedsError, match="'rflo' needs a network of leaky rate units.* found a GRU"):
        leaky_network("rflo", GRU(3, 2, units=4))
