"""A whole Triaged in memory: in-memory SIEM and SOAR, a clock that stands still, a real ledger, policy and tiny bundle."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from connector.ledger import Ledger, open_ledger
from connector.models import Bundle
from connector.pipeline import Act, Deliver, Ingest, Routes
from connector.pipeline.flag import Flag
from connector.pipeline.ingest import unwatched
from connector.pipeline.judge import Seen
from connector.policy import Enrichment, Policy
from connector.ports import EventSource
from connector.resources import shipped
from connector.settings import RetentionSettings
from connector.testing import ManualClock, MemorySiem, MemorySoar, memory_siem_plugin, memory_soar_plugin
from tests.daemon.site import process_start

_numbers = itertools.count()

POLICY = """
soar = "soar"
[[rules]]
name = "everything"
min_confidence = 0.0
mode = "auto"
tier = "ticket"
playbook = "notify-on-call"
rate = { runs = 100000, per = "1h" }
"""


class House:
    """One worker. A second one on the same ``ledger_path``, ``siem`` and ``soar`` is another replica."""

    def __init__(
        self,
        directory: Path,
        bundle: Bundle,
        *,
        source: Mapping[str, Any] | None = None,
        target: Mapping[str, Any] | None = None,
        soar: Mapping[str, Any] | None = None,
        policy: str = POLICY,
        enrichment: Enrichment | None = None,
        reading: EventSource | None = None,
        beside: House | None = None,
        seen: Seen = unwatched,
    ) -> None:
        self.name = beside.name if beside else f"house-{next(_numbers)}"
        self.clock = beside.clock if beside else ManualClock()
        self.siem = beside.siem if beside else MemorySiem(self.clock)
        self.platform = beside.platform if beside else MemorySoar(self.clock)
        MemorySiem._named[self.name] = self.siem
        MemorySoar._named[self.name] = self.platform
        self.stopping = Flag()
        self.steps: list[str] = []
        self.at_step = lambda step: None
        self.ledger: Ledger = open_ledger(f"sqlite:///{directory / 'ledger.sqlite'}", self.clock)
        self.bundle = bundle
        (directory / "policy.toml").write_text(policy)
        self.policy = Policy.load(directory / "policy.toml", shipped("playbooks"))
        plugin = memory_siem_plugin
        sources = {"lab": plugin.source.Config(type="memory", deployment="lab", instance=self.name, **(source or {}))}
        targets = {"siem": plugin.writer.Config(type="memory", instance=self.name, **(target or {}))}
        soars = {"soar": memory_soar_plugin.soar.Config(type="memory", instance=self.name, **(soar or {}))}
        self.source = reading or plugin.source("lab", sources["lab"], self.clock)
        writers = {"siem": plugin.writer("siem", targets["siem"], self.clock)}
        client = memory_soar_plugin.soar("soar", soars["soar"], self.clock)
        self.routes = Routes(self.ledger, writers=writers, targets=targets, soars=soars, sources=sources)
        shared = {"ledger": self.ledger, "owner": f"worker-{next(_numbers)}", "lease_ttl": timedelta(seconds=60)}
        shared |= {"clock": self.clock, "steps": self._step}
        decides = {"policy": lambda: self.policy, "routes": self.routes, "enrichment": enrichment, "origin_key": b"key"}
        self.ingest = Ingest(
            "lab",
            self.source,
            sources["lab"],
            bundle=lambda: self.bundle,
            retention=RetentionSettings(),
            stopping=self.stopping,
            seen=seen,
            **shared,
            **decides,
        )
        stops = self.stopping.is_set
        self.deliver = Deliver("siem", writers["siem"], targets["siem"], stopping=stops, **shared)
        self.act = Act("soar", client, soars["soar"], bundle_ready=lambda: True, stopping=stops, **shared, **decides)

    def _step(self, step: str) -> None:
        self.steps.append(step)
        self.at_step(step)

    def put(self, *names: str, **when: Any) -> tuple[str, ...]:
        """Process starts of these images arrive in the SIEM, found by native ids of the same names."""
        return self.siem.put([process_start(name) for name in names], ids=list(names), **when)

    def run(self, seconds: float, every: float = 30.0) -> None:
        """Lets time pass, polling regularly."""
        end = self.clock() + timedelta(seconds=seconds)
        while self.clock() < end:
            self.clock.advance(every)
            self.ingest.poll()

    def verdicts(self) -> dict[str, int]:
        """How often each native id has a verdict in the SIEM."""
        found: dict[str, int] = {}
        for document in self.siem.documents.values():
            if "verdict" in document["triaged"]:
                name = document["triaged"]["source"]["id"]
                found[name] = found.get(name, 0) + 1
        return found

    def close(self) -> None:
        self.ledger.close()
        MemorySiem.forget(self.name)
        MemorySoar.forget(self.name)
