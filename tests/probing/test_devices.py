"""Where a network runs: its images follow its weights, and what it answers comes back to the CPU."""

import numpy as np
import pytest
import torch
from torch import nn

from brainalign.data.stimuli import StimulusSet
from brainalign.errors import BrainalignError
from brainalign.networks import Preprocessing
from brainalign.probing import probe
from brainalign.probing.reduction import Reduction
from brainalign.probing.showing import Showing

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
STIMULI = StimulusSet.from_ids([f"image{i}" for i in range(5)], list(PIXELS))


class Followed(torch.Tensor):
    """Remembers where it is sent, and stays on the CPU."""

    def to(self, *where, **_):
        self.sent = where
        return self.as_subclass(torch.Tensor).to(*[each for each in where if isinstance(each, torch.dtype)])


def followed(tensor):
    return tensor.as_subclass(Followed)


@pytest.mark.parametrize("device", ["cpu", "cuda:1", "mps"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_images_go_to_the_device_and_type_of_the_weights(device, dtype):
    network = nn.Conv2d(3, 2, 3).to(dtype)
    showing = Showing(network, STIMULI, Preprocessing(8), 2, torch.device(device))
    images = followed(torch.zeros(2, 3, 8, 8))
    assert showing._to_network(images).dtype == dtype
    assert images.sent == (torch.device(device), dtype)


@pytest.mark.parametrize("reduction", ["whole", "pool:2", "project:0.9"])
def test_outputs_come_to_the_cpu(reduction):
    output = followed(torch.rand(5, 2, 8, 8))
    assert type(Reduction.parse(reduction)(output, 5)) is np.ndarray
    if reduction == "pool:2":
        assert output.sent == (torch.float32,)  # averaged where it is, then moved
    else:
        assert output.sent == ("cpu", torch.float32)


def test_network_sees_images_where_its_weights_are():
    devices = []
    network = nn.Sequential(nn.Conv2d(3, 2, 3))
    network[0].register_forward_pre_hook(
        lambda module, args: devices.append((args[0].device, module.weight.device))
    )
    probe(network, STIMULI, preprocessing=Preprocessing(8))
    assert devices
    assert all(seen == weights for seen, weights in devices)


class Rooted(nn.Sequential):
    """May not be moved, as a network that is spread over several devices may not."""

    def to(self, *_, **__):
        raise RuntimeError("moved")


def test_without_a_device_the_network_stays_where_it_is():
    network = Rooted(nn.Conv2d(3, 2, 3))
    assert probe(network, STIMULI, preprocessing=Preprocessing(8))["0"].n_units == 72
    with pytest.raises(BrainalignError, match="cannot be moved to device 'cpu': moved"):
        probe(network, STIMULI, preprocessing=Preprocessing(8), device="cpu", cache=False)


def test_network_without_weights_runs_on_the_cpu():
    layer = probe(nn.Sequential(nn.Flatten()), STIMULI, preprocessing=Preprocessing(8))["0"]
    assert layer.n_units == 192


def test_device_that_there_is_not():
    network = nn.Sequential(nn.Flatten())
    with pytest.raises(BrainalignError, match="Device 'gpu' is none that torch knows"):
        probe(network, STIMULI, device="gpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_device_that_the_machine_does_not_have():
    network = nn.Sequential(nn.Conv2d(3, 2, 3))
    with pytest.raises(BrainalignError, match="The network cannot be moved to device 'cuda'"):
        probe(network, STIMULI, preprocessing=Preprocessing(8), device="cuda")
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA")
@pytest.mark.parametrize("reduction", ["whole", "pool:2", "project:0.9"])
def test_cuda_answers_as_the_cpu_does(reduction):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    places = [tensor.data_ptr() for tensor in network.state_dict(keep_vars=True).values()]
    options = {"preprocessing": Preprocessing(8), "reduction": reduction}
    on_cpu = probe(network, STIMULI, **options)
    on_cuda = probe(network, STIMULI, device="cuda", **options)
    assert [tensor.data_ptr() for tensor in network.state_dict(keep_vars=True).values()] == places
    for name, layer in on_cpu.items():
        np.testing.assert_allclose(on_cuda[name].gram, layer.gram, rtol=0, atol=1e-2 * np.abs(layer.gram).max())
    there = probe(network.to("cuda"), STIMULI, **options)
    assert network[0].weight.device.type == "cuda"
    np.testing.assert_array_equal(there["0"].gram, on_cuda["0"].gram)
