"""Events of hosts in order, what a text member says of them, and a member to score them by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from connector.events import canonical, fingerprint
from connector.models.sequence.member import SequenceMember
from connector.models.sequence.testbed import LABELS
from connector.ports import State
from connector.types import Event, Scores, SourceRef

START = datetime(2026, 1, 5, 12, tzinfo=UTC)


def event(number: int, *, host: str | None = "pc1", seconds: float | None = None, **process: object) -> Event:
    """A process start of its own, so many seconds after the start."""
    at = START + timedelta(seconds=number if seconds is None else seconds)
    told = {"executable": f"C:\\Windows\\System32\\tool{number}.exe", "entity_id": f"{{{host}-{number}}}"} | process
    ecs = {
        "@timestamp": f"{at:%Y-%m-%dT%H:%M:%S.%fZ}",
        "event": {"code": "1", "provider": "Microsoft-Windows-Sysmon"},
        "winlog": {"channel": "Microsoft-Windows-Sysmon/Operational", "event_id": "1"},
        "process": told,
        **({} if host is None else {"host": {"name": host}}),
    }
    pairs = canonical(ecs, "sysmon-1")
    ref = SourceRef(siem="siem", index="i", id=str(number))
    return Event(
        id=f"{host}-{number}", ref=ref, kind="sysmon-1", ecs=ecs, canonical=pairs, fingerprint=fingerprint(pairs)
    )


def said(p_malicious: Sequence[float], technique: float = 0.25) -> dict[str, Scores]:
    """A text member's view of so many events."""
    columns = np.full((len(p_malicious), len(LABELS)), technique, np.float32)
    columns[np.isnan(p_malicious)] = np.nan
    return {
        "text": Scores(techniques=columns, p_malicious=np.array(p_malicious, np.float32), notes=((),) * len(columns))
    }


def scored(
    member: SequenceMember, batches: Iterable[Sequence[Event]], p_of: dict[str, float], state: State | None = None
) -> tuple[dict[str, float], dict[str, tuple[int, bytes]]]:
    """p_malicious by event id over several batches, and the ledger's rows after them."""
    rows = dict(state or {})
    found: dict[str, float] = {}
    for batch in batches:
        keys = member.state_keys(batch)
        held = {key: row for key, row in rows.items() if key in keys}
        scores, change = member.score(batch, said([p_of.get(e.id, 0.01) for e in batch]), held)
        found |= dict(zip([e.id for e in batch], scores.p_malicious.tolist(), strict=True))
        rows |= {key: (version + 1, value) for key, (version, value) in change.rows.items()}
    return found, rows
