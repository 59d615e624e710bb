"""Downloads of image sets, from a server on this machine."""

import functools
import gzip
import hashlib
import io
import pickle
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from torchvision import datasets

from brainalign.errors import FetchError
from brainalign.tasks import images as images_module
from brainalign.tasks import load_images


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder and the address at which it is served; no local image sets."""
    monkeypatch.delenv("BRAINALIGN_IMAGES", raising=False)
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def small_mnist(served, monkeypatch):
    """Five and three random images in the form of MNIST."""
    folder, url = served
    generator = np.random.default_rng(0)
    resources, expected = [], {}
    for prefix, n in (("train", 5), ("t10k", 3)):
        for kind, shape in (("images-idx3", (n, 28, 28)), ("labels-idx1", (n,))):
            array = generator.integers(10, size=shape, dtype=np.uint8)
            header = bytes([0, 0, 8, array.ndim]) + b"".join(length.to_bytes(4, "big") for length in shape)
            content = gzip.compress(header + array.tobytes())
            name = f"{prefix}-{kind}-ubyte.gz"
            (folder / name).write_bytes(content)
            resources.append((name, md5(content)))
            expected[prefix, kind] = array
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    monkeypatch.setattr(datasets.MNIST, "mirrors", [url])
    monkeypatch.setattr(images_module, "MNIST_COUNTS", {"train": 5, "test": 3})
    return expected


def test_mnist_is_downloaded_once(small_mnist, served):
    images = load_images("mnist")
    assert (images.train_images[:, 0].numpy() == small_mnist["train", "images-idx3"]).all()
    assert (images.test_labels.numpy() == small_mnist["t10k", "labels-idx1"]).all()
    for file in served[0].iterdir():
        file.unlink()
    assert (load_images("mnist").train_images == images.train_images).all()


def test_without_a_server_the_error_says_what_to_do(served, monkeypatch):
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(FetchError, match="'mnist' could not be downloaded .* set BRAINALIGN_IMAGES"):
        load_images("mnist")
    monkeypatch.setattr(datasets.CIFAR10, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    with pytest.raises(FetchError, match="'cifar10' could not be downloaded"):
        load_images("cifar10")


def test_a_file_with_another_checksum_is_refused(small_mnist, served):
    (served[0] / "train-labels-idx1-ubyte.gz").write_bytes(b"something else")
    with pytest.raises(FetchError, match="corrupted"):
        load_images("mnist")


@pytest.fixture
def small_cifar10(served, monkeypatch):
    """Two images for training and one for testing in the form of CIFAR-10."""
    folder, url = served
    generator = np.random.default_rng(0)
    batches = {
        "data_1": {"data": generator.integers(256, size=(2, 3072), dtype=np.uint8), "labels": [1, 0]},
        "test": {"data": generator.integers(256, size=(1, 3072), dtype=np.uint8), "labels": [1]},
        "meta": {"label_names": ["airplane", "automobile"]},
    }
    contents = {name: pickle.dumps(batch) for name, batch in batches.items()}
    path = folder / "cifar.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    sums = {name: md5(content) for name, content in contents.items()}
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{url}cifar.tar.gz")
    monkeypatch.setattr(datasets.CIFAR10, "filename", "cifar.tar.gz")
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(path.read_bytes()))
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [["data_1", sums["data_1"]]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test", sums["test"]]])
    meta = {"filename": "meta", "key": "label_names", "md5": sums["meta"]}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    return batches


def test_cifar10_is_downloaded(small_cifar10):
    images = load_images("cifar10")
    expected = small_cifar10["data_1"]["data"].reshape(2, 3, 32, 32)
    assert (images.train_images.numpy() == expected).all()
    assert images.train_labels.tolist() == [1, 0] and images.categories == ("airplane", "automobile")


def test_an_archive_with_another_checksum_is_never_unpickled(small_cifar10, served, monkeypatch):
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", "0" * 32)
    monkeypatch.setattr(pickle, "load", lambda *_: pytest.fail("unpickled"))
    with pytest.raises(FetchError, match="corrupted"):
        load_images("cifar10")
