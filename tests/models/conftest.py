"""One tiny store a test."""

from __future__ import annotations

import pytest

from connector.models import Store
from tests.models.tiny import tiny_store


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tiny_store(tmp_path / "store"))


@pytest.fixture
def bundle_dir(tmp_path, store):
    return tmp_path / "store" / "tiny" / "1"
