"""What a source asks for, as pure functions: which documents match, when each was ingested, and in which order they come.

A document's *time* is its time field or, where it has none and the settings say so, ``@timestamp``. Positions are whole
milliseconds: an index may keep dates in milliseconds or in nanoseconds, and a pattern may name both. An edge of a span
is rounded up to a millisecond, a time down, so that a time lies in a span exactly if the server's own comparison says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from connector.types import Span

FALLBACK: Final = "@timestamp"
MISSING: Final = 2**63 - 1
"""What a search gives as sort value of a document that lacks the field, where those come last."""

Missing: TypeAlias = Literal["timestamp", "refuse"]
Query: TypeAlias = Mapping[str, Any] | str | None
Json: TypeAlias = dict[str, Any]


class Floor(msgspec.Struct, frozen=True, array_like=True):
    """Where to go on without a point in time: inclusively from these milliseconds of each kind of document.

    None: all of that kind have been read. Documents with the time field come first, those with the fallback after.
    """

    by_field: int | None
    by_fallback: int | None


class Asked(msgspec.Struct, frozen=True):
    """What a source reads."""

    query: Query
    time_field: str
    missing: Missing
    exclude: tuple[str, ...] = ()

    @property
    def has_fallback(self) -> bool:
        """Whether documents without the time field are read by the fallback."""
        return self.missing == "timestamp" and self.time_field != FALLBACK

    def digest(self, *more: object) -> str:
        """Of everything that decides which documents are read, and under which position and identity."""
        parts = (2, self.query, self.time_field, self.missing, self.exclude, *more)
        return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()

    def within(self, span: Span, floor: Floor | None = None) -> Json:
        """The query for a span's documents, those before the floor left out."""
        start, stop = milliseconds(span.start), milliseconds(span.stop)
        floor = floor or Floor(start, start)
        return self._matching({"bool": {"should": list(self._kinds(floor, start, stop)), "minimum_should_match": 1}})

    def _kinds(self, floor: Floor, start: int, stop: int) -> Iterator[Json]:
        if floor.by_field is not None:
            yield between(self.time_field, max(start, floor.by_field), stop)
        if self.has_fallback and floor.by_fallback is not None:
            yield without(self.time_field, between(FALLBACK, max(start, floor.by_fallback), stop))
        yield {"match_none": {}}

    def without_place(self) -> Json:
        """The query for documents that no span will ever hold: without a time, or with one outside of all that is read."""
        placed = [{"range": {self.time_field: _EVER}}]
        if self.has_fallback:
            placed.append(without(self.time_field, {"range": {FALLBACK: _EVER}}))
        return self._matching({"bool": {"must_not": placed}})

    def sort(self, ties: Sequence[str]) -> list[Json]:
        """By time, those with the time field first, then by what tells documents of one millisecond apart."""
        fields = (self.time_field, FALLBACK) if self.has_fallback else (self.time_field,)
        order = {"order": "asc", "missing": "_last", "unmapped_type": "date", "numeric_type": "date"}
        return [*({field: order} for field in fields), *({tie: "asc"} for tie in ties)]

    def time_of(self, sort: Sequence[Any]) -> int | None:
        """A hit's time in milliseconds, from its sort values; None where it has none."""
        for value in sort[: 2 if self.has_fallback else 1]:
            if isinstance(value, int) and value != MISSING:
                return value
        return None

    def floor_at(self, sort: Sequence[Any], start: int) -> Floor:
        """Where to go on after a hit, inclusively: others may share its millisecond."""
        if isinstance(sort[0], int) and sort[0] != MISSING:
            return Floor(sort[0], milliseconds(start))
        return Floor(None, self.time_of(sort))

    def _matching(self, more: Json) -> Json:
        must = [self._asked(), more]
        own = [{"wildcard": {"_index": {"value": pattern}}} for pattern in self.exclude]
        return {"bool": {"filter": must, "must_not": own}}

    def _asked(self) -> Json:
        if isinstance(self.query, str):
            return {"query_string": {"query": self.query}}
        return dict(self.query) if self.query else {"match_all": {}}


_EVER: Final = {"gte": 0, "lt": "now+1d", "format": "epoch_millis||strict_date_optional_time"}


def between(field: str, start: int, stop: int) -> Json:
    """Documents with a time in a half-open stretch of milliseconds."""
    return {"range": {field: {"gte": start, "lt": stop, "format": "epoch_millis"}}}


def without(field: str, query: Json) -> Json:
    """Documents that lack a field, and match."""
    return {"bool": {"filter": [query], "must_not": [{"exists": {"field": field}}]}}


def milliseconds(micros: int) -> int:
    """Microseconds as milliseconds, rounded up."""
    return -(-micros // 1000)
