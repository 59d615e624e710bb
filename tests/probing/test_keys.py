"""Two networks that may answer differently never share a key; the same one always has the same key.

A stale cache is the worst fault there can be: a score of another network under this one's name.
"""

import dataclasses

import pytest
import torch
import torchvision
from PIL import Image
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from brainalign.data.stimuli import ImageFile, StimulusSet
from brainalign.networks import ConvNet, Gabor, Pixels, Preprocessing


def test_the_same_network_has_the_same_key(key, plain):
    assert key(plain()) == key(plain()) is not None


def test_training_mode_and_gradients_do_not_matter(key, plain):
    network = plain().train()
    network.conv.weight.grad = torch.ones_like(network.conv.weight)
    assert key(network) == key(plain().eval())


@pytest.mark.parametrize(
    "name", ["conv.weight", "conv.bias", "norm.weight", "norm.running_mean", "norm.running_var", "mask"]
)
def test_one_changed_value_of_a_weight_or_buffer(name, key, plain):
    network = plain()
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    tensor = tensors[name].data.view(-1)
    tensor[-1] = torch.nextafter(tensor[-1], torch.tensor(9.0))
    assert key(network) not in (None, key(plain()))


def test_type_of_the_weights(key, plain):
    assert len({key(plain().to(dtype)) for dtype in (torch.float32, torch.float64, torch.bfloat16)}) == 3


def test_a_weight_moved_from_one_name_to_another(key):
    """Two swapped biases, so that the bytes in all are the same."""
    network, swapped = (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)) for _ in range(2))
    swapped.load_state_dict(network.state_dict())
    swapped[0].bias, swapped[1].bias = swapped[1].bias, swapped[0].bias
    assert key(network) not in (None, key(swapped))


def test_order_of_modules(key):
    one, other = nn.Sequential(nn.ReLU(), nn.Sigmoid()), nn.Sequential(nn.Sigmoid(), nn.ReLU())
    assert key(one) not in (None, key(other))


@pytest.mark.parametrize(
    "attach", ["register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"]
)
def test_networks_with_hooks_of_their_own_are_not_cached(attach, key, plain):
    network = plain()
    handle = getattr(network.norm, attach)(lambda *_: None)
    assert key(network) is None
    handle.remove()
    assert key(network) == key(plain())


@pytest.mark.parametrize(
    "attach",
    [nn.modules.module.register_module_forward_hook, nn.modules.module.register_module_forward_pre_hook],
)
def test_hooks_on_all_modules_are_not_cached(attach, key, plain):
    handle = attach(lambda *_: None)
    try:
        assert key(plain()) is None
    finally:
        handle.remove()


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")
def test_weight_norm_by_hooks_is_not_cached(key, plain):
    network = plain()
    nn.utils.weight_norm(network.conv)
    assert key(network) is None


class Scaled(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, weight):
        return self.factor * weight


def test_parametrizations(key, plain):
    keys = {key(plain())}
    for factor in (1.0, 2.0):
        network = plain()
        parametrize.register_parametrization(network.conv, "weight", Scaled(factor))
        keys.add(key(network))
    for change in (0.0, 1.0):
        network = plain()
        parametrizations.weight_norm(network.conv)
        network.conv.parametrizations.weight.original0.data += change
        keys.add(key(network))
    assert len(keys - {None}) == 5


def test_scripted_networks_are_not_cached(key):
    with pytest.warns(FutureWarning, match="deprecated"):
        scripted = torch.jit.script(nn.Sequential(nn.ReLU()))
    assert key(scripted) is None


def test_traced_networks(key, tell_apart):
    """Their class is made on the spot, and none of its source lies in a file."""
    one, other = (torch.fx.symbolic_trace(nn.Sequential(module)) for module in (nn.ReLU(), nn.Sigmoid()))
    other.add_module("0", nn.ReLU())
    assert tell_apart(key(one), key(other))

    class Adding(nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def forward(self, x):
            return self.function(x)

    one, other = (torch.fx.symbolic_trace(Adding(function)) for function in (torch.relu, torch.sigmoid))
    assert tell_apart(key(one), key(other))


class WithSlots(nn.Module):
    __slots__ = ("gain",)

    def __init__(self, gain):
        super().__init__()
        self.gain = gain


def test_attributes_outside_the_dictionary(key, tell_apart):
    assert tell_apart(key(WithSlots(1)), key(WithSlots(2)))


@pytest.mark.parametrize(
    "change",
    [
        {"size": 9},
        {"mean": (0.5, 0.456, 0.406)},
        {"std": (0.5, 0.224, 0.225)},
        {"scale": 1.0},
        {"interpolation": "bicubic"},
        {"crop_from": 13},
    ],
)
def test_preprocessing(change, key, plain):
    assert key(plain(), dataclasses.replace(Preprocessing(12), **change)) not in (None, key(plain()))


def test_preprocessing_of_a_class_of_its_own(key, plain):
    class Grey(Preprocessing):
        def __call__(self, images):
            return super().__call__(images).mean(1, keepdim=True).expand(-1, 3, -1, -1)

    class Doubled(Preprocessing):
        def __call__(self, images):
            return 2 * super().__call__(images)

    keys = [key(plain(), made) for made in (Preprocessing(12), Grey(12), Doubled(12), Doubled(9))]
    assert len(set(keys)) == 4
    assert key(plain(), Doubled(9)) == keys[3] is not None


def test_preprocessing_that_the_network_keeps(key, plain):
    network, other = plain(), plain()
    network.preprocessing, other.preprocessing = Preprocessing(12), Preprocessing(9)
    assert key(network) not in (None, key(other))


def test_stimuli(key, plain, make_stimuli):
    stimuli = make_stimuli(3)
    pixels = list(stimuli.images.values())
    brighter = [*pixels[:2], pixels[2].copy()]
    brighter[2][7, 7, 2] ^= 1
    sets = [
        stimuli,
        StimulusSet.from_ids(stimuli.ids, brighter),
        StimulusSet.from_ids(stimuli.ids, pixels[::-1]),
        StimulusSet.from_ids(["image0", "image1", "image3"], pixels),
        stimuli.select(["image1", "image0", "image2"]),
        stimuli.select(["image0", "image1"]),
    ]
    assert len({key(plain(), stimuli=each) for each in sets} - {None}) == 6


def test_image_file_replaced(tmp_path, key, plain, make_stimuli):
    file = tmp_path / "face.png"
    keys = []
    for image in make_stimuli(2).images.values():
        Image.fromarray(image).save(file)
        keys.append(key(plain(), stimuli=StimulusSet.from_ids(["face"], [ImageFile(file)])))
    assert len(set(keys) - {None}) == 2


def test_stimulus_set_of_a_class_of_its_own(key, plain, make_stimuli, tell_apart):
    class Inverted(StimulusSet):
        def image(self, stimulus):
            return super().image(stimulus).point(lambda value: 255 - value)

    assert tell_apart(key(plain()), key(plain(), stimuli=Inverted(**vars(make_stimuli(3)))))


def test_reductions(key, plain):
    reductions = ["whole", "pool:2", "pool:3", "project:0.1", "project:0.2"]
    assert len({key(plain(), reduction=reduction) for reduction in reductions} - {None}) == 5


def test_device(key, plain):
    assert key(plain(), device="cuda") not in (None, key(plain()))


def test_automatic_casts(key, plain):
    keys = [key(plain())]
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype=dtype):
            keys.append(key(plain()))
    assert len(set(keys) - {None}) == 3
    assert key(plain()) == keys[0]


def test_default_type_of_numbers(key, plain):
    before, network = key(plain()), plain()
    torch.set_default_dtype(torch.float64)
    try:
        assert key(network) not in (None, before)
    finally:
        torch.set_default_dtype(torch.float32)


def test_precision_of_products(key, plain):
    before = torch.get_float32_matmul_precision()
    try:
        keys = []
        for precision in ("highest", "medium"):
            torch.set_float32_matmul_precision(precision)
            keys.append(key(plain()))
        assert len(set(keys) - {None}) == 2
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(
    "make", [ConvNet, Gabor, Pixels, torchvision.models.resnet18, torchvision.models.swin_t]
)
def test_networks_that_ship_have_keys(make, key):
    assert key(make()) is not None


CHOOSING = """
    from torch import nn
    CHOICES = frozenset({"a", "b", "c"})
    class Net(nn.Module):
        def forward(self, x):
            return x * (len(CHOICES) if "b" in {"a", "b", "c"} else 1)
"""
PRINT_KEY = """
import torch, torchvision, numpy as np
from brainalign.data.stimuli import StimulusSet
from brainalign.networks import ConvNet, Preprocessing
from brainalign.probing.keys import network_key
from brainalign.probing.reduction import Reduction
import net_of_mine
stimuli = StimulusSet.from_ids(["a"], [np.zeros((8, 8, 3), np.uint8)])
for network in (torchvision.models.mobilenet_v3_small(), ConvNet(), net_of_mine.Net()):
    for tensor in network.state_dict().values():
        tensor.zero_()
    print(network_key(network, Preprocessing(12), Reduction(), stimuli, torch.device("cpu")))
"""


def test_other_processes_have_the_same_keys(files, start, monkeypatch):
    """With the bytecode compiled anew or read from disk, and sets and dictionaries hashed differently."""
    files(net_of_mine=CHOOSING)
    found = []
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        out, err = start(PRINT_KEY).communicate(timeout=240)
        assert len(set(out.split()) - {"None"}) == 3, err
        found.append(out)
    assert found[0] == found[1]
