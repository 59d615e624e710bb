"""Small networks, stimuli and subprocesses for the tests of probing; functions come as fixtures."""

import dataclasses
import importlib
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn

from brainalign.data.stimuli import StimulusSet
from brainalign.networks import Preprocessing
from brainalign.probing import Representation, probe
from brainalign.probing.keys import network_key
from brainalign.probing.reduction import Reduction

SIZE = 12
PREPROCESSING = Preprocessing(SIZE)
FIELDS = [field.name for field in dataclasses.fields(Representation) if field.name != "features"]


def _make_stimuli(n=9, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (n, SIZE, SIZE, 3), dtype=np.uint8)
    return StimulusSet.from_ids([f"image{i}" for i in range(n)], list(pixels), name="noise")


class _Calling(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class _Chain(nn.Module):
    """Calls functions one after the other, each in a module of its own."""

    def __init__(self, **functions):
        super().__init__()
        for name, function in functions.items():
            self.add_module(name, function if isinstance(function, nn.Module) else _Calling(function))

    def forward(self, x):
        for module in self.children():
            x = module(x)
        return x


class _Plain(nn.Module):
    """A network with a setting, a layer that is not called and one that is called twice."""

    LIMIT = 6.0

    def __init__(self, setting=1.0):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.unused = nn.Identity()
        self.register_buffer("mask", torch.ones(4, 1, 1), persistent=False)
        self.setting = setting

    def forward(self, x):
        return self.relu(self.setting - self.relu(self.norm(self.conv(x)))) * self.mask


def _plain(setting=1.0, kind=_Plain):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(setting)


def _key(network, preprocessing=PREPROCESSING, reduction="whole", stimuli=None, device="cpu"):
    stimuli = _make_stimuli(3) if stimuli is None else stimuli
    return network_key(network, preprocessing, Reduction.parse(reduction), stimuli, torch.device(device))


def _features_of(network, layers=None, stimuli=None, **options):
    options = {"preprocessing": PREPROCESSING, "keep_features": True} | options
    return probe(network, _make_stimuli() if stimuli is None else stimuli, layers, **options)


def _run(network=None, stimuli=None, layers=None, size=SIZE, **options):
    network, stimuli = network or _plain(), stimuli or _make_stimuli()
    return probe(network, stimuli, layers, preprocessing=Preprocessing(size), **options)


def _assert_same(one, other):
    assert list(one) == list(other)
    for name, layer in one.items():
        for field in FIELDS:
            mine, theirs = getattr(layer, field), getattr(other[name], field)
            assert type(mine) is type(theirs)
            if isinstance(mine, np.ndarray):
                assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
                assert mine.tobytes() == theirs.tobytes()
            else:
                assert mine == theirs


def _start(code):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def make_stimuli():
    """Make noise images of 12 × 12 pixels."""
    return _make_stimuli


@pytest.fixture
def inputs():
    """Preprocess all stimuli into one batch."""
    return lambda stimuli, dtype=torch.float32: PREPROCESSING([stimuli.image(i) for i in stimuli.ids]).to(dtype)


@pytest.fixture
def Chain():
    """A network of functions that are called one after the other."""
    return _Chain


@pytest.fixture
def plain():
    """Make a network with a setting of one's choice; all else is always the same."""
    return _plain


@pytest.fixture
def conv_block():
    """Make a network with everything that depends on the training mode or works in place."""

    def make(in_place=True):
        network = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=in_place), nn.Dropout(), nn.Flatten()
        )
        generator = torch.Generator().manual_seed(0)
        for tensor in [*network.parameters(), network[1].running_mean, network[1].running_var]:
            tensor.data.copy_(
                torch.rand(tensor.shape, generator=generator) + (0.5 if tensor.ndim == 1 else -0.3)
            )
        return network

    return make


@pytest.fixture
def key():
    """Give the cache's key of a network, with three stimuli and 12 pixels unless told otherwise."""
    return _key


@pytest.fixture
def features_of():
    """Probe, keeping features."""
    return _features_of


@pytest.fixture
def run():
    """Probe with the cache."""
    return _run


@pytest.fixture
def assert_same():
    """Compare representations bit by bit."""
    return _assert_same


@pytest.fixture
def shown(monkeypatch):
    """Count the batches that networks are shown."""
    batches = []
    original = Preprocessing.standardised

    def counting(self, pixels):
        batches.append(len(pixels))
        return original(self, pixels)

    monkeypatch.setattr(Preprocessing, "standardised", counting)
    return batches


@pytest.fixture
def stored(cache):
    """List the files in the cache."""
    return lambda: sorted(path for path in cache.rglob("*") if path.is_file())


@pytest.fixture
def start():
    """Run code in a process of its own, with the same cache."""
    return _start


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Write modules, import them as a new process would, and make a network ``net_of_mine.Net``."""
    names = set()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(fresh=True, **sources):
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
            names.add(name)
        if fresh:
            for name in names:
                sys.modules.pop(name, None)
            importlib.invalidate_caches()
        return importlib.import_module("net_of_mine").Net()

    yield load
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def tell_apart():
    """Say whether two keys keep representations apart; None keeps them out of the cache."""
    return lambda one, other: one is None or other is None or one != other
