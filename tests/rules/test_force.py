"""FORCE: recursive least squares is ridge regression, and the loop that is trained is what is probed."""

from dataclasses import replace

import pytest
import torch

from brainalign.errors import NeedsError
from brainalign.networks.ei_rnn import EIRNN
from brainalign.networks.gru import GRU
from brainalign.rules import force
from brainalign.rules.force import INVERSE, FedBack, Force, recursive_least_squares
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer


@pytest.fixture
def regression_data():
    """Regressors, what is wanted, and weights to start from."""
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(*shape, generator=generator).double() for shape in ((60, 8), (60, 2), (8, 2)))


def ridge(regressors, wanted, start, penalty):
    gram = regressors.T @ regressors + penalty * torch.eye(regressors.shape[1]).double()
    return start + torch.linalg.solve(gram, regressors.T @ (wanted - regressors @ start))


@pytest.mark.parametrize("n_at_once", [1, 5, 60])
def test_weights_are_the_ridge_solution_however_many_samples_come_at_once(regression_data, n_at_once):
    regressors, wanted, start = regression_data
    inverse, weights = torch.eye(8).double() / 0.3, start
    for r, f in zip(regressors.split(n_at_once), wanted.split(n_at_once), strict=True):
        inverse, weights = recursive_least_squares(inverse, weights, r, f)
    torch.testing.assert_close(weights, ridge(regressors, wanted, start, 0.3), rtol=1e-11, atol=1e-12)
    exact = torch.linalg.inv(regressors.T @ regressors + 0.3 * torch.eye(8).double())
    torch.testing.assert_close(inverse, exact, rtol=1e-10, atol=1e-12)


def test_error_falls_by_one_plus_the_squared_length_under_p(regression_data):
    regressors, wanted, weights = regression_data
    inverse = torch.eye(8).double()
    for r, f in zip(regressors.split(1), wanted.split(1), strict=True):
        before, ratio = r @ weights - f, 1 / (1 + r @ inverse @ r.T)
        inverse, weights = recursive_least_squares(inverse, weights, r, f)
        torch.testing.assert_close((r @ weights - f) / before, ratio.expand(1, 2), rtol=1e-10, atol=0)


class Told:
    """What the outputs should be is the targets."""

    def desired(self, batch):
        return batch.targets


def told(task):
    kind = type("Told", (Told, type(task)), {})
    return kind(task.inputs, task.targets)


def test_over_two_batches_the_read_out_is_the_ridge_solution_of_the_rates_met(sequences, update, monkeypatch):
    network, task, batch = sequences(15, units=9)
    rule, met = Force(ridge=0.5), []
    original = force.recursive_least_squares

    def spy(inverse, weights, regressors, wanted):
        met.append((regressors, wanted))
        return original(inverse, weights, regressors, wanted)

    monkeypatch.setattr(force, "recursive_least_squares", spy)
    start = torch.cat([network.head.weight, network.head.bias[:, None]], 1).T.detach()
    trainer = Trainer(network, told(task), rule, find_optimizer(rule.optimizer), seed=0)
    trainer.advance()
    trainer.advance()
    assert len(met) == 30
    regressors, wanted = (torch.cat(each) for each in zip(*met, strict=True))
    given = torch.cat([network.head.weight, network.head.bias[:, None]], 1).T
    torch.testing.assert_close(given, ridge(regressors, wanted, start, 0.5), rtol=1e-9, atol=1e-11)


def test_only_the_read_out_changes(sequences, update):
    network, task, batch = sequences(units=9)
    given, _ = update(Force(), network, told(task), batch)
    assert set(given) == {"head.weight", "head.bias"}


def test_feedback_is_a_change_of_the_recurrent_weights_by_the_read_out(sequences):
    network, task, batch = sequences(units=9)
    state = Force().init(network, told(task), torch.Generator().manual_seed(0))
    looped = Force().inference(network, state)
    assert isinstance(looped, FedBack)
    given = looped(batch.inputs)
    with torch.no_grad():
        network.recurrent.weight += state["feedback"] @ network.head.weight
        network.input.bias += state["feedback"] @ network.head.bias
    torch.testing.assert_close(given, network(batch.inputs), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("body", ["velocity", "point_mass"])
def test_the_loop_reaches_its_targets_and_the_network_without_it_does_not(reaching, body):
    network, task, batch = reaching(f"center_out:body={body},n_targets=4,batch_size=8", units=60)
    trainer = Trainer(network.float(), task, Force(), find_optimizer(Force.optimizer), seed=0)
    for _ in range(4):
        trainer.advance()
    batch = next(task.held_out())
    with torch.no_grad():
        looped, plain = (
            task.cost(task.rollout(each, batch), batch).mean()
            for each in (Force().inference(network, trainer.state), network)
        )
    assert looped < 0.02
    assert plain > 10 * looped


def test_the_inverse_stays_symmetric_and_positive_in_a_chaotic_network(reaching, update):
    network, task, _ = reaching("center_out:body=point_mass,n_targets=4,batch_size=8", units=40, gain=1.5)
    trainer = Trainer(network.float(), task, Force(), find_optimizer(Force.optimizer), seed=0)
    for _ in range(6):
        trainer.advance()
    inverse = trainer.state[INVERSE]
    assert (inverse - inverse.T).abs().max() < 1e-12
    assert torch.linalg.eigvalsh(inverse).min() > 0


def test_a_read_out_that_is_not_free_is_refused(reaching):
    network, task, _ = reaching(kind=EIRNN, units=10)
    with pytest.raises(NeedsError, match="which a EIRNN keeps within bounds or fixed"):
        Force().check(network, task)
    network, task, _ = reaching(units=10)
    network.head.weight.requires_grad_(False)
    with pytest.raises(NeedsError, match="which a RNN keeps within bounds or fixed"):
        Force().check(network, task)


def test_other_units_and_tasks_that_do_not_say_what_outputs_should_be_are_refused(reaching, sequences):
    network, task, _ = reaching(kind=GRU, units=10)
    with pytest.raises(NeedsError, match="'force' needs a network of leaky rate units"):
        Force().check(network, task)
    network, task, _ = sequences()
    with pytest.raises(NeedsError, match="What the outputs should be is not known of task 'vectors'"):
        Force().check(network, task)
    Force().check(network, replace(told(task), batch_size=2))
