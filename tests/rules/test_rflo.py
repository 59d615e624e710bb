"""RFLO: the trace of each synapse, what it leaves out of the gradient, and that it learns."""

import pytest
import torch

from brainalign.errors import NeedsError
from brainalign.networks.alif import ALIF
from brainalign.networks.gru import GRU
from brainalign.networks.rnn import RNN
from brainalign.rules.bptt import BPTT
from brainalign.rules.eligibility import FEEDBACK, synaptic_gradient
from brainalign.rules.recurrent_trials import run_trials
from brainalign.rules.rflo import RFLO
from brainalign.rules.rtrl import RTRL
from brainalign.training.angles import angle
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer

WEIGHTS = ("recurrent.weight", "input.weight")


def test_is_each_synapses_own_trace_online(sequences, update):
    """Murray's equations as they stand, one trial after the other, forward in time."""
    network, task, batch = sequences(units=6)
    given, state = update(RFLO(), network, task, batch)
    trials = run_trials(network, task, batch)
    total = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    with torch.no_grad():
        for k in range(len(batch)):
            p, q, b = (torch.zeros_like(network.recurrent.weight), torch.zeros_like(network.input.weight), 0)
            for t in range(len(trials.inputs)):
                x, h, error = trials.inputs[t, k], trials.before[t, k], trials.output_errors[t, k]
                u = network.preactivation(x[None], h[None])[0]
                slope = 0.2 * (1 - torch.tanh(u) ** 2)
                p = 0.8 * p + slope[:, None] * h
                q = 0.8 * q + slope[:, None] * x
                b = 0.8 * b + slope
                back = error @ state[FEEDBACK]
                total["recurrent.weight"] += back[:, None] * p
                total["input.weight"] += back[:, None] * q
                total["input.bias"] += back * b
                total["head.weight"] += error[:, None] * trials.rates[t, k]
                total["head.bias"] += error
    assert set(given) == set(total)
    for name in total:
        torch.testing.assert_close(given[name], total[name], rtol=1e-10, atol=1e-12)


def last_step_angle(sequences, update, n_steps):
    """Angle to the gradient of the last step's error alone, with the read-out's own weights."""
    network, task, batch = sequences(n_steps, n=1, units=10, alpha=0.3)
    object.__setattr__(task, "cost", lambda outputs, b: 0.5 * (outputs - b.targets)[:, -1].square().sum(1))
    given, _ = update(RFLO(symmetric=True), network, task, batch)
    exact, _ = update(RTRL(), network, task, batch)
    return [angle(given[name], exact[name]) for name in WEIGHTS]


def test_leaves_nothing_out_of_the_first_step_and_more_of_each_later_one(sequences, update):
    # Recurrent weights carry rates from the second step on, those of inputs from the first.
    assert last_step_angle(sequences, update, 2)[0] < 1e-5
    assert last_step_angle(sequences, update, 1)[1] < 1e-5
    later = [last_step_angle(sequences, update, n_steps)[0] for n_steps in (3, 5, 12)]
    assert 0.1 < later[0] < later[1] < later[2] < 90


def test_summed_over_steps_it_is_within_90_degrees_of_the_gradient(sequences, update):
    for seed in range(5):
        network, task, batch = sequences(20, units=10, alpha=0.3, seed=seed)
        exact, _ = update(BPTT(), network, task, batch)
        given, _ = update(RFLO(symmetric=True), network, task, batch)
        assert 0.1 < angle(given["recurrent.weight"], exact["recurrent.weight"]) < 90


def test_without_recurrent_weights_it_is_the_gradient(sequences, update):
    network, task, batch = sequences(units=8)
    torch.nn.init.zeros_(network.recurrent.weight)
    given, _ = update(RFLO(symmetric=True), network, task, batch)
    exact, _ = update(RTRL(), network, task, batch)
    for name in exact:
        torch.testing.assert_close(given[name], exact[name], rtol=1e-10, atol=1e-12)


def test_feedback_that_is_the_read_outs_is_the_symmetric_variant(sequences, update):
    network, task, batch = sequences(units=8)
    given, _ = update(RFLO(), network, task, batch, {FEEDBACK: network.head.weight.detach()})
    symmetric, state = update(RFLO(symmetric=True), network, task, batch)
    assert state == {}
    for name in given:
        torch.testing.assert_close(given[name], symmetric[name], rtol=1e-12, atol=1e-14)


def test_feedback_is_random_and_of_the_read_outs_size(sequences):
    network, task, _ = sequences(units=400, n_outputs=5)
    drawn = [RFLO().init(network, task, torch.Generator().manual_seed(k))[FEEDBACK] for k in range(2)]
    assert drawn[0].shape == (5, 400)
    assert abs(float(drawn[0].std() / network.head.weight.detach().std()) - 1) < 0.05
    assert 85 < angle(drawn[0], drawn[1]) < 95


def test_learns_by_random_feedback(reaching):
    network, task, _ = reaching("center_out:body=velocity,n_targets=4,batch_size=8,movement=0.2", units=24)
    trainer = Trainer(network.float(), task, RFLO(), find_optimizer(RFLO.optimizer), seed=0)
    before = trainer.measure(None)["loss"]
    for _ in range(40):
        trainer.advance()
    assert trainer.measure(None)["loss"] < 0.1 * before


@pytest.mark.parametrize("kind", [GRU, ALIF])
def test_other_units_are_refused(sequences, kind):
    network, task, _ = sequences(kind=kind, units=4)
    with pytest.raises(NeedsError, match="'rflo' needs a network of leaky rate units"):
        RFLO().check(network, task)


def test_trials_have_no_traces_of_their_own(sequences):
    """The largest tensor is one of states, not one of synapses."""
    network, task, batch = sequences(6, n=3, units=40, kind=RNN)
    trials = run_trials(network, task, batch)
    errors, sizes = torch.ones_like(trials.rates), []

    class Watching(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            answer = function(*args, **(kwargs or {}))
            if isinstance(answer, torch.Tensor):
                sizes.append(answer.numel())
            return answer

    with Watching():
        synaptic_gradient(network, trials, errors)
    assert max(sizes) == 40 * 40 < 3 * 40 * 40
