"""A stand-in for Splunk SOAR's REST API, with what it was seen to do (8.5): containers are unique by their identifier and
asset; artifacts and playbook runs never are; a failure says ``failed`` with any status.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.soar.platform import Platform
from tests.splunkd.wire import Answer, Request, json_answer

TOKEN = "an-automation-users-token"
WORDS = {"running": "running", "succeeded": "success", "failed": "failed"}
OPTIONAL = {"asset_id": None, "run_automation": True}


class SplunkSoarPlatform(Platform):
    """Playbooks are started by whoever asks; ``local/notify`` exists, as number 7."""

    label = "events"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.containers: list[dict[str, Any]] = []
        self.artifacts: list[dict[str, Any]] = []
        self.playbook_runs: list[dict[str, Any]] = []
        self.playbooks: dict[int, str] = {7: "local/notify"}
        self.active: dict[str, int] = {}
        """Active playbooks by the label that they run on."""
        self.labels = {"events", "notify"}
        self.said = ""
        """A status word in place of the one that ``outcome`` gives."""
        self.words: Any = "a message"

    def soar_config(self) -> Mapping[str, Any]:
        return {
            "type": "splunk_soar",
            "url": self.url,
            "token": TOKEN,
            "playbooks": {self.playbook: "local/notify"},
            "index_delay": "PT0.05S",
        }

    def starts(self, request: Request) -> bool:
        return request.method == "POST" and request.path == "/rest/playbook_run"

    def runs(self) -> Mapping[str, int]:
        owners = {one["id"]: one["source_data_identifier"] for one in self.containers}
        return Counter(owners[run["container"]] for run in self.playbook_runs)

    def serve(self, request: Request) -> Answer:
        if request.headers.get("ph-auth-token") != TOKEN:
            return failed("Invalid token", 401)
        _, kind, *rest = request.path.strip("/").split("/")
        known = {"container": self.containers, "artifact": self.artifacts, "playbook_run": self.playbook_runs}
        if kind not in known:
            return failed(f"not found {kind}", 404)
        if request.method == "POST":
            return getattr(self, f"_new_{kind}")(request.json())
        if kind == "playbook_run":
            self._go_on()
        rows = known[kind]
        if rest:
            found = [row for row in rows if str(row["id"]) == rest[0]]
            return json_answer(found[0]) if found else failed(f"{kind} {rest[0]} not found", 404)
        return listed(rows, request)

    def _new_container(self, body: Mapping[str, Any]) -> Answer:
        if missing := {"name", "label"} - body.keys():
            return failed(f"missing required field {missing.pop()}")
        if body["label"] not in self.labels:
            return failed(f"label {body['label']} does not exist")
        same = (body.get("source_data_identifier"), body.get("asset_id"))
        for one in self.containers:
            if (one["source_data_identifier"], one["asset_id"]) == same:
                return failed("duplicate with identical source_data_identifier", existing_container_id=one["id"])
        row = {**OPTIONAL, **body, "id": len(self.containers) + 1, "create_time": now()}
        artifacts = row.pop("artifacts", [])
        self.containers.append(row)
        for artifact in artifacts[:-1]:
            self._artifact({"run_automation": False, **artifact}, row["id"])
        for artifact in artifacts[-1:]:
            self._artifact({"run_automation": True, **artifact}, row["id"])
        return json_answer({"success": True, "id": row["id"], "new_artifact_ids": []})

    def _new_artifact(self, body: Mapping[str, Any]) -> Answer:
        if body.get("container_id") not in {one["id"] for one in self.containers}:
            return failed("container_id does not exist", 404)
        return json_answer({"success": True, "id": self._artifact(body, body["container_id"])})

    def _artifact(self, body: Mapping[str, Any], container: int) -> int:
        row = {**OPTIONAL, **body, "id": len(self.artifacts) + 1, "container": container}
        self.artifacts.append(row)
        label = next(one["label"] for one in self.containers if one["id"] == container)
        if row["run_automation"] and label in self.active:
            self._begin(container, self.active[label])
        return int(row["id"])

    def _new_playbook_run(self, body: Mapping[str, Any]) -> Answer:
        names = {**{number: number for number in self.playbooks}, **{name: n for n, name in self.playbooks.items()}}
        if body["playbook_id"] not in names:
            return failed(f'Playbook "{body["playbook_id"]}" not found', 404)
        if body.get("run") is not True or body["container_id"] not in {one["id"] for one in self.containers}:
            return failed("bad request")
        number = self._begin(body["container_id"], names[body["playbook_id"]])
        return json_answer({"playbook_run_id": str(number), "received": True})

    def _begin(self, container: int, playbook: int) -> int:
        row = {"id": len(self.playbook_runs) + 1, "container": container, "playbook": playbook, "start_time": now()}
        self.playbook_runs.append({**row, "status": "pending", "cancelled": "", "message": ""})
        return int(row["id"])

    def _go_on(self) -> None:
        for run in self.playbook_runs:
            if run["status"] not in {"success", "failed"}:
                run["status"] = self.said or WORDS[self.outcome]
                run["message"] = self.words


class AutomationPlatform(SplunkSoarPlatform):
    """The platform starts what is active on the label ``notify``."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.active = {"notify": 7}

    def soar_config(self) -> Mapping[str, Any]:
        return {**super().soar_config(), "start": "automation", "playbooks": {self.playbook: "notify"}}

    def starts(self, request: Request) -> bool:
        return request.method == "POST" and request.path == "/rest/container"


def listed(rows: list[dict[str, Any]], request: Request) -> Answer:
    """A page of rows. Filters are values as Python writes them: texts in quotes, numbers bare."""
    for name, values in request.query.items():
        if name.startswith("_filter_"):
            try:
                wanted = json.loads(values[-1])
            except ValueError:
                return failed(f"Invalid filter {name}={values[-1]}")
            rows = [row for row in rows if row[name.removeprefix("_filter_")] == wanted]
    size = request.number("page_size", 10) or len(rows)
    newest_first = request.get("order", "desc") == "desc"
    rows = sorted(rows, key=lambda row: row[request.get("sort", "id")], reverse=newest_first)
    return json_answer({"count": len(rows), "num_pages": 1, "data": rows[:size]})


def failed(message: str, status: int = 400, **more: Any) -> Answer:
    """A refusal in the platform's words."""
    return json_answer({"failed": True, "message": message, **more}, status)


def now() -> str:
    """The time as the platform writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
