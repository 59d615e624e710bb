"""Classification: its costs against naive sums, and that it can be learnt."""

import math

import pytest
import torch
from torch import nn

from brainalign.tasks import Batch, find_task
from brainalign.tasks.classification import COSTS, Classification


def naive(name: str, outputs: list[float], target: int) -> float:
    hot = [float(c == target) for c in range(len(outputs))]
    if name == "cross_entropy":
        return -math.log(math.exp(outputs[target]) / sum(map(math.exp, outputs)))
    if name == "squared_error":
        return sum((y - t) ** 2 for y, t in zip(outputs, hot, strict=True)) / 2
    squashed = [1 / (1 + math.exp(-y)) for y in outputs]
    return -sum(t * math.log(s) + (1 - t) * math.log(1 - s) for s, t in zip(squashed, hot, strict=True))


@pytest.mark.parametrize("name", COSTS)
def test_costs_are_the_naive_sums(colours, name):
    outputs = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(20) % 3
    task = Classification(colours, batch_size=4, cost_name=name)
    found = task.cost(outputs, Batch(torch.zeros(20, 1), targets))
    expected = [
        naive(name, row, target) for row, target in zip(outputs.tolist(), targets.tolist(), strict=True)
    ]
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "gradient"),
    [
        ("cross_entropy", lambda y, t: y.softmax(1) - t),
        ("sigmoid_cross_entropy", lambda y, t: y.sigmoid() - t),
        ("squared_error", lambda y, t: y - t),
    ],
)
def test_the_error_at_the_outputs_is_answer_minus_target(name, gradient):
    outputs = torch.randn(
        6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()
    targets = torch.arange(6) % 3
    COSTS[name](outputs, targets).sum().backward()
    assert torch.allclose(outputs.grad, gradient(outputs.detach(), nn.functional.one_hot(targets)), atol=1e-14)


def test_correct_is_the_largest_output(colours):
    outputs = torch.tensor([[0.0, 2.0, 1.0], [0.0, 2.0, 1.0]])
    batch = Batch(torch.zeros(2, 1), torch.tensor([1, 2]))
    assert Classification(colours, batch_size=4).correct(outputs, batch).tolist() == [1.0, 0.0]


def test_digits_are_learnt():
    task = find_task("classification:digits,cost=squared_error,batch_size=32")
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, task.n_outputs))
    nn.init.zeros_(network[1].weight)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        for batch in task.batches(generator):
            optimizer.zero_grad()
            task.cost(task.rollout(network, batch), batch).mean().backward()
            optimizer.step()
    with torch.no_grad():
        right = torch.cat([task.correct(network(batch.inputs), batch) for batch in task.held_out()])
    assert len(right) == 360 and right.mean() > 0.9
