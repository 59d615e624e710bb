"""Tell code of installed packages, known by version and checksums, from code that may change at any time."""

import functools
import importlib.metadata
import os
import site
import sys
import sysconfig
import types

from brainalign.files import content_hash

_PATHS = sysconfig.get_paths()
_STANDARD_LIBRARY = {_PATHS["stdlib"], _PATHS["platstdlib"]}
_SITE = {_PATHS["purelib"], _PATHS["platlib"], *site.getsitepackages(), site.getusersitepackages()}
# Site folders lie inside the standard library's, so the longer path is tried first.
_ROOTS = sorted(_STANDARD_LIBRARY | _SITE, key=len, reverse=True)


def package_of(module: types.ModuleType | None) -> str | None:
    """Describe the installed package that a module belongs to, see `package_at`."""
    # What is typed at a prompt, or run by `python -m`, is nobody's package.
    if module is None or module.__name__ == "__main__":
        return None
    file = getattr(module, "__file__", None)
    if file is not None:
        return package_at(file)
    top = module.__name__.partition(".")[0]
    if top in sys.stdlib_module_names:
        return "python"
    return package_of(sys.modules.get(top)) if top != module.__name__ else None


@functools.cache
def package_at(file: str) -> str | None:
    """Describe the installed package that a file of code belongs to, or give None.

    The description is the same for the same files: it holds the package's version and a hash of its list
    of files with their checksums, for a package can be installed anew under the same version. The standard
    library is ``python``. Packages installed for editing are not among the installed ones.
    """
    if file.startswith("<frozen "):
        return "python"
    for root in _ROOTS:
        if file.startswith(root + os.sep):
            if root in _STANDARD_LIBRARY:
                return "python"
            top = file[len(root) + 1 :].partition(os.sep)[0].partition(".")[0]
            return _distribution(top)
    return None


@functools.cache
def _distribution(top: str) -> str | None:
    try:
        found = [importlib.metadata.distribution(top)]
    except importlib.metadata.PackageNotFoundError:
        # Slow, for it reads the metadata of every package there is.
        names = sorted(set(importlib.metadata.packages_distributions().get(top, [])))
        found = [importlib.metadata.distribution(name) for name in names]
    records = [f"{each.version} {content_hash(each.read_text('RECORD') or '')}" for each in found]
    return f"{top} {' '.join(records)}" if found else None
