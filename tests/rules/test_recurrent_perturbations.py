"""Rules by scalar feedback on recurrent networks: how near the gradient, and that they learn to reach."""

import pytest
import torch

from brainalign.networks.rnn import RNN
from brainalign.rules.bptt import BPTT
from brainalign.rules.evolution_strategies import EvolutionStrategies
from brainalign.rules.node_perturbation import NodePerturbation
from brainalign.rules.reinforce import Reinforce
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer


class Recorded(RNN):
    """Keeps what units are driven by, and what is read out."""

    def preactivation(self, x, state):
        return self.kept(super().preactivation(x, state), self.drives)

    def readout(self, state):
        return self.kept(super().readout(state), self.outputs)

    def kept(self, answer, into):
        if answer.requires_grad:
            answer.retain_grad()
            into.append(answer)
        return answer


@pytest.mark.parametrize(("n", "repeats"), [(4000, 3)])
def test_node_perturbation_comes_as_near_the_gradient_as_its_samples_allow(sequences, update, n, repeats):
    """Noise enters each call of three maps; a weight sums over the steps of one of them."""
    network, task, batch = sequences(6, n=1, kind=Recorded, units=5)
    network.drives, network.outputs = [], []
    task.cost(task.rollout(network, batch), batch).mean().backward()
    deltas, errors = (
        torch.stack([each.grad[0] for each in kept]) for kept in (network.drives, network.outputs)
    )
    exact = update(BPTT(), network, task, batch)[0]["input.bias"]
    # Of input and recurrent map alike, and of the read-out; the bias sums over steps.
    squared = 2 * deltas.square().sum() + errors.square().sum()
    d = float(squared * deltas.numel() / exact.square().sum())
    rule, drawn, found = NodePerturbation(n, 1e-4), torch.Generator().manual_seed(0), []
    rule.check(network, task)
    for _ in range(repeats):
        given = rule.estimate(network, task, batch, drawn)["input.bias"]
        found.append(float(given @ exact / (given.norm() * exact.norm())))
    # With five weights this holds where it is near 1 alone.
    mean_square = sum(each**2 for each in found) / repeats
    assert mean_square == pytest.approx(n / (n + d + 1), abs=0.1)


@pytest.mark.parametrize(
    ("rule", "optimizer"),
    [
        (NodePerturbation(), "adam:lr=0.003"),
        (Reinforce(samples=8, sigma=0.1), "adam:lr=0.003"),
        (EvolutionStrategies(), "adam:lr=0.003"),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_learns_to_reach(reaching, rule, optimizer):
    name = "center_out:body=velocity,batch_size=8,n_targets=2,movement=0.1,hold=0.1"
    network, task, _ = reaching(name, units=16)
    trainer = Trainer(network.float(), task, rule, find_optimizer(optimizer), seed=0)
    before = trainer.measure(None)["loss"]
    for _ in range(12):
        trainer.advance()
    assert trainer.measure(None)["loss"] < 0.7 * before
