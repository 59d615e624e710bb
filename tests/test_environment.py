import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"torch": "pytorch"}  # the packages whose name on conda-forge differs from PyPI's
REQUIREMENT = re.compile(r"([a-z0-9-]+)(>=[0-9.]+)?$")


def bounds(requirements: list[str]) -> dict[str, str | None]:
    matches = [REQUIREMENT.match(requirement) for requirement in requirements]
    unread = [line for line, match in zip(requirements, matches, strict=True) if match is None]
    assert not unread, f"not of the form name>=version: {unread}"
    return {match[1]: match[2] for match in matches if match}


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def conda() -> list[str]:
    """The top-level list of `dependencies`; the nested one is pip's."""
    dependencies = (ROOT / "environment.yml").read_text().partition("\ndependencies:\n")[2]
    return re.findall(r"^  - ([^:\n]+)$", dependencies, re.MULTILINE)


def test_conda_has_the_dependencies_of_pyproject(project, conda):
    listed = bounds(conda)
    wanted = {CONDA_NAMES.get(name, name): bound for name, bound in bounds(project["dependencies"]).items()}
    assert listed.pop("python") == project["requires-python"]
    listed.pop("pip")
    assert listed == wanted


def test_conda_installs_the_checkout_itself():
    assert re.search(r"^  - pip:\n      - -e \.$", (ROOT / "environment.yml").read_text(), re.MULTILINE)


def test_citation_names_the_version_and_licence_of_pyproject(project):
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"version: {project['version']}\n" in citation
    assert f"license: {project['license']}\n" in citation
