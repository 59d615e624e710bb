"""What a rule does once the optimiser has applied an update, in the loop's own steps."""

from dataclasses import dataclass

import pytest
import torch

from brainalign.rules.backprop import Backprop
from brainalign.rules.sign_symmetry_uniform import UniformSignSymmetry
from brainalign.training.optimizers import find_optimizer
from brainalign.training.trainer import Trainer


def test_it_is_called_without_gradients_after_each_update_is_applied(stack, teacher):
    seen = []

    @dataclass(frozen=True)
    class Watched(Backprop):
        def after_update(self, network, state):
            assert not torch.is_grad_enabled()
            seen.append(network.head.weight.clone())

    trainer = Trainer(stack((30, 20, 5)), teacher(), Watched(), find_optimizer("sgd"), seed=0)
    for _ in range(3):
        trainer.advance()
    assert len(seen) == 3
    assert torch.equal(seen[-1], trainer.network.head.weight)
    assert not torch.equal(seen[0], seen[1])


@pytest.mark.parametrize("optimizer", ["momentum:lr=0.05,weight_decay=0.1", "adam:lr=0.01"])
def test_norms_are_kept_whatever_the_optimiser_does(optimizer, stack, teacher):
    rule = UniformSignSymmetry(normalise=True)
    network = stack((30, 20, 16, 5))
    trainer = Trainer(network, teacher(), rule, find_optimizer(optimizer), seed=0)
    for _ in range(30):
        trainer.advance()
        for layer in network.layers:
            norm = trainer.state[f"norm.{layer.name}.weight"]
            lengths = layer.linear.weight.detach().norm(dim=1)
            torch.testing.assert_close(lengths, norm.expand_as(lengths), rtol=1e-12, atol=0)
