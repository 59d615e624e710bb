"""What each layer of a network answers, and that the network is left as it was."""

import logging

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

from brainalign.errors import ResponsesError
from brainalign.networks import Preprocessing
from brainalign.probing import Representation, named_layers, probe


def test_layers_answer_as_the_network_does(make_stimuli, features_of, inputs, conv_block):
    network, stimuli = conv_block(in_place=False).eval(), make_stimuli()
    found = features_of(network, "*", stimuli)
    x = inputs(stimuli)
    assert list(found) == ["0", "1", "2", "3", "4"]
    for name, module in network.named_children():
        x = module(x)
        layer = found[name]
        assert (layer.layer, layer.stimuli) == (name, tuple(stimuli.ids))
        assert layer.n_units == x[0].numel()
        expected = x.detach().reshape(len(stimuli), -1).numpy()
        np.testing.assert_allclose(layer.features, expected, rtol=0, atol=1e-6)
        exact = Representation.from_features(expected.astype(np.float64), stimuli.ids)
        np.testing.assert_allclose(layer.gram, exact.gram, rtol=0, atol=1e-5 * np.abs(exact.gram).max())


@pytest.mark.parametrize(
    "name,size,uncalled",
    [
        ("resnet18", 64, 0),
        ("squeezenet1_1", 64, 0),
        ("vit_b_16", 224, 12),  # attention multiplies by the weights of its out_proj without calling it
    ],
)
def test_every_named_module_of_a_real_network(name, size, uncalled, make_stimuli):
    network = torchvision.models.get_model(name, weights=None)
    called = set()
    for name, module in network.named_modules():
        module.register_forward_hook(lambda *_, name=name: called.add(name))
    found = probe(network, make_stimuli(2), "*", preprocessing=Preprocessing(size))
    assert {name.partition("[")[0] for name in found} == called - {""}
    assert len(named_layers(network)) == len(called - {""}) + uncalled


@pytest.mark.parametrize("name", ["inception_v3", "googlenet"])
def test_heads_for_training_only_are_left_out_by_default(name, make_stimuli):
    network = torchvision.models.get_model(name, weights=None, init_weights=False, aux_logits=True)
    found = probe(network, make_stimuli(2), preprocessing=Preprocessing(96))
    assert found
    assert not [layer for layer in found if "aux" in layer.lower()]


def test_in_place_relu_leaves_the_layers_before_it(features_of, conv_block):
    separate, in_place = (features_of(conv_block(mode), "*") for mode in (False, True))
    for name, layer in separate.items():
        np.testing.assert_array_equal(in_place[name].features, layer.features)
    assert separate["1"].features.min() < 0 <= separate["2"].features.min()


def test_in_place_change_by_the_network_itself(features_of, Chain):
    network = Chain(a=lambda x: 2 * x, b=lambda x: x.mul_(0))
    found = features_of(network)
    assert np.abs(found["a"].features).max() > 0
    assert np.abs(found["b"].features).max() == 0


def test_module_called_twice(make_stimuli, features_of, inputs, plain):
    network, stimuli = plain(), make_stimuli()
    found = features_of(network, None, stimuli)
    assert list(found) == ["conv", "norm", "relu[0]", "relu[1]"]
    first = torch.relu(network.eval().norm(network.conv(inputs(stimuli)))).detach()
    np.testing.assert_array_equal(found["relu[0]"].features, first.reshape(len(stimuli), -1).numpy())
    second = torch.relu(1 - first)
    np.testing.assert_array_equal(found["relu[1]"].features, second.reshape(len(stimuli), -1).numpy())


def test_module_shared_between_places(features_of):
    relu = nn.ReLU()
    network = nn.Sequential(nn.Conv2d(3, 4, 3), relu, nn.Conv2d(4, 4, 3), relu)
    assert list(features_of(network, "*")) == ["0", "1[0]", "2", "1[1]"]


def test_tuple_and_dictionary_outputs_with_gaps(features_of, Chain):
    split = Chain(
        parts=lambda x: {"low": (x, None), "high": [None, 2 * x, 3 * x]},
        join=lambda parts: parts["low"][0] + parts["high"][1],
    )
    found = features_of(split)
    assert list(found) == ["parts[0]", "parts[1]", "parts[2]", "join"]
    for name, factor in {"parts[1]": 2, "parts[2]": 3, "join": 3}.items():
        np.testing.assert_allclose(found[name].features, factor * found["parts[0]"].features, rtol=1e-6)


def test_recurrent_layer_gives_its_output_and_its_states(features_of, Chain):
    network = Chain(flat=lambda x: x.flatten(2), lstm=nn.LSTM(144, 5, batch_first=True))
    with pytest.raises(ResponsesError, match=r"'lstm' gives an output of shape \(1, 2, 5\) for 2 stimuli"):
        features_of(network, "lstm")  # the states' first dimension is the direction


def test_attention_with_and_without_weights(features_of):
    class Attending(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(12, 2, batch_first=True)

        def forward(self, x):
            tokens = x[:, 0]
            return (
                self.attention(tokens, tokens, tokens)[0]
                + self.attention(tokens, tokens, tokens, need_weights=False)[0]
            )

    found = features_of(Attending())
    assert list(found) == ["attention[0]", "attention[1]", "attention[2]"]
    np.testing.assert_allclose(found["attention[0]"].features, found["attention[2]"].features, atol=1e-6)


def test_transformer_layers_are_not_bypassed_by_their_fast_path(features_of, Chain):
    encoder = nn.TransformerEncoderLayer(12, 2, 16, batch_first=True)
    network = Chain(tokens=lambda x: x[:, 0], encoder=encoder)
    found = features_of(network, ["encoder.*"])
    assert {"encoder.linear1", "encoder.linear2", "encoder.self_attn"} <= {n.partition("[")[0] for n in found}


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_mode_and_the_networks_own_mode(training, features_of, conv_block):
    network = conv_block().train(training)
    network[3].train(not training)
    modes = [module.training for module in network.modules()]
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    first, second = features_of(network), features_of(network)
    np.testing.assert_array_equal(first["3"].features, second["3"].features)
    np.testing.assert_array_equal(first["3"].features, first["2"].features)  # dropout is off
    assert [module.training for module in network.modules()] == modes
    for name, buffer in network.named_buffers():
        assert torch.equal(buffer, buffers[name])


def test_network_is_left_as_it_was(features_of, conv_block):
    network = conv_block()
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    places = {name: tensor.data_ptr() for name, tensor in network.state_dict(keep_vars=True).items()}
    network[0].weight.grad = torch.ones_like(network[0].weight)
    features_of(network, device="cpu")
    for name, tensor in network.state_dict(keep_vars=True).items():
        assert torch.equal(tensor, state[name])
        assert tensor.data_ptr() == places[name]
    assert torch.equal(network[0].weight.grad, torch.ones_like(network[0].weight))
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


def test_everything_is_restored_when_the_network_fails(features_of, Chain):
    network = Chain(conv=nn.Conv2d(3, 4, 3), fails=lambda x: x.reshape(7, 7, 7))
    network.conv.eval()
    with pytest.raises(RuntimeError, match="invalid for input"):
        features_of(network)
    assert (network.training, network.conv.training) == (True, False)
    assert not any(module._forward_hooks for module in network.modules())


def test_no_gradients_are_kept(features_of, Chain):
    grad = []
    features_of(
        Chain(
            conv=nn.Conv2d(3, 4, 3), look=lambda x: grad.append((torch.is_grad_enabled(), x.requires_grad)) or x
        )
    )
    assert set(grad) == {(False, False)}


def test_gradients_inside_the_network_are_its_own_affair(features_of, Chain):
    def descend(x):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return x - torch.autograd.grad((x**2).sum() / 4, x)[0]

    found = features_of(Chain(a=lambda x: x, energy=descend))
    np.testing.assert_allclose(found["energy"].features, found["a"].features / 2, rtol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 32])
def test_batch_size_does_not_matter(batch_size, make_stimuli, features_of, conv_block):
    network, stimuli = conv_block(), make_stimuli(33)
    whole = features_of(network, None, stimuli, batch_size=33)
    for name, layer in features_of(network, None, stimuli, batch_size=batch_size).items():
        scale = np.abs(whole[name].features).max()
        np.testing.assert_allclose(layer.features, whole[name].features, rtol=0, atol=1e-6 * scale)
        np.testing.assert_allclose(
            layer.gram, whole[name].gram, rtol=0, atol=1e-6 * np.abs(whole[name].gram).max()
        )


def test_order_of_the_stimuli_is_the_sets(make_stimuli, features_of, conv_block):
    network, stimuli = conv_block(), make_stimuli(5)
    whole = features_of(network, "2", stimuli)["2"]
    turned = features_of(network, "2", stimuli.select(stimuli.ids[::-1]))["2"]
    np.testing.assert_allclose(turned.features, whole.features[::-1], rtol=0, atol=1e-6)


def test_features_are_kept_only_when_asked(features_of, conv_block):
    network = conv_block()
    assert all(layer.features is None for layer in features_of(network, keep_features=False).values())
    for layer in features_of(network).values():
        assert layer.features.shape == (9, layer.n_units)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_networks_of_other_precision(dtype, make_stimuli, features_of, inputs, conv_block):
    network, stimuli = conv_block().eval(), make_stimuli(4)
    expected = conv_block().double().eval()[:3](inputs(stimuli, torch.float64)).detach().reshape(4, -1).numpy()
    layer = features_of(network.to(dtype), "2", stimuli)["2"]
    assert layer.features.dtype == (np.float64 if dtype == torch.float64 else np.float32)
    tolerance = {torch.float64: 1e-12, torch.float16: 1e-2, torch.bfloat16: 1e-1}[dtype]
    np.testing.assert_allclose(layer.features, expected, rtol=0, atol=tolerance * expected.max())


def test_images_take_the_type_of_the_first_real_weights(features_of, Chain):
    seen = []
    network = Chain(look=lambda x: seen.append(x.dtype) or x)
    network.register_parameter("index", nn.Parameter(torch.tensor([1]), requires_grad=False))
    features_of(network)
    network.register_buffer("filters", torch.zeros(2, dtype=torch.float64))
    features_of(network)
    assert set(seen[:2]) == {torch.float32}
    assert set(seen[2:]) == {torch.float64}


def test_pooled_layers(make_stimuli, features_of, conv_block):
    network, stimuli = conv_block(), make_stimuli()
    whole, pooled = (features_of(network, "2", stimuli, reduction=each)["2"] for each in ("whole", "pool:2"))
    maps = torch.from_numpy(whole.features.reshape(9, 6, 10, 10))
    np.testing.assert_allclose(
        pooled.features, functional.avg_pool2d(maps, 5).reshape(9, -1).numpy(), rtol=0, atol=1e-6
    )
    assert pooled.n_units == 24


def test_projected_layers(make_stimuli, features_of, Chain):
    stimuli = make_stimuli(6)
    network = Chain(wide=lambda x: x.flatten(1).repeat(1, 6))
    whole, projected = (
        features_of(network, None, stimuli, reduction=each, memory=memory)["wide"]
        for each, memory in (("whole", None), ("project:0.5", None))
    )
    assert projected.features.shape[1] < whole.n_units == projected.n_units
    np.testing.assert_allclose(projected.row_sums, whole.row_sums, rtol=1e-5, atol=1e-3)
    assert np.abs(np.diagonal(projected.gram) / np.diagonal(whole.gram) - 1).max() < 0.5


def test_one_number_a_stimulus(features_of, Chain):
    layer = features_of(Chain(mean=lambda x: x.mean((1, 2, 3))))["mean"]
    assert layer.n_units == 1
    assert layer.features.shape == (9, 1)


def test_one_stimulus(make_stimuli, features_of, conv_block):
    layer = features_of(conv_block(), "0", make_stimuli(1))["0"]
    np.testing.assert_array_equal(layer.gram, [[0.0]])
    np.testing.assert_allclose(layer.raw_gram(), layer.features @ layer.features.T, rtol=1e-6)


def test_networks_that_draw_random_numbers_draw_the_same_in_each_pass(features_of, Chain):
    network = Chain(noise=lambda x: torch.randn_like(x), more=lambda x: functional.dropout(x))
    torch.manual_seed(3)
    state = torch.get_rng_state()
    once, again = features_of(network), features_of(network)
    assert torch.equal(torch.get_rng_state(), state)
    small = features_of(network, keep_features=False, memory=4 * 9 * 100)
    for name, layer in once.items():
        np.testing.assert_array_equal(layer.features, again[name].features)
        np.testing.assert_allclose(small[name].gram, layer.gram, rtol=0, atol=1e-6 * layer.gram.max())


def test_progress_is_not_printed_among_results(capsys, features_of, conv_block):
    features_of(conv_block(), batch_size=2)
    assert capsys.readouterr().out == ""


def test_default_preprocessing_is_the_networks_own(make_stimuli, Chain):
    network, sizes = Chain(look=lambda x: x.mean((2, 3), keepdim=True) * x.shape[-1]), []
    network.look.register_forward_pre_hook(lambda _, args: sizes.append(args[0].shape[-1]))
    network.preprocessing = Preprocessing(10)
    probe(network, make_stimuli(2))
    probe(network, make_stimuli(2), preprocessing=Preprocessing(6))
    assert set(sizes) == {10, 6}


def test_why_nothing_is_cached_is_logged(caplog, features_of, conv_block):
    network = conv_block()
    network.register_forward_hook(lambda *_: None)
    with caplog.at_level(logging.INFO, logger="brainalign"):
        features_of(network, keep_features=False)
    assert "not cached: module '' carries hooks of its own" in caplog.text
