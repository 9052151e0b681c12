"""A search as splunkd runs a command in it: a process of the installed app, and chunks on its pipes."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
APP = ROOT / "splunk_app" / "triaged"
_HEADER = re.compile(rb"chunked 1\.0,(\d+),(\d+)\n")


class Reply(NamedTuple):
    """One chunk that the command sent."""

    metadata: Mapping[str, Any]
    body: bytes

    @property
    def table(self) -> list[list[str]]:
        """Header and rows."""
        csv.field_size_limit(sys.maxsize)
        return list(csv.reader(io.StringIO(self.body.decode("utf-8", "surrogateescape"), newline="")))

    @property
    def rows(self) -> list[dict[str, str]]:
        """Rows by field."""
        header, *rows = self.table
        assert all(len(row) == len(header) for row in rows)
        assert len(set(header)) == len(header)
        return [dict(zip(header, row, strict=True)) for row in rows]

    @property
    def messages(self) -> list[list[str]]:
        """What the search is told."""
        return self.metadata.get("inspector", {}).get("messages", [])


class Done(NamedTuple):
    """A process that ended."""

    status: int
    replies: list[Reply]
    stderr: str

    @property
    def rows(self) -> list[dict[str, str]]:
        """The rows of all chunks."""
        return [row for reply in self.replies[1:] if reply.body for row in reply.rows]

    @property
    def warnings(self) -> list[str]:
        """Every message of the whole search."""
        return [text for reply in self.replies for _, text in reply.messages]


class Installed:
    """The app as it lies in ``etc/apps``, set up or not."""

    def __init__(self, folder: Path, splunkd: str = "https://127.0.0.1:1", session_key: str = "key") -> None:
        self.folder = folder / "triaged"
        self.splunkd = splunkd
        self.session_key = session_key
        shutil.copytree(APP, self.folder, ignore=shutil.ignore_patterns("__pycache__", "local"))

    def set_up(self, **values: str) -> None:
        """What the set-up page stores; ``splunkd_ca_file`` is of the other stanza."""
        local = self.folder / "local"
        local.mkdir(exist_ok=True)
        authority = values.pop("splunkd_ca_file", "")
        lines = ["[daemon]", *(f"{name} = {value}" for name, value in values.items())]
        (local / "triaged.conf").write_text("\n".join([*lines, "[splunkd]", f"ca_file = {authority}", ""]))

    def info(self, *args: str, command: str = "triage") -> dict[str, Any]:
        """What splunkd says of the search."""
        return {
            "args": list(args),
            "raw_args": list(args),
            "command": command,
            "session_key": self.session_key,
            "splunkd_uri": self.splunkd,
            "sid": "1700000000.1",
            "app": "search",
            "owner": "analyst",
            "maxresultrows": 50000,
            "splunk_version": "9.4.3",
        }

    def run(
        self,
        *args: str,
        bodies: Iterable[bytes] = (),
        python: str = sys.executable,
        command: str = "triage",
        stdin: bytes | None = None,
        timeout: float = 60,
    ) -> Done:
        """A whole search: ``getinfo``, then a chunk for each body, the last one finished."""
        if stdin is None:
            stdin = conversation(self.info(*args, command=command), list(bodies))
        done = subprocess.run(
            self.command(command, python), input=stdin, capture_output=True, timeout=timeout, env=self.environment()
        )
        return Done(done.returncode, replies(done.stdout), done.stderr.decode())

    def command(self, command: str = "triage", python: str = sys.executable) -> list[str]:
        """The process's command line."""
        return [python, str(self.folder / "bin" / f"{command}.py")]

    def environment(self) -> dict[str, str]:
        """Its environment: Splunk's, and nothing of the tests'."""
        return {"PATH": os.environ["PATH"], "SPLUNK_HOME": str(self.folder.parent), "LANG": "C"}


def chunk(metadata: Mapping[str, Any], body: bytes = b"") -> bytes:
    """A chunk as splunkd sends it."""
    head = json.dumps(metadata).encode()
    return b"chunked 1.0,%d,%d\n%b%b" % (len(head), len(body), head, body)


def conversation(info: Mapping[str, Any], bodies: Sequence[bytes]) -> bytes:
    """All chunks of a search."""
    asked = chunk({"action": "getinfo", "preview": False, "searchinfo": info})
    last = len(bodies) - 1
    return asked + b"".join(
        chunk({"action": "execute", "finished": place == last}, body) for place, body in enumerate(bodies)
    )


def replies(data: bytes) -> list[Reply]:
    """The chunks of an output; it must consist of nothing else."""
    found: list[Reply] = []
    place = 0
    while place < len(data):
        header = _HEADER.match(data, place)
        assert header is not None, data[place : place + 80]
        middle = header.end() + int(header[1])
        place = middle + int(header[2])
        assert place <= len(data)
        found.append(Reply(json.loads(data[header.end() : middle]), data[middle:place]))
    return found


def table(rows: Sequence[Mapping[str, str]], header: Sequence[str] | None = None) -> bytes:
    """Rows as splunkd writes them: each field beside its ``__mv_`` column."""
    names = list(header or rows[0])
    out = io.StringIO(newline="")
    writer = csv.DictWriter(
        out,
        [*names, *(f"__mv_{name}" for name in names)],
        restval="",
        extrasaction="ignore",
        lineterminator="\n",
        quoting=csv.QUOTE_ALL,
    )
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode("utf-8", "surrogateescape")
