"""Enterprise Security's notables and their review: statuses, dispositions, the history, the macros, ``notable_update``."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tests.splunkd import atom
from tests.splunkd.auth import Sessions
from tests.splunkd.events import Event
from tests.splunkd.kvstore import KvStore
from tests.splunkd.lookups import Tables
from tests.splunkd.spl.context import Job, Row, Rows, Site
from tests.splunkd.spl.evaluate import text
from tests.splunkd.spl.text import INTERNAL, Macro
from tests.splunkd.wire import Answer, Request, json_answer

APP = "SA-ThreatIntelligence"
COLLECTION = "incident_review"
NOTABLE = "notable"
URGENCIES = ("informational", "low", "medium", "high", "critical", "unknown")

STATUSES = {"0": "Unassigned", "1": "New", "2": "In Progress", "3": "Pending", "4": "Resolved", "5": "Closed"}
DISPOSITIONS = {
    "disposition:0": "Unassigned",
    "disposition:1": "True Positive - Suspicious Activity",
    "disposition:2": "Benign Positive - Suspicious But Expected",
    "disposition:3": "False Positive - Incorrect Analytic Logic",
    "disposition:4": "False Positive - Inaccurate Data",
    "disposition:5": "Other",
    "disposition:6": "Undetermined",
}

MACROS = {
    "get_notable_index": Macro("index=notable"),
    "notable": Macro(f"index=notable | {INTERNAL}notable"),
    "incident_review": Macro(f"inputlookup incident_review_lookup | eval _time=time | {INTERNAL}review"),
}

_FIRST = {"status": "1", "owner": "unassigned", "urgency": "medium", "disposition": "disposition:6"}


class Review:
    """The review of notables. ``statuses`` and ``dispositions`` may be changed, as a site may change its own."""

    def __init__(self, site: Site, kv: KvStore, tables: Tables, sessions: Sessions, clock: Callable[[], float]) -> None:
        self.statuses, self.dispositions = dict(STATUSES), dict(DISPOSITIONS)
        self.ids: dict[tuple[str, str], str] = {}
        self._site, self._sessions, self._clock = site, sessions, clock
        self._history = kv.define(COLLECTION, APP)
        self._lock = threading.Lock()
        tables.define("incident_review_lookup", COLLECTION, APP)
        tables.compute("reviewstatuses_lookup", lambda: self._labels(self.statuses, NOTABLE))
        tables.compute("disposition_lookup", lambda: self._labels(self.dispositions, "disposition"))
        site.macros |= MACROS
        site.internal |= {"notable": self._with_state, "review": self._with_labels}

    def event_id(self, event: Event | Row) -> str:
        """What names a notable: the GUID of its indexer, its index, and the MD5 of its time and text."""
        row: Row = event.fields if isinstance(event, Event) else event
        if given := self.ids.get((str(row["_bkt"]), str(row["_cd"]))):
            return given
        seconds = datetime.fromisoformat(str(row["_time"])).timestamp()
        digest = hashlib.md5(f"{text(seconds)}{row['_raw']}".encode()).hexdigest()
        return f"{str(row['_bkt']).rpartition('~')[2]}@@{row['index']}@@{digest}"

    def add(
        self, rule_id: str, *, user: str = "admin", at: float | None = None, rule_name: str = "", **change: str
    ) -> Row:
        """A row of the history: what changed, and everything else as it was."""
        with self._lock:
            before = self.latest(rule_id) or _FIRST
            row: dict[str, Any] = {name: change.get(name, before.get(name, "")) for name in _FIRST}
            row |= {
                "_key": secrets.token_hex(16),
                "_user": "nobody",
                "rule_id": rule_id,
                "rule_name": rule_name or before.get("rule_name", ""),
                "time": self._clock() if at is None else at,
                "user": user,
                "comment": change.get("comment", ""),
            }
            self._history[row["_key"]] = row
        return row

    def history(self, rule_id: str) -> list[Row]:
        """All rows of a notable, oldest first."""
        return sorted(
            (row for row in list(self._history.values()) if row["rule_id"] == rule_id), key=lambda row: row["time"]
        )

    def latest(self, rule_id: str) -> Row | None:
        """Its last row."""
        return (self.history(rule_id) or [None])[-1]

    def state(self, rule_id: str, row: Row) -> dict[str, Any]:
        """A notable's review as of now, with the labels of status and disposition."""
        defaults = {name: row.get(name) or value for name, value in _FIRST.items()}
        found = {**defaults, **{name: value for name, value in (self.latest(rule_id) or {}).items() if name in _FIRST}}
        return found | {
            "status_label": self.statuses.get(found["status"], "unknown"),
            "disposition_label": self.dispositions.get(found["disposition"], "unknown"),
        }

    def change(self, rule_ids: Sequence[str], user: str, asked: Mapping[str, str]) -> str:
        """Notes a change of several notables. Gives what is wrong with it, or nothing."""
        change = {name: value for name, value in asked.items() if value}
        if not change:
            return "ValueError: nothing to change: status, urgency, newOwner, disposition and comment are missing"
        if change.get("status", "1") not in self.statuses:
            return f"ValueError: {change['status']} is not a valid status"
        if change.get("disposition", "disposition:6") not in self.dispositions:
            return f"ValueError: {change['disposition']} is not a valid disposition"
        if change.get("urgency", "low") not in URGENCIES:
            return f"ValueError: {change['urgency']} is not a valid urgency"
        for rule_id in rule_ids:
            self.add(rule_id, user=user, **change)
        return ""

    def update(self, request: Request, of_search: Callable[[str], Sequence[Row]]) -> Answer:
        """``notable_update``: a form with ``ruleUIDs`` (repeated) or ``searchID``, and what changes."""
        self._sessions.may(request.user, "edit_notable_events")
        rule_ids = request.all("ruleUIDs")
        if sid := request.get("searchID"):
            rule_ids = [*rule_ids, *(str(row.get("event_id") or self.event_id(row)) for row in of_search(sid))]
        if not rule_ids:
            return _told("ValueError: Either ruleUIDs or a searchID must be provided (or both)")
        asked = {name: request.get(name) for name in ("status", "urgency", "comment", "disposition")}
        wrong = self.change(rule_ids, request.user, asked | {"owner": request.get("newOwner")})
        return _told(wrong, len(rule_ids))

    def labels(self, request: Request) -> Answer:
        """``alerts/reviewstatuses`` and ``configs/conf-reviewstatuses``: statuses and dispositions with their labels."""
        kinds = ((self.statuses, NOTABLE), (self.dispositions, "disposition"))
        rows = [row for labels, kind in kinds for row in self._labels(labels, kind)]
        entries = [
            atom.Entry(
                row["_key"],
                f"{request.path}/{row['_key']}",
                {k: v for k, v in row.items() if k != "_key"},
                "nobody",
                APP,
            )
            for row in rows
        ]
        return atom.feed(request, "reviewstatuses", entries)

    def _labels(self, labels: Mapping[str, str], kind: str) -> list[dict[str, Any]]:
        return [
            {
                "_key": number,
                "status": number,
                "label": label,
                "description": label,
                "status_type": kind,
                "default": "1" if number in _FIRST.values() else "0",
                "disabled": "0",
                "hidden": "0",
                "end": "1" if kind == NOTABLE and number == "5" else "0",
            }
            for number, label in labels.items()
        ]

    def _with_state(self, rows: Rows, job: Job) -> Rows:
        named = [(self.event_id(row), row) for row in rows]
        return [{**row, "event_id": name, "rule_id": name, **self.state(name, row)} for name, row in named]

    def _with_labels(self, rows: Rows, job: Job) -> Rows:
        return [
            {
                **row,
                "reviewer": row.get("user", ""),
                "status_label": self.statuses.get(str(row.get("status")), "unknown"),
                "disposition_label": self.dispositions.get(str(row.get("disposition")), "unknown"),
            }
            for row in rows
        ]


def _told(wrong: str, count: int = 0) -> Answer:
    done = 0 if wrong else count
    return json_answer(
        {
            "success": not wrong,
            "message": wrong or f"{done} event{'' if done == 1 else 's'} updated successfully",
            "success_count": done,
            "failure_count": count - done,
            "warnings": [],
            "details": {},
        }
    )
