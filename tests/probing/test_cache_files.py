"""Files of the cache that are damaged, cannot be read or cannot be written."""

import errno
import logging
from pathlib import Path

import numpy as np

from brainalign.probing import Representation
from brainalign.probing.cache import cached_outputs, store_outputs


def _damages(content: bytes):
    yield from (
        (f"cut at {at}", content[:at]) for at in (0, 1, 31, 32, 33, len(content) // 2, len(content) - 1)
    )
    yield "longer", content + b"\0"
    yield "of another kind", b"not what it was"
    yield "zeros", bytes(len(content))
    generator = np.random.default_rng(0)
    for at in sorted(generator.choice(len(content), 60, replace=False).tolist()):
        flipped = bytearray(content)
        flipped[at] ^= 1 << int(generator.integers(8))
        yield f"bit flipped at {at}", bytes(flipped)


def test_damaged_files_are_computed_anew(shown, caplog, assert_same, stored, run):
    first = run(layers="conv")
    (file,) = stored()
    content = file.read_bytes()
    for what, damaged in _damages(content):
        file.write_bytes(damaged)
        shown.clear()
        caplog.clear()
        assert_same(run(layers="conv"), first)
        assert len(shown) == 2, what
        assert "a damaged cache file is computed anew" in caplog.text, what
        assert file.read_bytes() == content, what
    shown.clear()
    run(layers="conv")
    assert not shown


def test_one_damaged_file_does_not_cost_the_others(shown, assert_same, stored, run):
    first = run()
    before = stored()
    before[1].write_bytes(b"")
    shown.clear()
    assert_same(run(), first)
    assert len(shown) == 2
    assert stored() == before


def test_files_hold_nothing_to_unpickle(cache, stored, run):
    run()
    for file in stored():
        assert b"numpy.core" not in file.read_bytes()
        assert b"|O" not in file.read_bytes()


def test_a_full_disk_costs_a_warning_not_the_result(
    cache, caplog, monkeypatch, shown, assert_same, stored, run
):
    expected = run(cache=False)
    shown.clear()

    def full(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(Path, "write_bytes", full)
        assert_same(run(), expected)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "the cache cannot be written, so layers will be computed again next time"
    ]
    assert "No space left" in caplog.text
    assert not stored()
    assert_same(run(), expected)
    assert stored()


def test_a_cache_folder_that_is_no_folder(tmp_path, monkeypatch, caplog, assert_same, run):
    expected = run(cache=False)
    file = tmp_path / "file"
    file.write_text("in the way")
    monkeypatch.setenv("BRAINALIGN_CACHE", str(file))
    assert_same(run(), expected)
    assert len(caplog.records) == 1
    assert "the cache cannot be written" in caplog.text
    assert file.read_text() == "in the way"


def test_a_cache_file_that_cannot_be_read(cache, caplog, shown, assert_same, stored, run):
    first = run(layers="conv")
    (file,) = stored()
    file.unlink()
    file.mkdir()
    caplog.clear()
    assert_same(run(layers="conv"), first)
    assert "the cache cannot be read, so layer 'conv' is computed anew" in caplog.text


def test_every_output_of_a_module_is_stored(cache, assert_same):
    layers = [
        Representation.from_features(
            np.random.default_rng(i).standard_normal((4, 3 + i)), list("abcd"), f"relu[{i}]"
        )
        for i in range(12)
    ]
    store_outputs("cd" * 32, {"relu": layers, "none": []})
    found = cached_outputs("cd" * 32, "relu", list("abcd"))
    assert_same({layer.layer: layer for layer in found}, {layer.layer: layer for layer in layers})
    assert cached_outputs("cd" * 32, "none", list("abcd")) == []
    assert cached_outputs("cd" * 32, "other", list("abcd")) is None
    assert cached_outputs("ef" * 32, "relu", list("abcd")) is None


def test_names_of_layers_make_no_paths(cache, stored):
    names = ["../../outside", "/etc/x", "a" * 300, "con.", "a/b"]
    layer = Representation.from_features(np.eye(2), ["a", "b"], "x")
    store_outputs("cd" * 32, {name: [layer] for name in names})
    assert len(stored()) == len(names)
    assert all(path.is_relative_to(cache / "representations") for path in stored())
