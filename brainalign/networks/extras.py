"""Packages that only some networks and bodies need."""

import importlib
from types import ModuleType

from brainalign.errors import BrainalignError


def import_extra(package: str, extra: str, user: str) -> ModuleType:
    """Import a package that one of brainalign's extras brings.

    Raises
    ------
    BrainalignError
        The package is not installed; the message names the pip command.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise BrainalignError(
            f"{user!r} needs the package {package!r}, which is not installed. "
            f'Install it with: pip install "brainalign[{extra}]"'
        ) from error
