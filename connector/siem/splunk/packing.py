"""Events of the collector, and how they are packed into requests: by index, and by bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from connector.types import Noun


class HecEvent(Noun, frozen=True):
    """One event as it is sent. ``key`` is the record's id; ``index`` None is the token's own."""

    key: str
    index: str | None
    body: bytes


def packed(events: Iterable[HecEvent], max_bytes: int) -> Iterator[Sequence[HecEvent]]:
    """Requests of one index each, below a size; an event that is larger by itself stands alone.

    A collector refuses a whole request for one index that the token may not write to, so no request has two.
    """
    by_index: dict[str | None, list[HecEvent]] = {}
    for event in events:
        by_index.setdefault(event.index, []).append(event)
    for alike in by_index.values():
        start, size = 0, 0
        for place, event in enumerate(alike):
            if size and size + len(event.body) > max_bytes:
                yield alike[start:place]
                start, size = place, 0
            size += len(event.body)
        yield alike[start:]


def apart(part: Sequence[HecEvent], number: int | None = None) -> list[Sequence[HecEvent]]:
    """A refused request in smaller ones: what is before the event of that number, it alone, what is after it.

    Without a number, or with one that cannot be, the request is halved. An event is blamed only where it stood alone.
    """
    if number is None or not 0 <= number < len(part):
        number = len(part) // 2
        return [part[:number], part[number:]]
    return [some for some in (part[:number], part[number : number + 1], part[number + 1 :]) if some]
