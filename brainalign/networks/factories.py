"""Networks of the user's own: a factory in a Python file, or one that an installed package announces."""

import inspect
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from brainalign.errors import BrainalignError
from brainalign.files import content_hash
from brainalign.names import unknown_name
from brainalign.networks.preprocessing import preprocessing_of, set_preprocessing
from brainalign.networks.untrained import reinitialise

ENTRY_POINT_GROUP = "brainalign.networks"


def is_file_factory(base: str) -> bool:
    """Tell whether a network's name is that of a file.

    Examples
    --------
    >>> [is_file_factory(name) for name in ("nets.py:make", "nets.py", "torchvision:resnet18")]
    [True, True, False]
    """
    path, _, _ = base.rpartition(":")
    return path.endswith(".py") or base.endswith(".py")


def make_from_file(argument: str, seed: int | None, image_size: int | None) -> nn.Module:
    """Call a factory that a Python file defines.

    The file is run afresh each time, under a module name of its own, so that it hides no installed
    module and an edit always counts. Files beside it are not importable.

    Parameters
    ----------
    argument
        ``path.py:FACTORY``; the path is absolute or relative to the working folder.
    seed
        None to take the network as the factory makes it, else draw its weights afresh.
    image_size
        Pixels; else the network's ``preprocessing`` decides.

    Raises
    ------
    BrainalignError
        No such file, the file or the factory raises, or the factory returns no ``nn.Module``.
    UnknownNameError
        The file defines no such factory.
    """
    path_text, _, factory_name = argument.rpartition(":")
    if not path_text.endswith(".py") or not factory_name:
        raise BrainalignError(
            f"Network {argument!r} names a file but no factory; write path.py:FACTORY, where FACTORY is a "
            "function in the file that takes no arguments and returns a torch.nn.Module."
        )
    path = Path(path_text).expanduser()
    if not path.is_file():
        raise BrainalignError(
            f"Network {argument!r}: there is no file {path_text!r} (looked for {path.resolve()})."
        )
    module = _run_file(path.resolve(), argument)
    if not hasattr(module, factory_name):
        functions = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        raise unknown_name(f"factory in {path_text}", factory_name, functions)
    return _made_by(getattr(module, factory_name), argument, seed, image_size)


def network_entry_points() -> dict[str, Any]:
    """Networks that installed packages announce in the entry-point group ``brainalign.networks``.

    Entry points of Python's own, or those of ``importlib_metadata``, which takes its place once it is imported.
    """
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def make_from_entry_point(argument: str, seed: int | None, image_size: int | None) -> nn.Module:
    """Call the factory that an installed package announces; parameters as of `make_from_file`."""
    point = network_entry_points()[argument]
    try:
        factory = point.load()
    except (ImportError, AttributeError) as error:
        raise BrainalignError(
            f"Network {argument!r} is announced by an installed package as {point.value!r}, which cannot be "
            f"imported: {error}. Mend or uninstall that package."
        ) from error
    return _made_by(factory, argument, seed, image_size)


def _run_file(path: Path, network: str) -> ModuleType:
    name = f"brainalign_file_{content_hash(str(path))[:16]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    # Dataclasses look their own module up here.
    sys.modules[name] = module
    try:
        # Compiled here rather than imported: an import leaves bytecode that can outlive an edit.
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[name]
        raise BrainalignError(
            f"Network {network!r}: running the file raised {type(error).__name__}: {error}"
        ) from error
    return module


def _made_by(factory: object, network: str, seed: int | None, image_size: int | None) -> nn.Module:
    if isinstance(factory, nn.Module) or not callable(factory):
        raise BrainalignError(
            f"Network {network!r}: expected a function that takes no arguments and returns a "
            f"torch.nn.Module, found an object of type {type(factory).__name__}."
        )
    try:
        made = factory()
    except Exception as error:
        raise BrainalignError(
            f"Network {network!r}: its factory raised {type(error).__name__}: {error}"
        ) from error
    if not isinstance(made, nn.Module):
        raise BrainalignError(
            f"Network {network!r}: its factory returned an object of type {type(made).__name__}; expected a "
            "torch.nn.Module."
        )
    if seed is not None:
        reinitialise(made, seed)
    preprocessing = preprocessing_of(made)
    set_preprocessing(made, preprocessing.with_size(image_size or preprocessing.size))
    return made
