"""Direct feedback alignment: backprop where B is the product of the weights above, and no other path."""

import pytest
import torch
import torchvision
from torch import nn

from brainalign.errors import NeedsError
from brainalign.networks import ResNet20
from brainalign.networks.untrained import seeded
from brainalign.rules import find_rule
from brainalign.rules.direct_feedback_alignment import FEEDBACK
from brainalign.tasks import Batch, LayerCost, Schedule
from brainalign.training.angles import angle


def test_with_the_products_of_the_weights_above_a_linear_network_learns_by_backprop(stack, regression, update):
    network, task = stack((12, 10, 9, 8, 6), "linear"), regression()
    batch = next(task.held_out(40))
    rule = find_rule("direct_feedback_alignment")
    product, state = network.head.weight.detach(), {FEEDBACK + "head.weight": network.head.weight.detach()}
    for place in (2, 1):
        product = product @ network.blocks[place].linear.weight.detach()
        state[f"{FEEDBACK}blocks.{place}.linear.weight"] = product
    given, _ = update(rule, network, task, batch, state)
    exact, _ = update(find_rule("backprop"), network, task, batch)
    assert set(given) == set(exact)
    for name in exact:
        torch.testing.assert_close(given[name], exact[name], rtol=1e-11, atol=1e-14)


def test_with_one_hidden_layer_it_is_feedback_alignment(stack, teacher, update):
    network, task = stack((30, 20, 5)), teacher()
    batch = next(task.held_out(40))
    by_layers, state = update(find_rule("feedback_alignment"), network, task, batch)
    direct, _ = update(find_rule("direct_feedback_alignment"), network, task, batch, dict(state))
    for name in by_layers:
        torch.testing.assert_close(direct[name], by_layers[name], rtol=1e-12, atol=1e-15)


def test_update_is_b_e_by_hand_in_a_deep_network(stack, teacher, update):
    network, task = stack((30, 20, 16, 5)), teacher()
    batch = next(task.held_out(30))
    given, state = update(find_rule("direct_feedback_alignment"), network, task, batch)
    with torch.no_grad():
        preactivations, answers = network.activity(batch.inputs)
        error = (answers[-1].softmax(1) - nn.functional.one_hot(batch.targets, 5)) / 30
        above = ("blocks.1.linear.weight", "head.weight")
        for place, name in enumerate(above):
            delta = (error @ state[FEEDBACK + name]) * network.layers[place].derivative(preactivations[place])
            for key, each in network.layers[place].weight_gradient(delta, answers[place]).items():
                torch.testing.assert_close(given[key], each, rtol=1e-11, atol=1e-14)
        for key, each in network.layers[-1].weight_gradient(error, answers[-2]).items():
            torch.testing.assert_close(given[key], each, rtol=1e-11, atol=1e-14)


def test_learns_from_weights_that_are_all_zero(stack, teacher):
    network, task = stack((30, 64, 64, 5)), teacher()
    rule = find_rule("direct_feedback_alignment")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    generator = torch.Generator().manual_seed(0)
    state = rule.init(network, task, generator)
    parameters = dict(network.named_parameters())
    for _ in range(20):
        for batch in task.batches(generator):
            for update in rule.updates(network, task, batch, state, generator):
                with torch.no_grad():
                    for name, change in update.items():
                        parameters[name] -= 0.5 * change
    held = next(task.held_out())
    assert float((network(held.inputs).argmax(1) == held.targets).double().mean()) > 0.8
    exact = next(iter(find_rule("backprop").updates(network, task, held, {}, generator)))
    ours = next(iter(rule.updates(network, task, held, state, generator)))
    for name in ("blocks.0.linear.weight", "blocks.1.linear.weight"):
        assert angle(ours[name], exact[name]) < 70


def test_nothing_but_the_sent_error_reaches_a_layer_past_a_skipping_path(teacher, update):
    """With no feedback at all, only the read-out learns, though a residual network has ways around its maps."""
    with seeded(0):
        network = ResNet20(16, 5, 1).double().eval()
    task = teacher()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(6, 1, 16, 16, generator=generator, dtype=torch.float64)
    object.__setattr__(task, "inputs", images)
    object.__setattr__(task, "targets", torch.arange(6) % 5)
    rule = find_rule("direct_feedback_alignment")
    state = {name: torch.zeros_like(each) for name, each in rule.init(network, task, generator).items()}
    given, _ = update(rule, network, task, Batch(images, task.targets), state)
    assert given["head.weight"].abs().max() > 0
    moved = [name for name, each in given.items() if each.any() and not name.startswith("head")]
    assert moved == []


def test_a_cost_at_a_layer_is_paid_by_that_layer_alone(stack, teacher, update):
    network, task = stack((30, 20, 16, 5)), teacher()
    batch = next(task.held_out(30))
    rule = find_rule("direct_feedback_alignment")
    without, state = update(rule, network, task, batch)
    cost = LayerCost("size", lambda answer, _: answer.square().mean(1), Schedule())
    object.__setattr__(task, "at_layers", {"blocks.1": cost})
    given, _ = update(rule, network, task, batch, state)
    for name in ("blocks.0.linear.weight", "head.weight"):
        torch.testing.assert_close(given[name], without[name], rtol=1e-12, atol=1e-15)
    _, answers = network.activity(batch.inputs)
    answer = answers[2].detach()
    delta = 2 * answer / 16 / 30 * (1 - answer**2)
    torch.testing.assert_close(
        given["blocks.1.linear.weight"] - without["blocks.1.linear.weight"], delta.T @ answers[1].detach()
    )


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_0", "alexnet", "vit_b_32", "swin_t"])
def test_networks_of_torchvision_learn(name, teacher, update):
    options = {"image_size": 64} if name.startswith("vit") else {}
    with seeded(0):
        network = torchvision.models.get_model(name, weights=None, num_classes=5, **options).eval()
    task = teacher()
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    object.__setattr__(task, "inputs", images)
    object.__setattr__(task, "targets", torch.tensor([0, 1, 2, 4]))
    given, state = update(find_rule("direct_feedback_alignment"), network, task, Batch(images, task.targets))
    weights = {key: p for key, p in network.named_parameters() if p.ndim > 1}
    assert len(state) > 4
    # The heads of a transformer start at zero, and so does what its class token's path sends.
    silent = [key for key in weights if key not in given]
    assert silent == []
    assert all(torch.isfinite(each).all() for each in given.values())


class Repeated(nn.Module):
    """One map, applied three times."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.head = nn.Linear(30, 8), nn.Linear(8, 8), nn.Linear(8, 5)

    def forward(self, x):
        x = torch.tanh(self.first(x))
        self.seen = [x]
        for _ in range(3):
            self.seen.append(torch.tanh(self.again(self.seen[-1])))
        return self.head(self.seen[-1])


def test_a_map_that_is_used_again_learns_from_each_use(teacher, update):
    with seeded(0):
        network = Repeated().double()
    task = teacher()
    batch = next(task.held_out(20))
    given, state = update(find_rule("direct_feedback_alignment"), network, task, batch)
    with torch.no_grad():
        error = (network(batch.inputs).softmax(1) - nn.functional.one_hot(batch.targets, 5)) / 20
        above = [state[FEEDBACK + "again.weight"]] * 2 + [state[FEEDBACK + "head.weight"]]
        expected = 0
        for x, answer, matrix in zip(network.seen[:-1], network.seen[1:], above, strict=True):
            expected = expected + ((error @ matrix) * (1 - answer**2)).T @ x
    torch.testing.assert_close(given["again.weight"], expected, rtol=1e-10, atol=1e-14)


class OfTokens(nn.Module):
    """A read-out of each of six tokens, averaged."""

    def __init__(self, convolution: bool):
        super().__init__()
        self.first = nn.Linear(5, 8)
        self.head = nn.Conv2d(8, 4, 1) if convolution else nn.Linear(8, 4)

    def forward(self, x):
        x = torch.tanh(self.first(x.view(-1, 6, 5)))
        if isinstance(self.head, nn.Conv2d):
            return self.head(x.mT[..., None]).mean((2, 3))
        return self.head(x).mean(1)


@pytest.mark.parametrize("convolution", [True, False])
def test_the_error_of_a_read_out_with_places_is_summed_over_them(convolution, teacher, update):
    with seeded(0):
        network = OfTokens(convolution).double()
    task = teacher(n_classes=4)
    batch = next(task.held_out(20))
    given, state = update(find_rule("direct_feedback_alignment"), network, task, batch)
    matrix = state[FEEDBACK + "head.weight"]
    assert matrix.shape == (4, 48)
    with torch.no_grad():
        error = (network(batch.inputs).softmax(1) - nn.functional.one_hot(batch.targets, 4)) / 20
        tokens = batch.inputs.view(-1, 6, 5)
        sent = (error @ matrix).view(20, 8, 6).mT if convolution else (error @ matrix).view(20, 6, 8)
        delta = sent * (1 - torch.tanh(network.first(tokens)) ** 2)
        expected = delta.flatten(0, 1).T @ tokens.flatten(0, 1)
    torch.testing.assert_close(given["first.weight"], expected, rtol=1e-10, atol=1e-14)


def test_feedback_that_cannot_fit_is_refused(teacher, monkeypatch, stack):
    class Memory:
        available = 1000

    monkeypatch.setattr("psutil.virtual_memory", lambda: Memory)
    with pytest.raises(NeedsError, match="more than half of the memory at hand"):
        find_rule("direct_feedback_alignment").check(stack((30, 64, 5)), teacher())
