"""XCAL: the bent line, the two terms synapse by synapse, and averages that float."""

import pytest
import torch

from brainalign.errors import NeedsError
from brainalign.networks import ConvNet, Shape, make_network
from brainalign.rules.symmetric_stack import SymmetricStack
from brainalign.rules.xcal import AVERAGE, XCAL, hebbian_rate, xcal
from brainalign.tasks import find_task

EXACT = {"tolerance": 1e-13, "limit": 5000}


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_line_is_zero_at_zero_and_at_the_threshold_and_meets_itself_at_the_reversal():
    threshold = double(0.05, 0.3, 0.9)
    assert torch.equal(xcal(torch.zeros_like(threshold), threshold), torch.zeros_like(threshold))
    assert torch.equal(xcal(threshold, threshold), torch.zeros_like(threshold))
    for side in (-1e-13, 1e-13):
        torch.testing.assert_close(
            xcal(0.1 * threshold + side, threshold), -0.9 * threshold, rtol=0, atol=1e-11
        )
    above = double(0.2, 0.031, 0.95)
    torch.testing.assert_close(xcal(above, threshold), above - threshold, rtol=0, atol=1e-15)


def made(stack, teacher):
    network, task = stack((8, 10, 6, 4), "sigmoid"), teacher(8, 4)
    return network, task, next(task.held_out(19))


def phases(network, batch):
    rule = XCAL(**EXACT)
    stack = SymmetricStack(rule.layers(network), **EXACT)
    with torch.no_grad():
        minus = stack.settle(stack.forward_activities(batch.inputs)).activities
        wanted = torch.nn.functional.one_hot(batch.targets, 4).double()
        plus = stack.settle([*minus[:-1], wanted], lambda _, outputs: wanted).activities
    return minus, plus


def test_update_is_the_two_terms_synapse_by_synapse(stack, teacher, update):
    network, task, batch = made(stack, teacher)
    minus, plus = phases(network, batch)
    rule = XCAL(medium=0.2, hebbian=0.5, **EXACT)
    state = rule.init(network, task, torch.Generator())
    name = "blocks.1.linear"
    state[AVERAGE + name] = double(0.2, 0.5, 0.9, 1.2, 1.6, 2.4)
    average = state[AVERAGE + name].tolist()
    given, _ = update(rule, network, task, batch, state)
    short = [0.8 * p + 0.2 * m for p, m in zip(plus, minus, strict=True)]

    def line(x, theta):
        if x < 1e-4:
            return 0.0
        return x - theta if x > 0.1 * theta else -9 * x

    for place, layer, bcm in ((1, name, True), (2, "head", False)):
        expected = torch.zeros_like(given[f"{layer}.weight"])
        for sample in range(19):
            for j, y in enumerate(short[place + 1][sample].tolist()):
                for i, x in enumerate(short[place][sample].tolist()):
                    m = float(minus[place][sample, i] * minus[place + 1][sample, j])
                    change = line(x * y, m)
                    if bcm:
                        rate = 1e-4 + 0.4999 * (average[j] - 0.2) / 2.3
                        change += 0.5 * rate * line(x * y, average[j])
                    expected[j, i] -= change / 19
        torch.testing.assert_close(given[f"{layer}.weight"], expected, rtol=1e-9, atol=1e-12)
        bias = (minus[place + 1] - plus[place + 1]).mean(0)
        torch.testing.assert_close(given[f"{layer}.bias"], bias, rtol=1e-9, atol=1e-12)


def test_above_the_reversal_outputs_learn_as_in_contrastive_hebbian_learning(stack, teacher, update):
    """With the medium-term average out of the short-term one, products differ where they are small alone."""
    network, task, batch = made(stack, teacher)
    minus, plus = phases(network, batch)
    x, y = [minus[1], plus[1]], [minus[2], plus[2]]
    given = XCAL(medium=0.0).weight_change(x, y, None)
    smallest = (plus[2][:, :, None] * plus[1][:, None]) / (minus[2][:, :, None] * minus[1][:, None])
    assert float(smallest.min()) > 0.1
    hebbian = (plus[2].T @ plus[1] - minus[2].T @ minus[1]) / 19
    torch.testing.assert_close(given, hebbian, rtol=1e-10, atol=1e-14)
    assert torch.equal(given.sign(), hebbian.sign())


def test_weights_change_by_the_line_of_each_sample_where_rates_are_silent_or_reversed():
    generator, average = torch.Generator().manual_seed(0), double(0.2, 0.7, 1.5, 2.4)
    x, y = (
        [torch.rand(13, n, generator=generator, dtype=torch.float64) ** power for power in (2, 9)]
        for n in (6, 4)
    )
    for phase in x:
        phase[:, 0] = -phase[:, 0]
    y[1][:5], y[0][5:7] = 0.0, 1e-5
    rule, mixed = XCAL(hebbian=0.3), lambda minus, plus: 0.9 * plus + 0.1 * minus
    s, m = (post[:, :, None] * pre[:, None] for pre, post in ((mixed(*x), mixed(*y)), (x[0], y[0])))
    by_average = hebbian_rate(average)[:, None] * xcal(s, average[:, None])
    lines = xcal(s, m) + 0.3 * by_average
    assert (s < 0).any() and ((s > 0) & (s < 1e-4)).any() and ((s > 1e-4) & (s < 0.1 * m)).any()
    torch.testing.assert_close(rule.weight_change(x, y, average), lines.mean(0), rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(rule.weight_change(x, y, None), xcal(s, m).mean(0), rtol=1e-10, atol=1e-13)


def test_averages_are_drawn_by_a_tenth_and_have_a_floor(stack, teacher, update):
    network, task, batch = made(stack, teacher)
    rule = XCAL(**EXACT)
    state = rule.init(network, task, torch.Generator())
    name = AVERAGE + "blocks.1.linear"
    state[name] = torch.full_like(state[name], 2.0)
    state[AVERAGE + "blocks.0.linear"].zero_()
    with torch.no_grad():
        network.blocks[0].linear.bias.fill_(-50.0)
    minus, _ = phases(network, batch)
    update(rule, network, task, batch, state)
    torch.testing.assert_close(state[name], 1.8 + 0.25 * minus[2].mean(0), rtol=1e-12, atol=0)
    assert torch.equal(state[AVERAGE + "blocks.0.linear"], torch.full((10,), 0.2, dtype=torch.float64))
    assert hebbian_rate(double(0.2)).item() == pytest.approx(1e-4)


def test_outputs_answer_with_their_net_input(stack, teacher):
    network, _, batch = made(stack, teacher)
    minus, _ = phases(network, batch)
    outputs = XCAL(**EXACT).inference(network, {})(batch.inputs)
    torch.testing.assert_close(outputs.sigmoid(), minus[-1], rtol=0, atol=1e-11)


def test_convolutions_other_units_and_tasks_without_categories_are_refused(stack, teacher, regression):
    digits = find_task("classification:digits")
    with pytest.raises(NeedsError, match="'blocks.0.linear' is a convolution"):
        XCAL().check(ConvNet(8, 10, 1, channels=(4,), activation="sigmoid"), digits)
    network = make_network("mlp:hidden=8", Shape(digits.preprocessing, digits.n_outputs, "tanh"), 0)
    with pytest.raises(NeedsError, match="has Tanh. Choose activation=sigmoid"):
        XCAL().check(network, digits)
    with pytest.raises(NeedsError, match="images' categories"):
        XCAL().check(stack((12, 10, 6), "sigmoid"), regression())
