"""Networks from a file of the user's, and from installed packages."""

import sys

import pytest
import torch

from brainalign.errors import BrainalignError, UnknownNameError
from brainalign.networks import DEFAULT_PREPROCESSING, list_networks, load_network, parse_network_name

FILE = """
from __future__ import annotations
from dataclasses import dataclass
import torch
from torch import nn
from brainalign.networks import Preprocessing

@dataclass
class Options:
    width: int = 4

def plain():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, Options().width), nn.Dropout())

def own_preprocessing():
    network = plain()
    network.preprocessing = Preprocessing(16)
    return network

def seeds_itself():
    torch.manual_seed(42)
    return plain()

def no_module():
    return 3

def raises():
    raise KeyError("weights")

def needs_argument(width):
    return plain()

class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(3))

ready = nn.Linear(2, 2)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text(FILE)
    return path


def _weights(name):
    return load_network(name).state_dict()["1.weight"]


def test_path_absolute_and_relative(file, monkeypatch):
    network = load_network(f"{file}:plain")
    assert not network.training and not network[2].training
    assert network.preprocessing == DEFAULT_PREPROCESSING
    monkeypatch.chdir(file.parent)
    assert torch.equal(_weights("nets.py:plain"), network[1].weight)
    assert load_network("./nets.py:own_preprocessing").preprocessing.size == 16


def test_global_random_state_is_left_alone(file):
    state = torch.get_rng_state()
    for factory in ("plain", "seeds_itself", "seeds_itself@untrained:1"):
        load_network(f"{file}:{factory}")
        assert torch.equal(torch.get_rng_state(), state)


def test_seeds(file):
    for factory in ("plain", "seeds_itself"):
        zero, again, one = (_weights(f"{file}:{factory}@untrained{seed}") for seed in ("", ":0", ":1"))
        assert torch.equal(zero, again)
        assert not torch.equal(zero, one)


def test_image_size(file):
    assert load_network(f"{file}:plain", image_size=16).preprocessing.size == 16
    with pytest.raises(BrainalignError, match=r"takes no images of 17 × 17 pixels"):
        load_network(f"{file}:plain", image_size=17)


def test_hides_no_installed_module_and_leaves_nothing_behind(tmp_path):
    """A file named like the standard library's json must not become it, nor leave bytecode."""
    import json

    path = tmp_path / "json.py"
    path.write_text("from torch import nn\nimport json\nassert json.dumps\nmake = nn.Identity\n")
    load_network(f"{path}:make")
    assert sys.modules["json"] is json
    assert [entry.name for entry in tmp_path.iterdir()] == ["json.py"]
    assert str(tmp_path) not in sys.path


def test_an_edit_counts_at_once(file):
    first = load_network(f"{file}:plain")
    file.write_text(FILE.replace("width: int = 4", "width: int = 5"))
    assert (first[1].out_features, load_network(f"{file}:plain")[1].out_features) == (4, 5)


@pytest.mark.parametrize(
    "factory,match",
    [
        ("no_module", "returned an object of type int"),
        ("raises", "factory raised KeyError: 'weights'"),
        ("needs_argument", "factory raised TypeError.*needs_argument.*width"),
        ("ready", "expected a function that takes no arguments.*of type Linear"),
        ("__file__", "expected a function.*of type str"),
        ("Scaled@untrained:1", "'gain': no reset_parameters sets them"),
    ],
)
def test_factory_that_fails(file, factory, match):
    with pytest.raises(BrainalignError, match=match):
        load_network(f"{file}:{factory}")


def test_factory_that_is_missing(file):
    with pytest.raises(UnknownNameError, match="'plani'. Did you mean 'plain'.*own_preprocessing"):
        load_network(f"{file}:plani")


def test_file_that_is_missing(tmp_path):
    with pytest.raises(BrainalignError, match="there is no file.*absent.py"):
        load_network(f"{tmp_path / 'absent.py'}:make")


def test_no_factory_named(file):
    for name in (str(file), f"{file}:"):
        with pytest.raises(BrainalignError, match="names a file but no factory"):
            load_network(name)


@pytest.mark.parametrize(
    "code,match", [("import absent_package", "absent_package"), ("def f(:", "SyntaxError")]
)
def test_file_that_fails(tmp_path, code, match):
    path = tmp_path / "broken.py"
    path.write_text(code)
    modules = set(sys.modules)
    with pytest.raises(BrainalignError, match=f"running the file raised.*{match}"):
        load_network(f"{path}:make")
    assert not {name for name in set(sys.modules) - modules if name.startswith("brainalign_file_")}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that announces networks, laid out as pip installs one."""
    (tmp_path / "cortexnets_for_test.py").write_text(FILE)
    info = tmp_path / "cortexnets_for_test-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cortexnets-for-test\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[brainalign.networks]\n"
        "cortexnet = cortexnets_for_test:own_preprocessing\n"
        "lost = cortexnets_for_test:absent\n"
        "pixels = cortexnets_for_test:plain\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("cortexnets_for_test", None)


def test_entry_point(package):
    network = load_network("cortexnet")
    assert network.preprocessing.size == 16
    assert parse_network_name("cortexnet@untrained:2").seed == 2
    assert not torch.equal(_weights("cortexnet@untrained:2"), _weights("cortexnet@untrained:3"))
    announced = {entry.name: entry.source for entry in list_networks()}
    assert announced["cortexnet"] == "cortexnets-for-test"


def test_entry_point_hides_no_network_of_ours(package):
    assert hasattr(load_network("pixels"), "pixels")
    assert [entry.name for entry in list_networks()].count("pixels") == 0


def test_entry_point_that_cannot_be_imported(package):
    with pytest.raises(
        BrainalignError, match="'lost' is announced .*cortexnets_for_test:absent.*cannot be imported"
    ):
        load_network("lost")
