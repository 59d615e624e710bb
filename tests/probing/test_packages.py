"""Installed packages are known by their files; all other code has to be read."""

import math
import sys
import types

import numpy as np
import pytest
import torch

import brainalign
from brainalign.probing import packages
from brainalign.probing.packages import package_at, package_of


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package, or install it anew, as pip would; give the file of its code."""
    monkeypatch.setattr(packages, "_ROOTS", [str(tmp_path)])
    monkeypatch.syspath_prepend(tmp_path)

    def install(version="1.0", checksum="sha256=abc", record=True, distribution="lab-nets"):
        code = tmp_path / "lab_nets" / "nets.py"
        facts = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        for file, text in {
            code: "",
            facts / "METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n",
            facts / "top_level.txt": "lab_nets\n",
            facts / "RECORD": f"lab_nets/nets.py,{checksum},0\n" if record else None,
        }.items():
            file.parent.mkdir(exist_ok=True)
            if text is not None:
                file.write_text(text)
        packages._distribution.cache_clear()
        package_at.cache_clear()
        return str(code)

    yield install
    packages._distribution.cache_clear()
    package_at.cache_clear()


def test_a_package_installed_anew_under_the_same_version(install):
    before = package_at(install())
    assert before.startswith("lab_nets 1.0 ")
    assert package_at(install(checksum="sha256=def")) not in (None, before)
    assert package_at(install()) == before


def test_a_package_without_a_list_of_files_is_known_by_its_version(install):
    assert package_at(install(record=False)).startswith("lab_nets 1.0")


def test_a_package_whose_name_is_not_its_folders(install):
    assert package_at(install(distribution="another-name")).startswith("lab_nets 1.0 ")


def test_a_file_that_merely_lies_among_packages(install, tmp_path):
    install()
    assert package_at(str(tmp_path / "dropped_here.py")) is None


@pytest.mark.parametrize(
    "module,package", [(torch.nn.functional, "torch"), (torch._C._nn, "torch"), (np.random, "numpy")]
)
def test_modules_of_packages(module, package):
    assert package_of(module).startswith(f"{package} ")


@pytest.mark.parametrize("module", [sys, math, types])
def test_standard_library(module):
    assert package_of(module) == "python"


def test_code_that_may_change_at_any_time(tmp_path):
    assert package_of(None) is None
    assert package_of(types.ModuleType("made_up")) is None
    assert package_at(str(tmp_path / "nets.py")) is None
    assert package_at("<ipython-input-1>") is None


def test_the_main_module_is_nobodys_package(monkeypatch):
    """What is typed at a prompt that ``python -m`` started has an installed file for its module."""
    main = types.ModuleType("__main__")
    main.__file__ = torch.__file__
    assert package_of(main) is None


def test_this_package_where_it_is_installed_for_editing():
    expected = None if "site-packages" not in brainalign.__file__ else "brainalign "
    found = package_of(brainalign)
    assert found is None if expected is None else found.startswith(expected)
