"""Houses, built around one tiny bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connector.models import Bundle, Store
from connector.wiring import plugins
from tests.models.tiny import tiny_store
from tests.pipeline.house import House


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    store = Store(tiny_store(tmp_path_factory.mktemp("bundle") / "store"))
    return store.open(None, threads=1, cache_entries=1000, kinds=plugins("triaged.member"))


@pytest.fixture
def house(tmp_path: Path, bundle: Bundle) -> Iterator[Callable[..., House]]:
    """Makes houses in this test's directory; they are closed afterwards."""
    made: list[House] = []

    def make(**options: object) -> House:
        made.append(House(tmp_path, bundle, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
