"""Weight perturbation: how near the gradient it comes, without bias, and as in a loop."""

import pytest
import torch
from torch import nn

from brainalign.errors import NeedsError
from brainalign.networks.untrained import seeded
from brainalign.rules import perturbations
from brainalign.rules.backprop import Backprop
from brainalign.rules.perturbations import sample_costs
from brainalign.rules.weight_perturbation import WeightPerturbation
from brainalign.tasks import Batch, LayerCost, Schedule
from brainalign.tasks.total_cost import total_cost


def flat(update):
    return torch.cat([each.detach().flatten() for each in update.values()])


def cosine(a, b):
    return float(nn.functional.cosine_similarity(flat(a), flat(b), dim=0))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def small(stack, teacher):
    """A network of 122 parameters, a task, a batch, and its gradient."""
    network, task = stack((8, 9, 4), seed=1), teacher(8, 4)
    batch = next(task.held_out(20))
    return network, task, batch, next(Backprop().updates(network, task, batch, {}, generator()))


@pytest.mark.parametrize(("n", "repeats"), [(12, 60), (121, 15), (1000, 4)])
def test_cosine_to_the_gradient_follows_from_samples_and_the_number_of_parameters(small, n, repeats):
    network, task, batch, exact = small
    n_parameters = len(flat(exact))
    rule, drawn = WeightPerturbation(samples=n, sigma=1e-5), generator()
    seen = [cosine(rule.estimate(network, task, batch, drawn), exact) for _ in range(repeats)]
    expected = (n / (n + n_parameters + 1)) ** 0.5
    assert abs(sum(seen) / len(seen) - expected) < 0.03


def test_is_the_gradient_on_average(small):
    network, task, batch, exact = small
    estimate = WeightPerturbation(samples=12000, sigma=1e-4).estimate(network, task, batch, generator())
    x, y = flat(exact), flat(estimate)
    slope = float((x - x.mean()) @ (y - y.mean()) / (x - x.mean()).square().sum())
    assert abs(slope - 1) < 0.05
    assert abs(float(y.mean() - slope * x.mean())) < 0.05 * float(x.square().mean().sqrt())


def test_bias_of_forward_differences_is_of_order_sigma_and_antithetic_ones_have_none(small):
    """Along each perturbation, against its exact slope."""
    network, task, batch, exact = small

    def error(sigma, antithetic):
        rule = WeightPerturbation(samples=1, sigma=sigma, antithetic=antithetic)
        found = flat(rule.estimate(network, task, batch, generator(5)))
        noise = torch.Generator().manual_seed(5)
        drawn = torch.cat(
            [torch.randn(1, *p.shape, generator=noise, dtype=p.dtype).flatten() for p in network.parameters()]
        )
        slope = float(flat(exact) @ drawn)
        return abs(float(found @ drawn / drawn.square().sum()) - slope) / abs(slope)

    forward = [error(sigma, False) for sigma in (1e-2, 1e-3, 1e-4)]
    opposite = [error(sigma, True) for sigma in (1e-2, 1e-3)]
    assert 8 < forward[0] / forward[1] < 12 and 9 < forward[1] / forward[2] < 11
    assert 90 < opposite[0] / opposite[1] < 110
    assert opposite[1] < forward[1] / 100


@pytest.mark.parametrize("antithetic", [True, False])
def test_is_the_same_at_once_and_in_a_loop_by_hand(small, antithetic):
    network, task, batch, _ = small
    rule = WeightPerturbation(samples=7, sigma=1e-2, antithetic=antithetic)
    at_once = rule.estimate(network, task, batch, generator())
    in_a_loop = rule.estimate(network, task, batch, generator(), loop=True)
    noise, drawn = {}, generator()
    for name, parameter in network.named_parameters():
        noise[name] = torch.randn(7, *parameter.shape, generator=drawn, dtype=parameter.dtype)
    by_hand = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    weights = {name: p.detach().clone() for name, p in network.named_parameters()}

    def cost(by, k):
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(weights[name] + by * noise[name][k])
            return float(total_cost(network, task, batch))

    for k in range(7):
        change = (cost(1e-2, k) - cost(-1e-2, k)) / 2 if antithetic else cost(1e-2, k) - cost(0, k)
        for name in by_hand:
            by_hand[name] += change / 1e-2 * noise[name][k] / 7
    cost(0, 0)
    for name in by_hand:
        torch.testing.assert_close(at_once[name], by_hand[name], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(in_a_loop[name], by_hand[name], rtol=1e-10, atol=1e-12)


def test_chunks_are_of_the_same_noise_for_costs_and_for_the_update(small, monkeypatch):
    network, task, batch, _ = small
    drawn = generator()
    one = WeightPerturbation(samples=1)
    singly = [one.estimate(network, task, batch, drawn) for _ in range(5)]
    monkeypatch.setattr(perturbations, "MEMORY", 1)
    again = generator()
    given = WeightPerturbation(samples=5).estimate(network, task, batch, again)
    for name in given:
        mean = torch.stack([each[name] for each in singly]).mean(0)
        torch.testing.assert_close(given[name], mean, rtol=1e-10, atol=1e-12)
    assert torch.equal(drawn.get_state(), again.get_state())


def test_costs_of_samples_and_layers_have_their_weights(small):
    network, task, batch, _ = small
    cost = LayerCost("size", lambda answer, _: answer.square().mean(1), Schedule(((0, 3.0),)))
    object.__setattr__(task, "at_layers", {"blocks.0": cost})
    object.__setattr__(task, "weight", Schedule(((0, 0.5),)))
    costs = sample_costs(network, task, batch)
    hidden = network.blocks(batch.inputs)
    expected = 0.5 * task.cost(network(batch.inputs), batch) + 3 * hidden.square().mean(1)
    torch.testing.assert_close(costs, expected)
    torch.testing.assert_close(costs.mean(), total_cost(network, task, batch))
    exact = next(Backprop().updates(network, task, batch, {}, generator()))
    given = WeightPerturbation(samples=4000, sigma=1e-5).estimate(network, task, batch, generator())
    assert cosine(given, exact) > 0.97


class Normalised(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.drop = nn.Linear(8, 9), nn.BatchNorm1d(9), nn.Dropout(0.5)
        self.head = nn.Linear(9, 4)

    def forward(self, x):
        return self.head(self.drop(torch.tanh(self.norm(self.first(x)))))


def test_dropout_leaves_out_the_same_units_and_normalisation_is_in_training(teacher):
    with seeded(0):
        network = Normalised().double().train()
    task = teacher(8, 4)
    batch = next(task.held_out(20))
    before = network.norm.running_mean.clone()
    with seeded(3):
        exact = next(Backprop().updates(network, task, batch, {}, generator()))
    after_backprop = network.norm.running_mean.clone()
    network.norm.running_mean.copy_(before)
    rule = WeightPerturbation(samples=3000, sigma=1e-5)
    with seeded(3):
        given = rule.estimate(network, task, batch, generator())
    torch.testing.assert_close(network.norm.running_mean, after_backprop)
    assert cosine(given, exact) > 0.95
    few = WeightPerturbation(samples=5, sigma=1e-3)
    with seeded(3):
        at_once, looped = (few.estimate(network, task, batch, generator(), loop=loop) for loop in (False, True))
    for name in at_once:
        torch.testing.assert_close(at_once[name], looped[name], rtol=1e-9, atol=1e-11)


class OwnDerivative(nn.Module):
    """Takes a derivative within its answer, which vmap cannot."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        with torch.enable_grad():
            free = x.clone().requires_grad_()
            (slope,) = torch.autograd.grad(self.network(free).square().sum(), free)
        return self.network(x) + slope.detach().mean()


def test_what_cannot_be_vectorised_runs_in_a_loop(small):
    network, task, batch, _ = small
    rule = WeightPerturbation(samples=3, sigma=1e-3)
    odd = OwnDerivative(network)
    first, second = (rule.estimate(odd, task, batch, generator(), loop=loop) for loop in (False, True))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_what_the_task_has_to_learn_has_its_true_gradient(small):
    network, task, batch, _ = small

    class WithModule(type(task)):
        module = nn.Linear(4, 4).double()

        def cost(self, outputs, batch):
            return super().cost(self.module(outputs), batch)

    owned = WithModule(task.inputs, task.targets)
    exact = next(Backprop().updates(network, owned, batch, {}, generator()))
    given = next(WeightPerturbation(samples=2).updates(network, owned, batch, {}, generator()))
    assert set(given) == set(exact)
    for name in ("task.weight", "task.bias"):
        torch.testing.assert_close(given[name], exact[name])
        assert not given[name].requires_grad


def test_parameters_that_are_fixed_stay_and_none_at_all_is_refused(small):
    network, task, batch, _ = small
    network.head.weight.requires_grad_(False)
    assert "head.weight" not in WeightPerturbation(samples=2).estimate(network, task, batch, generator())
    network.requires_grad_(False)
    with pytest.raises(NeedsError, match="no parameter that may change"):
        WeightPerturbation().check(network, task)


def test_learns(stack, teacher):
    network, task = stack((30, 20, 5)), teacher()
    rule, drawn = WeightPerturbation(samples=8), generator()
    held = next(task.held_out())
    before = total_cost(network, task, held).item()
    for _ in range(5):
        for batch in task.batches(drawn):
            update = rule.estimate(network, task, batch, drawn)
            with torch.no_grad():
                for name, parameter in network.named_parameters():
                    parameter -= 0.03 * update[name]
    assert total_cost(network, task, held).item() < 0.85 * before


def test_an_image_is_a_batch_of_its_own(small):
    network, task, batch, _ = small
    one = Batch(batch.inputs[:1], batch.targets[:1])
    given = WeightPerturbation(samples=2).estimate(network, task, one, generator())
    assert all(torch.isfinite(each).all() for each in given.values())
