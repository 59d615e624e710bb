"""Sign symmetry with random magnitudes, fixed or drawn anew for each batch."""

import pytest
import torch
import torchvision
from scipy.stats import halfnorm, kstest, uniform

from brainalign.errors import UnknownNameError
from brainalign.networks.untrained import seeded
from brainalign.rules import find_rule
from brainalign.rules.feedback_alignment import FEEDBACK
from brainalign.rules.sign_symmetry_batch_random import BatchRandomSignSymmetry
from brainalign.rules.sign_symmetry_fixed_random import FixedRandomSignSymmetry
from brainalign.tasks import Batch
from brainalign.training.angles import angle

pytestmark = pytest.mark.parametrize("kind", [BatchRandomSignSymmetry, FixedRandomSignSymmetry])


def magnitudes(state):
    return {name: each.clone() for name, each in state.items() if name.startswith("magnitude.")}


def test_signs_are_those_of_the_weights_at_every_step(kind, stack, teacher, update):
    network, task, rule = stack((30, 20, 16, 5)), teacher(), kind()
    generator = torch.Generator().manual_seed(0)
    state = rule.init(network, task, generator)
    drawn, start = magnitudes(state), network.head.weight.detach().sign()
    parameters = dict(network.named_parameters())
    for step, batch in enumerate(batch for _ in range(2) for batch in task.batches(generator)):
        (given,) = rule.updates(network, task, batch, state, generator)
        feedback = rule.feedback_weights(network, state)
        for name, matrix in feedback.items():
            assert torch.equal(matrix.sign(), parameters[name].detach().sign())
        by_hand = {FEEDBACK + name: matrix for name, matrix in feedback.items()}
        expected, _ = update(find_rule("feedback_alignment"), network, task, batch, by_hand)
        assert all(torch.equal(given[name], expected[name]) for name in expected)
        same = [torch.equal(each, drawn[name]) for name, each in magnitudes(state).items()]
        assert set(same) == {kind is FixedRandomSignSymmetry}, step
        drawn = magnitudes(state)
        with torch.no_grad():
            for name, change in given.items():
                parameters[name] -= 0.5 * change
    assert (start != network.head.weight.detach().sign()).any()
    held = next(task.held_out())
    assert float((network(held.inputs).argmax(1) == held.targets).double().mean()) > 0.6


def test_is_backprop_on_a_single_map_which_sends_no_error_back(kind, stack, teacher, update):
    network, task = stack((30, 5)), teacher()
    batch = next(task.held_out(30))
    given, state = update(kind(), network, task, batch)
    expected, _ = update(find_rule("backprop"), network, task, batch)
    assert not magnitudes(state)
    assert all(torch.equal(given[name], expected[name]) for name in expected)


@pytest.mark.parametrize(("distribution", "law"), [("gaussian", halfnorm()), ("uniform", uniform(0, 3**0.5))])
def test_magnitudes_follow_their_law_and_are_independent(kind, distribution, law):
    rule = kind(distribution=distribution)
    weight, generator = torch.zeros(301, 333, dtype=torch.float64), torch.Generator().manual_seed(0)
    drawn = rule.drawn(weight, torch.tensor(2.0), generator) / 2
    assert kstest(drawn.flatten().numpy(), law.cdf).pvalue > 0.01
    assert kstest(drawn.flatten().numpy(), halfnorm(scale=1.02).cdf).pvalue < 1e-4
    neighbours = torch.corrcoef(torch.stack([drawn[:, 1:].flatten(), drawn[:, :-1].flatten()]))[0, 1]
    assert abs(float(neighbours)) < 4 / drawn.numel() ** 0.5


@pytest.mark.parametrize(("distribution", "expected"), [("gaussian", 50.5), ("uniform", 41.4)])
def test_angle_to_weights_of_the_same_distribution(kind, distribution, expected, stack, regression, update):
    network, task = stack((12, 400, 400, 6)), regression()
    rule = kind(distribution=distribution, scale=0.5)
    draw = torch.randn if distribution == "gaussian" else torch.rand
    drawn = draw(400, 400, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    with torch.no_grad():
        network.blocks[1].linear.weight.copy_(drawn - drawn.mean())
    _, state = update(rule, network, task, next(task.held_out(3)))
    matrix = rule.feedback_weights(network, state)["blocks.1.linear.weight"]
    weight = network.blocks[1].linear.weight.detach()
    assert angle(matrix, weight) == pytest.approx(expected, abs=0.3)
    assert float(matrix.norm() / weight.norm()) == pytest.approx(0.5, rel=0.01)


def test_is_backprop_where_the_weights_are_the_feedback(kind, stack, teacher, update):
    network, task, rule = stack((30, 20, 16, 5)), teacher(), kind()
    batch = next(task.held_out(30))
    state = rule.init(network, task, torch.Generator())
    generator = torch.Generator().manual_seed(3)
    next(rule.updates(network, task, batch, state, generator))
    with torch.no_grad():
        for name, matrix in rule.feedback_weights(network, state).items():
            network.get_parameter(name).copy_(matrix)
    # The same numbers again: the same magnitudes.
    given = next(rule.updates(network, task, batch, state, generator.manual_seed(3)))
    exact, _ = update(find_rule("backprop"), network, task, batch)
    assert set(given) == set(exact)
    for name in exact:
        torch.testing.assert_close(given[name], exact[name], rtol=1e-12, atol=1e-15)


def test_a_residual_network_learns(kind, teacher, update):
    with seeded(0):
        network = torchvision.models.resnet18(weights=None, num_classes=5)
    task, images = teacher(), torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    object.__setattr__(task, "inputs", images)
    object.__setattr__(task, "targets", torch.tensor([0, 1, 2, 4]))
    given, _ = update(kind(), network, task, Batch(images, task.targets))
    assert set(given) == {name for name, _ in network.named_parameters()}
    assert all(torch.isfinite(each).all() and each.any() for each in given.values())


def test_a_distribution_that_does_not_exist(kind):
    with pytest.raises(UnknownNameError, match="Unknown distribution 'gauss'. Did you mean 'gaussian'"):
        kind(distribution="gauss")
