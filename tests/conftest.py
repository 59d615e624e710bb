"""Fixtures for every test: a cache of its own, and real data where the machine has them."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def _folder_or_skip(variable: str) -> Path:
    named = os.environ.get(variable)
    if not named:
        pytest.skip(f"{variable} is not set: this test reads real data")
    return Path(named)


@pytest.fixture
def mirror() -> Path:
    """Folder that mirrors the public recordings."""
    return _folder_or_skip("BRAINALIGN_MIRROR")


@pytest.fixture
def image_sets() -> Path:
    """Folder with local copies of image sets."""
    return _folder_or_skip("BRAINALIGN_IMAGES")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    """A cache that no other test has touched."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("BRAINALIGN_CACHE", str(folder))
    return folder
