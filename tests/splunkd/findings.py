"""Findings of Enterprise Security 8: ``public/v2/findings``, and updates by ``v1/investigations`` or ``public/v2/investigations``.

A list holds the last 24 hours unless asked otherwise, and so does a look at one finding by its id: an older one is not found.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from tests.splunkd.auth import Sessions
from tests.splunkd.events import Event
from tests.splunkd.review import NOTABLE, Review
from tests.splunkd.spl.context import Site
from tests.splunkd.timerange import moment
from tests.splunkd.wire import Answer, RefusedError, Request, json_answer

_MOST = 100
_DEFAULT = "-24h"
_NEEDED = ("rule_title", "rule_description", "security_domain", "risk_object", "risk_object_type", "risk_score")
_FILTERS = ("urgency", "owner", "rule_title")


class Findings:
    """The findings of one server."""

    def __init__(self, site: Site, review: Review, sessions: Sessions, clock: Callable[[], float]) -> None:
        self._site, self._review, self._sessions, self._clock = site, review, sessions, clock
        self._notes: dict[str, list[dict[str, Any]]] = {}

    def all(self, request: Request) -> Answer:
        """A page of findings: ``{items, limit, offset, total}``."""
        limit, offset = request.number("limit", _MOST), request.number("offset")
        if not 0 < limit <= _MOST:
            raise RefusedError(400, f"limit must be between 1 and {_MOST}.")
        found = [one for one in self._between(request) if self._fits(one, request)]
        for part in reversed([part for part in request.get("sort").split(",") if part]):
            name, _, order = part.partition(":")
            key = "_time" if name == "create_time" else name
            found.sort(key=lambda one, key=key: str(one.get(key, "")), reverse=order == "desc")
        page = [_chosen(one, request) for one in found[offset : offset + limit]]
        return json_answer({"items": page, "limit": limit, "offset": offset, "total": len(found)})

    def one(self, request: Request, name: str) -> Answer:
        """One finding."""
        return json_answer(_chosen(self._one(request, unquote(name)), request))

    def create(self, request: Request) -> Answer:
        """A new finding: an event in the index of notables. Asked twice, it is there twice."""
        given = request.json() if request.body[:1] == b"{" else {name: request.get(name) for name in request.form}
        missing = [name for name in _NEEDED if not given.get(name)]
        if missing:
            raise RefusedError(400, f"Missing required fields: {', '.join(missing)}")
        event = self._site.indexes.put(json.dumps(given), index=NOTABLE, source="manual", sourcetype="stash")
        name = f"{secrets.token_hex(4)}-0000-4000-8000-{secrets.token_hex(6)}@@notable@@time{int(event.time)}"
        self._review.ids[event.bkt, event.cd] = name
        return json_answer(self._shown(event), 201)

    def update(self, request: Request, name: str) -> Answer:
        """Changes status, urgency, disposition or owner (in version 1: assignee)."""
        self._sessions.may(request.user, "edit_notable_events")
        rule_id = unquote(name)
        given = request.json()
        if not isinstance(given, Mapping):
            raise RefusedError(400, "A JSON object is expected.")
        asked = {field: str(given[field]) for field in ("status", "urgency", "disposition") if given.get(field)}
        if owner := given.get("owner") or given.get("assignee"):
            asked["owner"] = str(owner)
        shown = next((self._shown(event) for event in self._events() if self._review.event_id(event) == rule_id), None)
        if shown is None:
            raise RefusedError(404, f"Finding {rule_id} was not found.")
        if wrong := self._review.change([rule_id], request.user, asked):
            raise RefusedError(400, wrong)
        return json_answer({**shown, **self._review.state(rule_id, shown)})

    def notes(self, request: Request, name: str) -> Answer:
        """The notes of a finding, and (POST) a new one."""
        held = self._notes.setdefault(unquote(name), [])
        if request.method == "GET":
            return json_answer({"items": held, "limit": _MOST, "offset": 0, "total": len(held)})
        given = request.json()
        note = {"id": secrets.token_hex(8), "title": given.get("title", ""), "content": given.get("content", "")}
        held.append(note | {"create_time": self._clock(), "author": {"username": request.user}})
        return json_answer(held[-1], 201)

    def _between(self, request: Request) -> list[dict[str, Any]]:
        now = self._clock()
        earliest = moment(request.get("earliest") or _DEFAULT, now)
        latest = moment(request.get("latest") or "now", now)
        found = [event for event in self._events() if earliest <= event.time <= latest]
        return [self._shown(event) for event in sorted(found, key=lambda event: -event.time)]

    def _events(self) -> list[Event]:
        return list(self._site.indexes.between([NOTABLE], None, None))

    def _one(self, request: Request, name: str) -> dict[str, Any]:
        found = next((one for one in self._between(request) if one["finding_id"] == name), None)
        if found is None:
            raise RefusedError(404, f"Finding {name} was not found.")
        return found

    def _shown(self, event: Event) -> dict[str, Any]:
        name, row = self._review.event_id(event), event.fields
        inner = {field: value for field, value in row.items() if field not in {"_bkt", "_cd", "_si", "_sourcetype"}}
        titles = {
            "rule_title": row.get("rule_title") or row.get("search_name") or row["source"],
            "notable_type": "notable",
        }
        return {**inner, **titles, "event_id": name, "finding_id": name, **self._review.state(name, row)}

    def _fits(self, one: Mapping[str, Any], request: Request) -> bool:
        wanted = [part for part in request.get("finding_ids").split(",") if part]
        if wanted and one["finding_id"] not in wanted:
            return False
        for field in ("status", "disposition"):
            if (asked := request.get(field)) and asked not in {one[field], one[f"{field}_label"]}:
                return False
        return all(request.get(field) in {"", one.get(field)} for field in _FILTERS)


def _chosen(one: Mapping[str, Any], request: Request) -> dict[str, Any]:
    wanted = [part.strip() for part in request.get("fields").split(",") if part.strip()]
    return {name: value for name, value in one.items() if not wanted or name in wanted}
