"""One house for the tests that change nothing that another one could see."""

from __future__ import annotations

import pytest

from tests.api.house import opened


@pytest.fixture
def house(tmp_path):
    with opened(tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One house for a whole file, for tests that each use ids of their own."""
    with opened(tmp_path_factory.mktemp("house")) as found:
        yield found
