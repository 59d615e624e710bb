"""Random weights: decided by the seed alone, without a trace in the global random state."""

import pytest
import torch
from torch import nn

from brainalign.errors import BrainalignError
from brainalign.networks import load_network
from brainalign.networks.untrained import reinitialise, seeded

NETWORKS = ["convnet", "torchvision:squeezenet1_1", "efficientnet-lite0", "timm:test_resnet"]


def _weights(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def _same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("name", NETWORKS)
def test_seed_decides_the_weights(name):
    if name.startswith("timm"):
        pytest.importorskip("timm")
    torch.manual_seed(123)
    state = torch.get_rng_state()
    first, again, other = (_weights(load_network(f"{name}@untrained{seed}")) for seed in ("", ":0", ":1"))
    assert torch.equal(torch.get_rng_state(), state)
    assert _same(first, again)
    assert not _same(first, other)


def test_bare_convnet_is_seed_zero():
    assert _same(_weights(load_network("convnet")), _weights(load_network("convnet@untrained:0")))


@pytest.mark.parametrize("name", NETWORKS)
def test_fresh_statistics_and_evaluation_mode(name):
    if name.startswith("timm"):
        pytest.importorskip("timm")
    network = load_network(f"{name}@untrained:3")
    assert not any(module.training for module in network.modules())
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert not module.running_mean.any() and (module.running_var == 1).all()
            assert module.num_batches_tracked == 0
    size = network.preprocessing.size
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert network(images).isfinite().all()


def test_seeded_puts_the_state_back_after_an_error():
    state = torch.get_rng_state()
    with pytest.raises(KeyError), seeded(5):
        torch.rand(3)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), state)


def test_reinitialise_reaches_every_kind_of_layer():
    with seeded(1):
        network = nn.ModuleList(
            [
                nn.Conv2d(3, 4, 3),
                nn.BatchNorm2d(4),
                nn.LayerNorm(4),
                nn.GRU(3, 4),
                nn.MultiheadAttention(4, 2),
                nn.TransformerEncoderLayer(4, 2, 8),
                nn.Embedding(5, 4),
                nn.PReLU(),
            ]
        )
    before = _weights(network)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.fill_(7)
    reinitialise(network, 2)
    after = _weights(network)
    assert all(not (value == 7).all() for value in after.values())
    drawn = {name for name in after if not torch.equal(after[name], before[name])}
    assert {"0.weight", "3.weight_ih_l0", "4.in_proj_weight", "6.weight"} <= drawn
    # The attention's own reset sets this bias to zero, after its linear layer drew it at random.
    assert not after["4.out_proj.bias"].any()


def test_reset_of_the_whole_has_the_last_word():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 2)

        def reset_parameters(self):
            nn.init.constant_(self.inner.weight, 0.25)

    network = Constant()
    reinitialise(network, 0)
    assert (network.inner.weight == 0.25).all()


def test_parameter_that_nothing_resets():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 2)
            self.gain = nn.Parameter(torch.ones(1))

    with pytest.raises(BrainalignError, match=r"1 parameters of Sequential .* such as '0.gain'.*Give Scaled a"):
        reinitialise(nn.Sequential(Scaled()), 0)


def test_weight_behind_a_parametrisation():
    """The layer's reset would write into a computed copy and leave the true parameters as they were."""
    network = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    with pytest.raises(BrainalignError, match=r"parametrizations\.weight\.original0"):
        reinitialise(network, 0)
