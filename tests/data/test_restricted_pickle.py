"""The restricted reader: what numpy pickled comes back as it was, and nothing that a pickle asks for is run."""

import io
import os
import pickle
import pickletools
import zipfile

import numpy as np
import pytest

from brainalign.data.restricted_pickle import STAND_INS, read_pickled
from brainalign.errors import CardError

HELD = {
    "name": "W053",
    "whole": np.arange(6, dtype="<i8").reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6.0).reshape(3, 2)),
    "big": np.array([1.5, -2.5], dtype=">f4"),
    "bytes": np.array([[1, 2]], dtype=np.uint8),
    "truth": np.array([True, False]),
    "complex": np.array([1 + 2j]),
    "none": np.zeros((0, 2)),
    "nested": {"list": [np.array([1.0]), (np.array([2]), None)], "number": 3},
}

FILLED = {name: held for name, held in HELD.items() if name != "none"}
"""Without the empty array, whose bytes the oldest protocols write in yet another way."""


def _save(path, objects):
    np.savez_compressed(path, D=np.array(objects, dtype=object))
    return path


def _craft(path, pickled: bytes):
    """Write an array of objects whose pickle is given."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("D.npy", stream.getvalue() + pickled)
    return path


def _same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype.kind == expected.dtype.kind
        assert found.dtype.itemsize == expected.dtype.itemsize
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            _same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        for one, other in zip(found, expected, strict=True):
            _same(one, other)
    else:
        assert found == expected


def test_arrays_come_back_as_they_were(tmp_path):
    _same(read_pickled(_save(tmp_path / "d.npz", HELD), "D"), HELD)


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol(tmp_path, protocol):
    pickled = pickle.dumps(np.array(FILLED, dtype=object), protocol=protocol)
    if b"_frombuffer" in pickled:
        # Protocol 5 writes numbers by another function, which numpy.save (protocol 3) never does.
        with pytest.raises(CardError, match="asks for numpy._core.numeric._frombuffer"):
            read_pickled(_craft(tmp_path / "d.npz", pickled), "D")
    else:
        _same(read_pickled(_craft(tmp_path / "d.npz", pickled), "D"), FILLED)


def test_the_module_that_older_versions_name(tmp_path):
    pickled = pickle.dumps(np.array(FILLED, dtype=object), protocol=2)
    older = pickled.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert older != pickled
    _same(read_pickled(_craft(tmp_path / "d.npz", older), "D"), FILLED)


def test_several_objects_are_a_list(tmp_path):
    np.savez(tmp_path / "d.npz", D=np.array([{"a": 1}, None, "b"], dtype=object))
    assert read_pickled(tmp_path / "d.npz", "D") == [{"a": 1}, None, "b"]


class _Runs:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("wrap", [lambda bad: bad, lambda bad: {"y": [bad]}, lambda bad: (np.zeros(2), bad)])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, wrap):
    trace = tmp_path / "trace"
    saved = np.empty((), dtype=object)
    saved[()] = wrap(_Runs(trace))
    np.savez(tmp_path / "d.npz", D=saved)
    with pytest.raises(CardError, match=r"asks for posix.mkdir. Nothing of it was run"):
        read_pickled(tmp_path / "d.npz", "D")
    assert not trace.exists()
    # The same file does run where pickles are allowed: the test would notice.
    with np.load(tmp_path / "d.npz", allow_pickle=True) as loaded:
        loaded["D"]
    assert trace.exists()


@pytest.mark.parametrize(
    "name",
    [
        "builtins.eval",
        "os.system",
        "numpy.load",
        "numpy.core.multiarray.scalar",
        "numpy.ndarray.tofile",
        "_codecs.lookup",
    ],
)
def test_no_other_name_leads_anywhere(tmp_path, name):
    module, _, function = name.rpartition(".")
    pickled = b"c" + module.encode() + b"\n" + function.encode() + b"\n(tR."
    assert any(op.name == "GLOBAL" for op, *_ in pickletools.genops(pickled))
    with pytest.raises(CardError, match=f"asks for {name}"):
        read_pickled(_craft(tmp_path / "d.npz", pickled), "D")


def test_dotted_names_are_not_followed(tmp_path):
    pickled = b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93."
    with pytest.raises(CardError, match="asks for numpy.ndarray.tofile"):
        read_pickled(_craft(tmp_path / "d.npz", pickled), "D")


def _array(dtype: bytes, content: bytes, shape: bytes = b"(K\x01t") -> bytes:
    """Pickle an array by hand: `dtype` builds its type, `content` its bytes."""
    start = b"\x80\x03cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"
    return start + b"(K\x01" + shape + dtype + b"\x89" + content + b"tb."


EIGHT = b"C\x08AAAAAAAA"


@pytest.mark.parametrize(
    ("dtype", "content", "message"),
    [
        # Numbers that would be read as pointers to objects, the crash that numpy's own constructors allow.
        (b"cnumpy\ndtype\n(X\x01\x00\x00\x00OtR", EIGHT, "an array of object"),
        (
            b"cnumpy\ndtype\n(X\x02\x00\x00\x00V8tR(K\x03X\x01\x00\x00\x00|N(X\x01\x00\x00\x00ft}K\x08K\x08K\x00tb",
            EIGHT,
            "several parts",
        ),
        (b"cnumpy\ndtype\n(X\x02\x00\x00\x00V8tR", EIGHT, "an array of"),
        (b"cnumpy\ndtype\n(X\x05\x00\x00\x00f4,O8tR", EIGHT, "an array of"),
        (b"cnumpy\ndtype\n(X\x02\x00\x00\x00f8tR", b"C\x04AAAA", "4 bytes for an array of shape"),
        (
            b"cnumpy\ndtype\n(X\x02\x00\x00\x00f8tR(K\x03X\x01\x00\x00\x00?NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
            EIGHT,
            r"'\?'",
        ),
        (b"N", EIGHT, "cannot be read"),
    ],
)  # fmt: skip
def test_crafted_arrays_are_refused(tmp_path, dtype, content, message):
    with pytest.raises(CardError, match=message):
        read_pickled(_craft(tmp_path / "d.npz", _array(dtype, content)), "D")


def test_the_crafted_form_itself_is_readable(tmp_path):
    good = _array(b"cnumpy\ndtype\n(X\x02\x00\x00\x00u1tR", b"C\x01A")
    np.testing.assert_array_equal(read_pickled(_craft(tmp_path / "d.npz", good), "D"), [65])


def test_what_stands_in_is_never_numpys_own():
    numpys = (np.dtype, np.ndarray)
    assert all(
        stand_in not in numpys and stand_in.__module__.startswith("brainalign")
        for stand_in in STAND_INS.values()
    )


@pytest.mark.parametrize("pickled", [b"", b"\x80", b"garbage", b"(lp0\ng0\na.", b"]\x94h\x00a."])
def test_what_is_broken_or_contains_itself(tmp_path, pickled):
    with pytest.raises(CardError, match="cannot be read as arrays of numbers"):
        read_pickled(_craft(tmp_path / "d.npz", pickled), "D")


def test_no_such_file_array_or_archive(tmp_path):
    with pytest.raises(CardError, match="No such file"):
        read_pickled(tmp_path / "nowhere.npz", "D")
    with pytest.raises(CardError, match="no item named 'E.npy'"):
        read_pickled(_save(tmp_path / "d.npz", HELD), "E")
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(CardError, match="not a zip file"):
        read_pickled(tmp_path / "text.npz", "D")


def test_an_array_of_numbers_is_numpys_to_read(tmp_path):
    np.savez(tmp_path / "d.npz", D=np.zeros(3))
    with pytest.raises(CardError, match="holds float64, no objects; read it with numpy.load"):
        read_pickled(tmp_path / "d.npz", "D")
