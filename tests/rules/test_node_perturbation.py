"""Node perturbation: how near the errors it comes, better than weight perturbation, sample by sample."""

import pytest
import torch
import torchvision
from torch import nn

from brainalign.errors import NeedsError
from brainalign.networks import ConvNet
from brainalign.networks.untrained import seeded
from brainalign.rules import noisy_maps, perturbations
from brainalign.rules.backprop import Backprop
from brainalign.rules.node_perturbation import NodePerturbation
from brainalign.rules.weight_perturbation import WeightPerturbation
from brainalign.tasks import Batch, LayerCost, Schedule
from brainalign.tasks.total_cost import total_cost

N_UNITS = 25 + 12 + 4


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def flat(update, bias=False):
    """All weights, or all biases, whose updates for one sample are the errors δ."""
    chosen = [each for each in update.values() if (each.ndim == 1) == bias]
    return torch.cat([each.detach().flatten() for each in chosen])


def cosine(a, b):
    return float(nn.functional.cosine_similarity(a, b, dim=0))


def backprop(network, task, batch):
    return next(Backprop().updates(network, task, batch, {}, generator()))


@pytest.fixture
def small(stack, teacher):
    """A network of 41 units, a task, and a batch of 20."""
    task = teacher(16, 4)
    return stack((16, 25, 12, 4), seed=1), task, next(task.held_out(20))


@pytest.mark.parametrize(("n", "repeats"), [(10, 60), (50, 15), (200, 6), (1000, 3)])
def test_cosine_to_the_errors_follows_from_samples_and_the_number_of_units(small, n, repeats):
    network, task, batch = small
    one = Batch(batch.inputs[:1], batch.targets[:1])
    exact, rule, drawn = flat(backprop(network, task, one), True), NodePerturbation(n, 1e-4), generator()
    found = [cosine(flat(rule.estimate(network, task, one, drawn), True), exact) for _ in range(repeats)]
    assert abs(sum(found) / repeats - (n / (n + N_UNITS + 1)) ** 0.5) < 0.03


def test_error_is_that_of_weight_perturbation_over_the_root_of_weights_per_unit(small):
    network, task, batch = small
    one = Batch(batch.inputs[:1], batch.targets[:1])
    exact, drawn = flat(backprop(network, task, one)), generator()

    def error(rule):
        errors = [flat(rule.estimate(network, task, one, drawn)) - exact for _ in range(40)]
        return torch.stack(errors).square().sum(1).mean().sqrt()

    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    ratio = float(error(WeightPerturbation(8, 1e-4)) / error(NodePerturbation(8, 1e-4)))
    # Noise of a layer counts by its input's length, which is not the same for all layers.
    assert ratio / (n_parameters / N_UNITS) ** 0.5 == pytest.approx(1, abs=0.25)


def test_is_the_gradient_on_average(small):
    network, task, batch = small
    x = flat(backprop(network, task, batch))
    y = flat(NodePerturbation(4000, 1e-3).estimate(network, task, batch, generator()))
    slope = float((x - x.mean()) @ (y - y.mean()) / (x - x.mean()).square().sum())
    assert abs(slope - 1) < 0.05
    assert abs(float(y.mean() - slope * x.mean())) < 0.05 * float(x.square().mean().sqrt())


def test_one_difference_of_cost_for_all_samples_has_the_variance_of_as_many(small):
    network, task, batch = small

    class Shared(type(task)):
        def cost(self, outputs, batch):
            return super().cost(outputs, batch).sum().expand(len(batch))

    exact, drawn = flat(backprop(network, task, batch)), generator()

    def variance(of):
        rule = NodePerturbation(2, 1e-4)
        errors = [flat(rule.estimate(network, of, batch, drawn)) - exact for _ in range(60)]
        return torch.stack(errors).square().sum(1).mean()

    ratio = float(variance(Shared(task.inputs, task.targets)) / variance(task))
    assert ratio == pytest.approx(len(batch), rel=0.15)


def test_bias_of_forward_differences_is_of_order_sigma_and_antithetic_ones_have_none(small):
    """Against differences so small that they are the slopes along the same noise."""
    network, task, batch = small
    limit = flat(NodePerturbation(3, 1e-5).estimate(network, task, batch, generator()))

    def error(sigma, antithetic):
        rule = NodePerturbation(3, sigma, antithetic)
        found = flat(rule.estimate(network, task, batch, generator()))
        return float((found - limit).norm() / limit.norm())

    forward = [error(sigma, False) for sigma in (1e-2, 1e-3)]
    opposite = [error(sigma, True) for sigma in (1e-2, 1e-3)]
    assert forward[0] / forward[1] == pytest.approx(10, rel=0.1)
    assert opposite[0] / opposite[1] == pytest.approx(100, rel=0.1)
    assert opposite[1] < forward[1] / 100


def by_hand(network, task, batch, noise, sigma, antithetic):
    """The equations on a stack, one perturbation after the other."""
    total = {}
    with torch.no_grad():
        _, clean = network.activity(batch.inputs)

        def cost(by, k):
            h = batch.inputs
            for layer, each in zip(network.layers, noise, strict=True):
                h = layer.activation(layer.preactivation(h) + by * each[k])
            return task.cost(h, batch)

        n = len(noise[0])
        for k in range(n):
            change = (cost(sigma, k) - cost(-sigma, k)) / 2 if antithetic else cost(sigma, k) - cost(0, k)
            for layer, each, x in zip(network.layers, noise, clean[:-1], strict=True):
                shape = (len(batch), *[1] * (each.ndim - 2))
                delta = change.view(shape) / sigma * each[k] / (n * len(batch))
                for name, part in layer.weight_gradient(delta, x).items():
                    total[name] = total.get(name, 0) + part
    return total


@pytest.mark.parametrize("kind", ["stack", "convnet"])
@pytest.mark.parametrize("antithetic", [True, False])
def test_is_the_same_at_once_and_in_a_loop_by_hand(small, kind, antithetic):
    network, task, batch = small
    if kind == "convnet":
        with seeded(0):
            network = ConvNet(8, 4, 1, (3, 5)).double()
        batch = Batch(torch.randn(6, 1, 8, 8, generator=generator(), dtype=torch.float64), batch.targets[:6])
    rule, drawn = NodePerturbation(5, 1e-2, antithetic), generator()
    at_once = rule.estimate(network, task, batch, generator())
    looped = rule.estimate(network, task, batch, generator(), loop=True)
    shapes = [each.shape for each in network.activity(batch.inputs)[0]]
    noise = [torch.randn(5, *shape, generator=drawn, dtype=torch.float64) for shape in shapes]
    expected = by_hand(network, task, batch, noise, 1e-2, antithetic)
    assert set(at_once) == set(expected) == {name for name, _ in network.named_parameters()}
    for name in expected:
        torch.testing.assert_close(at_once[name], expected[name], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(looped[name], expected[name], rtol=1e-10, atol=1e-12)


def test_chunks_add_up(small, monkeypatch):
    network, task, batch = small
    drawn = generator()
    singly = [NodePerturbation(1).estimate(network, task, batch, drawn) for _ in range(3)]
    monkeypatch.setattr(perturbations, "MEMORY", 1)
    given = NodePerturbation(3).estimate(network, task, batch, generator())
    for name in given:
        mean = torch.stack([each[name] for each in singly]).mean(0)
        torch.testing.assert_close(given[name], mean, rtol=1e-10, atol=1e-12)


def test_costs_at_layers_count(small):
    network, task, batch = small
    cost = LayerCost("size", lambda answer, _: answer.square().mean(1), Schedule(((0, 3.0),)))
    object.__setattr__(task, "at_layers", {"blocks.0": cost})
    object.__setattr__(task, "weight", Schedule(((0, 0.1),)))
    exact = flat(backprop(network, task, batch))
    given = NodePerturbation(1000, 1e-4).estimate(network, task, batch, generator())
    assert cosine(flat(given), exact) > 0.97


class WithDropout(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.drop, self.head = nn.Linear(16, 9), nn.Dropout(0.5), nn.Linear(9, 4)

    def forward(self, x):
        return self.head(self.drop(torch.tanh(self.first(x))))


def test_dropout_leaves_out_the_same_units_with_noise_and_without(small):
    _, task, batch = small
    with seeded(0):
        network = WithDropout().double().train()
    NodePerturbation().check(network, task)
    with seeded(3):
        exact = flat(backprop(network, task, batch))
    for antithetic in (True, False):
        with seeded(3):
            given = NodePerturbation(1500, 1e-5, antithetic).estimate(network, task, batch, generator())
        assert cosine(flat(given), exact) > 0.97
    with seeded(3):
        few = [NodePerturbation(3).estimate(network, task, batch, generator(), loop=x) for x in (False, True)]
    for name in few[0]:
        torch.testing.assert_close(few[0][name], few[1][name], rtol=1e-10, atol=1e-12)


def images_task(task, size):
    images = torch.randn(4, 3, size, size, generator=generator())
    object.__setattr__(task, "inputs", images)
    object.__setattr__(task, "targets", torch.tensor([0, 1, 2, 3]))
    return task, Batch(images, task.targets)


def test_batch_normalisation_in_training_is_refused_and_left_as_it_was(teacher):
    task, batch = images_task(teacher(), 64)
    with seeded(0):
        network = torchvision.models.resnet18(num_classes=5).train()
    before = {name: each.clone() for name, each in network.named_buffers()}
    with pytest.raises(NeedsError, match="samples of a batch act on each other"):
        NodePerturbation().check(network, task)
    assert all(torch.equal(before[name], each) for name, each in network.named_buffers())
    NodePerturbation().check(network.eval(), task)
    given = NodePerturbation(1).estimate(network, task, batch, generator())
    maps = {
        f"{name}.weight" for name, each in network.named_modules() if isinstance(each, nn.Conv2d | nn.Linear)
    }
    assert set(given) == maps | {"fc.bias"}


def test_costs_that_compare_samples_are_refused(small):
    network, task, _ = small

    class Compared(type(task)):
        def cost(self, outputs, batch):
            return super().cost(outputs - outputs.mean(0), batch)

    with pytest.raises(NeedsError, match="a cost that compares samples"):
        NodePerturbation().check(network, Compared(task.inputs, task.targets))


def test_maps_within_attention_are_refused(teacher):
    task, _ = images_task(teacher(), 32)
    with seeded(0):
        network = torchvision.models.VisionTransformer(32, 16, 1, 2, 8, 16, num_classes=5).train()
    with pytest.raises(NeedsError, match="not laid out sample by sample"):
        NodePerturbation().check(network, task)


def test_a_map_without_biases_and_one_that_is_called_twice(small):
    _, task, batch = small

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.again, self.head = nn.Linear(16, 16, bias=False), nn.Linear(16, 4)

        def forward(self, x):
            return self.head(torch.tanh(self.again(torch.tanh(self.again(x)))))

    with seeded(0):
        network = Twice().double()
    given = NodePerturbation(2000, 1e-4).estimate(network, task, batch, generator())
    exact = backprop(network, task, batch)
    assert set(given) == set(exact)
    assert cosine(flat(given), flat(exact)) > 0.97


def test_no_graph_is_kept_and_the_caller_keeps_its_own_mode(small):
    network, task, batch = small
    updates = NodePerturbation().updates(network, task, batch, {}, generator())
    given = next(updates)
    assert torch.is_grad_enabled()
    assert not any(each.requires_grad for each in given.values())
    _, maps, _ = noisy_maps.pass_through_maps(network, task, batch)
    assert [each.name for each in maps] == [f"{layer.name}.weight" for layer in network.layers]


def test_learns(stack, teacher):
    network, task = stack((30, 20, 5)), teacher()
    rule, drawn = NodePerturbation(), generator()
    held = next(task.held_out())
    before = total_cost(network, task, held).item()
    for _ in range(3):
        for batch in task.batches(drawn):
            update = rule.estimate(network, task, batch, drawn)
            with torch.no_grad():
                for name, parameter in network.named_parameters():
                    parameter -= 0.3 * update[name]
    assert total_cost(network, task, held).item() < 0.75 * before
