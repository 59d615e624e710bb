"""Unsupervised rules on the digits: what a read-out loses or gains by default rates, and by others."""

import pytest

from brainalign.networks import make_network
from brainalign.rules import find_rule
from brainalign.tasks import find_task
from brainalign.training.measure import readout_accuracy
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer


def accuracies(network, name, steps, seed, lr=None):
    """Give the accuracy of a read-out of held-out digits, after each of some numbers of steps."""
    task, rule = find_task("classification:digits"), find_rule(name)
    made, optimizer = make_network(network, task.shape(rule.activation), seed), find_optimizer(rule.optimizer)
    trainer = Trainer(made, task, rule, optimizer.with_lr(lr or optimizer.lr), seed)
    found = []
    for until in steps:
        while trainer.step < until:
            trainer.advance()
        made.eval()
        seen, new = task.labelled(held_out=False), task.labelled(held_out=True)
        found.append(readout_accuracy(made, seen, new, task.categories)["readout_accuracy"])
        made.train()
    return found


@pytest.mark.parametrize("name", ["oja", "krotov_hopfield", "softhebb"])
def test_default_rates_keep_what_a_read_out_knows(name):
    runs = [accuracies("mlp:hidden=128-128", name, (0, 300), seed) for seed in range(3)]
    start, end = (sum(run[when] for run in runs) / 3 for when in (0, 1))
    # Three times 360 images: a standard error of 0.008 at these accuracies.
    assert end > start - 0.02


@pytest.mark.parametrize(("name", "lr"), [("hebb", None), ("oja", 1e-4), ("krotov_hopfield", 0.02)])
def test_neurons_that_come_to_one_direction_leave_little_to_read(name, lr):
    """What `hebb` does at any rate; the controls that show what the low rates of the others are for."""
    start, end = accuracies("mlp:hidden=128-128", name, (0, 2000 if name == "oja" else 100), 0, lr)
    assert end < start - 0.5


def test_a_plain_convolutional_network_gains():
    for seed in range(3):
        start, end = accuracies("convnet:channels=16-32", "softhebb", (0, 100), seed)
        assert end > start, seed
