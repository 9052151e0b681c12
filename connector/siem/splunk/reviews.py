"""Where an analyst's decisions are read: the history of reviews, or, in Enterprise Security 8, the findings themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from connector.errors import TransientError
from connector.siem.splunk.client import Splunk, path_of

APP: Final = "SA-ThreatIntelligence"
REVIEWS: Final = path_of("servicesNS", "nobody", APP, "storage", "collections", "data", "incident_review")
STATUSES: Final = path_of("servicesNS", "nobody", APP, "configs", "conf-reviewstatuses")
FINDINGS: Final = path_of("servicesNS", "nobody", "missioncontrol", "public", "v2", "findings")

_FINDINGS_PAGE: Final = 100
_MOST_PAGES: Final = 1000
_DIGEST: Final = 12


class Review(NamedTuple):
    """One state of a review, as the site wrote it; ``time`` is the epoch in seconds."""

    rule_id: str
    time: float
    status: str
    disposition: str
    owner: str
    user: str
    comment: str


class Page(NamedTuple):
    """Reviews in the order of their changes, where to go on after them, whether that is all, and what is wrong."""

    reviews: Sequence[Review]
    token: str | None
    done: bool
    reasons: Sequence[str] = ()


class Reviews(Protocol):
    """Reads changes of reviews up to a moment, after a token."""

    def page(self, token: str | None, until: datetime, limit: int) -> Page:
        """At most ``limit`` changes."""
        ...


class History:
    """``incident_review``: a row for each change. A token is the last row's time and key."""

    def __init__(self, splunk: Splunk) -> None:
        self._splunk = splunk

    def page(self, token: str | None, until: datetime, limit: int) -> Page:
        """By time, and by key where times are equal: an order that the store gives, whatever it is asked on which member."""
        place = _after(token)
        wanted: list[dict[str, Any]] = [{"time": {"$lte": until.timestamp()}}]
        if place is not None:
            time, key = place
            wanted.append({"$or": [{"time": {"$gt": time}}, {"time": time, "_key": {"$gt": key}}]})
        query = {"query": _json({"$and": wanted}), "sort": "time:1,_key:1", "limit": str(limit)}
        rows = self._splunk.request("reading reviews", "GET", REVIEWS, query=query).json() or []
        reasons = [] if rows or place is not None else self._untimed(until)
        reviews = [_review(row) for row in rows]
        last = _json([rows[-1]["time"], rows[-1]["_key"]]) if rows else token
        return Page(reviews, last, len(rows) < limit, reasons)

    def _untimed(self, until: datetime) -> list[str]:
        """Whether there are rows that the query can never find, since their time is text."""
        query = {"sort": "time:1", "limit": "1"}
        rows = self._splunk.request("reading reviews", "GET", REVIEWS, query=query).json() or []
        if any(not isinstance(row.get("time"), int | float) for row in rows):
            return [f"reviews up to {until:%Y-%m-%d} hold their time as text and cannot be asked for in order"]
        return []


class Findings:
    """Findings by their present state. A token remembers the state in which each was seen, for those in the window."""

    def __init__(self, splunk: Splunk, window: timedelta) -> None:
        self._splunk = splunk
        self._window = window

    def page(self, token: str | None, until: datetime, limit: int) -> Page:
        """Findings whose state is not the one in which they were last seen.

        What changed twice between two polls is seen once, as it ended; the time of a change is when it was seen.
        """
        seen = _seen(token)
        present: dict[str, str] = {}
        changed: list[tuple[str, str, Review]] = []
        reasons: list[str] = []
        for finding in self._all(until, reasons):
            review = _finding(finding, until.timestamp())
            name, state = _digest(review.rule_id), _state(review)
            if state == _state(_fresh(review)) and name not in seen:
                continue
            present[name] = state
            if seen.get(name) != state:
                changed.append((str(finding.get("_time", "")), review.rule_id, review))
        changed.sort(key=lambda one: one[:2])
        for _, rule_id, _ in changed[limit:]:
            name = _digest(rule_id)
            present.pop(name)
            if name in seen:
                present[name] = seen[name]
        return Page([review for _, _, review in changed[:limit]], _json(present), len(changed) <= limit, reasons)

    def _all(self, until: datetime, reasons: list[str]) -> Iterator[Mapping[str, Any]]:
        """Every finding of the window: without it a list holds the last 24 hours alone.

        Of more than are read, the newest are left out, and ``reasons`` is told.
        """
        base = {
            "earliest": f"{(until - self._window).timestamp():.0f}",
            "latest": f"{until.timestamp():.0f}",
            "limit": str(_FINDINGS_PAGE),
            "sort": "create_time:asc",
        }
        for number in range(_MOST_PAGES):
            query = {**base, "offset": str(number * _FINDINGS_PAGE)}
            answer = self._splunk.request("reading findings", "GET", FINDINGS, query=query).json()
            items = answer.get("items") if isinstance(answer, dict) else None
            if not isinstance(items, list):
                raise TransientError("reading findings: the answer has no items", sent=True)
            yield from (item for item in items if isinstance(item, dict))
            if len(items) < _FINDINGS_PAGE:
                return
        most = _MOST_PAGES * _FINDINGS_PAGE
        reasons.append(f"no more than {most} findings are read and the newest may be missing: narrow `window`")


def _review(row: Mapping[str, Any]) -> Review:
    texts = (_text(row.get(name)) for name in ("status", "disposition", "owner", "user", "comment"))
    return Review(_text(row.get("rule_id")), float(row["time"]), *texts)


def _finding(item: Mapping[str, Any], seen_at: float) -> Review:
    name = _text(item.get("finding_id") or item.get("event_id"))
    return Review(
        name, seen_at, _text(item.get("status")), _text(item.get("disposition")), _text(item.get("owner")), "", ""
    )


def _fresh(review: Review) -> Review:
    """The same finding as nobody has touched it."""
    return review._replace(status="1", disposition="disposition:6", owner="unassigned")


def _state(review: Review) -> str:
    return _digest(_json([review.status, review.disposition, review.owner]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:_DIGEST]


def _text(value: Any) -> str:
    if isinstance(value, list):
        value = value[0] if value else ""
    return "" if value is None else str(value)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _after(token: str | None) -> tuple[float, str] | None:
    """The place of our own tokens; with another the history is read from its start, and the ledger knows it."""
    if token is None:
        return None
    try:
        return msgspec.json.decode(token, type=tuple[float, str])
    except msgspec.MsgspecError:
        return None


def _seen(token: str | None) -> dict[str, str]:
    if token is None:
        return {}
    try:
        return msgspec.json.decode(token, type=dict[str, str])
    except msgspec.MsgspecError:
        return {}


def moment(seconds: float) -> datetime:
    """A time of the history, in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
