"""A plain client for this suite: one request a connection, and the answer as it came."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from tests.splunkd.server import Splunkd

_WAIT_S = 10


class Reply(NamedTuple):
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def lines(self) -> list[dict[str, Any]]:
        """The body as lines of JSON."""
        return [json.loads(line) for line in self.body.splitlines() if line]


def ask(url: str, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
    """One request. Raises what ``http.client`` raises where the connection breaks."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_WAIT_S)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


class Client:
    """Asks one server as its first user, or as another."""

    def __init__(self, splunkd: Splunkd, authorization: str | None = None) -> None:
        self.splunkd = splunkd
        self.authorization = f"Bearer {splunkd.token}" if authorization is None else authorization

    def get(self, path: str, **query: str | int) -> Reply:
        return ask(self.splunkd.url, "GET", f"{path}?{urlencode(query)}", headers={"Authorization": self.authorization})

    def post(self, path: str, **form: Any) -> Reply:
        headers = {"Authorization": self.authorization, "Content-Type": "application/x-www-form-urlencoded"}
        return ask(self.splunkd.url, "POST", path, body=urlencode(form, doseq=True).encode(), headers=headers)

    def send(self, path: str, value: Any, method: str = "POST") -> Reply:
        """A request with a body in JSON."""
        headers = {"Authorization": self.authorization, "Content-Type": "application/json"}
        return ask(self.splunkd.url, method, path, body=json.dumps(value).encode(), headers=headers)

    def export(self, search: str, **params: Any) -> Reply:
        return self.post("/services/search/v2/jobs/export", search=search, output_mode="json", **params)

    def rows(self, search: str, **params: Any) -> list[dict[str, Any]]:
        """The final rows of an export."""
        return [
            line["result"] for line in self.export(search, **params).lines() if "result" in line and not line["preview"]
        ]

    def told(self, search: str, **params: Any) -> list[tuple[str, str]]:
        """The messages of an export."""
        lines = self.export(search, **params).lines()
        return [(one["type"], one["text"]) for line in lines for one in line.get("messages", [])]

    def refused(self, search: str) -> str:
        """Why a search is refused; empty where it is not."""
        reply = self.post("/services/search/v2/jobs", search=search, exec_mode="oneshot", output_mode="json")
        return "" if reply.status == 200 else reply.json()["messages"][0]["text"]


class Hec:
    """Sends to the collector of one server."""

    def __init__(self, splunkd: Splunkd, token: str | None = None, channel: str = "") -> None:
        self.splunkd, self.channel = splunkd, channel
        self.token = splunkd.hec_token if token is None else token

    def post(self, path: str, body: bytes, **headers: str) -> Reply:
        sent = {"Authorization": f"Splunk {self.token}"} if self.token else {}
        if self.channel:
            sent["X-Splunk-Request-Channel"] = self.channel
        return ask(self.splunkd.hec_url, "POST", path, body=body, headers=sent | headers)

    def event(self, *events: Any) -> Reply:
        """Events one after the other."""
        return self.post("/services/collector/event", b"".join(json.dumps(one).encode() for one in events))

    def acks(self, *numbers: int) -> dict[str, bool]:
        return self.post("/services/collector/ack", json.dumps({"acks": numbers}).encode()).json()["acks"]
