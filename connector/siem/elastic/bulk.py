"""Bulk requests: how records are packed into them by bytes, and how each gets an outcome of its own.

A bulk is answered item by item, with HTTP 200 even where items failed. What was refused as too large is halved until
one document stands alone; what was lost on the way is ``unknown``, and what comes behind it was not tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from connector.errors import PermanentError, TransientError
from connector.types import Document, Json

Item = Mapping[str, Json]
"""One item of the answer: ``status``, and ``error`` where it failed."""

Send = Callable[[bytes], Sequence[Mapping[str, Item]]]
"""Sends a body of lines and gives the answer's ``items``. Raises what :mod:`connector.errors` draws; a ``PermanentError``
where the request is refused as a whole, for its size above all."""


class Operation(NamedTuple):
    """One line of action and one of source."""

    lines: bytes

    @classmethod
    def of(cls, action: Mapping[str, Any], source: Document) -> Operation:
        """Encoded. Raises ``TypeError`` or ``ValueError`` for what JSON cannot hold."""
        return cls(msgspec.json.encode(action) + b"\n" + msgspec.json.encode(source) + b"\n")


def create(index: str, number: str, source: Document) -> Operation:
    """Writes a document unless its id stands there already."""
    return Operation.of({"create": {"_index": index, "_id": number}}, source)


def run(operations: Sequence[Operation], send: Send, max_bytes: int) -> list[Item]:
    """One item an operation, in order. Raises only where not a single request was answered."""
    items: list[Item] = []
    for part in _parts(operations, max_bytes):
        try:
            items += _answered(part, send)
        except TransientError as error:
            if not items:
                raise
            items += [_lost(error)] * len(part)
            items += [_UNTRIED] * (len(operations) - len(items))
            break
    return items


UNKNOWN: Final = "connection_lost"
"""Our own error type, for an item of a request whose answer never came."""

_UNTRIED: Final[Item] = {"error": {"type": "rejected_execution_exception", "reason": "a request before it failed"}}


def _lost(error: TransientError) -> Item:
    kind = UNKNOWN if error.sent else "rejected_execution_exception"
    return {"error": {"type": kind, "reason": str(error)}}


def _parts(operations: Sequence[Operation], max_bytes: int) -> Iterator[Sequence[Operation]]:
    """Runs of operations that stay below a size; one that is larger by itself stands alone."""
    start, size = 0, 0
    for place, operation in enumerate(operations):
        if size and size + len(operation.lines) > max_bytes:
            yield operations[start:place]
            start, size = place, 0
        size += len(operation.lines)
    if start < len(operations):
        yield operations[start:]


def _answered(part: Sequence[Operation], send: Send) -> list[Item]:
    try:
        answer = send(b"".join(operation.lines for operation in part))
    except PermanentError as error:
        if len(part) == 1:
            return [{"status": 400, "error": {"type": "refused_alone", "reason": str(error)}}]
        half = len(part) // 2
        return _answered(part[:half], send) + _answered(part[half:], send)
    if len(answer) != len(part):
        raise TransientError(f"a bulk of {len(part)} was answered with {len(answer)} items", sent=True)
    return [next(iter(row.values())) for row in answer]
