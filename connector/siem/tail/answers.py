"""What a read of a file answers: its events, where the next read goes on, and whether anything is missing."""

from __future__ import annotations

from connector.siem.formats.found import FoundFile
from connector.siem.tail.rows import Place
from connector.types import Batch, Cursor, RawEvent, Span


def answer(
    file: FoundFile, span: Span, items: tuple[RawEvent, ...], place: Place, end: int, *, ended: bool
) -> Batch[RawEvent]:
    """Events of a file of lines, read up to ``place``; incomplete where it ``ended`` before what was to be read."""
    reason = ""
    offset = place.offset
    if ended:
        if max(offset, end) < span.stop:
            reason = f"{file.path} is shorter than what was to be read of it"
        offset = max(offset, span.stop)
    return Batch(
        items=items,
        cursor=Cursor(token=f"{offset}:{'' if place.line is None else place.line}"),
        done=offset >= span.stop,
        complete=not reason,
        reason=reason,
    )


def no_answer(after: Cursor | None, reason: str) -> Batch[RawEvent]:
    """Nothing of a span can be read, for this reason."""
    return Batch(items=(), cursor=after, done=True, complete=False, reason=reason)
