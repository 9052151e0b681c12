"""n8n 1.123.81: workflows of nodes, with its public API to ask how executions stand.

It takes minutes and 1.8 GB to install, so that only the long form of the tests asks for it.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.servers.npm import installed, node
from tests.servers.process import Server

VERSION = "1.123.81"
_PACKAGE = {
    "name": "triaged-n8n",
    "private": True,
    "dependencies": {"n8n": VERSION},
    "overrides": {"xlsx": "0.18.5"},
}
_OWNER = {"email": "owner@example.com", "firstName": "A", "lastName": "Tester", "password": "Correct-horse-9"}
_SCOPES: Final = ("workflow:create", "workflow:activate", "execution:read", "execution:list")


class N8n(Server):
    """One n8n that only this machine can reach, with an owner and an API key, empty at its start."""

    name = "n8n"
    as_nobody = False

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self._node = node((20, 19))
        self._home = installed("n8n", _PACKAGE, [("install", "--ignore-scripts"), ("rebuild", "sqlite3")])
        self.api_key = ""
        super().__init__(settings)

    def command(self) -> Sequence[str]:
        """The interpreter on the program itself, so that the process is the server."""
        return [str(self._node), str(self._home / "node_modules" / "n8n" / "bin" / "n8n"), "start"]

    def environment(self) -> Mapping[str, str]:
        """Everything in its own folder, on loopback, telling nobody; ``settings`` are variables that workflows may read."""
        return {
            "N8N_USER_FOLDER": str(self.folder),
            "N8N_LISTEN_ADDRESS": "127.0.0.1",
            "N8N_PORT": str(self.port),
            "N8N_EXPRESSION_ENGINE": "legacy",
            "N8N_RUNNERS_ENABLED": "false",
            "N8N_SECURE_COOKIE": "false",
            "N8N_DIAGNOSTICS_ENABLED": "false",
            "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
            "N8N_TEMPLATES_ENABLED": "false",
            "DB_SQLITE_POOL_SIZE": "2",
            "NODE_FUNCTION_ALLOW_BUILTIN": "crypto",
            **self.settings,
        }

    def start(self) -> N8n:
        """Starts it and makes its owner and an API key, unless it has them."""
        super().start()
        if not self.api_key:
            cookie = self._ask("POST", "/rest/owner/setup", _OWNER)[1].split(";")[0]
            key = {"label": "tests", "scopes": _SCOPES, "expiresAt": None}
            self.api_key = self._ask("POST", "/rest/api-keys", key, {"Cookie": cookie})[0]["data"]["rawApiKey"]
        return self

    def activate(self, name: str, nodes: Sequence[Mapping[str, Any]], connections: Mapping[str, Any]) -> None:
        """Makes a workflow and switches it on."""
        workflow = {"name": name, "nodes": nodes, "connections": connections, "settings": {"executionOrder": "v1"}}
        made = self.api("POST", "/workflows", workflow)
        self.api("POST", f"/workflows/{made['id']}/activate", {})

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the public API."""
        return self._ask(method, f"/api/v1{path}", body, {"X-N8N-API-KEY": self.api_key})[0]

    def _ask(self, method: str, path: str, body: Any, headers: Mapping[str, str] | None = None) -> tuple[Any, str]:
        data = None if body is None else json.dumps(body).encode()
        told = {"Content-Type": "application/json", **(headers or {})}
        request = urllib.request.Request(self.url + path, data, told, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer), answer.headers.get("Set-Cookie", "")
        except urllib.error.HTTPError as error:
            with error:
                raise RuntimeError(f"{method} {path}: {error.code} {error.read()[:1000]!r}") from error

    def _answers(self) -> bool:
        """Its database is ready before its own addresses are, and those are what is asked next."""
        try:
            for path in ("/healthz/readiness", "/rest/settings"):
                urllib.request.urlopen(self.url + path, timeout=10).close()
        except OSError:
            return False
        return True
