"""The alert action and adaptive response action "Triage and run playbook": its results enter the daemon as events.

What happens then is the daemon's own: the same pipeline, policy and playbooks as for an event that it polled, and an event
that it knows already changes nothing. Splunk starts this with ``--execute`` and the alert's payload as JSON on stdin.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from triaged_chunks import values_of
from triaged_daemon import DaemonError, Request, client
from triaged_identity import IDENTITY, index_of, native_id

BATCH = 500
_MULTIVALUE = "__mv_"


def main() -> int:
    """Sends the results; 0 when the daemon holds all of them. What happened goes to stderr, which splunkd.log keeps."""
    if sys.argv[1:2] != ["--execute"]:
        sys.stderr.write("FATAL this is an alert action: Splunk starts it with --execute\n")
        return 1
    payload = json.load(sys.stdin)
    try:
        told, level, status = send(payload), "INFO", 0
    except (DaemonError, OSError, EOFError, csv.Error) as error:
        told, level, status = str(error), "ERROR", 2
    sys.stderr.write(f"{level} {told}\n")
    log(payload, level, told)
    return status


def log(payload: Mapping[str, Any], level: str, told: str) -> None:
    """One line as the Common Action Model has it, by which Enterprise Security shows how an adaptive response went."""
    sid = str(payload.get("sid") or "")
    said = {
        "signature": told,
        "action_name": "triaged_run",
        "search_name": payload.get("search_name"),
        "sid": sid,
        "app": payload.get("app"),
        "user": payload.get("owner"),
        "action_mode": "saved" if sid.startswith(("scheduler", "rt_scheduler")) else "adhoc",
        "action_status": "success" if level == "INFO" else "failure",
    }
    pairs = " ".join(f'{name}="{_plain(value)}"' for name, value in said.items())
    line = f"{time.strftime('%Y-%m-%d %H:%M:%S%z')} {level} sendmodaction - {pairs}\n"
    folder = Path(os.environ.get("SPLUNK_HOME", "/opt/splunk")) / "var" / "log" / "splunk"
    try:
        with (folder / "triaged_run_modalert.log").open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:
        sys.stderr.write(f"WARN {error}\n")


def _plain(value: Any) -> str:
    """A value that cannot end its quotes, or its line: a search's name is whatever somebody called it."""
    return " ".join(str(value or "").replace('"', "'").replace("\\", "/").split())


def send(payload: Mapping[str, Any]) -> str:
    """Sends the results of one alert, and says what became of them. Raises DaemonError, OSError."""
    info = {"splunkd_uri": payload.get("server_uri"), "session_key": payload.get("session_key")}
    daemon = client(info, "inlet")
    totals = {"taken": 0, "verdicts": 0, "known": 0, "dead_letters": 0}
    for reply in daemon.replies(requests(payload)):
        if isinstance(reply, DaemonError):
            raise reply
        for name in totals:
            totals[name] += int(reply.get(name) or 0)
    return "events: " + ", ".join(f"{count} {name}" for name, count in totals.items())


def requests(payload: Mapping[str, Any]) -> Iterator[Request]:
    """The results in batches. Each event has an identity, so that a batch which is sent twice is taken once."""
    numbered = ({"key": f"{payload.get('sid')}:{place}", **item} for place, item in enumerate(items(payload)))
    while batch := list(islice(numbered, BATCH)):
        events = [{name: value for name, value in item.items() if name != "key" or "id" not in item} for item in batch]
        body = json.dumps({"events": events}, ensure_ascii=False).encode("utf-8", "replace")
        yield Request("POST", "/v1/events", body)


def items(payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each result as an item of the inlet; one that was taken from an index has its own identity there."""
    for row in rows(payload):
        bucket, address = (str(row.get(name) or "") for name in IDENTITY)
        placed = {"id": native_id(bucket, address), "index": index_of(bucket)} if bucket and address else {}
        yield {"data": row, **placed}


def rows(payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The results of the search, from the file that Splunk names; the first alone where it names none."""
    path = payload.get("results_file")
    if not path:
        yield {name: value for name, value in (payload.get("result") or {}).items() if not name.startswith(_MULTIVALUE)}
        return
    csv.field_size_limit(2**31 - 1)
    with gzip.open(str(path), "rt", encoding="utf-8", errors="replace", newline="") as file:
        yield from map(_row, csv.DictReader(line.replace("\0", "\ufffd") for line in file))


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what is empty, and with lists where a field has several values."""
    found: dict[str, Any] = {}
    for name, value in _named(row.items()):
        several = row.get(_MULTIVALUE + name)
        if several or value:
            found[name] = values_of(several) if several else value
    return found


def _named(pairs: Iterable[tuple[Any, Any]]) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in pairs if isinstance(name, str) and not name.startswith(_MULTIVALUE))


if __name__ == "__main__":
    sys.exit(main())
