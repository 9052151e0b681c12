"""Shuffle as its API and its source (the backend's ``executeWorkflow``, ``GetWorkflowExecutions``) have it.

Nothing is unique: each request is an execution. Almost everything that goes wrong is a 401. Without a start node, the whole
request becomes the execution argument.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

from connector.types import RunState
from tests.soar.platform import Platform
from tests.splunkd.wire import Answer, Request, json_answer

KEY = "11111111-2222-4333-8444-555555555555"
WORKFLOW = "25cb3cc6-f343-4511-827f-b60557043327"
START = "de10798e-2c66-4e0c-bfdd-8b645a8e3748"
GONE = {"success": False, "reason": "Bad authorization key or execution_id might not exist."}


class ShufflePlatform(Platform):
    """One organisation with one workflow. ``is_slow_to_list``: new executions are not in the list yet."""

    statuses: ClassVar[Mapping[RunState, str]] = {
        "running": "EXECUTING",
        "succeeded": "FINISHED",
        "failed": "ABORTED",
    }

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.executions: list[dict[str, Any]] = []
        self.is_slow_to_list = False
        self.results: list[dict[str, Any]] = [{"status": "SUCCESS", "action": {"label": "isolate"}}]
        self.start = START
        self.pages = False

    def soar_config(self) -> Mapping[str, Any]:
        return {
            "type": "shuffle",
            "url": self.url,
            "api_key": KEY,
            "playbooks": {self.playbook: WORKFLOW},
            "index_delay": "PT0.05S",
        }

    def starts(self, request: Request) -> bool:
        return request.path == f"/api/v1/workflows/{WORKFLOW}/execute"

    def runs(self) -> Mapping[str, int]:
        counted: dict[str, int] = {}
        for execution in self.executions:
            key = json.loads(execution["execution_argument"])["action"]["key"]
            counted[key] = counted.get(key, 0) + 1
        return counted

    def serve(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return json_answer({"success": False}, 401)
        if self.starts(request):
            return self._execute(request.body, int(request.at))
        if request.path == "/api/v1/streams/results":
            return self._results(request.json()["execution_id"])
        if request.path == f"/api/v1/workflows/{WORKFLOW}":
            return json_answer({"id": WORKFLOW, "name": "Notify", "start": self.start, "actions": []})
        if request.path == f"/api/v1/workflows/{WORKFLOW}/executions":
            listed = [] if self.is_slow_to_list else self.executions[::-1][: request.number("top", 100)]
            return json_answer({"success": True, "executions": listed, "cursor": ""} if self.pages else listed)
        return json_answer({"success": False}, 401)

    def _results(self, execution_id: str) -> Answer:
        for execution in self.executions:
            if execution["execution_id"] == execution_id:
                return json_answer({**execution, **self._stands()})
        return json_answer(GONE, 401)

    def _execute(self, body: bytes, now: int) -> Answer:
        asked = json.loads(body)
        argument = asked["execution_argument"] if asked.get("start") else body.decode()
        made = {
            "type": "workflow",
            "execution_id": str(uuid4()),
            "authorization": str(uuid4()),
            "workflow_id": WORKFLOW,
            "execution_argument": argument,
            "start": asked.get("start") or self.start,
            "started_at": now,
            "status": "EXECUTING",
            "results": None,
        }
        self.executions.append(made)
        return json_answer({name: made[name] for name in ("execution_id", "authorization")} | {"success": True})

    def _stands(self) -> dict[str, Any]:
        if self.outcome == "running":
            return {"status": "EXECUTING"}
        return {
            "status": self.statuses[self.outcome],
            "result": '{"ticket": 7}',
            "results": self.results,
        }
