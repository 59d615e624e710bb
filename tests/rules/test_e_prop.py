"""E-prop: backprop through time, factorised; hard-coded traces, and a gradient stopped between units."""

import pytest
import torch

from brainalign.errors import NeedsError
from brainalign.networks.alif import ALIF
from brainalign.networks.gru import GRU
from brainalign.networks.lif import LIF
from brainalign.networks.rnn import RNN
from brainalign.rules.bptt import BPTT
from brainalign.rules.e_prop import EProp
from brainalign.rules.eligibility import FEEDBACK, synaptic_gradient
from brainalign.rules.recurrent_trials import run_trials, through_readout
from brainalign.rules.rflo import RFLO
from brainalign.tasks.total_cost import gradient
from brainalign.training.angles import angle

SPIKING = [
    (LIF, {}),
    (LIF, {"refractory": 3}),
    (ALIF, {"adaptation": 0.1}),
    (ALIF, {"adaptation": 0.1, "refractory": 2}),
]


@pytest.fixture
def spiking(sequences):
    """A spiking network that spikes, with a task."""

    def make(kind, options, n_steps=20):
        network, task, batch = sequences(n_steps, kind=kind, units=8, gain=2.0, **options)
        rates = run_trials(network, task, batch).rates
        assert (rates[-1] > 0).double().mean() > 0.3
        return network, task, batch

    return make


def assert_same(given, expected):
    assert set(given) == set(expected)
    for name in expected:
        assert expected[name].abs().max() > 0
        torch.testing.assert_close(given[name], expected[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("kind", "options"), SPIKING)
def test_with_the_true_learning_signal_it_is_backprop_through_time(spiking, kind, options):
    """Eq. 1: what a spike does to all that comes later, through other units and the reset, by eligibility."""
    network, task, batch = spiking(kind, options)
    state, states = network.initial(len(batch)), []
    for x in batch.inputs.unbind(1):
        state = network.step(x, state)
        state.retain_grad()
        states.append(state)
    outputs = torch.stack([network.readout(each) for each in states], 1)
    task.cost(outputs, batch).mean().backward()
    exact = {name: parameter.grad for name, parameter in network.named_parameters() if "head" not in name}
    # Spikes, as others see them, are a part of the state.
    of_spikes = torch.stack([each.grad[:, 8:16] for each in states])
    assert of_spikes.abs().max() > 0
    # A spike is what filtered spikes are above those before: κ z = r − (1 − κ) r₋.
    later = torch.cat([of_spikes[1:], torch.zeros_like(of_spikes[:1])])
    trials = run_trials(network, task, batch)
    errors = through_readout(network, trials) + (of_spikes - 0.8 * later) / 0.2
    assert_same(synaptic_gradient(network, trials, errors), exact)


class Stopped(ALIF):
    """Units that see each other's spikes, and reset, but pass nothing back."""

    def step(self, x, state):
        v, spikes, waiting, filtered = self.parts(state)
        return super().step(
            x, torch.cat([torch.stack([v, spikes.detach(), waiting], 1), filtered], 1).flatten(1)
        )


class StoppedRates(RNN):
    """The same of leaky rate units."""

    def preactivation(self, x, state):
        return super().preactivation(x, state.detach())


@pytest.mark.parametrize(
    ("kind", "options"), [(Stopped, {"adaptation": 0.1}), (Stopped, {"refractory": 2}), (StoppedRates, {})]
)
def test_is_the_gradient_stopped_between_units(sequences, update, kind, options):
    network, task, batch = sequences(20, kind=kind, units=8, gain=2.0, **options)
    given, _ = update(EProp(symmetric=True), network, task, batch)
    assert_same(given, gradient(network, task, batch))


def test_is_the_papers_traces_online(spiking, update):
    """Of adapting units, forward in time: ε of potential and threshold, times ψ, filtered by the read-out."""
    network, task, batch = spiking(ALIF, {"adaptation": 0.1})
    given, state = update(EProp(), network, task, batch)
    trials = run_trials(network, task, batch)
    alpha, rho, kappa, beta, threshold = 0.2, 0.1, 0.2, 1.7, 0.5
    total = torch.zeros_like(network.recurrent.weight)
    with torch.no_grad():
        for k in range(len(batch)):
            of_v, of_a, filtered = (torch.zeros_like(total) for _ in range(3))
            for t in range(len(trials.inputs)):
                _, spikes, _, before = network.parts(trials.before[t, k : k + 1])
                after = network.parts(network.step(trials.inputs[t, k : k + 1], trials.before[t, k : k + 1]))
                over = after[0][0] - threshold - beta * before[0, 1]
                psi = (0.3 * (1 - over.abs() / threshold).clamp(min=0) / threshold)[:, None]
                of_v = (1 - alpha) * of_v + alpha * spikes
                eligibility = psi * (of_v - beta * of_a)
                of_a = (1 - rho) * of_a + rho * eligibility
                filtered = (1 - kappa) * filtered + kappa * eligibility
                total += (trials.output_errors[t, k] @ state[FEEDBACK])[:, None] * filtered
    torch.testing.assert_close(given["recurrent.weight"], total, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("symmetric", [False, True])
def test_of_leaky_rate_units_it_is_rflo(sequences, update, symmetric):
    network, task, batch = sequences(units=8)
    given, _ = update(EProp(symmetric), network, task, batch)
    assert_same(given, update(RFLO(symmetric), network, task, batch)[0])


def test_is_near_backprop_through_time_and_not_it(spiking, update):
    network, task, batch = spiking(ALIF, {"adaptation": 0.1})
    given, _ = update(EProp(symmetric=True), network, task, batch)
    exact, _ = update(BPTT(), network, task, batch)
    assert 1 < angle(given["recurrent.weight"], exact["recurrent.weight"]) < 90
    assert_same({"head.weight": given["head.weight"]}, {"head.weight": exact["head.weight"]})


def test_units_that_do_not_say_how_they_move_are_refused(sequences):
    network, task, _ = sequences(kind=GRU, units=4)
    with pytest.raises(NeedsError, match="how each unit's own state moves, which a GRU does not say"):
        EProp().check(network, task)
