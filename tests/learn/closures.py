"""Rows of an export, as closures give them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from connector.learn.export import Row

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)


def label(number: int, *, malicious: bool, group: str | None = None, **more: Any) -> Row:
    """A label that stands, on an event of its own unless told otherwise."""
    return Row(
        **{
            "row": f"row-{number:03}",
            "fact": f"fact-{number}",
            "event_id": f"event-{number}",
            "group": group or f"group-{number}",
            "kind": "sysmon-1",
            "text": f"text {number}",
            "fingerprint": f"{number:064x}",
            "status": "closed",
            "disposition": "true_positive" if malicious else "benign_positive",
            "malicious": malicious,
            "techniques": (),
            "technique_basis": None,
            "cause": None,
            "cause_basis": None,
            "superseded_by": None,
            "conflict": False,
            "analyst": "user-ana",
            "comment": "",
            "tags": (),
            "occurred_at": None,
            "scored_at": AT,
            "changed_at": AT,
            "observed_at": AT,
            "verdict": "suspicious",
            "confidence": 0.5,
            "passed": (),
            "model": "triaged/1",
            "history": "siem",
            "alert": f"alert-{number}",
            "siem": "site",
            "index": "logs",
            "source_id": f"e{number}",
            "query": "",
            "run": 1,
            "event": msgspec.Raw(b"{}"),
            **more,
        }
    )
