"""Node-RED 4.1.8: flows of nodes that pass messages on, with a webhook at their beginning."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from tests.servers.npm import installed, node
from tests.servers.process import Server

VERSION = "4.1.8"
_PACKAGE = {"name": "triaged-node-red", "private": True, "dependencies": {"node-red": VERSION}}

SETTINGS = """
module.exports = {
    uiHost: "127.0.0.1",
    uiPort: %(port)d,
    credentialSecret: false,
    functionExternalModules: true,
    telemetry: { enabled: false, updateNotification: false },
    editorTheme: { palette: { catalogues: [] } },
    logging: { console: { level: "info", metrics: false, audit: false } },
};
"""


class NodeRed(Server):
    """One Node-RED that only this machine can reach, empty at its start."""

    name = "node-red"
    as_nobody = False

    def __init__(self) -> None:
        self._node = node((18, 5))
        self._home = installed("node-red", _PACKAGE, [("install", "--ignore-scripts")])
        super().__init__()
        (self.folder / "settings.js").write_text(SETTINGS % {"port": self.port})

    def command(self) -> Sequence[str]:
        """The interpreter on the program itself, so that the process is the server."""
        program = self._home / "node_modules" / "node-red" / "red.js"
        return [str(self._node), str(program), "--userDir", str(self.folder)]

    def deploy(self, flow: Sequence[Mapping[str, Any]]) -> None:
        """Makes these nodes all that it has."""
        headers = {"Content-Type": "application/json", "Node-RED-Deployment-Type": "full"}
        request = urllib.request.Request(f"{self.url}/flows", json.dumps(flow).encode(), headers, method="POST")
        urllib.request.urlopen(request, timeout=30).close()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/flows", timeout=10) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
