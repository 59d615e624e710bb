"""Dendritic microcircuits: silence while interneurons predict, errors where a teacher nudges, and settling."""

from dataclasses import replace

import pytest
import torch

from brainalign.errors import UnknownNameError
from brainalign.rules.backprop import Backprop
from brainalign.rules.dendritic_microcircuit import DendriticMicrocircuit
from brainalign.rules.microcircuit import DOWN, INTERNEURON, LATERAL
from brainalign.rules.relaxation import RESIDUAL, ConvergenceError
from brainalign.training.angles import angle

WIDTHS, NAMES = (12, 9, 7, 6), ("blocks.0.linear", "blocks.1.linear", "head")
EXACT = DendriticMicrocircuit(tolerance=1e-13)


def settled(rule, network, batch, state):
    circuit = rule.circuit(network, state)
    with torch.no_grad():
        return circuit, circuit.settle(circuit.forward_activities(batch.inputs)).activities


def test_in_the_self_predicting_state_apical_dendrites_are_silent_and_nothing_learns(stack, regression):
    network, task = stack(WIDTHS), regression()
    for layer in network.layers:
        layer.linear.bias.data += 0.3
    batch = next(task.held_out(20))
    state = EXACT.init(network, task, torch.Generator().manual_seed(0))
    circuit, potentials = settled(EXACT, network, batch, state)
    with torch.no_grad():
        assert all(float(circuit.apical(place, potentials).abs().max()) == 0 for place in (0, 1))
        for update in (EXACT.interneuron_updates, EXACT.network_updates):
            assert all(float(each.abs().max()) == 0 for each in update(circuit, potentials).values())
        preactivations, _ = network.activity(batch.inputs)
        for ours, theirs in zip(potentials[1:], preactivations, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-13)
    # And not in another state.
    state[LATERAL + "head"] += 0.1
    circuit, potentials = settled(EXACT, network, batch, state)
    assert float(circuit.apical(1, potentials).detach().abs().max()) > 1e-3


def test_a_teacher_makes_apical_potentials_errors_of_the_layer_above(stack, regression):
    network, task = stack(WIDTHS), regression()
    batch, rule = next(task.held_out(20)), replace(EXACT, teaching=1e-5)
    state = rule.init(network, task, torch.Generator().manual_seed(0))
    circuit, free = settled(rule, network, batch, state)
    with torch.no_grad():
        nudged = circuit.settle(free, lambda u, _: u - rule.nudging() * (u - batch.targets)).activities
        for place in (0, 1):
            above = network.layers[place + 1]
            moved = above.derivative(free[place + 2]) * (nudged[place + 2] - circuit.basal(place + 1, nudged))
            wanted = moved @ state[DOWN + above.name]
            assert angle(circuit.apical(place, nudged), wanted) < 0.1


def test_with_symmetric_feedback_a_weak_teacher_gives_backprop(stack, regression):
    network, task = stack(WIDTHS), regression()
    batch = next(task.held_out(20))
    exact = next(Backprop().updates(network, task, batch, {}, torch.Generator()))
    worst = []
    for teaching in (0.8, 1e-2, 1e-5):
        rule = replace(EXACT, teaching=teaching)
        state = rule.init(network, task, torch.Generator())
        for layer in network.layers[1:]:
            state[DOWN + layer.name] = layer.linear.weight.detach().clone()
            state[LATERAL + layer.name] = -layer.linear.weight.detach()
        _, given = rule.updates(network, task, batch, state, torch.Generator())
        degrees = [angle(given[f"{name}.weight"], exact[f"{name}.weight"]) for name in NAMES]
        worst.append(max(degrees))
    assert worst[0] > worst[1] > worst[2]
    assert worst[2] < 0.01, worst
    through = 0.8 / 1.9 * (1 - rule.nudging())
    for steps, name in enumerate(reversed(NAMES)):
        ratio = given[f"{name}.weight"].norm() / exact[f"{name}.weight"].norm()
        assert float(ratio) == pytest.approx(through**steps, rel=1e-3)


def test_interneurons_alone_learn_to_silence_the_dendrites(stack, regression):
    network, task = stack((12, 9, 6)), regression()
    rule = replace(EXACT, start="random", tolerance=1e-8)
    generator, batch = torch.Generator().manual_seed(0), next(task.held_out(100))
    state = rule.init(network, task, generator)

    def loudness():
        circuit, potentials = settled(rule, network, batch, state)
        return float(circuit.apical(0, potentials).detach().abs().mean())

    before = loudness()
    for _ in range(600):
        given = next(iter(rule.updates(network, task, batch, state, generator)))
        assert {name.split(".")[1] for name in given} == {"interneuron", "lateral"}
        for name, change in given.items():
            state[name] -= 0.2 * change
    assert loudness() < 0.05 * before


def test_what_is_probed_has_settled(stack, regression):
    network, task = stack((12, 9, 6)), regression()
    rule, batch = replace(EXACT, start="random"), next(task.held_out(20))
    state = rule.init(network, task, torch.Generator().manual_seed(0))
    circuit, potentials = settled(rule, network, batch, state)
    answer = rule.inference(network, state)(batch.inputs)
    torch.testing.assert_close(answer, potentials[-1], rtol=1e-10, atol=1e-10)
    assert float((answer - network(batch.inputs)).detach().abs().max()) > 1e-3


def test_a_circuit_that_has_not_settled_is_no_equilibrium(stack, regression, update):
    network, task = stack(WIDTHS), regression()
    batch = next(task.held_out(20))
    with pytest.raises(ConvergenceError, match="The microcircuit did not settle in 1 steps"):
        list(
            replace(EXACT, start="random", limit=1).updates(
                network,
                task,
                batch,
                replace(EXACT, start="random").init(network, task, torch.Generator()),
                torch.Generator(),
            )
        )
    rule = replace(EXACT, start="random", tolerance=0.0, limit=2)
    state = rule.init(network, task, torch.Generator())
    list(rule.updates(network, task, batch, state, torch.Generator()))
    assert float(state[RESIDUAL]) > 1e-6


def test_learning_lowers_the_cost_by_more_than_the_read_out_could(stack, teacher):
    task, costs = teacher(n=200), {}
    for learning in (True, False):
        network, rule = stack((30, 16, 5)), DendriticMicrocircuit(interneuron_rate=0.1)
        generator, held = torch.Generator().manual_seed(0), next(task.held_out())
        state = rule.init(network, task, generator)
        parameters = dict(network.named_parameters()) | state
        for _ in range(120):
            for batch in task.batches(generator):
                for update in rule.updates(network, task, batch, state, generator):
                    for name, change in update.items():
                        if learning or not name.startswith("blocks"):
                            parameters[name].data -= 0.1 * rule.learning_rate_factor(name) * change
        answer = rule.inference(network, state)(held.inputs)
        costs[learning] = float(task.cost(answer, held).mean().detach())
    assert costs[True] < 0.8 * costs[False], costs


def test_interneurons_are_those_of_the_layer_above(stack, regression):
    network = stack(WIDTHS)
    state = EXACT.init(network, regression(), torch.Generator())
    assert state[f"{INTERNEURON}head.weight"].shape == (6, 7)
    assert torch.equal(state[f"{INTERNEURON}head.weight"], network.head.weight)


def test_a_start_that_is_unknown_is_refused():
    with pytest.raises(UnknownNameError, match="Unknown start 'silent'"):
        DendriticMicrocircuit(start="silent")
