"""The stand-in before clients that were written for the real server, and know nothing of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.splunkd import Splunkd
from tests.splunkd.clients import NEWEST_SDK, newest_python, node_packages

_DRIVERS = Path(__file__).parent / "drivers"
_SEEN = {
    "version": "9.4.3",
    "oneshot": ["0", "1", "2"],
    "export": ["h0", "h1", "h2"],
    "count": "3",
    "job": [{"host": f"h{number}", "count": "1"} for number in range(3)],
    "listed": True,
    "refused": ["HTTPError", 400],
    "collections": [[3, 22], 2, False],
    "secrets": ["realm/name/s3cret"],
}


@pytest.fixture
def splunkd() -> Iterator[Splunkd]:
    with Splunkd() as server:
        yield server


def _run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Any:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, **(environment or {})}
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _drive(splunkd: Splunkd, python: str) -> Any:
    return _run(
        [
            python,
            str(_DRIVERS / "drive.py"),
            splunkd.host,
            str(splunkd.port),
            splunkd.username,
            splunkd.password,
            splunkd.token,
        ]
    )


def test_splunklib_logs_in_searches_exports_writes_and_reads(splunkd: Splunkd) -> None:
    seen = _drive(splunkd, sys.executable)
    assert {name: seen[name] for name in _SEEN} == _SEEN
    assert seen["guid"] == splunkd.guid
    assert seen["sdk"] == version("splunk-sdk")


def test_the_newest_splunklib_sees_the_same(splunkd: Splunkd) -> None:
    seen = _drive(splunkd, str(newest_python()))
    assert {name: seen[name] for name in _SEEN} == _SEEN
    assert seen["sdk"] == NEWEST_SDK.partition("==")[2]


def test_splunklib_finds_its_way_on_a_server_without_search_v2() -> None:
    with Splunkd(version="8.2.6") as old:
        seen = _drive(old, sys.executable)
        assert {name: seen[name] for name in _SEEN} == {**_SEEN, "version": "8.2.6"}
        assert not old.asked("v2/jobs")
        assert old.asked("search/jobs")


def test_splunk_sdk_of_javascript_logs_in_writes_and_searches(splunkd: Splunkd) -> None:
    folder = node_packages()
    command = ["node", str(_DRIVERS / "sdk.js"), splunkd.host, str(splunkd.port), splunkd.username, splunkd.password]
    seen = _run(command, {"NODE_PATH": str(folder / "node_modules"), "NODE_NO_WARNINGS": "1"})
    assert seen == {
        "version": "9.4.3",
        "oneshot": {"fields": ["number", "host"], "rows": [[str(one), f"h{one}"] for one in range(3)]},
        "job": {"rows": [[f"h{one}", "1"] for one in range(3)], "count": 3},
        "exported": 200,
        "refused": 400,
        "secrets": ["s3cret"],
    }
    assert [json.loads(event.raw)["number"] for event in splunkd.events] == [0, 1, 2]


def test_splunk_logging_of_javascript_is_taken_in_one_batch_and_refused_without_a_token(splunkd: Splunkd) -> None:
    folder = node_packages()
    command = ["node", str(_DRIVERS / "logging.js"), splunkd.hec_url, splunkd.hec_token]
    seen = _run(command, {"NODE_PATH": str(folder / "node_modules"), "NODE_NO_WARNINGS": "1"})
    assert seen["taken"] == {"status": 200, "body": {"text": "Success", "code": 0}}
    assert seen["refused"] == {"status": 403, "body": {"text": "Invalid token", "code": 4}}
    assert [json.loads(event.raw)["message"] for event in splunkd.events] == [{"number": 0}, {"number": 1}, "text"]
    assert {(event.host, event.source, event.sourcetype) for event in splunkd.events} == {("node", "js", "logging")}
    assert len(splunkd.asked("collector")) == 2
