"""TheHive 5 as its API reference and its open predecessor have it: alerts, unique by type, source and sourceRef.

The error bodies, and the statuses 400 (up to 5.5) and 409 (5.6) for a duplicate, are TheHive's own.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.soar.platform import Platform
from tests.splunkd.wire import Answer, RefusedError, Request, json_answer

KEY = "a-key-of-thehive"
OBSERVABLE_TYPES = frozenset(
    {"autonomous-system", "domain", "file", "filename", "fqdn", "hash", "hostname", "ip", "mail", "mail-subject"}
    | {"other", "regexp", "registry", "uri_path", "url", "user-agent"}
)


class TheHivePlatform(Platform):
    """One organisation. ``unknown`` are techniques that its ATT&CK catalogue lacks."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.alerts: dict[str, dict[str, Any]] = {}
        self.unknown: set[str] = set()
        self.duplicate_status = 400
        self._ids = itertools.count(40_964_216, 4096)

    def soar_config(self) -> Mapping[str, Any]:
        return {"type": "thehive", "url": self.url, "api_key": KEY, "index_delay": "PT0.05S"}

    def starts(self, request: Request) -> bool:
        return request.method == "POST" and request.path == "/api/v1/alert"

    def runs(self) -> Mapping[str, int]:
        counted: dict[str, int] = {}
        for alert in self.alerts.values():
            counted[alert["sourceRef"]] = counted.get(alert["sourceRef"], 0) + 1
        return counted

    def delete(self) -> None:
        """A user deletes every alert."""
        self.alerts.clear()

    def serve(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return json_answer({"type": "AuthenticationError", "message": "Authentication failure"}, 401)
        try:
            if self.starts(request):
                return json_answer(self._create(request.json(), int(request.at * 1000)), 201)
            return json_answer(self._shown(request.path.removeprefix("/api/v1/alert/")))
        except RefusedError as refused:
            return json_answer({"type": refused.kind, "message": refused.text}, refused.status)

    def _create(self, alert: dict[str, Any], now: int) -> dict[str, Any]:
        for name in ("type", "source", "sourceRef", "title", "description"):
            if not isinstance(alert.get(name), str) or not alert[name]:
                raise RefusedError(400, f"Invalid json: {name} is missing", kind="BadRequest")
        named = f"{alert['type']}:{alert['source']}:{alert['sourceRef']}"
        if any(name_of(one) == name_of(alert) for one in self.alerts.values()):
            text = f"Alert {named} already exist in organisation soc"
            raise RefusedError(self.duplicate_status, text, kind="CreateError")
        seen = set()
        for observable in alert.get("observables", ()):
            if observable["dataType"] not in OBSERVABLE_TYPES:
                raise RefusedError(404, f"ObservableType {observable['dataType']} not found", kind="NotFoundError")
            if (observable["dataType"], observable["data"]) in seen:
                raise RefusedError(400, "Observable already exists", kind="CreateError")
            seen.add((observable["dataType"], observable["data"]))
        for procedure in alert.get("procedures", ()):
            if procedure["patternId"] in self.unknown:
                raise RefusedError(404, f"Pattern {procedure['patternId']} not found", kind="NotFoundError")
        made = {**alert, "_id": f"~{next(self._ids)}", "_type": "Alert", "_createdAt": now}
        self.alerts[made["_id"]] = made
        return {**made, "stage": "New", "status": "New"}

    def _shown(self, id_or_name: str) -> dict[str, Any]:
        for alert in self.alerts.values():
            if id_or_name in {alert["_id"], name_of(alert)}:
                if self.outcome == "succeeded":
                    return {**alert, "stage": "Imported", "status": "Imported", "caseId": "~81924096"}
                if self.outcome == "failed":
                    return {**alert, "stage": "Closed", "status": "Ignored"}
                return {**alert, "stage": "InProgress", "status": "InProgress"}
        raise RefusedError(404, "Alert not found", kind="NotFoundError")


def name_of(alert: Mapping[str, Any]) -> str:
    """An alert's name, by which TheHive finds it as well as by its id."""
    return f"{alert['type']};{alert['source']};{alert['sourceRef']}"
