"""Events, verdicts, actions and batches with as little ceremony as the rules allow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from connector import identity
from connector.ledger import Commit, Interval, OutboxRow, Reader
from connector.types import Action, Entity, ModelRef, Note, SourceRef, Verdict

MODEL = ModelRef(name="ensemble", version="1", attack_version="18.1")
MINUTE = timedelta(minutes=1)
TTL = timedelta(seconds=60)


class FakeClock:
    """Time stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = datetime(2025, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by


def event(number: int | str) -> str:
    return identity.event_id("siem", str(number))


def verdict(event_id: str, revision: int = 1, **changes: Any) -> Verdict:
    base = Verdict(
        record_id=identity.record_id(event_id, revision),
        event_id=event_id,
        revision=revision,
        verdict="benign",
        confidence=0.1,
        techniques=(),
        passed=(),
        members={"text": 0.1},
        model=MODEL,
        fingerprint="ab" * 32,
        source=SourceRef(siem="siem", index="main", id=event_id),
        origin=f"{event_id}.mac",
    )
    return msgspec.structs.replace(base, **changes)


def own_row(event_id: str, target: str = "siem", **changes: Any) -> OutboxRow:
    """The outbox row by which a verdict itself is written."""
    return OutboxRow(record_id=event_id, target=target, cause=event_id, **changes)


def action(number: int | str, *, cause: str | None = None, **changes: Any) -> Action:
    subject = cause or event(number)
    base = Action(
        key=identity.action_key(str(number), "rule"),
        cause=subject,
        rule="rule",
        playbook="isolate",
        soar="dryrun",
        tier="contain",
        mode="auto",
        subject=subject,
        entity=Entity(host="h1"),
        entity_key="host:h1",
        verdict=verdict(subject),
        proposed_at=datetime(2025, 3, 1, tzinfo=UTC),
    )
    return msgspec.structs.replace(base, **changes)


def action_row(proposed: Action, *, cause: str | None = None) -> OutboxRow:
    payload = msgspec.json.encode(proposed)
    return OutboxRow(record_id=proposed.key, target=proposed.soar, kind="action", payload=payload, cause=cause)


def note_row(cause: str, step: str = "1", target: str = "siem") -> OutboxRow:
    record_id = identity.follow_up_id(cause, "note", step)
    note = Note(record_id=record_id, cause=cause, text=step, at=datetime(2025, 3, 1, tzinfo=UTC))
    return OutboxRow(record_id=record_id, target=target, cause=cause, payload=msgspec.json.encode(note))


def reader(offset: int = 0, **changes: Any) -> Reader:
    base = Reader(source="src", digest="q1", partition="", purpose="forward", offset=offset)
    return msgspec.structs.replace(base, **changes)


def interval(start: int, stop: int, read_at: int | None = None, **changes: Any) -> Interval:
    base = Interval(
        source="src",
        digest="q1",
        partition="",
        start=start,
        stop=stop,
        read_at=stop if read_at is None else read_at,
        complete=True,
    )
    return msgspec.structs.replace(base, **changes)


def batch(events: Sequence[str], *, start: int = 0, **changes: Any) -> Commit:
    """A batch of one event an offset, each with its verdict and one outbox row, ending in reader and interval."""
    stop = start + len(events)
    base = Commit(
        source="src",
        digest="q1",
        reader=reader(stop),
        interval=interval(start, stop),
        sightings=[(event_id, "", start + place) for place, event_id in enumerate(events)],
        verdicts=[verdict(event_id) for event_id in events],
        outbox=[own_row(event_id) for event_id in events],
    )
    return msgspec.structs.replace(base, **changes)


def events(count: int, first: int = 0) -> list[str]:
    return [event(number) for number in range(first, first + count)]
