"""Evolution strategies: weight perturbation without ranks, and blind to the cost's scale with them."""

import math

import pytest
import torch
from torch import nn

from brainalign.rules.backprop import Backprop
from brainalign.rules.evolution_strategies import EvolutionStrategies, centred_ranks
from brainalign.rules.weight_perturbation import WeightPerturbation
from brainalign.tasks import Batch
from brainalign.tasks.total_cost import total_cost


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def flat(update):
    return torch.cat([each.detach().flatten() for each in update.values()])


def cosine(a, b):
    return float(nn.functional.cosine_similarity(flat(a), flat(b), dim=0))


@pytest.fixture
def small(stack, teacher):
    """A network of 121 parameters, a task, a batch, and its gradient."""
    network, task = stack((8, 9, 4), seed=1), teacher(8, 4)
    batch = next(task.held_out(20))
    return network, task, batch, next(Backprop().updates(network, task, batch, {}, generator()))


@pytest.mark.parametrize(("n", "repeats"), [(12, 60), (121, 15), (1000, 4)])
@pytest.mark.parametrize(("ranks", "kept"), [(False, 1.0), (True, math.sqrt(3 / math.pi))])
def test_cosine_to_the_gradient_follows_from_samples_and_the_number_of_parameters(
    small, n, repeats, ranks, kept
):
    """Ranks keep √(3/π) of a Gaussian slope, their correlation with it."""
    network, task, batch, exact = small
    rule, drawn = EvolutionStrategies(n, 1e-5, ranks), generator()
    seen = [cosine(rule.estimate(network, task, batch, drawn), exact) for _ in range(repeats)]
    n_parameters, slopes = len(flat(exact)), n * kept**2
    expected = (slopes / (n + n_parameters + 1)) ** 0.5
    assert abs(sum(seen) / repeats - expected) < 0.03


def test_without_ranks_it_is_antithetic_weight_perturbation(small):
    network, task, batch, _ = small
    ours = EvolutionStrategies(6, 0.1, ranks=False).estimate(network, task, batch, generator())
    theirs = WeightPerturbation(6, 0.1).estimate(network, task, batch, generator())
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_is_the_gradient_on_average(small):
    network, task, batch, exact = small
    x = flat(exact)
    y = flat(EvolutionStrategies(12000, 1e-3, ranks=False).estimate(network, task, batch, generator()))
    slope = float((x - x.mean()) @ (y - y.mean()) / (x - x.mean()).square().sum())
    assert abs(slope - 1) < 0.05
    assert abs(float(y.mean() - slope * x.mean())) < 0.05 * float(x.square().mean().sqrt())


def test_with_ranks_an_increasing_function_of_the_cost_changes_nothing(small):
    network, task, batch, _ = small
    one = Batch(batch.inputs[:1], batch.targets[:1])

    class Exponential(type(task)):
        def cost(self, outputs, batch):
            return (3 * super().cost(outputs, batch)).exp()

    bent = Exponential(task.inputs, task.targets)
    for ranks in (True, False):
        rule = EvolutionStrategies(16, 0.05, ranks)
        first, second = (rule.estimate(network, each, one, generator()) for each in (task, bent))
        assert all(torch.equal(first[name], second[name]) for name in first) == ranks


def test_ranks_are_scipys_with_ties():
    scipy_stats = pytest.importorskip("scipy.stats")
    costs = torch.tensor([3.0, 1.0, 3.0, -2.0, 8.0, 1.0, 1.0], dtype=torch.float64)
    expected = (scipy_stats.rankdata(costs.numpy()) - 1) / 6 - 0.5
    torch.testing.assert_close(centred_ranks(costs), torch.from_numpy(expected))
    torch.testing.assert_close(centred_ranks(costs.exp()), centred_ranks(costs))
    assert not centred_ranks(torch.ones(5)).any()


@pytest.mark.parametrize("ranks", [True, False])
def test_is_the_same_at_once_and_in_a_loop(small, ranks):
    network, task, batch, _ = small
    rule = EvolutionStrategies(9, 0.05, ranks)
    first, second = (rule.estimate(network, task, batch, generator(), loop=loop) for loop in (False, True))
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-10, atol=1e-12)


def test_learns(stack, teacher):
    network, task = stack((30, 20, 5)), teacher()
    rule, drawn = EvolutionStrategies(samples=8), generator()
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    held = next(task.held_out())
    before = total_cost(network, task, held).item()
    for _ in range(4):
        for batch in task.batches(drawn):
            update = next(rule.updates(network, task, batch, {}, drawn))
            for name, parameter in network.named_parameters():
                parameter.grad = update[name]
            optimizer.step()
    assert total_cost(network, task, held).item() < 0.85 * before


def test_a_cost_that_is_no_number_gives_no_update(stack, teacher):
    network, task = stack((30, 8, 5)), teacher()
    assert centred_ranks(torch.tensor([math.nan, 1.0, 2.0])).isnan().all()
    network.head.bias.data[0] = math.inf
    found = EvolutionStrategies().estimate(network, task, next(task.held_out(9)), torch.Generator())
    assert all(each.isnan().any() for each in found.values())
