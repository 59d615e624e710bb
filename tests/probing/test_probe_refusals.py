"""What cannot be probed: a clear error that names the layer and says what to do."""

import pytest
import torch
from torch import nn

from brainalign.data.stimuli import StimulusSet
from brainalign.errors import BrainalignError, ResponsesError, UnknownNameError


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batch_size_that_is_none(batch_size, features_of, conv_block):
    with pytest.raises(BrainalignError, match=f"batch size is {batch_size}; it must be"):
        features_of(conv_block(), batch_size=batch_size)


def test_unknown_layer(features_of, plain):
    with pytest.raises(UnknownNameError, match="Unknown layer 'covn'. Did you mean 'conv'"):
        features_of(plain(), "covn")


def test_unknown_reduction(features_of, plain):
    with pytest.raises(UnknownNameError, match="Unknown reduction 'pca'"):
        features_of(plain(), reduction="pca")


def test_layer_that_is_named_and_not_called(features_of, Chain):
    network = nn.Module()
    network.used, network.unused = nn.ReLU(), nn.ReLU()
    network.forward = network.used.forward
    network = Chain(a=nn.ReLU(), b=network)
    assert list(features_of(network, "*")) == ["a", "b"]
    for layers in ("b.unused", ["a", "b.unused"]):
        with pytest.raises(ResponsesError, match="never calls layer 'b.unused' on these stimuli"):
            features_of(network, layers)
    with pytest.raises(ResponsesError, match=r"never calls layer 'b\.used'"):
        features_of(network, "b.*")


def test_layer_called_in_some_batches_only(features_of, Chain):
    calls = []

    class Fickle(Chain):
        def forward(self, x):
            calls.append(len(x))
            return self.a(x) if len(calls) < 3 else x

    with pytest.raises(ResponsesError, match="Layer 'a' was not called on every batch"):
        features_of(Fickle(a=nn.ReLU()), batch_size=3)


def test_layer_called_more_often_in_later_batches(features_of, Chain):
    calls = []

    class Growing(Chain):
        def forward(self, x):
            calls.append(len(x))
            return self.a(self.a(x)) if len(calls) > 2 else self.a(x)

    with pytest.raises(ResponsesError, match="Layer 'a' changes the size or number of its outputs"):
        features_of(Growing(a=nn.ReLU()), batch_size=3)


@pytest.mark.parametrize("reduction", ["whole", "sample:20", "project:0.99"])
def test_size_that_varies_from_batch_to_batch(reduction, features_of, Chain):
    calls = []

    def crop(x):
        calls.append(len(x))
        return x[:, :, : 6 + len(calls)]

    with pytest.raises(ResponsesError, match=r"Layer 'crop' changes the size.*stimuli of one size, or pool"):
        features_of(Chain(crop=crop), batch_size=3, reduction=reduction)


def test_size_that_varies_is_mended_by_pooling(features_of, Chain):
    calls = []

    def crop(x):
        calls.append(len(x))
        return x[:, :, : 6 + len(calls)]

    assert features_of(Chain(crop=crop), batch_size=3, reduction="pool:2")["crop"].n_units == 12


@pytest.mark.parametrize(
    "function,shape",
    [
        (lambda x: x.sum(), r"\(\)"),
        (lambda x: x.mean(0), r"\(3, 12, 12\)"),
        (lambda x: x.flatten(1).T, r"\(432, 2\)"),
        (lambda x: x[:, :0], r"\(2, 0, 12, 12\)"),
    ],
)
def test_output_without_the_stimuli_or_without_units(function, shape, features_of, Chain):
    with pytest.raises(ResponsesError, match=f"Layer 'odd' gives an output of shape {shape} for 2 stimuli"):
        features_of(Chain(odd=function))


def test_complex_output(features_of, Chain):
    with pytest.raises(ResponsesError, match=r"Layer 'fft' gives complex numbers \(torch.complex64\)"):
        features_of(Chain(fft=torch.fft.fft2, modulus=torch.abs), "fft")


def test_output_that_is_no_tensor(features_of, Chain):
    with pytest.raises(ResponsesError, match="Layer 'words' gives a str"):
        features_of(Chain(words=lambda x: "words"))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("at", [0, 8])
def test_activations_that_are_not_finite_name_the_layer(bad, at, make_stimuli, features_of, inputs, Chain):
    stimuli = make_stimuli()
    marked = inputs(stimuli)[at]

    def spoil(x):
        x = x.clone()
        x[(x == marked).flatten(1).all(1), 0, 0, 0] = bad
        return x

    with pytest.raises(ResponsesError, match="Layer 'spoiled' answers with NaN or infinite values"):
        features_of(Chain(fine=lambda x: x, spoiled=spoil), None, stimuli, batch_size=4)


def test_half_precision_that_overflows(features_of, Chain):
    with pytest.raises(ResponsesError, match="Layer 'large' answers with NaN or infinite"):
        features_of(Chain(large=lambda x: (x.abs() * 1e6).half()))


def test_empty_stimuli(features_of, conv_block):
    with pytest.raises(ResponsesError, match="Stimulus set 'stimuli' is empty"):
        features_of(conv_block(), None, StimulusSet.from_ids([], []))


def test_stimuli_without_images(features_of, conv_block):
    with pytest.raises(ResponsesError, match="has no images, so a network cannot see 'a'"):
        features_of(conv_block(), None, StimulusSet.from_ids(["a", "b"]))


def test_batch_norm_without_running_statistics(features_of):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    with pytest.raises(ResponsesError, match="Module '1' normalises by the statistics of each batch"):
        features_of(network)
