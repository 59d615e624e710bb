"""Maps of a layer that rules need, against autograd."""

import pytest
import torch
from torch import nn

from brainalign.networks.layered import ACTIVATIONS, Layer

KINDS = ACTIVATIONS | {"softplus": nn.Softplus}


@pytest.mark.parametrize("activation", sorted(KINDS))
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("with_answer", [False, True])
def test_errors_before_the_activation_are_autograds(activation, overwrite, with_answer):
    generator = torch.Generator().manual_seed(0)
    # One error for all places of a map, as of what is averaged over them.
    error = torch.randn(4, 5, 1, 1, generator=generator, dtype=torch.float64).expand(-1, -1, 3, 3)
    a = torch.randn(4, 5, 3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    layer = Layer("conv", nn.Conv2d(2, 5, 1), KINDS[activation]())
    answer = layer.activation(a)
    (expected,) = torch.autograd.grad(answer, a, error)
    given, kept = a.detach().clone(), error.clone()
    answer = answer.detach() if with_answer else None
    found = layer.before_activation(error, given, answer, overwrite=overwrite)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-15)
    assert torch.equal(error, kept)
    assert overwrite or torch.equal(given, a.detach())
