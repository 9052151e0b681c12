"""The real daemon, watched from inside: how many events are in the ledger, and how much memory is used, over time.

``python -m tests.bench.child CONFIG EVENTS REPORT`` ends by SIGTERM, sent to itself, once all is in the ledger and
delivered, and a challenger in shadow was asked about all of it.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import msgspec
from prometheus_client import Counter as Metric

from connector import telemetry
from connector.daemon import Daemon
from connector.wiring import App, load_settings

EVERY = 0.1


class Report(msgspec.Struct):
    """Samples of (seconds, events in the ledger, bytes resident, CPU seconds); ``scored`` are distinct events, ``compared`` those that a challenger scored."""

    samples: list[tuple[float, int, int, float]]
    delivered_at: float = 0.0
    scored: int = 0
    compared: int = 0
    dead: int = 0
    peak: int = 0


def main(config: str, events: str, report: str) -> None:
    """Runs until that many events are in the ledger and with the target."""
    settings = load_settings(Path(config))
    telemetry.configure(settings.log.format, settings.log.level)
    daemon = Daemon(lambda: App(settings))
    found = Report(samples=[])
    watcher = threading.Thread(target=_watch, args=(daemon, int(events), found), daemon=True)
    watcher.start()
    daemon.run()
    watcher.join()
    found.peak = _peak()
    Path(report).write_bytes(msgspec.json.encode(found))


def _watch(daemon: Daemon, expected: int, found: Report) -> None:
    start = time.perf_counter()
    while True:
        stored = _events().total()
        found.samples.append((time.perf_counter() - start, stored, _resident(), time.process_time()))
        if stored >= expected and not daemon.app.ledger.pending("out") and _asked(daemon.app) >= expected:
            break
        time.sleep(EVERY)
    found.delivered_at = time.perf_counter() - start
    found.compared = sum(one.events for one in daemon.app.ledger.shadow_counts() if one.compared.instead is not None)
    found.scored = _values(telemetry.CACHE, "outcome")["miss"]
    found.dead = _events()["dead"]
    os.kill(os.getpid(), signal.SIGTERM)


def _asked(app: App) -> float:
    """How many events a challenger scored or passed over; infinite where there is none."""
    return math.inf if app.shadow is None else sum(one.events for one in app.ledger.shadow_counts())


def _events() -> Counter[str]:
    """How many events had which outcome. Only this one metric is read: to collect all of them takes time from the loops."""
    return _values(telemetry.EVENTS, "outcome")


def _values(metric: Metric, label: str) -> Counter[str]:
    samples = (sample for family in metric.collect() for sample in family.samples)
    return Counter({s.labels[label]: int(s.value) for s in samples if s.name.endswith("_total")})


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _peak() -> int:
    """The most bytes that were ever resident; unlike ``ru_maxrss``, without what the parent had before ``exec``."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return int(status["VmHWM"].split()[0]) * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
