"""Costs at layers: against naive loops, and how they are written."""

import math

import pytest
import torch

from brainalign.errors import BrainalignError, NeedsError, UnknownNameError
from brainalign.tasks import Batch, find_task, parse_layer_cost, total_cost
from brainalign.tasks.layer_costs import label_similarity, sparsity


def labelled(labels: list[int]) -> Batch:
    return Batch(torch.zeros(len(labels), 1), labels=torch.tensor(labels))


def naive_similarity(h: list[list[float]], labels: list[int]) -> list[float]:
    def cosine(a, b):
        a, b = ([x - sum(v) / len(v) for x in v] for v in (a, b))
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    hot = [[float(c == label) for c in sorted(set(labels))] for label in labels]
    n = range(len(h))
    return [sum((cosine(h[i], h[j]) - cosine(hot[i], hot[j])) ** 2 for j in n) / len(h) for i in n]


def test_sparsity_is_the_mean_activity():
    answer = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    expected = [sum(map(abs, row)) / 12 for row in answer.flatten(1).tolist()]
    assert sparsity(answer, labelled([0] * 4)).tolist() == pytest.approx(expected, rel=1e-6)


def test_label_similarity_is_the_naive_loop():
    answer = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = [0, 4, 7, 4, 0, 7]
    found = label_similarity(answer, labelled(labels))
    assert found.tolist() == pytest.approx(naive_similarity(answer.tolist(), labels), rel=1e-6)


def test_label_similarity_of_maps_goes_by_their_deviation():
    answer = torch.randn(6, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    batch = labelled([0, 1, 2, 0, 1, 2])
    assert torch.equal(label_similarity(answer, batch), label_similarity(answer.std((2, 3)), batch))
    single = answer[:, :, :1, :1]
    assert torch.equal(label_similarity(single, batch), label_similarity(single.flatten(1), batch))


def test_answers_that_are_the_labels_cost_nothing():
    labels = [0, 1, 2, 0, 1, 2]
    answer = 3 + 2 * torch.nn.functional.one_hot(torch.tensor(labels)).double()
    assert label_similarity(answer, labelled(labels)).max() < 1e-12


def test_silent_layers_have_a_finite_gradient():
    answer = torch.zeros(4, 3, 2, 2, requires_grad=True)
    label_similarity(answer, labelled([0, 1, 0, 1])).sum().backward()
    assert torch.isfinite(answer.grad).all()


def test_label_similarity_needs_labels():
    with pytest.raises(NeedsError, match="label_similarity needs labels"):
        label_similarity(torch.zeros(2, 2), Batch(torch.zeros(2, 1)))


@pytest.mark.parametrize(
    ("text", "layer", "name", "at_250"),
    [
        ("blocks.1=sparsity", "blocks.1", "sparsity", 1.0),
        ("blocks.1=sparsity:0.1", "blocks.1", "sparsity", 0.1),
        (" head = label-similarity:0:1/500:0", "head", "label_similarity", 0.5),
    ],
)
def test_a_cost_is_read(text, layer, name, at_250):
    found, cost = parse_layer_cost(text)
    assert (found, cost.name, cost.weight(250)) == (layer, name, at_250)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("sparsity", BrainalignError, "is no cost of a layer; write LAYER=COST"),
        ("=sparsity", BrainalignError, "write LAYER=COST"),
        ("blocks.1=", BrainalignError, "write LAYER=COST"),
        ("blocks.1=sparsity:", BrainalignError, "write LAYER=COST"),
        ("blocks.1=sparcity", UnknownNameError, "Did you mean 'sparsity'"),
        ("blocks.1=sparsity:much", BrainalignError, "'much' is no schedule"),
    ],
)
def test_another_form_is_refused(text, error, message):
    with pytest.raises(error, match=message):
        parse_layer_cost(text)


def test_a_task_adds_the_costs_of_its_layers(generator):
    from brainalign.networks.mlp import MLP

    layer, cost = parse_layer_cost("blocks.0=sparsity:2")
    task = find_task("classification:digits", at_layers={layer: cost})
    network, batch = MLP(8, 10, 1, (5,)), next(task.batches(generator))
    plain = task.cost(network(batch.inputs), batch).mean()
    expected = plain + 2 * network.blocks[0](batch.inputs).abs().mean()
    assert total_cost(network, task, batch).item() == pytest.approx(expected.item(), rel=1e-6)
