"""Forward-forward: each layer's rule against autograd, labels, normalisation, and what is probed."""

import pytest
import torch
from torch import nn

from brainalign.errors import NeedsError
from brainalign.networks import ConvNet
from brainalign.networks.untrained import seeded
from brainalign.rules.forward_forward import ForwardForward, wrong_labels
from brainalign.rules.normalised_network import normalised, with_label

HEAD = ("head.weight", "head.bias")


def naming(task):
    return type("Naming", (type(task),), {"names_categories": True})(task.inputs, task.targets)


def pictures(task):
    images = torch.randn(12, 2, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    object.__setattr__(task, "inputs", images)
    object.__setattr__(task, "targets", torch.arange(12) % 5)
    with seeded(0):
        return ConvNet(9, 5, 2, channels=(6, 8, 10)).double(), task


@pytest.fixture(params=["mlp", "convnet"])
def made(request, stack, teacher):
    if request.param == "convnet":
        return pictures(naming(teacher()))
    return stack((30, 20, 16, 12, 5), "relu"), naming(teacher())


class FullGradient(torch.autograd.Function):
    """A rectified unit whose gradient passes unchanged."""

    @staticmethod
    def forward(ctx, a):
        return a.relu()

    @staticmethod
    def backward(ctx, *deltas):
        return deltas[0]


@pytest.mark.parametrize("peer", [0.0, 50.0])
def test_update_is_the_gradient_of_each_layers_own_loss(peer, made, update):
    network, task = made
    batch, rule, n = next(task.held_out(12)), ForwardForward(peer=peer), 12
    given, _ = update(rule, network, task, batch)
    generator = torch.Generator().manual_seed(0)
    state = rule.init(network, task, generator)
    x = rule.shown(task, batch, generator)[: 2 * n]
    for layer in network.layers[:-1]:
        entering = normalised(x).detach()
        x = FullGradient.apply(layer.preactivation(entering))
        units = x.shape[1]
        goodness = x.view(2 * n, units, -1).square().sum(1).mean(1) - units
        right = torch.cat([torch.ones(n), torch.zeros(n)]).double()
        loss = nn.functional.binary_cross_entropy_with_logits(goodness, right)
        mean = 0.9 * 0.5 + 0.1 * x[:n].mean(0)
        loss = loss + peer * (mean.mean() - mean).square().mean()
        weight, bias = torch.autograd.grad(loss, [layer.linear.weight, layer.linear.bias])
        torch.testing.assert_close(given[f"{layer.name}.weight"], weight, rtol=1e-9, atol=1e-13)
        torch.testing.assert_close(given[f"{layer.name}.bias"], bias, rtol=1e-9, atol=1e-13)
    assert set(given) == {*dict(network.named_parameters()), *(k for k in state if k.startswith("trainable."))}


def test_read_outs_learn_by_the_gradient_of_the_tasks_cost_of_the_inferred_network(made, update):
    network, task = made
    batch, rule = next(task.held_out(12)), ForwardForward(readout_rate=1.0)
    given, state = update(rule, network, task, batch)
    inferred = rule.inference(network, state)
    name = f"trainable.readout.{network.layers[1].name}"
    assert [key for key in state if key.startswith("trainable.")] == [name]
    buffer = dict(inferred.named_buffers())["readout_" + network.layers[1].name.replace(".", "_")]
    buffer.requires_grad_()
    cost = task.cost(inferred(batch.inputs), batch).mean()
    found = torch.autograd.grad(cost, [network.head.weight, network.head.bias, buffer])
    for key, each in zip((*HEAD, name), found, strict=True):
        torch.testing.assert_close(given[key], each, rtol=1e-10, atol=1e-13)


def test_changing_a_later_layer_leaves_the_updates_of_earlier_ones(made, update):
    network, task = made
    batch = next(task.held_out(12))
    before, _ = update(ForwardForward(), network, task, batch)
    with torch.no_grad():
        network.layers[1].linear.weight *= -2
        network.head.weight *= 5
    after, _ = update(ForwardForward(), network, task, batch)
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {f"{network.layers[0].name}.{part}" for part in ("weight", "bias")}


def test_wrong_labels_are_never_the_true_one_and_even_among_the_others():
    labels = torch.arange(10).repeat(2000)
    wrong = wrong_labels(labels, 10, torch.Generator().manual_seed(0))
    assert not (wrong == labels).any()
    counts = torch.zeros(10, 10).index_put((labels, wrong), torch.ones(()), accumulate=True)
    off = counts[~torch.eye(10, dtype=torch.bool)]
    # 2000 / 9 expected in each, with a standard deviation of 14.
    assert (off - 2000 / 9).abs().max() < 60


def test_labels_stand_in_the_first_pixels_and_nothing_else_changes(teacher):
    _, task = pictures(naming(teacher()))
    batch = next(task.held_out(12))
    right, wrong, neutral = ForwardForward().shown(task, batch, torch.Generator().manual_seed(0)).chunk(3)
    for shown in (right, wrong, neutral):
        assert torch.equal(shown.flatten(2)[:, :, 5:], batch.inputs.flatten(2)[:, :, 5:])
    for channel in (0, 1):
        assert torch.equal(right[:, channel, 0, :5], nn.functional.one_hot(batch.targets, 5).double())
        assert (wrong[:, channel, 0, :5].argmax(1) != batch.targets).all()
        assert (neutral[:, channel, 0, :5] == 0.2).all()


def test_normalisation_takes_out_the_length_and_nothing_else():
    x = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(normalised(7 * x), normalised(x), rtol=1e-7, atol=1e-9)
    lengths = normalised(x).flatten(1).square().mean(1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths), rtol=1e-6, atol=0)
    cosine = nn.functional.cosine_similarity(normalised(x).flatten(1), x.flatten(1))
    torch.testing.assert_close(cosine, torch.ones_like(cosine))


def test_inference_normalises_between_layers_under_the_names_of_the_network(made):
    network, task = made
    rule, batch = ForwardForward(), next(task.held_out(12))
    state = rule.init(network, task, torch.Generator().manual_seed(0))
    plain, names = network(batch.inputs), [name for name, _ in network.named_modules()]
    inferred, seen = rule.inference(network, state), {}
    assert [name for name, _ in inferred.named_modules()] == names
    assert isinstance(inferred, type(network))
    for place in range(3):
        inferred.get_submodule(f"blocks.{place}").register_forward_hook(
            lambda _module, _inputs, answer, place=place: seen.update({place: answer})
        )
    outputs = inferred(batch.inputs)
    x = with_label(batch.inputs, torch.full((12, 5), 0.2, dtype=torch.float64))
    for place, layer in enumerate(network.layers[:-1]):
        x = layer.activation(layer.preactivation(normalised(x)))
        torch.testing.assert_close(seen[place], x)
    extra = state[f"trainable.readout.{network.layers[1].name}"]
    expected = network.head(normalised(x).flatten(1)) + normalised(seen[1]).flatten(1) @ extra.T
    torch.testing.assert_close(outputs, expected)
    # The network itself is as it was.
    assert torch.equal(network(batch.inputs), plain)
    assert not dict(network.named_buffers())


def test_learning_parts_right_from_wrong_labels_and_names_categories(stack, teacher):
    network, task, rule = stack((30, 60, 40, 5), "relu"), naming(teacher(n=500)), ForwardForward()
    generator, held = torch.Generator().manual_seed(0), next(task.held_out())
    state = rule.init(network, task, generator)
    parameters = dict(network.named_parameters())

    def gaps():
        x = rule.shown(task, held, torch.Generator().manual_seed(1))
        found = []
        for layer in network.layers[:-1]:
            x = layer.activation(layer.preactivation(normalised(x)))
            right, wrong, _ = rule.goodness(x).chunk(3)
            found.append(float((right - wrong).mean().detach()))
        return found

    before = gaps()
    for _ in range(40):
        for batch in task.batches(generator):
            for update in rule.updates(network, task, batch, state, generator):
                for name, change in update.items():
                    parameters[name].data -= 0.02 * change
    assert all(late > early + 1 for early, late in zip(before, gaps(), strict=True)), (before, gaps())
    answers = rule.inference(network, state)(held.inputs).argmax(1)
    assert float((answers == held.targets).double().mean()) > 0.65


def test_labels_that_do_not_fit_are_refused(stack, teacher):
    with pytest.raises(NeedsError, match="has 5 categories, 4 pixels"):
        ForwardForward().check(stack((4, 8, 5)), naming(teacher(n_inputs=4)))
    with pytest.raises(NeedsError, match="1 hidden layers at least"):
        ForwardForward().check(stack((30, 5)), naming(teacher()))
