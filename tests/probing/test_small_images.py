"""Images that are kept are those that would be made anew, and no longer than they are true."""

import numpy as np
import pytest
import torch
from PIL import Image

from brainalign.data.stimuli import ImageFile, StimulusSet
from brainalign.errors import ResponsesError
from brainalign.networks import Preprocessing
from brainalign.probing import small_images
from brainalign.probing.small_images import shown

IDS = ["a", "b", "c", "d"]


@pytest.fixture(autouse=True)
def nothing_kept():
    small_images._kept.clear()
    yield
    small_images._kept.clear()


@pytest.fixture
def files(tmp_path) -> StimulusSet:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{stimulus}.png" for stimulus in IDS]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)).save(path)
    return StimulusSet.from_ids(IDS, [ImageFile(path) for path in paths])


@pytest.fixture
def unread(monkeypatch):
    """Let no image be read any more."""

    def refuse():
        monkeypatch.setattr(StimulusSet, "image", lambda *_: pytest.fail("an image was read again"))

    return refuse


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(32),
        Preprocessing(32, mean=(0.5,), std=(0.2,)),
        Preprocessing(32, interpolation="bicubic", crop_from=40),
        Preprocessing(80),
    ],
)
def test_kept_or_not_images_are_the_same(preprocessing, files):
    expected = preprocessing([files.image(stimulus) for stimulus in IDS])
    for _ in range(2):
        assert torch.equal(shown(files, IDS, preprocessing), expected)
    backwards = shown(files, IDS[::-1], preprocessing)
    assert torch.equal(backwards, expected.flip(0))
    assert len(small_images._kept) == (len(IDS) if preprocessing.size <= small_images.SMALL else 0)


def test_a_second_network_reads_no_file(files, unread):
    expected = shown(files, IDS, Preprocessing(32))
    unread()
    assert torch.equal(shown(files, IDS, Preprocessing(32)), expected)
    with pytest.raises(pytest.fail.Exception):
        shown(files, IDS, Preprocessing(31))


def test_other_preprocessing_of_the_same_files_is_not_taken_for_it(files):
    light, dark = Preprocessing(32), Preprocessing(32, scale=510.0)
    shown(files, IDS, light)
    assert torch.equal(shown(files, IDS, dark), dark([files.image(stimulus) for stimulus in IDS]))


def test_a_file_that_was_written_to_is_read_again(files):
    before = shown(files, IDS, Preprocessing(32))
    Image.new("RGB", (9, 9), "red").save(files.images["b"].path)
    after = shown(files, IDS, Preprocessing(32))
    assert torch.equal(after, Preprocessing(32)([files.image(stimulus) for stimulus in IDS]))
    assert not torch.equal(after[1], before[1])


def test_a_file_that_is_gone_is_missed(files):
    shown(files, IDS, Preprocessing(32))
    files.images["c"].path.unlink()
    with pytest.raises(ResponsesError, match="c"):
        shown(files, IDS, Preprocessing(32))


def test_arrays_are_not_kept_for_they_may_change():
    array = np.zeros((8, 8, 3), dtype=np.uint8)
    stimuli = StimulusSet.from_ids(["a"], [array])
    before = shown(stimuli, ["a"], Preprocessing(8))
    array[:] = 255
    assert not torch.equal(shown(stimuli, ["a"], Preprocessing(8)), before)
    assert not small_images._kept


def test_those_shown_longest_ago_make_room(files, monkeypatch):
    monkeypatch.setattr(small_images, "MOST", 3)
    shown(files, IDS, Preprocessing(32))
    shown(files, ["b"], Preprocessing(32))
    shown(files, ["a"], Preprocessing(32))
    names = [identity[0].path.stem for identity, _ in small_images._kept]
    assert names == ["d", "b", "a"]


def test_preprocessing_of_ones_own_is_called(files):
    class Doubled(Preprocessing):
        def __call__(self, images):
            return 2 * super().__call__(images)

    plain = shown(files, IDS, Preprocessing(32))
    assert torch.equal(shown(files, IDS, Doubled(32)), 2 * plain)
