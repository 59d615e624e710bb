"""Stimulus sets: ids, images, and a hash that follows the content and nothing else."""

import io
import os
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from brainalign.data.stimuli import ImageFile, StimulusSet, check_ids
from brainalign.errors import AlignmentError, ResponsesError


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def plain(value: int, size: int = 8) -> Image.Image:
    return Image.new("RGB", (size, size), (value, value, value))


def zipped(path: Path, values: range) -> list[ImageFile]:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for value in values:
            archive.writestr(f"{value}.png", encoded(plain(value)))
    return [ImageFile(path, f"{value}.png") for value in values]


def table(ids: list) -> pd.DataFrame:
    return pd.DataFrame(index=pd.Index(ids, name="stimulus", dtype=object))


def test_images_from_files_archives_and_arrays_are_the_same(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(plain(7)))
    sources = [
        ImageFile(tmp_path / "a.png"),
        zipped(tmp_path / "all.zip", range(5, 9))[2],
        np.full((8, 8, 3), 7, dtype=np.uint8),
        np.full((8, 8), 7, dtype=np.uint8),
    ]
    stimuli = StimulusSet.from_ids(list("abcd"), sources)
    for stimulus in stimuli.ids:
        image = stimuli.image(stimulus)
        assert image.mode == "RGB"
        assert np.array_equal(np.asarray(image), np.full((8, 8, 3), 7))


def test_ids_stay_in_order():
    stimuli = StimulusSet.from_ids(["b", "a", "c"], name="three", degrees=8.0)
    assert (stimuli.ids, len(stimuli), stimuli.degrees) == (["b", "a", "c"], 3, 8.0)
    assert stimuli.select(["c", "b"]).ids == ["c", "b"]
    assert stimuli.select(["c"]).degrees == 8.0


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b", "a"], "repeats 1 stimulus ids, such as 'a'"),
        (["a", 1], "ids that are not strings, such as 1; make them strings"),
    ],
)
def test_wrong_ids(ids, message):
    with pytest.raises(ResponsesError, match=message):
        StimulusSet("set", table(ids))
    with pytest.raises(ResponsesError, match=f"The responses .*{message}"):
        check_ids(ids, "The responses")


def test_index_of_another_name():
    with pytest.raises(ResponsesError, match="indexed by 'image'; its index must be named 'stimulus'"):
        StimulusSet("set", pd.DataFrame(index=pd.Index(["a"], name="image")))


def test_images_that_do_not_cover_the_ids():
    with pytest.raises(ResponsesError, match="has no image for 1 of 2 ids, such as 'b'"):
        StimulusSet("set", table(["a", "b"]), {"a": np.zeros((2, 2), dtype=np.uint8)})
    with pytest.raises(ResponsesError, match="1 images were given for 2"):
        StimulusSet.from_ids(["a", "b"], [np.zeros((2, 2), dtype=np.uint8)])


def test_selecting_an_unknown_id():
    with pytest.raises(AlignmentError, match="lacks 1 of 2 ids, such as 'z'"):
        StimulusSet.from_ids(["a", "b"]).select(["a", "z"])


def test_no_images_to_see():
    with pytest.raises(ResponsesError, match="has no images, so a network cannot see 'a'"):
        StimulusSet.from_ids(["a"]).image("a")


def damaged_archive(path: Path) -> ImageFile:
    (file,) = zipped(path, range(1))
    content = bytearray(path.read_bytes())
    content[40:60] = bytes(20)
    path.write_bytes(content)
    return file


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: ImageFile(folder / "nowhere.png"),
        lambda folder: ImageFile(folder / "nowhere.zip", "a.png"),
        lambda folder: ImageFile(zipped(folder / "a.zip", range(1))[0].path, "other.png"),
        lambda folder: damaged_archive(folder / "damaged.zip"),
        lambda folder: ImageFile(Path(__file__)),
        lambda folder: ImageFile(Path(__file__), "a.png"),
    ],
    ids=["missing", "no archive", "no member", "damaged archive", "no image", "no zip"],
)
def test_image_that_cannot_be_read(make, tmp_path):
    source = make(tmp_path)
    stimuli = StimulusSet.from_ids(["a"], [source])
    with pytest.raises(ResponsesError, match="The image of stimulus 'a', .* cannot be read") as raised:
        stimuli.image("a")
    assert source.path.name in str(raised.value)


def test_cut_off_image(tmp_path):
    content = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)))
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ResponsesError, match="'a', .*a.png, cannot be read: .*truncated"):
        StimulusSet.from_ids(["a"], [ImageFile(tmp_path / "a.png")]).image("a")


@pytest.mark.parametrize(
    ("image", "kind", "message"),
    [
        (Image.fromarray(np.full((4, 4), 40_000, dtype=np.uint16)), "PNG", "more than 8 bits"),
        (Image.fromarray(np.full((4, 4), 0.5, dtype=np.float32)), "TIFF", "more than 8 bits"),
        (Image.new("RGBA", (4, 4), (200, 0, 0, 0)), "PNG", "transparent"),
        (Image.new("LA", (4, 4), (200, 127)), "PNG", "transparent"),
    ],
)
def test_image_that_would_be_shown_otherwise_than_it_was(image, kind, message, tmp_path):
    (tmp_path / "a").write_bytes(encoded(image, kind))
    with pytest.raises(ResponsesError, match=message):
        StimulusSet.from_ids(["a"], [ImageFile(tmp_path / "a")]).image("a")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK"])
def test_opaque_images_of_every_mode(mode, tmp_path):
    kind = "TIFF" if mode == "CMYK" else "PNG"
    (tmp_path / "a").write_bytes(encoded(Image.new("RGB", (4, 4), "white").convert(mode), kind))
    image = StimulusSet.from_ids(["a"], [ImageFile(tmp_path / "a")]).image("a")
    assert np.array_equal(np.asarray(image), np.full((4, 4, 3), 255))


def test_archive_is_opened_once(tmp_path, monkeypatch):
    files = zipped(tmp_path / "all.zip", range(50))
    opened = []
    original = zipfile.ZipFile.__init__
    monkeypatch.setattr(
        zipfile.ZipFile, "__init__", lambda self, *given: opened.append(given) or original(self, *given)
    )
    stimuli = StimulusSet.from_ids([str(i) for i in range(50)], files)
    for number in range(50):
        assert stimuli.image(str(number)).getpixel((0, 0)) == (number,) * 3
    stimuli.content_hash()
    assert len(opened) == 1


def test_archive_that_is_replaced_is_read_anew(tmp_path):
    (file,) = zipped(tmp_path / "all.zip", range(3, 4))
    stimuli = StimulusSet.from_ids(["a"], [file])
    before = stimuli.content_hash()
    assert stimuli.image("a").getpixel((0, 0)) == (3, 3, 3)
    with zipfile.ZipFile(tmp_path / "new.zip", "w") as archive:
        archive.writestr("3.png", encoded(plain(9)))
    os.replace(tmp_path / "new.zip", tmp_path / "all.zip")
    assert stimuli.image("a").getpixel((0, 0)) == (9, 9, 9)
    assert stimuli.content_hash() != before


def test_threads_share_an_archive(tmp_path):
    files = zipped(tmp_path / "all.zip", range(200))
    stimuli = StimulusSet.from_ids([str(i) for i in range(200)], files)
    wrong = []

    def look(start: int) -> None:
        for number in range(start, 200, 4):
            if stimuli.image(str(number)).getpixel((0, 0)) != (number,) * 3:
                wrong.append(number)

    threads = [threading.Thread(target=look, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_forked_processes_do_not_share_a_file_position(tmp_path):
    files = zipped(tmp_path / "all.zip", range(250))
    stimuli = StimulusSet.from_ids([str(i) for i in range(250)], files)
    stimuli.image("0")
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            right = all(stimuli.image(str(i)).getpixel((0, 0)) == (i,) * 3 for i in range(250))
            os._exit(0 if right else 1)
        children.append(child)
    assert all(stimuli.image(str(i)).getpixel((0, 0)) == (i,) * 3 for i in range(250))
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]


def test_hash_follows_content_ids_and_order(tmp_path):
    def hash_of(ids: list[str], values: list[int]) -> str:
        files = []
        for number, value in enumerate(values):
            path = tmp_path / f"{number}-{value}.png"
            path.write_bytes(encoded(plain(value)))
            files.append(ImageFile(path))
        return StimulusSet.from_ids(ids, files).content_hash()

    first = hash_of(["a", "b"], [1, 2])
    assert hash_of(["a", "b"], [1, 2]) == first
    others = [hash_of(["a", "b"], [2, 1]), hash_of(["b", "a"], [1, 2]), hash_of(["a", "b"], [1, 3])]
    others.append(StimulusSet.from_ids(["a", "b"]).content_hash())
    assert len({first, *others}) == 5


def test_hash_does_not_depend_on_where_the_file_lies(tmp_path):
    for name in ("x", "y"):
        (tmp_path / name).write_bytes(encoded(plain(5)))
    hashes = {StimulusSet.from_ids(["a"], [ImageFile(tmp_path / name)]).content_hash() for name in ("x", "y")}
    hashes.add(StimulusSet.from_ids(["a"], [ImageFile(tmp_path / "x")], name="other").content_hash())
    assert len(hashes) == 1


def test_hash_sees_a_file_that_changes(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(plain(5)))
    stimuli = StimulusSet.from_ids(["a"], [ImageFile(path)])
    before = stimuli.content_hash()
    path.write_bytes(encoded(plain(6)))
    os.utime(path, ns=(0, 1))
    assert stimuli.content_hash() != before


def test_hash_sees_an_array_that_changes():
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    stimuli = StimulusSet.from_ids(["a"], [pixels])
    before = stimuli.content_hash()
    pixels[0, 0, 0] = 1
    assert stimuli.content_hash() != before


def test_hash_of_an_image_that_is_missing(tmp_path):
    with pytest.raises(ResponsesError, match="The image of stimulus 'a', .*nowhere.png, cannot be read"):
        StimulusSet.from_ids(["a"], [ImageFile(tmp_path / "nowhere.png")]).content_hash()


def test_unchanged_files_are_hashed_once(tmp_path, monkeypatch):
    stimuli = StimulusSet.from_ids([str(i) for i in range(20)], zipped(tmp_path / "all.zip", range(20)))
    first = stimuli.content_hash()
    monkeypatch.setattr(ImageFile, "read", lambda self: pytest.fail("read again"))
    assert stimuli.content_hash() == first
    assert stimuli.select(["3", "1"]).content_hash() != first
