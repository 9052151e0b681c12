"""Writers that ship events as collectors do: each on its own, late by chance, many in one millisecond, out of order."""

from __future__ import annotations

import heapq
import itertools
import json
import random
import threading
import time
import urllib.error
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.daemon.site import process_start
from tests.servers.process import Server
from tests.siem.elastic.asked import ask

GROUP = 50
TICK_MS = 20
"""Times of ingest are rounded down to this, so that many events share one."""


class Writers(threading.Thread):
    """Several writers in one thread each; ``join`` waits for the last event to be acknowledged."""

    def __init__(self, server: Server, index: str, count: int, *, writers: int, seconds: float, late: float) -> None:
        super().__init__(daemon=True)
        self.written: set[str] = set()
        self.last = 0.0
        self.slowest = 0.0
        self._server = server
        self._index = index
        self._late = late
        self._pause = seconds * writers * GROUP / count
        shares = [range(first, count, writers) for first in range(writers)]
        self._threads = [
            threading.Thread(target=self._write, args=(share, n), daemon=True) for n, share in enumerate(shares)
        ]
        self._mutex = threading.Lock()

    def run(self) -> None:
        """Until every writer is done."""
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()

    def _write(self, numbers: range, seed: int) -> None:
        dice = random.Random(seed)
        waiting: list[tuple[float, int, list[tuple[int, dict[str, Any]]]]] = []
        groups = self._groups(numbers, dice)
        for turn in itertools.count():
            group = next(groups, None)
            if group is None and not waiting:
                return
            if group is not None:
                heapq.heappush(waiting, (time.monotonic() + dice.random() * self._late, turn, group))
            while waiting and (group is None or waiting[0][0] <= time.monotonic()):
                self._send(heapq.heappop(waiting)[2])
            time.sleep(self._pause * dice.random() * 2)

    def _groups(self, numbers: range, dice: random.Random) -> Iterator[list[tuple[int, dict[str, Any]]]]:
        for start in range(0, len(numbers), GROUP):
            yield [(number, _event(number, dice)) for number in numbers[start : start + GROUP]]

    def _send(self, group: list[tuple[int, dict[str, Any]]]) -> None:
        """Until the server has all of them; what must be sent again is ingested anew."""
        while group:
            if self._stamped(group) < time.time() - self._late - 1:  # held up behind one that had to be sent again
                group = [(number, _ingested(event)) for number, event in group]
            stamped = self._stamped(group)
            rows: list[Any] = []
            for number, event in group:
                rows += [{"create": {"_index": self._index, "_id": f"{number:06d}"}}, event]
            try:
                answer = ask(self._server, "POST", "/_bulk?timeout=2s&filter_path=items.*.status,items.*._id", rows)
            except (urllib.error.URLError, OSError, json.JSONDecodeError):
                answer = {}
            done = {item["create"]["_id"] for item in answer.get("items", ()) if item["create"]["status"] in {201, 409}}
            with self._mutex:
                self.written |= done
                self.last = time.time()
                self.slowest = max(self.slowest, self.last - stamped if len(done) == len(group) else 0)
            if len(done) < len(group):
                self._wait()
            group = [(number, _ingested(event)) for number, event in group if f"{number:06d}" not in done]

    @staticmethod
    def _stamped(group: list[tuple[int, dict[str, Any]]]) -> float:
        return min(datetime.fromisoformat(event["event"]["ingested"]).timestamp() for _, event in group)

    def _wait(self) -> None:
        """Until the server takes documents: one that waits inside a server which starts would be late by its whole start."""
        while True:
            time.sleep(0.3)
            with suppress(urllib.error.URLError, OSError, json.JSONDecodeError):
                if ask(self._server, "GET", f"/_cluster/health/{self._index}?timeout=1s").get("status") in {
                    "green",
                    "yellow",
                }:
                    return


def _event(number: int, dice: random.Random) -> dict[str, Any]:
    skewed = datetime.now(UTC) - timedelta(seconds=dice.uniform(-3600, 86400))
    return _ingested({**process_start(f"tool-{number % 997}.exe"), "@timestamp": skewed.isoformat()})


def _ingested(event: dict[str, Any]) -> dict[str, Any]:
    moment = time.time_ns() // 1_000_000 // TICK_MS * TICK_MS
    stamp = datetime.fromtimestamp(moment / 1000, UTC).isoformat(timespec="milliseconds")
    return {**event, "event": {**event["event"], "ingested": stamp}}
