"""GeneRec: contrastive Hebbian learning in its symmetric variant, backprop where feedback is feeble."""

import pytest
import torch

from brainalign.errors import UnknownNameError
from brainalign.rules.contrastive_hebbian import ContrastiveHebbian
from brainalign.rules.generec import GeneRec
from brainalign.rules.symmetric_stack import SymmetricStack
from brainalign.tasks.total_cost import gradient

EXACT = {"tolerance": 1e-14, "limit": 5000}


def made(stack, teacher):
    network, task = stack((12, 10, 8, 5), "sigmoid"), teacher(12)
    return network, task, next(task.held_out(10))


@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_symmetric_is_contrastive_hebbian(gain, stack, teacher, update):
    network, task, batch = made(stack, teacher)
    given, _ = update(GeneRec(variant="symmetric", gain=gain, **EXACT), network, task, batch)
    exact, _ = update(ContrastiveHebbian(gain=gain, **EXACT), network, task, batch)
    assert set(given) == set(exact)
    for name, each in exact.items():
        torch.testing.assert_close(given[name], each, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("variant", ["plain", "midpoint"])
def test_update_is_each_samples_change_times_its_input(variant, stack, teacher, update):
    network, task, batch = made(stack, teacher)
    given, _ = update(GeneRec(variant=variant, **EXACT), network, task, batch)
    settling = SymmetricStack(network.layers, **EXACT)
    with torch.no_grad():
        minus = settling.settle(settling.forward_activities(batch.inputs)).activities
        labels = torch.nn.functional.one_hot(batch.targets, 5)
        target = minus[-1] + labels - minus[-1].softmax(1)
        plus = settling.settle([*minus[:-1], target], lambda u, h: target).activities
        for place, layer in enumerate(network.layers):
            x = minus[place] if variant == "plain" else (minus[place] + plus[place]) / 2
            change = plus[place + 1] - minus[place + 1]
            expected = -torch.stack([torch.outer(change[i], x[i].flatten()) for i in range(10)]).mean(0)
            torch.testing.assert_close(given[f"{layer.name}.weight"], expected, rtol=1e-9, atol=1e-13)
            torch.testing.assert_close(given[f"{layer.name}.bias"], -change.mean(0), rtol=1e-9, atol=1e-13)


def test_variants_differ_above_the_first_layer_alone(stack, teacher, update):
    network, task, batch = made(stack, teacher)
    given = {
        variant: update(GeneRec(variant=variant, **EXACT), network, task, batch)[0]
        for variant in ("plain", "midpoint", "symmetric")
    }
    first, second = "blocks.0.linear.weight", "blocks.1.linear.weight"
    for variant in ("midpoint", "symmetric"):
        torch.testing.assert_close(given["plain"][first], given[variant][first], rtol=1e-10, atol=1e-14)
        assert float((given["plain"][second] - given[variant][second]).norm()) > 1e-6
    assert float((given["midpoint"][second] - given["symmetric"][second]).norm()) > 1e-6


@pytest.mark.parametrize("variant", ["plain", "midpoint", "symmetric"])
def test_is_backprop_where_feedback_is_feeble(variant, stack, teacher, update):
    network, task, batch = made(stack, teacher)
    exact = gradient(network, task, batch)
    given, _ = update(GeneRec(variant=variant, gain=1e-3, tolerance=1e-15), network, task, batch)
    for name, each in exact.items():
        assert float((given[name] - each).norm() / each.norm()) < 3e-3, name


def test_other_variants_are_refused():
    with pytest.raises(UnknownNameError, match="midpoint"):
        GeneRec(variant="mid")
