"""Reward-modulated Hebb: how near the gradient it comes for its trials, by type, and that it learns."""

from dataclasses import replace

import pytest
import torch

from brainalign.errors import NeedsError, UnknownNameError
from brainalign.networks.alif import ALIF
from brainalign.networks.rnn import RNN
from brainalign.rules.bptt import BPTT
from brainalign.rules.recurrent_trials import run_trials
from brainalign.rules.reward_modulated_hebb import CLIP, TYPES, USUAL, RewardModulatedHebb
from brainalign.tasks import Batch
from brainalign.training.angles import angle
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer

NAME = "recurrent.weight"


def cosine(a, b):
    return float((a * b).sum() / (a.norm() * b.norm()))


class Recorded(RNN):
    """Keeps what units are driven by."""

    def preactivation(self, x, state):
        drive = super().preactivation(x, state)
        if drive.requires_grad:
            drive.retain_grad()
            self.drives.append(drive)
        return drive


@pytest.fixture
def one_trial(sequences):
    """A network, a task of one sequence, and the noise's dimension as the gradient sees it."""
    network, task, batch = sequences(20, n=1, kind=Recorded, units=6)
    network.drives = []
    task.cost(task.rollout(network, batch), batch).mean().backward()
    deltas = torch.stack([each.grad[0] for each in network.drives])[3:]
    before = run_trials(network, task, batch).before[3:, 0].detach()
    exact = deltas.T @ before
    return network, task, batch, exact, deltas, before


def many(batch, n):
    return Batch(batch.inputs.expand(n, -1, -1), batch.targets.expand(n, -1, -1))


def dimension(exact, deltas, before, probability):
    """D of cos² = K / (K + D + 1), of kicks weighted by presynaptic rates, with the kurtosis of rare ones."""
    size, kurtosis = before.square().sum(1), (1 / 5) / (probability / 9)
    spread = deltas.square().sum() * deltas.shape[1] * size.sum()
    rare = (kurtosis - 3) * (deltas.square().sum(1) * size).sum()
    return float((spread + rare) / exact.square().sum())


@pytest.mark.parametrize(("probability", "n"), [(1.0, 100), (1.0, 1000), (1.0, 5000), (0.1, 5000)])
def test_node_perturbation_comes_as_near_the_gradient_as_its_number_of_trials_allows(one_trial, probability, n):
    network, task, batch, exact, *seen = one_trial
    rule, drawn = RewardModulatedHebb("nodepert", probability, 1e-5), torch.Generator().manual_seed(0)
    usual = task.cost(task.rollout(network, batch), batch).detach().expand(n)
    repeats, found = max(4, 4000 // n), []
    for _ in range(repeats):
        _, given = rule.estimate(network, task, many(batch, n), usual, drawn)
        found.append(cosine(given, exact))
    d = dimension(exact, *seen, probability)
    assert sum(found) / repeats == pytest.approx((n / (n + d + 1)) ** 0.5, abs=0.03)


def test_with_many_trials_node_perturbation_is_within_the_gradients_direction(one_trial, update):
    network, task, batch, exact, *seen = one_trial
    full = update(BPTT(), network, task, batch)[0][NAME]
    # The first steps, which have no kicks, are a small part of it.
    assert angle(exact, full) < 15
    n = round(10 * (dimension(exact, *seen, 1.0) + 1))
    usual = task.cost(task.rollout(network, batch), batch).detach().expand(n)
    rule, drawn = RewardModulatedHebb("nodepert", 1.0, 1e-5), torch.Generator().manual_seed(0)
    _, given = rule.estimate(network, task, many(batch, n), usual, drawn)
    assert cosine(given, full) > 0.9


def test_cubed_departures_are_on_the_gradients_side(one_trial, update):
    network, task, batch, *_ = one_trial
    full, n = update(BPTT(), network, task, batch)[0][NAME], 20000
    usual = task.cost(task.rollout(network, batch), batch).detach().expand(n)
    rule, drawn = RewardModulatedHebb(), torch.Generator().manual_seed(0)
    costs, _ = rule.estimate(network, task, many(batch, n), usual, drawn)
    # Kicks cost something on average, which the running mean comes to know.
    _, given = rule.estimate(network, task, many(batch, n), costs.mean().expand(n), drawn)
    assert 0.1 < cosine(given, full) < 0.95


def test_is_the_cubed_product_online(sequences):
    """One synapse and one trial after the other, from the same kicks."""
    network, task, batch = sequences(8, n=3, units=4)
    rule, usual = RewardModulatedHebb(probability=0.5), torch.tensor([1.0, 2.0, 3.0]).double()
    costs, given = rule.estimate(network, task, batch, usual, torch.Generator().manual_seed(7))
    drawn, alpha = torch.Generator().manual_seed(7), network.alpha
    state, x, mean = network.initial(3), torch.zeros(3, 4).double(), torch.zeros(3, 4).double()
    eligibility = torch.zeros(3, 4, 4).double()
    with torch.no_grad():
        for t, seen in enumerate(batch.inputs.unbind(1)):
            chance, size = torch.rand(2, 3, 4, generator=drawn, dtype=torch.float64)
            kicks = (0.5 / alpha) * (2 * size - 1) * (chance < 0.5) * (t >= 3)
            drive = network.preactivation(seen, state) + kicks
            x = (1 - alpha) * x + alpha * drive
            eligibility += ((x - mean)[:, :, None] * state[:, None, :]) ** 3
            mean = 0.05 * mean + 0.95 * x
            state = (1 - alpha) * state + alpha * torch.tanh(drive)
    expected = ((usual * (costs - usual))[:, None, None] * eligibility).mean(0)
    torch.testing.assert_close(given, expected, rtol=1e-10, atol=1e-14)


def test_running_means_are_of_each_target_and_updates_are_clipped(reaching, update):
    network, task, batch = reaching("center_out:body=velocity,n_targets=4", units=8)
    rule = RewardModulatedHebb()
    state = rule.init(network.float(), task, torch.Generator())
    held = next(task.held_out())
    torch.testing.assert_close(state[USUAL], task.cost(task.rollout(network, held), held).detach())
    assert state[TYPES].shape == (4, 3)
    before = state[USUAL].clone()
    some = replace(held, inputs=held.inputs[[2, 0, 2]], targets=held.targets[[2, 0, 2]])
    given, state = update(rule, network, task, some, state)
    assert set(given) == {NAME} and given[NAME].abs().max() <= CLIP
    costs, _ = rule.estimate(network, task, some, before[[2, 0, 2]], torch.Generator().manual_seed(0))
    expected = 0.75 * before
    expected[0] += 0.25 * costs[1]
    expected[2] += 0.25 * (costs[0] + costs[2]) / 2
    expected[[1, 3]] = before[[1, 3]]
    torch.testing.assert_close(state[USUAL], expected)


@pytest.mark.parametrize("method", ["deltax", "nodepert"])
def test_learns_to_reach(reaching, method):
    name = "center_out:body=velocity,batch_size=32,n_targets=2,movement=0.2,hold=0.1"
    network, task, _ = reaching(name, units=24)
    with torch.no_grad():
        network.head.weight *= 0.3
    rule = RewardModulatedHebb(method)
    head = network.float().head.weight.detach().clone()
    trainer = Trainer(network, task, rule, find_optimizer(rule.optimizer), seed=0)
    before = trainer.measure(None)["loss"]
    for _ in range(30):
        trainer.advance()
    assert trainer.measure(None)["loss"] < 0.7 * before
    assert torch.equal(network.head.weight, head)


def test_what_it_cannot_train_is_refused(sequences, reaching, teacher):
    network, task, _ = reaching(units=4)
    with pytest.raises(UnknownNameError, match="method of reward_modulated_hebb 'deltay'.*deltax"):
        RewardModulatedHebb("deltay").check(network, task)
    with pytest.raises(NeedsError, match="decay=1.5; both are 1 at most"):
        RewardModulatedHebb(decay=1.5).check(network, task)
    with pytest.raises(NeedsError, match="no targets over time"):
        RewardModulatedHebb().check(network, teacher())
    with pytest.raises(NeedsError, match="needs a network of leaky rate units"):
        RewardModulatedHebb().check(reaching(kind=ALIF, units=4)[0], task)
