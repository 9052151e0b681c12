"""Testbeds: each stands one plug-in's other side up for the contract suites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import msgspec

from connector.testing.siem import MemorySiem
from connector.testing.soar import MemorySoar


class FilesTestbed:
    """The files SIEM: a folder of JSONL, a file of records, a file of dispositions."""

    def __init__(self, directory: Path) -> None:
        self._events = directory / "events" / "events.jsonl"
        self._records = directory / "records.jsonl"
        self._dispositions = directory / "dispositions.jsonl"

    def __enter__(self) -> Self:
        self._events.parent.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *exc: object) -> None:
        """Files need no tearing down."""

    def source_config(self) -> Mapping[str, Any]:
        """A source of the folder."""
        return {"type": "files", "deployment": "testbed", "paths": [str(self._events.parent)], "settle": 0}

    def writer_config(self) -> Mapping[str, Any]:
        """A writer to the file of records."""
        return {"type": "files", "path": str(self._records)}

    def history_config(self) -> Mapping[str, Any]:
        """A history of the file of dispositions."""
        return {"type": "files", "path": str(self._dispositions)}

    def put(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Appends a line each; the place of the line is its identity."""
        _append(self._events, documents)

    def written(self) -> Sequence[Mapping[str, Any]]:
        """The documents in the file of records."""
        if not self._records.exists():
            return []
        return [msgspec.json.decode(line) for line in self._records.read_bytes().splitlines()]

    def close_alert(self, alert_id: str, event_ids: Sequence[str], disposition: str) -> None:
        """Appends the change to the file of dispositions."""
        change = {
            "alert_id": alert_id,
            "event_ids": list(event_ids),
            "status": "closed",
            "disposition": disposition,
            "changed_at": self.clock().isoformat(),
        }
        _append(self._dispositions, [change])

    def clock(self) -> datetime:
        """The machine's time, which the file system keeps too."""
        return datetime.now(UTC)

    def settle(self) -> None:
        """A line is there as soon as it is whole."""


def _append(path: Path, documents: Sequence[Mapping[str, Any]]) -> None:
    with path.open("ab") as file:
        for document in documents:
            file.write(msgspec.json.encode(document) + b"\n")


class MemorySiemTestbed:
    """The in-memory SIEM, under the name of the directory."""

    def __init__(self, directory: Path) -> None:
        self._name = str(directory)

    def __enter__(self) -> Self:
        MemorySiem.forget(self._name)
        self.siem = MemorySiem.named(self._name)
        return self

    def __exit__(self, *exc: object) -> None:
        MemorySiem.forget(self._name)

    def source_config(self) -> Mapping[str, Any]:
        """A source of everything."""
        return {"type": "memory", "deployment": "testbed", "instance": self._name}

    def writer_config(self) -> Mapping[str, Any]:
        """A writer."""
        return {"type": "memory", "instance": self._name}

    def history_config(self) -> Mapping[str, Any]:
        """A history."""
        return {"type": "memory", "instance": self._name}

    def put(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Ingests them at one time: an adapter must page within a microsecond too."""
        self.siem.put(documents)
        self.siem.clock.advance(timedelta(milliseconds=1))

    def written(self) -> Sequence[Mapping[str, Any]]:
        """The documents, each with its key as ``_id``."""
        return [{"_id": key, **document} for key, document in self.siem.documents.items()]

    def close_alert(self, alert_id: str, event_ids: Sequence[str], disposition: str) -> None:
        """An analyst closes an alert."""
        self.siem.change_alert(alert_id, event_ids, "closed", disposition)
        self.siem.clock.advance(1)

    def clock(self) -> datetime:
        """The server's time."""
        return self.siem.clock()

    def settle(self) -> None:
        """Lets a minute pass, which is more than the default settle."""
        self.siem.clock.advance(60)


class MemorySoarTestbed:
    """The in-memory SOAR, under the name of the directory."""

    uniqueness = "key"

    def __init__(self, directory: Path) -> None:
        self._name = str(directory)

    def __enter__(self) -> Self:
        MemorySoar.forget(self._name)
        self.soar = MemorySoar.named(self._name)
        return self

    def __exit__(self, *exc: object) -> None:
        MemorySoar.forget(self._name)

    def soar_config(self) -> Mapping[str, Any]:
        """A SOAR with the testbed's degree of uniqueness."""
        return {"type": "memory", "instance": self._name, "uniqueness": self.uniqueness}

    def settle(self) -> None:
        """Lets a minute pass."""
        self.soar.clock.advance(60)

    def runs(self) -> Mapping[str, int]:
        """How often each action key ran."""
        counted: dict[str, int] = {}
        for run in self.soar.runs:
            counted[run.key] = counted.get(run.key, 0) + 1
        return counted
