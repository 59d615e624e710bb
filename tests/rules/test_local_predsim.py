"""Prediction and similarity together: exactly the two losses in their shares."""

import pytest
import torch

from brainalign.errors import NeedsError
from brainalign.networks import ConvNet, Shape, make_network
from brainalign.networks.untrained import seeded
from brainalign.rules import find_rule
from brainalign.rules.local_pred import LocalPred
from brainalign.rules.local_predsim import LocalPredsim
from brainalign.rules.local_sim import LocalSim
from brainalign.tasks import find_task


@pytest.mark.parametrize("kind", ["mlp", "convnet"])
@pytest.mark.parametrize("beta", [0.99, 0.3])
def test_update_is_the_two_losses_in_their_shares(kind, beta, stack, teacher, update):
    task = teacher()
    task = type("Naming", (type(task),), {"names_categories": True})(task.inputs, task.targets)
    network = stack((30, 20, 16, 5))
    if kind == "convnet":
        images = torch.randn(12, 2, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        object.__setattr__(task, "inputs", images)
        object.__setattr__(task, "targets", torch.arange(12) % 5)
        with seeded(0):
            network = ConvNet(9, 5, 2, channels=(6, 8)).double()
    batch, rule = next(task.held_out(12)), LocalPredsim(beta=beta)
    both, state = update(rule, network, task, batch)
    parts = {
        kind: {name: each for name, each in state.items() if f".{kind}." in name}
        for kind in ("prediction", "similarity")
    }
    pred, _ = update(LocalPred(), network, task, batch, parts["prediction"])
    sim, _ = update(LocalSim(), network, task, batch, parts["similarity"])
    assert set(both) == set(pred) | set(sim)
    for name, each in both.items():
        if name.startswith("head."):
            expected = pred[name]
        else:
            nothing = torch.zeros_like(each)
            expected = (1 - beta) * pred.get(name, nothing) + beta * sim.get(name, nothing)
        torch.testing.assert_close(each, expected, rtol=1e-11, atol=1e-15)


def test_the_published_share_is_the_default():
    assert LocalPredsim().beta == 0.99


@pytest.mark.parametrize(("options", "message"), [({"beta": 2.0}, "1 at most"), ({"kernel": 4}, "is odd")])
def test_impossible_options_are_refused(options, message):
    task = find_task("classification:digits")
    network = make_network("convnet", Shape(task.preprocessing, task.n_outputs))
    with pytest.raises(NeedsError, match=message):
        LocalPredsim(**options).check(network, task)
    find_rule("local_predsim:beta=0").check(network, task)
