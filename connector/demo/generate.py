"""Writes the scenario's files: ``python -m connector.demo.generate [DIRECTORY]``. The same every time."""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from connector.demo.background import background
from connector.demo.cast import Cast
from connector.demo.foothold import foothold
from connector.demo.logs import LOGS
from connector.demo.machine import Machine
from connector.demo.nouns import Entry
from connector.demo.paths import FILE_SERVER, SCENARIO, TRUTH, WORKSTATION
from connector.demo.server import server
from connector.demo.splunk import splunk_row
from connector.demo.winlogbeat import winlogbeat

_FIRST_RECORD = {"ws": 4_101_877, "fs": 9_220_413}
_FIRST_OFFSET = 2_048_117


def scenario() -> dict[str, str]:
    """The text of each file, by its name without ``.gz``."""
    cast = Cast()
    background(cast)
    foothold(cast)
    server(cast)
    workstation, file_server = _numbered(cast.ws, "ws"), _numbered(cast.fs, "fs")
    documents = [winlogbeat(entry, cast.ws.fqdn, record) for entry, record in workstation]
    rows: list[dict[str, Any]] = []
    offset = _FIRST_OFFSET
    for entry, record in file_server:
        rows.append(splunk_row(entry, cast.fs.fqdn, record, offset))
        offset += len(rows[-1]["_raw"]) // 3
    planted = [
        *_planted(WORKSTATION.name, cast.ws, workstation),
        *_planted(FILE_SERVER.name, cast.fs, file_server),
    ]
    return {
        WORKSTATION.stem: _lines(documents),
        FILE_SERVER.stem: _lines(rows),
        TRUTH.name: json.dumps({"attack_version": "18.1", "planted": planted}, indent=1) + "\n",
    }


def write(directory: Path) -> None:
    """Writes the files. Event files are gzipped, with no time in the header."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in scenario().items():
        data = text.encode()
        if name.endswith(".jsonl"):
            directory.joinpath(f"{name}.gz").write_bytes(gzip.compress(data, 9, mtime=0))
        else:
            directory.joinpath(name).write_bytes(data)


def _numbered(machine: Machine, key: str) -> list[tuple[Entry, int]]:
    """Entries in order of time, each with its record number in its channel."""
    written: Counter[str] = Counter()
    numbered = []
    for entry in sorted(machine.entries, key=lambda entry: entry.at):
        channel = LOGS[entry.log].channel
        numbered.append((entry, _FIRST_RECORD[key] + 70_001 * len(channel) + written[channel]))
        written[channel] += 1
    return numbered


def _planted(file: str, machine: Machine, numbered: list[tuple[Entry, int]]) -> list[dict[str, Any]]:
    return [
        {
            "file": file,
            "line": line,
            "host": machine.name,
            "channel": LOGS[entry.log].channel,
            "record": record,
            "code": entry.code,
            "techniques": list(entry.shows),
            "step": entry.step,
        }
        for line, (entry, record) in enumerate(numbered, start=1)
        if entry.shows
    ]


def _lines(documents: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n" for document in documents)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else SCENARIO)
