"""What is caught, and that the network is left as it was."""

import pytest
import torch
from torch import nn

from brainalign.errors import BrainalignError, ResponsesError
from brainalign.probing.hooks import OutputListener, evaluation_mode, fixed_randomness, placed_on


class Boom(RuntimeError):
    pass


class Fragile(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 3)

    def forward(self, x):
        self.first(x)
        raise Boom


class Merging(nn.Linear):
    """Folds an update into its weights on the way to evaluation mode, as low-rank adapters do."""

    def train(self, mode=True):
        if not mode and self.training:
            self.weight.data += 1
        return super().train(mode)


def _hooks(network):
    return [hook for module in network.modules() for hook in module._forward_hooks]


def _caught(network, layers, x):
    caught = []
    listener = OutputListener(network, layers, lambda *output: caught.append(output))
    with listener.listening():
        listener.begin_pass()
        network(x)
    return caught


def test_hooks_are_there_inside_and_gone_after():
    network = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    listener = OutputListener(network, ["0", "1"], lambda *_: None)
    with listener.listening():
        assert len(_hooks(network)) == 2
    assert not _hooks(network)


def test_hooks_are_gone_when_the_forward_raises():
    network = Fragile()
    with pytest.raises(Boom):
        _caught(network, ["first", "second"], torch.zeros(2, 3))
    assert not _hooks(network)


def test_hooks_are_gone_when_the_receiver_raises():
    network = nn.Sequential(nn.Linear(3, 3), nn.ReLU())

    def refuse(*_):
        raise Boom

    listener = OutputListener(network, ["0", "1"], refuse)
    with pytest.raises(Boom), listener.listening():
        listener.begin_pass()
        network(torch.zeros(2, 3))
    assert not _hooks(network)


def test_hooks_are_gone_when_attaching_fails():
    network = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    network[1].register_forward_hook = None  # calling it raises
    listener = OutputListener(network, ["0", "1"], lambda *_: None)
    with pytest.raises(TypeError), listener.listening():
        pytest.fail("not reached")
    assert not _hooks(network)


def test_only_hooks_of_the_listener_are_removed():
    network = nn.Sequential(nn.Linear(3, 3))
    network[0].register_forward_hook(lambda *_: None)
    _caught(network, ["0"], torch.zeros(2, 3))
    assert len(_hooks(network)) == 1


def test_outputs_are_numbered_anew_in_each_pass():
    numbers = []
    network = nn.Sequential(nn.ReLU())
    listener = OutputListener(network, ["0"], lambda _name, number, _tensor: numbers.append(number))
    with listener.listening():
        for _ in range(2):
            listener.begin_pass()
            network(torch.zeros(1, 2))
            network(torch.zeros(1, 2))
    assert numbers == [0, 1, 0, 1]


class Giving(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, x):
        return self.make(x)


@pytest.mark.parametrize(
    "make,factors",
    [
        (lambda x: x, [1]),
        (lambda x: (x, 2 * x), [1, 2]),
        (lambda x: [x, None, (None, 3 * x)], [1, 3]),
        (lambda x: {"a": x, "b": (2 * x, {"c": 3 * x})}, [1, 2, 3]),
        (lambda x: (x, []), [1]),
    ],
)
def test_nested_outputs_come_in_order(make, factors):
    network = nn.Sequential(Giving(make))
    x = torch.arange(6.0).reshape(2, 3)
    caught = _caught(network, ["0"], x)
    assert [number for _, number, _ in caught] == list(range(len(factors)))
    for (_, _, tensor), factor in zip(caught, factors, strict=True):
        assert torch.equal(tensor, factor * x)


def test_tensors_are_detached():
    ((_, _, tensor),) = _caught(nn.Sequential(nn.Linear(3, 3)), ["0"], torch.zeros(2, 3))
    assert not tensor.requires_grad


@pytest.mark.parametrize(
    "make,kind", [(lambda x: "text", "str"), (lambda x: None, "NoneType"), (lambda x: (x, 5), "int")]
)
def test_output_that_is_no_tensor(make, kind):
    with pytest.raises(ResponsesError, match=f"Layer '0' gives a {kind}, not a tensor"):
        _caught(nn.Sequential(Giving(make)), ["0"], torch.zeros(2, 3))


def test_every_modules_own_mode_is_restored():
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.Sequential(nn.BatchNorm1d(2), nn.Dropout()))
    network[1].eval()
    network[2][0].eval()
    before = [module.training for module in network.modules()]
    assert len(set(before)) == 2
    with evaluation_mode(network):
        assert not any(module.training for module in network.modules())
    assert [module.training for module in network.modules()] == before
    with pytest.raises(Boom), evaluation_mode(network):
        raise Boom
    assert [module.training for module in network.modules()] == before


def test_a_train_method_of_the_networks_own_is_not_called():
    network = nn.Sequential(Merging(2, 2))
    before = network[0].weight.detach().clone()
    with evaluation_mode(network):
        assert torch.equal(network[0].weight, before)
    assert torch.equal(network[0].weight, before)
    assert network[0].training


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm])
def test_batch_norm_without_running_statistics_is_refused(norm):
    network = nn.Sequential(nn.Identity(), norm(3, track_running_stats=False))
    refusal = pytest.raises(
        ResponsesError, match=r"Module '1' normalises by the statistics of each batch.*track"
    )
    with refusal, evaluation_mode(network):
        pytest.fail("not reached")
    assert network.training


def test_norms_within_one_stimulus_are_welcome():
    network = nn.Sequential(nn.InstanceNorm2d(3), nn.GroupNorm(1, 3), nn.LayerNorm(3))
    with evaluation_mode(network):
        pass


def test_randomness_is_fixed_and_the_old_state_put_back():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    draws = []
    for _ in range(2):
        with fixed_randomness(torch.device("cpu")) as drawn:
            assert not drawn()
            draws.append(torch.randn(2))
            assert drawn()
    assert torch.equal(*draws)
    assert torch.equal(torch.rand(3), expected)


def test_nothing_drawn():
    with fixed_randomness(torch.device("cpu")) as drawn:
        torch.zeros(3).relu()
        assert not drawn()


class Travelling(nn.Module):
    """Gets new memory wherever it goes, as a network does between a CPU and a GPU."""

    def __init__(self):
        super().__init__()
        self.inner = nn.BatchNorm1d(3)
        self.went = []

    def to(self, *where):
        self.went += where
        for parameter in self.parameters():
            parameter.data = parameter.data.clone()
        self.inner.running_mean = self.inner.running_mean.clone()
        return self


def test_network_is_back_where_it_was():
    network = Travelling()
    home = {name: tensor.data_ptr() for name, tensor in network.state_dict(keep_vars=True).items()}
    identity = {name: id(parameter) for name, parameter in network.named_parameters()}
    with pytest.raises(Boom), placed_on(network, torch.device("cpu")):
        assert network.inner.weight.data_ptr() != home["inner.weight"]
        raise Boom
    assert {name: tensor.data_ptr() for name, tensor in network.state_dict(keep_vars=True).items()} == home
    assert {name: id(parameter) for name, parameter in network.named_parameters()} == identity
    assert network.went == [torch.device("cpu")]


def test_without_a_device_the_network_is_not_moved():
    network = Travelling()
    with placed_on(network, None):
        assert network.went == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_device_that_the_machine_does_not_have():
    network = nn.Sequential(nn.Linear(2, 2))
    refusal = pytest.raises(BrainalignError, match="cannot be moved to device 'cuda'")
    with refusal, placed_on(network, torch.device("cuda")):
        pytest.fail("not reached")
    assert network[0].weight.device.type == "cpu"
