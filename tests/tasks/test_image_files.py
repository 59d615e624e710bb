"""Image sets from files: idx, tar and folders, whole and damaged."""

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brainalign.errors import BrainalignError
from brainalign.tasks import load_images
from brainalign.tasks.image_files import cached, read_idx, read_tar


def picture(value: int, size: int = 32, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (value, 0, 255 - value)).save(buffer, kind)
    return buffer.getvalue()


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.tobytes()


PIXELS = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def test_an_idx_file_is_read(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(idx(PIXELS)))
    assert (read_idx(path, (2, 3, 4)) == PIXELS).all()


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(idx(PIXELS)[:-1]),
        gzip.compress(idx(PIXELS) + b"0"),
        gzip.compress(idx(PIXELS[:1])),
        gzip.compress(idx(PIXELS))[:-10],
        gzip.compress(idx(PIXELS))[:20] + b"\xff" * 20,
        b"",
    ],
    ids=["short", "long", "other shape", "broken off", "garbled", "empty"],
)
def test_a_damaged_idx_file_is_refused(tmp_path, content):
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    with pytest.raises(BrainalignError, match=r"a.gz cannot be read"):
        read_idx(path, (2, 3, 4))


def make_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


MEMBERS = {
    "train/dog/1.png": picture(20),
    "./train/cat/2.png": picture(10),
    "test/dog/1.png": picture(30),
}


def test_a_tar_is_read_into_memory_alone(tmp_path):
    outside = {
        "../train/cat/9.png": picture(1),
        "train/../../x.png": picture(1),
        "/train/cat/3.png": picture(1),
    }
    path = make_tar(tmp_path / "a.tar", MEMBERS | outside | {"train/notes.txt": b"notes"})
    arrays = read_tar(path, {"train": 2, "test": 1}, 32)
    assert arrays["categories"].tolist() == ["cat", "dog"]
    assert arrays["train_labels"].tolist() == [0, 1] and arrays["test_labels"].tolist() == [1]
    assert arrays["train_images"][:, :, 5, 7].tolist() == [[10, 0, 245], [20, 0, 235]]
    assert [each.name for each in tmp_path.iterdir()] == ["a.tar"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "it holds .*'train': 2, 'test': 0.* and should hold"),
        ({"test/dog/1.png": picture(1, size=8)}, r"\(8, 8\) pixels where 32 × 32"),
        ({"test/dog/1.png": b"no picture"}, "cannot identify"),
        ({"test/dog/1.png": picture(1)[:-30]}, "a.tar cannot be read"),
    ],
)
def test_a_tar_with_other_images_is_refused(tmp_path, members, message):
    rest = {name: content for name, content in MEMBERS.items() if "test" not in name}
    path = make_tar(tmp_path / "a.tar", rest | members)
    with pytest.raises(BrainalignError, match=message):
        read_tar(path, {"train": 2, "test": 1}, 32)


@pytest.mark.parametrize("kept", [0, 100, 700, 1500])
def test_a_tar_that_is_broken_off_is_refused(tmp_path, kept):
    path = make_tar(tmp_path / "a.tar", MEMBERS)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BrainalignError, match=r"a.tar cannot be read: .*Get the file anew"):
        read_tar(path, {"train": 2, "test": 1}, 32)


def fill(folder: Path, classes: dict[str, int], start: int = 0) -> Path:
    for name, n in classes.items():
        (folder / name).mkdir(parents=True)
        for i in range(n):
            (folder / name / f"{i}.png").write_bytes(picture(start + 10 * i, size=20))
    return folder


def test_a_folder_with_train_and_test(tmp_path):
    fill(tmp_path / "train", {"cat": 3, "dog": 2})
    fill(tmp_path / "test", {"cat": 1, "dog": 1}, start=200)
    images = load_images(str(tmp_path))
    assert images.train_images.shape == (5, 3, 64, 64) and images.name == str(tmp_path)
    assert images.categories == ("cat", "dog") and images.train_labels.tolist() == [0, 0, 0, 1, 1]
    # Plain pictures stay plain when resized.
    assert images.train_images[:, 0, 3, 60].tolist() == [0, 10, 20, 0, 10]
    assert images.test_images[:, 2].unique().tolist() == [55]
    assert load_images(str(tmp_path), size=10).size == 10


def test_a_folder_of_classes_is_split_and_cached(tmp_path, cache):
    fill(tmp_path / "mine", {"cat": 10, "dog": 15})
    images = load_images(f"{tmp_path}/mine")
    assert len(images.train_images) == 20
    assert images.test_labels.bincount().tolist() == [2, 3]
    assert len(list((cache / "images").iterdir())) == 1
    again = load_images(f"{tmp_path}/mine")
    assert (again.train_images == images.train_images).all()
    assert len(list((cache / "images").iterdir())) == 1
    (tmp_path / "mine" / "cat" / "new.png").write_bytes(picture(99))
    assert len(load_images(f"{tmp_path}/mine").train_images) == 21
    assert len(list((cache / "images").iterdir())) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "There is no folder"),
        (lambda folder: folder.mkdir(), "No image set can be read"),
        (lambda folder: fill(folder, {"cat": 2, "dog": 0}), "classes dog"),
        (lambda folder: fill(folder / "train", {"cat": 2}), "has train/ alone; expected train/CLASS"),
        (lambda folder: fill(folder, {"cat": 1, "dog": 3}), "Class 'cat' of .* has one image"),
        (
            lambda folder: (fill(folder / "train", {"cat": 2}), fill(folder / "test", {"cow": 2})),
            "Only one of train/ and test/ .* has the classes cat, cow",
        ),
        (
            lambda folder: (fill(folder, {"cat": 3}) / "cat" / "1.png").write_bytes(b"no picture"),
            r"cat/1.png cannot be read",
        ),
    ],
)
def test_a_folder_that_is_no_image_set_is_refused(tmp_path, make, message):
    make(tmp_path / "mine")
    with pytest.raises(BrainalignError, match=message):
        load_images(f"{tmp_path}/mine")


def test_a_damaged_cache_is_named_and_never_unpickled(tmp_path):
    path = tmp_path / "a.npz"
    made = cached(path, lambda: {"x": np.arange(1000)})
    assert (cached(path, dict)["x"] == made["x"]).all()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BrainalignError, match=r"a.npz are damaged .* delete that file"):
        cached(path, dict)
    np.savez(path, x=np.array([{}], dtype=object))
    with pytest.raises(BrainalignError, match="allow_pickle=False"):
        cached(path, dict)


def test_nothing_is_cached_when_reading_fails(tmp_path):
    with pytest.raises(ZeroDivisionError):
        cached(tmp_path / "a.npz", lambda: {"x": np.zeros(1 // 0)})
    assert not list(tmp_path.iterdir())
