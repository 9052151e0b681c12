"""What holds for every input: a value or a ``PermanentError`` with a reason, and a value that the next step can take."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from connector.errors import PermanentError
from connector.events import families, normalise
from connector.events.fingerprint import fingerprint
from connector.events.render import MAX_TEXT, render
from connector.pipeline import kept, own
from connector.policy.entity import entity_key, entity_of
from connector.types import Event, RawEvent, SourceRef

REF = SourceRef(siem="fuzz", index="i", id="1")
LONGEST_REASON = 1000


@contextmanager
def allowed(kind: type[Exception] = PermanentError) -> Iterator[None]:
    """Lets an error of this kind pass, if it says why; of an event, which anyone may send, in few words."""
    try:
        yield
    except kind as refused:
        _check(str(refused), LONGEST_REASON if kind is PermanentError else sys.maxsize)


def _check(reason: str, longest: int = LONGEST_REASON) -> None:
    assert 0 < len(reason) <= longest, f"a reason of {len(reason)} characters"


def _must_be_refused(refused: PermanentError) -> None:
    assert not str(refused).startswith("no JSON event"), f"a reader failed: {refused.__cause__!r}"


def judged(data: Any, error: str | None = None) -> Event | None:
    """Takes a raw event through every step that reads it before a model does; None where it was refused."""
    raw = RawEvent(deployment="fuzz", native_id="1", ref=REF, data=data, error=error)
    try:
        event = normalise(raw)
    except PermanentError as refused:
        _check(str(refused))
        _must_be_refused(refused)
        kept.preserved(raw)
        return None
    assert type(event.ecs) is dict
    msgspec.json.encode(event.ecs)
    for pair in event.canonical:
        assert all(type(part) is str and part for part in pair), pair
    assert event.fingerprint == fingerprint(event.canonical)
    assert len(render(event.canonical)) <= MAX_TEXT
    families.family_of(event.kind, event.ecs)
    assert entity_key(entity_of(event.ecs), event.ref)
    own.is_own(event, own.marked(event), b"k" * 32)
    return event
