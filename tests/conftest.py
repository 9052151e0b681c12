"""What every suite may ask for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.running import ended_at_the_end

ROOT = Path(__file__).parent.parent
CORPORA = Path(os.environ.get("TRIAGED_CORPORA", ROOT.parent / "shared" / "corpora"))


LONGEST = (
    "elastic",
    "tests/soar/test_effects.py",
    "tests/daemon/",
    "tests/learn/test_training.py",
    "tests/wheel/",
    "tests/learn/retrain/",
    "tests/learn/evaluation/",
    "tests/api/test_daemon.py",
    "tests/demo/",
    "tests/bench/",
    "tests/learn/test_fit",
    "tests/splunk_app/",
    "tests/cli/",
    "tests/pipeline/",
    "tests/ledger/",
)
"""Where a file takes long by its tests, and not by their number: what starts last keeps a process waiting for the other."""


def place(nodeid: str) -> str:
    """Which tests stay in one process: those of a file, and all that want a search server."""
    return "search servers" if "elastic" in nodeid else nodeid.split("::", 1)[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Several processes share the tests (`make test`) by place, in the order in which they were collected.

    Groups by mark (`--dist loadgroup`) do nothing under pytest 9.2: pytest-xdist writes them into ids that it no longer reads.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Places(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return place(nodeid)

    config.option.loadscopereorder = False
    return Places(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests, the longest places come first, then those with the most tests."""
    if not hasattr(config, "workerinput"):
        return
    sizes = Counter(place(item.nodeid) for item in items)

    def rank(item: pytest.Item) -> tuple[int, int, str]:
        here = place(item.nodeid)
        known = (number for number, name in enumerate(LONGEST) if name in item.nodeid)
        return next(known, len(LONGEST)), -sizes[here], here

    items.sort(key=rank)


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of upstream corpora; the test is skipped where it is missing."""
    if not CORPORA.is_dir():
        pytest.skip(f"no corpora at {CORPORA}: set TRIAGED_CORPORA to the folder of upstream files")
    return CORPORA


FAILED = pytest.StashKey[bool]()
LOG_AT_FIRST = structlog.get_config()


@pytest.fixture(autouse=True)
def log_as_at_first() -> Iterator[None]:
    """A command that ran in this process, for a test or a fixture, sent the log to a stream that is closed by now."""
    structlog.configure(**LOG_AT_FIRST)
    yield
    structlog.configure(**LOG_AT_FIRST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Notes which tests failed, for their fixtures."""
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture(autouse=True)
def no_process_outlives_its_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Ends what a site started. A failure stays one failure; where nothing failed, to leave a process running is one."""
    with ended_at_the_end() as left:
        yield
    assert not left or FAILED in request.node.stash, f"still running: {[process.args for process in left]}"
