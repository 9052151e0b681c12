"""A ledger with scored events and what analysts said of them, and an export of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from connector import identity
from connector.events import normalise
from connector.learn.export import Export, Folder, LabelMap, Machines, Row
from connector.learn.export.folder import Steps
from connector.ledger import Commit, Ledger, open_ledger
from connector.pipeline.snapshot import snapshot
from connector.testing import ManualClock
from connector.types import DispositionChange, Event, ModelRef, RawEvent, SourceRef, Verdict

KEY = b"a key for tests alone, and long"
USER, HOST, DOMAIN, ADDRESS, SECRET = "ihalvorsen", "LMR-WS-0147", "larkmoor.example", "10.44.7.147", "Winter2026!"


def process(number: int, command: str = "whoami /all", user: str = USER, host: str = HOST) -> dict[str, Any]:
    """A process start as Winlogbeat ships it, with a person, a host and an address in it."""
    return {
        "@timestamp": "2026-01-05T12:00:00.000Z",
        "agent": {"type": "winlogbeat", "name": host, "version": "8.17.3"},
        "event": {
            "code": "1",
            "provider": "Microsoft-Windows-Sysmon",
            "kind": "event",
            "original": f"{user} on {host}",
        },
        "host": {"name": f"{host}.{DOMAIN}", "ip": [ADDRESS]},
        "message": f"Process Create: {command} by {user} from {ADDRESS}",
        "winlog": {
            "channel": "Microsoft-Windows-Sysmon/Operational",
            "provider_name": "Microsoft-Windows-Sysmon",
            "event_id": "1",
            "record_id": number,
            "computer_name": f"{host}.{DOMAIN}",
            "event_data": {
                "Image": f"C:\\Tools\\tool-{number}.exe",
                "CommandLine": command,
                "User": f"LARKMOOR\\{user}",
                "ParentImage": "C:\\Windows\\System32\\cmd.exe",
                "CurrentDirectory": f"C:\\Users\\{user}\\",
            },
        },
    }


def scored(native: str, document: dict[str, Any], deployment: str = "site") -> Event:
    """The event as the pipeline makes it."""
    ref = SourceRef(siem=deployment, index="logs", id=native)
    return normalise(RawEvent(deployment=deployment, native_id=native, ref=ref, data=document))


class House:
    """One ledger, one export folder, and a clock that a test moves."""

    def __init__(self, directory: Path, *, clock: ManualClock | None = None) -> None:
        self.dir = directory
        self.clock = clock or ManualClock()
        self.ledger: Ledger = open_ledger(f"sqlite:///{directory / 'ledger.sqlite'}", self.clock)
        self.folder = directory / "export"

    def score(self, *events: Event, verdict: str = "suspicious") -> list[str]:
        """Commits verdicts and snapshots, as a batch does. The events' ids."""
        self.ledger.commit(
            Commit(
                source="s",
                digest="",
                verdicts=[_verdict(event, verdict, self.clock) for event in events],
                snapshots={event.id: kept for event in events if (kept := snapshot(event)) is not None},
            )
        )
        return [event.id for event in events]

    def events(self, count: int) -> list[str]:
        """So many distinct events, scored now."""
        return self.score(*(scored(f"e{n}", process(n)) for n in range(count)))

    def said(
        self, alert: str, event_ids: Iterable[str], status: str = "closed", disposition: str | None = None, **more: Any
    ) -> None:
        """A change of an alert, made and observed now unless told otherwise."""
        facts = {"changed_at": self.clock(), "observed_at": self.clock(), "analyst": "ana", **more}
        history = facts.pop("history", "siem")
        change = DispositionChange(
            alert_id=alert, event_ids=tuple(event_ids), status=status, disposition=disposition, **facts
        )
        self.ledger.record_dispositions(history, [change], None)

    def export(
        self, steps: Steps = lambda _: None, *, key: bytes = KEY, parquet: bool = False, closures: int = 50
    ) -> Export:
        """The export of this house."""
        return Export(
            self.ledger,
            self.folder,
            key=key,
            clock=self.clock,
            labels=LabelMap(),
            machines=Machines(closures=closures, within=timedelta(minutes=1)),
            parquet=parquet,
            steps=steps,
        )

    def rows(self, folder: Path | None = None) -> list[Row]:
        """The rows that count."""
        place = folder or self.folder
        return Folder(place, self.export().pseudonyms.check).labels()

    def labels(self, folder: Path | None = None) -> dict[str, str | None]:
        """What stands, by event id."""
        return {row.event_id: row.disposition for row in self.rows(folder) if row.stands}

    def close(self) -> None:
        """Closes the ledger."""
        self.ledger.close()


def _verdict(event: Event, name: str, clock: ManualClock) -> Verdict:
    return Verdict(
        record_id=identity.record_id(event.id, 1),
        event_id=event.id,
        revision=1,
        verdict=name,  # type: ignore[arg-type]
        confidence=0.5,
        techniques=(),
        passed=(),
        members={"text": 0.5},
        model=ModelRef(name="triaged", version="1", attack_version="18.1"),
        fingerprint=event.fingerprint,
        source=event.ref,
        origin=None,
        timestamp="2026-01-05T12:00:00.000Z",
        at=clock(),
    )
