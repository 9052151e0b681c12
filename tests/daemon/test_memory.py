"""The daemon's memory stays bounded whatever one event holds, and the events around it get their verdicts.

An event as large as ``max_event_bytes`` allows may be made of the smallest things that JSON has: a list of empty objects
takes some thirty times its text in memory, and is there more than once while it becomes a verdict. What it may cost in
all is ``COST`` times the limit, so that who sets the limit knows what to give the daemon.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from connector.pipeline import kept
from tests.daemon.site import Site, process_start, stop, wait_until
from tests.running import Running

MAX_EVENT = 1 << 20
COST = 64
"""What one event may cost, as a multiple of ``max_event_bytes``."""

SOURCE = f"""
[sources.hostile]
type = "files"
deployment = "hostile"
paths = ["{{dir}}/hostile/*"]
every = "PT0.1S"
settle = "PT0.1S"
max_event_bytes = {MAX_EVENT}
batch = 20
"""


def _filled(start: str, piece: str, end: str) -> bytes:
    """A record of just the size that is allowed."""
    space = MAX_EVENT - len(start) - len(end)
    return (start + piece * (space // len(piece)) + end).encode()


def _keys(form: str) -> bytes:
    pairs, size = [], 2
    while size < MAX_EVENT - 40:
        pairs.append(form.format(len(pairs)))
        size += len(pairs[-1]) + 1
    return b"{" + ",".join(pairs).encode() + b"}"


def _carried() -> bytes:
    """An event in a text in an event in a text, as deep as it is unwrapped."""
    text = json.dumps({"message": "x", "list": [{}] * (MAX_EVENT // 40)})
    while len(outer := json.dumps({"_raw": text})) < MAX_EVENT:
        text = outer
    return text.encode()


SHAPES: dict[str, Callable[[], bytes]] = {
    "one text": lambda: _filled('{"message": "', "A", '"}'),
    "spaces": lambda: _filled('{"message": "', " ", '"}'),
    "escapes": lambda: _filled('{"message": "', "\\u0000", '"}'),
    "lone surrogates": lambda: _filled('{"message": "', "\\ud800", '"}'),
    "empty objects": lambda: _filled('{"a": [', "{},", "{}]}"),
    "empty lists in ECS": lambda: _filled('{"ecs": {}, "process": {"args": [', "[],", "[]]}}"),
    "numbers": lambda: _filled('{"a": [', "1e9,", "1]}"),
    "keys": lambda: _keys('"{0}":[]'),
    "dotted keys": lambda: _keys('"process.{0}.a":{{}}'),
    "event data": lambda: b'{"EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational",' + _keys('"{0}":"x"')[1:-100].rpartition(b",")[0] + b"}",
    "depth": lambda: _filled("", '{"a":', ""),
    "carried": _carried,
    "payload": lambda: _filled('{"message": "', "SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoA", '"}'),
    "XML": lambda: _filled("<Event><EventData>", "<a/>", "</EventData></Event>"),
    "XML data": lambda: _filled("<Event><EventData>", "<Data>x</Data>", "</EventData></Event>"),
    "not JSON": lambda: _filled('{"a": [', "[],", "["),
    "too long": lambda: _filled('{"message": "', "A", '"}') + b" " * MAX_EVENT,
}  # fmt: skip
QUICK = ("empty objects", "keys", "XML", "too long")


class HostileSite(Site):
    """A site with a second source that is fed hostile events."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, extra=SOURCE.format(dir=directory))
        self._fed = 0
        (directory / "hostile").mkdir()

    def feed(self, name: str, event: bytes) -> None:
        """One event between two that anyone would understand."""
        self._fed += 1
        around = [json.dumps(process_start(f"{side}-{name}.exe")).encode() for side in ("before", "after")]
        fresh = self.dir / f"{self._fed}.jsonl"
        fresh.write_bytes(b"\n".join([around[0], event, around[1], b""]))
        fresh.rename(self.dir / "hostile" / fresh.name)

    def dead(self) -> list[tuple[str, bytes]]:
        """Reason and payload of each dead letter."""
        with closing(sqlite3.connect(self.dir / "data" / "ledger.sqlite")) as database:
            return database.execute("SELECT reason, payload FROM dead_letters ORDER BY id").fetchall()


def _peak(pid: int) -> int:
    """The most memory that a process ever had, in bytes."""
    (line,) = [row for row in Path(f"/proc/{pid}/status").read_text().splitlines() if row.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("names", [QUICK, pytest.param(tuple(SHAPES), marks=pytest.mark.full)], ids=["few", "all"])
def test_memory_is_bounded_and_every_event_gets_a_verdict_or_one_dead_letter(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    site = HostileSite(tmp_path)
    site.events(20)
    daemon = site.start()
    try:
        costs = _fed(site, daemon, names)
        stop(daemon)
    finally:
        daemon.kill()
    assert sum(costs.values()) < COST, costs
    for reason, payload in site.dead():
        assert 0 < len(reason) < 1000
        assert len(payload) <= kept.LIMIT + 4096


def _fed(site: HostileSite, daemon: Running, names: tuple[str, ...]) -> dict[str, float]:
    """By how much each event raised the peak, in multiples of its size; each is fed once the one before has its end."""
    wait_until(lambda: len(site.verdict_ids()) == 20, "ordinary events are delivered")
    costs: dict[str, float] = {}
    ended = 20
    for name in names:
        before = _peak(daemon.pid)
        site.feed(name, SHAPES[name]())
        ended += 3
        wait_until(lambda ended=ended: len(site.verdict_ids()) + len(site.dead()) == ended, f"{name} has its end", 120)
        costs[name] = (_peak(daemon.pid) - before) / MAX_EVENT
    assert len(site.verdict_ids()) >= 20 + 2 * len(names), "an ordinary event beside a hostile one has no verdict"
    return costs
