"""Custom search commands as Splunk runs them: a process of its own that is spoken to in the chunked protocol, version 2.

One frame is ``chunked 1.0,<bytes of metadata>,<bytes of body>`` and a new line, then metadata in JSON and a body in CSV. Every
frame is answered by exactly one frame: first ``getinfo``, then ``execute`` for each batch of rows until ``finished``.
"""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import IO, Any
from uuid import uuid4

from tests.splunkd.spl.context import Job, Row, Rows
from tests.splunkd.spl.text import RunError, tokenise

MOST_ROWS = 50_000
_Frame = tuple[dict[str, Any], list[dict[str, Any]]]


class ProtocolError(Exception):
    """The command broke the protocol; the message says how."""


@dataclass(slots=True)
class Chunked:
    """A command: what starts it, and how its rows are handed over. ``splunkd_uri`` and ``name`` are told to it."""

    name: str
    argv: Sequence[str]
    splunkd_uri: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    chunk: int = MOST_ROWS
    timeout_s: float = 120.0

    def __call__(self, text: str, rows: Rows, job: Job, *, first: bool) -> Rows:
        """The rows after the command; one that generates stands first, any other does not. Raises :class:`RunError` where it says so or breaks the protocol."""
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                list(self.argv),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=dict(self.environment) or None,
                cwd=self.folder,
            )
            late = Timer(self.timeout_s, process.kill)
            late.start()
            try:
                return self._converse(process, text, rows, job, first=first)
            except (ProtocolError, BrokenPipeError) as error:
                process.kill()
                errors.seek(0)
                said = errors.read().decode(errors="replace")[-2000:]
                raise RunError(
                    f"Error in '{self.name}' command: External search command failed: {error} {said}"
                ) from error
            finally:
                late.cancel()
                _end(process)

    def _converse(self, process: subprocess.Popen[bytes], text: str, rows: Rows, job: Job, *, first: bool) -> Rows:
        assert process.stdin is not None
        assert process.stdout is not None
        _send(process.stdin, self._getinfo(text, job), [])
        told, _ = self._receive(process.stdout, job)
        if bool(told.get("generating")) != first:
            raise RunError(
                f"Error in '{self.name}' command: it {'must' if not first else 'cannot'} be the first command of a search."
            )
        if told.get("type", "streaming") not in {"streaming", "stateful", "events", "reporting"}:
            raise ProtocolError(f"unknown type {told['type']!r}")
        found: list[Row] = []
        pieces = [rows[at : at + self.chunk] for at in range(0, len(rows), self.chunk)] or [[]]
        for number, piece in enumerate(pieces):
            last = number == len(pieces) - 1
            _send(process.stdin, {"action": "execute", "finished": last}, piece)
            told, answered = self._receive(process.stdout, job)
            found += answered
        while not told.get("finished"):
            _send(process.stdin, {"action": "execute", "finished": True}, [])
            told, answered = self._receive(process.stdout, job)
            found += answered
        return found

    def _getinfo(self, text: str, job: Job) -> dict[str, Any]:
        raw = [token.text for token in tokenise(text.replace(",", " "))]
        args = _joined(raw)
        return {
            "action": "getinfo",
            "preview": False,
            "streaming_command_will_restart": False,
            "searchinfo": {
                "args": args,
                "raw_args": args,
                "dispatch_dir": "",
                "sid": job.sid or uuid4().hex,
                "app": job.app,
                "owner": job.user,
                "username": job.user,
                "session_key": job.session,
                "splunkd_uri": self.splunkd_uri,
                "splunk_version": "9.4.3",
                "search": f"| {self.name}{text}",
                "command": self.name,
                "maxresultrows": MOST_ROWS,
                "earliest_time": str(job.range.earliest),
                "latest_time": str(job.range.latest),
            },
        }

    def _receive(self, stream: IO[bytes], job: Job) -> _Frame:
        head = stream.readline()
        if not head:
            raise ProtocolError("it ended without an answer.")
        parts = head.decode(errors="replace").strip().split(",")
        if (
            len(parts) != 3
            or parts[0] != "chunked 1.0"
            or not (parts[1].strip().isdigit() and parts[2].strip().isdigit())
        ):
            raise ProtocolError(f"no frame begins with {head[:80]!r}.")
        meta, body = stream.read(int(parts[1])), stream.read(int(parts[2]))
        if len(meta) != int(parts[1]) or len(body) != int(parts[2]):
            raise ProtocolError("a frame is shorter than it says.")
        told = json.loads(meta) if meta else {}
        for kind, message in told.get("inspector", {}).get("messages", []):
            job.messages.append((str(kind).upper(), str(message)))
        if told.get("error"):
            raise RunError(f"Error in '{self.name}' command: {told['error']}")
        return told, _rows(body.decode())


def _joined(raw: Sequence[str]) -> list[str]:
    joined: list[str] = []
    for word in raw:
        if word == "=" and joined:
            joined[-1] += "="
        elif joined and joined[-1].endswith("="):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(BrokenPipeError):
        if process.stdin:
            process.stdin.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()


def _send(stream: IO[bytes], meta: Mapping[str, Any], rows: Rows) -> None:
    head, body = json.dumps(meta).encode(), _csv(rows).encode()
    stream.write(b"chunked 1.0,%d,%d\n%s%s" % (len(head), len(body), head, body))
    stream.flush()


def _csv(rows: Rows) -> str:
    if not rows:
        return ""
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column for name in names for column in (name, f"__mv_{name}")])
    for row in rows:
        writer.writerow([cell for name in names for cell in _cells(row.get(name))])
    return out.getvalue()


def _cells(value: Any) -> tuple[str, str]:
    if isinstance(value, list):
        return "\n".join(value), ";".join(f"${one.replace('$', '$$')}$" for one in value)
    return "" if value is None else str(value), ""


def _rows(text: str) -> list[dict[str, Any]]:
    csv.field_size_limit(1 << 30)
    found = []
    for row in csv.DictReader(io.StringIO(text, newline="")):
        values: dict[str, Any] = {}
        for name, value in row.items():
            if name and not name.startswith("__mv_"):
                several = row.get(f"__mv_{name}") or ""
                values[name] = _several(several) if several else value
        found.append(
            {name: value for name, value in values.items() if value is not None and value != ""} if values else {}
        )
    return found


def _several(text: str) -> list[str]:
    return [one.replace("$$", "$") for one in _VALUE.findall(text)]


_VALUE = re.compile(r"\$((?:[^$]|\$\$)*)\$(?:;|$)")
