"""Receivers of webhooks: each believes only what is signed, and knows nothing of Triaged but the key and the standard."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from connector.ports import SoarPlugin
from connector.soar.webhook import WebhookSoar
from tests.soar.platform import Platform
from tests.splunkd.wire import Answer, Request, json_answer

SHARED = b"a secret that both sides have, and nobody else"
SECRET = f"whsec_{base64.b64encode(SHARED).decode()}"
TOKEN = "tok-5f2c9d1e7a"
API_KEY = "an-api-key-of-the-receiver"
HOOK = f"/hooks/{TOKEN}"
WORDS = {"running": "running", "succeeded": "success", "failed": "error", "timed_out": "timeout"}
TOLERANCE_S = 300


class Forgetful(Platform):
    """Starts a run for every request that it believes, whatever its key: what most receivers do."""

    def __init__(self, directory: Any) -> None:
        super().__init__(directory)
        self.keys: list[str] = []
        """The key of each run; a run's id is its number."""
        self.now = time.time

    def soar_config(self) -> Mapping[str, Any]:
        return {
            "type": "webhook",
            "url": self.url + HOOK,
            "hosts": ["127.0.0.1"],
            "secret": SECRET,
            "status": {
                "url": f"{self.url}/runs/{{run}}",
                "headers": {"X-Api-Key": API_KEY},
                "detail": "/result",
            },
        }

    def starts(self, request: Request) -> bool:
        return request.method == "POST"

    def serve(self, request: Request) -> Answer:
        if request.method == "POST" and request.path == HOOK:
            return self.receive(request) if self.believes(request) else json_answer({"message": "bad signature"}, 401)
        if request.method == "GET" and request.path.startswith("/runs/"):
            if request.headers.get("x-api-key") != API_KEY:
                return json_answer({"message": "who asks?"}, 401)
            return self.tell(request.path.removeprefix("/runs/"))
        return json_answer({"message": f"nothing is registered at {request.path}"}, 404)

    def believes(self, request: Request) -> bool:
        """As https://www.standardwebhooks.com/ says: the time is near, and one of the signatures is the right one."""
        key, at = request.headers.get("webhook-id", ""), request.headers.get("webhook-timestamp", "")
        if not at.isdecimal() or abs(self.now() - int(at)) > TOLERANCE_S:
            return False
        signed = b".".join((key.encode(), at.encode(), request.body))
        expected = base64.b64encode(hmac.new(SHARED, signed, hashlib.sha256).digest()).decode()
        given = [one.partition(",") for one in request.headers.get("webhook-signature", "").split()]
        return any(version == "v1" and hmac.compare_digest(mac, expected) for version, _, mac in given)

    def receive(self, request: Request) -> Answer:
        json.loads(request.body)
        self.keys.append(request.headers["webhook-id"])
        return json_answer({"id": f"run-{len(self.keys)}"}, 202)

    def tell(self, run: str) -> Answer:
        if run not in {f"run-{number + 1}" for number in range(len(self.keys))}:
            return json_answer({"message": "no such run"}, 404)
        return json_answer({"id": run, "status": WORDS[self.outcome], "result": {"isolated": True}})

    def runs(self) -> Mapping[str, int]:
        return Counter(self.keys)


class Heedful(Forgetful):
    """Runs a key once, and tells of runs by it. The key is the id, which is signed."""

    def soar_config(self) -> Mapping[str, Any]:
        config = super().soar_config()
        return {**config, "uniqueness": "key", "status": {**config["status"], "url": f"{self.url}/runs/{{key}}"}}

    def receive(self, request: Request) -> Answer:
        key = request.headers["webhook-id"]
        if key in self.keys:
            return json_answer({"id": self.named(key)}, 200)
        return super().receive(request)

    def tell(self, run: str) -> Answer:
        return super().tell(self.named(run) if run in self.keys else run)

    def named(self, key: str) -> str:
        return f"run-{self.keys.index(key) + 1}"


heedful = SoarPlugin(soar=WebhookSoar, testbed="tests.soar.webhook:Heedful")
