"""Burstprop: p_b times backprop at the outputs, a quarter of it below, and what the recurrent input is for."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from brainalign.errors import NeedsError
from brainalign.rules.backprop import Backprop
from brainalign.rules.burstprop import FEEDBACK, RECURRENT, Burstprop, through
from brainalign.tasks import Batch, find_task
from brainalign.training.angles import angle

NAMES = ("blocks.0.linear", "blocks.1.linear", "head")


@pytest.fixture
def sigmoid_outputs(regression):
    """Make a task whose cost is half the squared error of a sigmoid of the outputs."""
    plain = regression()

    @dataclass(frozen=True)
    class SigmoidTask(type(plain)):
        def cost(self, outputs: Tensor, batch: Batch) -> Tensor:
            return 0.5 * (torch.sigmoid(outputs) - batch.targets).square().sum(1)

    return SigmoidTask(plain.inputs, torch.sigmoid(plain.targets))


def silenced(rule, network, batch, state):
    """Set the recurrent weights so that u is 0 in each hidden layer, for the one sample of a batch."""
    a, answers = network.activity(batch.inputs)
    bursts = rule.baseline * torch.sigmoid(a[-1])
    for place in (2, 1):
        e = answers[place]
        u = rule.potential(network.layers[place], e, bursts, state)
        state[RECURRENT + NAMES[place - 1]] = (u.T @ e / (rule.baseline * e.square().sum())).detach()
        bursts = 0.5 * e
    return state


def test_at_the_outputs_it_is_the_baseline_times_backprop(stack, sigmoid_outputs, update):
    network, task, rule = stack((12, 9, 7, 6), "sigmoid"), sigmoid_outputs, Burstprop(baseline=0.3)
    batch = next(task.held_out(40))
    given, _ = update(rule, network, task, batch)
    exact, _ = update(Backprop(), network, task, batch)
    for key in ("head.weight", "head.bias"):
        torch.testing.assert_close(given[key], 0.3 * exact[key], rtol=1e-12, atol=1e-16)


def test_burst_probabilities_of_outputs_are_the_published_ones(sigmoid_outputs):
    generator = torch.Generator().manual_seed(0)
    a = 3 * torch.randn(50, 6, generator=generator, dtype=torch.float64)
    t = torch.rand(50, 6, generator=generator, dtype=torch.float64)
    e = torch.sigmoid(a)
    bursts, taught = Burstprop().output_bursts(a, (e - t) * e * (1 - e))
    torch.testing.assert_close(bursts / e, torch.full_like(e, 0.2), rtol=1e-12, atol=0)
    torch.testing.assert_close(taught / e, 0.2 * ((t - e) * (1 - e) + 1), rtol=1e-10, atol=0)


def test_probabilities_stay_within_0_and_1():
    a = torch.tensor([[-2.0, 2.0]], dtype=torch.float64)
    _, taught = Burstprop().output_bursts(a, torch.tensor([[-5.0, 5.0]], dtype=torch.float64))
    assert torch.equal(taught / torch.sigmoid(a), torch.tensor([[1.0, 0.0]], dtype=torch.float64))


@pytest.mark.parametrize(("size", "tolerance"), [(1e-2, 1e-2), (1e-5, 1e-4)])
def test_below_with_symmetric_feedback_and_no_input_it_is_a_quarter_of_backprop(
    size, tolerance, stack, sigmoid_outputs, update
):
    network, task, rule = stack((12, 9, 7, 6), "sigmoid"), sigmoid_outputs, Burstprop()
    batch = next(task.held_out(1))
    away = torch.randn(1, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    batch = replace(batch, targets=torch.sigmoid(network(batch.inputs)).detach() + size * away)
    state = rule.init(network, task, torch.Generator().manual_seed(0))
    for layer in network.layers[1:]:
        state[FEEDBACK + layer.name] = layer.linear.weight.detach()
    state = silenced(rule, network, batch, state)
    given, _ = update(rule, network, task, batch, state)
    exact, _ = update(Backprop(), network, task, batch)
    for steps, name in enumerate(reversed(NAMES)):
        ours, theirs = given[f"{name}.weight"], exact[f"{name}.weight"]
        assert angle(ours, theirs) < 57 * tolerance, name
        assert float(ours.norm() / theirs.norm()) == pytest.approx(0.2 * 0.25**steps, rel=tolerance), name


def test_with_input_to_the_dendrites_less_than_a_quarter_comes_through(stack, sigmoid_outputs, update):
    network, task, rule = stack((12, 9, 7, 6), "sigmoid"), sigmoid_outputs, Burstprop(recurrent_scale=0.0)
    batch = next(task.held_out(1))
    state = rule.init(network, task, torch.Generator().manual_seed(0))
    for layer in network.layers[1:]:
        state[FEEDBACK + layer.name] = 5 * layer.linear.weight.detach()
    exact, _ = update(Backprop(), network, task, batch)
    loud, _ = update(rule, network, task, batch, dict(state))
    quiet, _ = update(rule, network, task, batch, silenced(rule, network, batch, dict(state)))
    key = "blocks.1.linear.weight"
    full = 5 * 0.2 * 0.25 * float(exact[key].norm())
    assert float(quiet[key].norm()) > float(loud[key].norm())
    assert float(loud[key].norm()) < 0.99 * full


def test_recurrent_weights_learn_to_silence_the_dendrites(stack, sigmoid_outputs):
    network, task, rule = stack((12, 9, 6), "sigmoid"), sigmoid_outputs, Burstprop(scale=3.0)
    generator, batch = torch.Generator().manual_seed(0), next(task.held_out(100))
    state = rule.init(network, task, generator)

    @torch.no_grad()
    def silence():
        a, answers = network.activity(batch.inputs)
        sent = rule.potential(network.layers[-1], answers[1], rule.baseline * torch.sigmoid(a[-1]), state)
        return float((sent - rule.baseline * through(state[RECURRENT + NAMES[0]], answers[1])).abs().mean())

    before = silence()
    for _ in range(300):
        for given in rule.updates(network, task, batch, state, generator):
            state[RECURRENT + NAMES[0]] -= 5.0 * given[RECURRENT + NAMES[0]]
    assert silence() < 0.3 * before


def test_learning_lowers_the_cost(stack, teacher):
    task, network, rule = teacher(n=500), stack((30, 24, 5), "sigmoid"), Burstprop()
    generator, held = torch.Generator().manual_seed(0), next(task.held_out())
    state = rule.init(network, task, generator)
    parameters = dict(network.named_parameters()) | state
    before = float(task.cost(network(held.inputs), held).mean().detach())
    for _ in range(40):
        for batch in task.batches(generator):
            for update in rule.updates(network, task, batch, state, generator):
                for name, change in update.items():
                    parameters[name].data -= rule.learning_rate_factor(name) * change
    assert float(task.cost(network(held.inputs), held).mean().detach()) < 0.75 * before


def test_units_that_have_no_events_are_refused(stack):
    with pytest.raises(NeedsError, match="has a Tanh. Choose activation=sigmoid"):
        Burstprop().check(stack((64, 7, 5), "tanh"), find_task("classification:digits"))
