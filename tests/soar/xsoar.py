"""A stand-in for Cortex XSOAR's API, versions 6 and 8: no incident is unique, a new one is found after a while, in whatever
case, the newest first; fields that nobody defined are dropped, and a search without a size finds nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.soar.platform import Platform
from tests.splunkd.wire import Answer, Request, json_answer

KEY = "an-api-key-of-xsoar"
KEY_ID = 12
RUN_STATUS = {"running": "running", "succeeded": "completed", "failed": "error"}
NEVER = "0001-01-01T00:00:00Z"
QUERY = re.compile(r'([a-z0-9]+):"((?:[^"\\]|\\.)*)"')


class XsoarPlatform(Platform):
    """Version 6, with our field defined."""

    prefix = ""
    delay = 0.05
    """Seconds until a new incident is indexed."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.incidents: list[dict[str, Any]] = []
        self.indexed: list[float] = []
        self.fields = {"triagedactionkey"}
        self.playbooks = {"Notify"}
        self.shown: dict[str, Any] = {}
        """What incidents hold over and above, when they are asked for."""

    def soar_config(self) -> Mapping[str, Any]:
        return {
            "type": "xsoar",
            "url": self.url,
            "api_key": KEY,
            "playbooks": {self.playbook: "Notify"},
            "index_delay": "PT0.2S",
        }

    def settle(self) -> None:
        """Lets what was made be found."""
        self.indexed = [0.0] * len(self.indexed)

    def starts(self, request: Request) -> bool:
        return request.path == f"{self.prefix}/incident"

    def runs(self) -> Mapping[str, int]:
        started = (one for one in self.incidents if one["playbookId"] in self.playbooks)
        return Counter(json.loads(one["rawJSON"])["action"]["key"] for one in started)

    def serve(self, request: Request) -> Answer:
        if refusal := self.refusal(request):
            return refusal
        if request.method != "POST" or not request.path.startswith(f"{self.prefix}/"):
            return error(404, "not_found", "Not found", request.path)
        try:
            body = json.loads(request.body)
        except ValueError:
            return error(400, "bad_request", "Bad request", "Request body is not well-formed. It must be JSON.")
        place = request.path.removeprefix(self.prefix)
        if place == "/incident":
            return self._make(body)
        if place == "/incidents/search":
            return self._search(body.get("filter") or {})
        return error(404, "not_found", "Not found", place)

    def refusal(self, request: Request) -> Answer | None:
        """What a caller without a good key is told."""
        if request.headers.get("authorization") != KEY:
            return error(403, "forbidden", "Forbidden", "Issue with CSRF code")
        return None

    def _make(self, body: Mapping[str, Any]) -> Answer:
        made = {
            "id": str(len(self.incidents) + 1),
            **{name: body.get(name, "") for name in ("name", "type", "details", "rawJSON", "playbookId")},
            "severity": body.get("severity", 0),
            "labels": body.get("labels") or [],
            "CustomFields": {k: v for k, v in (body.get("customFields") or {}).items() if k in self.fields},
            "created": datetime.now(UTC).isoformat().replace("+00:00", "123Z"),
            "closed": NEVER,
            "status": 1 if body.get("createInvestigation") else 0,
            "runStatus": "",
            "closeReason": "",
        }
        self.incidents.append(made)
        self.indexed.append(time.monotonic() + self.delay)
        return json_answer(made, 201)

    def _search(self, wanted: Mapping[str, Any]) -> Answer:
        query = QUERY.fullmatch(wanted["query"]) if "query" in wanted else None
        if "query" in wanted and query is None:
            return error(400, "bad_request", "Bad request", f"invalid query {wanted['query']}")
        now = time.monotonic()
        found = [one for one, since in zip(self.incidents, self.indexed, strict=True) if since <= now]
        if query:
            value = re.sub(r"\\(.)", r"\1", query[2])
            found = [one for one in found if one["CustomFields"].get(query[1], "").lower() == value.lower()]
        if ids := wanted.get("id"):
            found = [one for one in self.incidents if one["id"] in ids]
        if wanted.get("sort") != [{"field": "created", "asc": True}]:
            found.reverse()
        size = wanted.get("size", 0)
        data = [self._as_it_stands(one) for one in found[:size]]
        return json_answer({"total": len(found), "data": data or None})

    def _as_it_stands(self, incident: dict[str, Any]) -> dict[str, Any]:
        if incident["playbookId"] in self.playbooks and incident["status"] == 1:
            incident["runStatus"] = RUN_STATUS[self.outcome]
        return {**incident, **self.shown}


class Xsoar8Platform(XsoarPlatform):
    """Version 8, asked with an advanced key."""

    prefix = "/xsoar/public/v1"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.nonces: set[str] = set()

    def soar_config(self) -> Mapping[str, Any]:
        return {**super().soar_config(), "api_key_id": KEY_ID, "advanced": True}

    def refusal(self, request: Request) -> Answer | None:
        told = [request.headers.get(f"x-xdr-{name}", "") for name in ("auth-id", "nonce", "timestamp")]
        number, nonce, moment = told
        digest = hashlib.sha256(f"{KEY}{nonce}{moment}".encode()).hexdigest()
        fresh = abs(time.time() * 1000 - float(moment or 0)) < timedelta(minutes=5) / timedelta(milliseconds=1)
        if (number, request.headers.get("authorization")) != (str(KEY_ID), digest) or nonce in self.nonces or not fresh:
            reply = {"err_code": 401, "err_msg": "Public API request unauthorized", "err_extra": None}
            return json_answer({"reply": reply}, 401)
        self.nonces.add(nonce)
        return None


def error(status: int, name: str, words: str, detail: str) -> Answer:
    """A refusal as the platform words it."""
    body = {"id": name, "status": status, "title": words, "detail": detail, "error": detail, "encrypted": False}
    return json_answer({**body, "multires": None}, status)
