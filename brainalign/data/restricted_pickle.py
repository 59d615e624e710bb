"""Read what numpy pickled without letting the pickle build anything but arrays of numbers, lists and dicts.

A pickle is a program: it names functions and calls them. Here each name that numpy's own arrays need leads to a
stand-in written in Python, and no other name leads anywhere. Numpy's real constructors would not do: given a
crafted dtype, ``dtype.__setstate__`` and ``ndarray.__setstate__`` read raw bytes as pointers.
"""

import io
import math
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from brainalign.errors import CardError

ORDERS: dict[str, Literal["<", ">", "="]] = {"<": "<", ">": ">", "=": "=", "|": "="}
"""Orders of bytes, by numpy's sign."""
NUMBERS = {"b", "i", "u", "f", "c"}
"""Kinds of numbers, by numpy's letter, that an array may hold."""


def read_pickled(path: Path, name: str) -> object:
    """Read an array of objects from an ``.npz`` file, made of plain containers and arrays of numbers alone.

    Parameters
    ----------
    path
        A file that `numpy.savez` wrote.
    name
        The array in it, of type object.

    Returns
    -------
    object
        The one object of an array without dimensions, such as a dict; else the list of the array's objects.

    Raises
    ------
    CardError
        No such file or array, an array of another type, or a pickle that asks for anything else than arrays of
        numbers, text, lists, tuples and dicts.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            stream = io.BytesIO(archive.read(f"{name}.npy"))
        version = np.lib.format.read_magic(stream)
        header = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        dtype = header(stream)[2]
        if dtype != np.dtype(object):
            raise CardError(f"{name!r} in {path} holds {dtype}, no objects; read it with numpy.load.")
        objects = _finished(_Unpickler(stream).load())
    except CardError:
        raise
    except Exception as error:  # A crafted pickle can make the machine stumble in any way.
        raise CardError(
            f"{name!r} in {path} cannot be read as arrays of numbers: {error}. Nothing of it was run. Get the "
            "file that the card describes, or save its arrays with numpy.savez one by one."
        ) from error
    return objects


class _Type:
    """Stands for `numpy.dtype`: a kind of numbers, or of objects, and an order of bytes."""

    def __init__(self, code: str, *copy: object):
        self.code = code
        self.order: Literal["<", ">", "="] = "="

    def __setstate__(self, state: tuple) -> None:
        if state[2:5] != (None, None, None):
            raise pickle.UnpicklingError("it holds a dtype of several parts")
        self.order = ORDERS[state[1]]


class _Array:
    """Stands for an array while it is unpickled."""

    def __init__(self, *ignored: object):
        self.shape, self.type, self.content = (), _Type("O"), None
        self.fortran = False

    def __setstate__(self, state: tuple) -> None:
        _, self.shape, self.type, self.fortran, self.content = state

    def finish(self) -> object:
        """Make the array of its bytes, or give the objects that it held."""
        if isinstance(self.content, list):
            objects = [_finished(each) for each in self.content]
            return objects if self.shape else objects[0]
        dtype = np.dtype(self.type.code)
        if dtype.kind not in NUMBERS or not isinstance(self.content, bytes):
            raise pickle.UnpicklingError(f"it holds an array of {dtype}")
        if math.prod(self.shape) * dtype.itemsize != len(self.content):
            raise pickle.UnpicklingError(
                f"it holds {len(self.content)} bytes for an array of shape {self.shape}"
            )
        flat = np.frombuffer(self.content, dtype.newbyteorder(self.type.order)).astype(dtype)
        return flat.reshape(self.shape, order="F" if self.fortran else "C")


def _bytes(text: str, encoding: str) -> bytes:
    """Stand for `_codecs.encode`, by which old protocols write bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it holds text encoded as {encoding!r}")
    return text.encode("latin1")


STAND_INS: dict[tuple[str, str], Callable] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _bytes,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable:
        """Give the stand-in for a name, where there is one."""
        if (module, name) not in STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return STAND_INS[module, name]


def _finished(value: object) -> object:
    """Put the arrays in the place of their stand-ins."""
    if isinstance(value, _Array):
        return value.finish()
    if isinstance(value, dict):
        return {key: _finished(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_finished(each) for each in value)
    if value is None or isinstance(value, str | bytes | int | float):
        return value
    raise pickle.UnpicklingError(f"it holds a {type(value).__name__}")
