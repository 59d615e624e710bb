"""The named image sets: the facts that are known of them."""

import tarfile

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from brainalign.errors import BrainalignError, FetchError, UnknownNameError
from brainalign.tasks import images as images_module
from brainalign.tasks import load_images

MNIST_TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
MNIST_TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_digits_are_scikit_learns_each_once():
    digits = load_images("digits")
    assert digits.train_images.shape == (1437, 1, 8, 8) and digits.test_images.shape == (360, 1, 8, 8)
    assert digits.categories == tuple("0123456789")
    ours = np.concatenate([digits.train_images.numpy(), digits.test_images.numpy()]).reshape(1797, 64)
    labels = np.concatenate([digits.train_labels.numpy(), digits.test_labels.numpy()])
    data, target = load_digits(return_X_y=True)
    theirs = np.rint(data * 255 / 16)
    rows = sorted(map(tuple, np.column_stack([ours, labels]).tolist()))
    assert rows == sorted(map(tuple, np.column_stack([theirs, target]).tolist()))
    assert ours.max() == 255
    shares = np.bincount(digits.test_labels.numpy()) / np.bincount(target)
    assert np.abs(shares - 360 / 1797).max() < 0.006


def test_digits_resized():
    assert load_images("digits", size=16).train_images.shape == (1437, 1, 16, 16)


@pytest.mark.data
def test_mnist(image_sets):
    mnist = load_images("mnist")
    assert mnist.train_images.shape == (60_000, 1, 28, 28) and mnist.test_images.shape == (10_000, 1, 28, 28)
    assert mnist.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert mnist.train_labels.bincount().tolist() == MNIST_TRAIN
    assert mnist.test_labels.bincount().tolist() == MNIST_TEST
    # The mean and deviation that everybody uses.
    pixels = mnist.train_images.double() / 255
    assert pixels.mean().item() == pytest.approx(0.1307, abs=5e-5)
    assert pixels.std().item() == pytest.approx(0.3081, abs=5e-5)


@pytest.mark.data
@pytest.mark.parametrize("name", ["fashion_mnist", "fashion-mnist"])
def test_fashion_mnist(image_sets, name):
    fashion = load_images(name)
    assert fashion.name == "fashion_mnist"
    assert fashion.train_labels.bincount().tolist() == [6000] * 10
    assert fashion.test_labels.bincount().tolist() == [1000] * 10
    assert fashion.categories[fashion.train_labels[0]] == "ankle boot"


@pytest.mark.data
def test_cifar10_is_decoded_once(image_sets, cache, monkeypatch):
    first = load_images("cifar10")
    assert first.train_images.shape == (50_000, 3, 32, 32) and first.test_images.shape == (10_000, 3, 32, 32)
    assert first.train_labels.bincount().tolist() == [5000] * 10
    assert first.test_labels.bincount().tolist() == [1000] * 10
    assert first.categories[0] == "airplane" and first.categories[9] == "truck"
    # The channel means that everybody uses, of jpeg copies here.
    means = first.train_images.float().mean((0, 2, 3)) / 255
    assert means.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=2e-3)
    with tarfile.open(image_sets / "cifar10.tar") as archive:
        file = archive.extractfile("test/frog/0007.jpg")
        assert file is not None
        picture = np.asarray(Image.open(file))
    assert (first.test_images[6007].permute(1, 2, 0).numpy() == picture).all()

    def never(*_):
        raise AssertionError("decoded twice")

    monkeypatch.setattr(images_module, "read_tar", never)
    again = load_images("cifar10")
    assert (again.train_images == first.train_images).all() and (again.test_labels == first.test_labels).all()
    (cached,) = (cache / "images").glob("*.npz")
    cached.write_bytes(cached.read_bytes()[:1_000_000])
    with pytest.raises(BrainalignError, match=r"cached images .* are damaged .* delete that file"):
        load_images("cifar10")


def test_an_unknown_set_lists_the_choices():
    with pytest.raises(UnknownNameError, match="Did you mean 'mnist'.*cifar10, digits"):
        load_images("mnits")


def test_a_size_must_be_some_pixels():
    with pytest.raises(BrainalignError, match="to 0 pixels"):
        load_images("digits", size=0)


@pytest.mark.parametrize("content", [None, b"no gzip"])
def test_a_missing_or_damaged_local_file_is_named(tmp_path, monkeypatch, content):
    raw = tmp_path / "mnist" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    if content:
        (raw / "train-images-idx3-ubyte.gz").write_bytes(content)
    monkeypatch.setenv("BRAINALIGN_IMAGES", str(tmp_path))
    with pytest.raises(
        BrainalignError, match=r"train-images-idx3-ubyte.gz cannot be read: .*Get the file anew"
    ):
        load_images("mnist")
    assert not isinstance(pytest.raises(BrainalignError, load_images, "mnist").value, FetchError)
