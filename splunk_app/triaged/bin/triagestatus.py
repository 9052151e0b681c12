"""The search command ``triagestatus``: one row that says how the daemon stands, for dashboards and health checks."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Mapping
from typing import Any

from triaged_chunks import Answer, Command, SearchError, serve
from triaged_daemon import Client, DaemonError, Refused, Request, client, settings

COLUMNS = ("daemon", "deployment", "reachable", "ready", "model", "reason")


def begin(info: Mapping[str, Any]) -> Command:
    """A generating command without options. Raises SearchError for any."""
    if info.get("args"):
        raise SearchError("triagestatus takes no options")
    return Command({"type": "stateful", "generating": True}, lambda _body: Answer(_csv(status(info)), finished=True))


def status(info: Mapping[str, Any]) -> dict[str, str]:
    """How the daemon stands. Raises nothing: that it cannot be asked is the answer."""
    found = {"reachable": "no", "ready": "no"}
    try:
        stored = settings()
        found.update(daemon=stored.url, deployment=stored.deployment)
        daemon = client(info, "search")
        daemon.call(Request("GET", "/healthz"))
        found["reachable"] = "yes"
        found.update(_ready(daemon))
    except DaemonError as error:
        found["reason"] = str(error)
    return found


def _ready(daemon: Client) -> dict[str, str]:
    """What it lacks, if anything. A daemon that is not ready says so with 503, which is an answer here."""
    try:
        told = daemon.call(Request("GET", "/readyz"))
    except Refused as refused:
        return {"reason": str(refused)}
    return {"ready": "yes", "model": str(told.get("bundle") or "")}


def _csv(row: Mapping[str, str]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS, restval="")
    writer.writeheader()
    writer.writerow(row)
    return out.getvalue().encode("utf-8", "replace")


if __name__ == "__main__":
    sys.exit(serve(begin, sys.stdin.buffer, sys.stdout.buffer))
