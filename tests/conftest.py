"""What every suite may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

ROOT = Path(__file__).parent.parent
CORPORA = Path(os.environ.get("TRIAGED_CORPORA", ROOT.parent / "shared" / "corpora"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Several processes share the tests (`make test`): a file stays in one, and so do all that want a search server."""
    for item in items:
        place = item.path.relative_to(ROOT).as_posix()
        item.add_marker(pytest.mark.xdist_group("search servers" if "elastic" in item.nodeid else place))


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of upstream corpora; the test is skipped where it is missing."""
    if not CORPORA.is_dir():
        pytest.skip(f"no corpora at {CORPORA}: set TRIAGED_CORPORA to the folder of upstream files")
    return CORPORA


LOG_AT_FIRST = structlog.get_config()


@pytest.fixture(autouse=True)
def log_as_at_first() -> Iterator[None]:
    """A command that ran in this process, for a test or a fixture, sent the log to a stream that is closed by now."""
    structlog.configure(**LOG_AT_FIRST)
    yield
    structlog.configure(**LOG_AT_FIRST)
