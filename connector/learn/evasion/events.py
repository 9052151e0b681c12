"""Mutations of events: the command in a normalised event, and the event that the changed command would have left."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import msgspec

from connector.events import canonical
from connector.events.fingerprint import fingerprint
from connector.learn.corpora.wrap import program_of
from connector.learn.evasion.line import Line, Mutation, windows_line
from connector.types import Document, Event, Json

LEAST = 6
"""A shorter line has nothing to hide."""

_VERSION_FIELDS = ("OriginalFileName", "Description", "Product", "Company", "FileVersion", "Hashes")


def line_of(event: Event) -> Line | None:
    """The command that an event shows: a process' command line or a script block; None where it shows none."""
    data = _inner(event.ecs, "winlog", "event_data")
    script = data.get("ScriptBlockText")
    if isinstance(script, str) and len(script) >= LEAST:
        return Line("powershell", "", script)
    process = _inner(event.ecs, "process")
    text = process.get("command_line")
    if not isinstance(text, str) or len(text) < LEAST:
        return None
    program = process.get("executable")
    if isinstance(program, str) and program.startswith("/"):
        return Line("sh", "", text)
    return windows_line(text)


def mutated(event: Event, mutation: Mutation, draw: Random) -> Event | None:
    """The event with its command written otherwise; None where the mutation does not apply or changes nothing."""
    line = line_of(event)
    if line is None or line.shell not in mutation.shells:
        return None
    written = mutation.apply(line, draw)
    if written.text == line.text:
        return None
    document = _replaced(event.ecs, {line.text: written.text})
    if mutation.family == "substitution" and program_of(written.text) != program_of(line.text):
        _rename(document, program_of(written.text))
    pairs = canonical(document, event.kind)
    return msgspec.structs.replace(event, ecs=document, canonical=pairs, fingerprint=fingerprint(pairs))


def _inner(document: Document, *names: str) -> Document:
    node: Json = document
    for name in names:
        node = node.get(name) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else {}


def _replaced(value: Any, texts: dict[str, str]) -> Any:
    """A copy in which every text that is a key of ``texts`` is what stands there."""
    if isinstance(value, dict):
        return {key: _replaced(inner, texts) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner, texts) for inner in value]
    return texts.get(value, value) if isinstance(value, str) else value


def _rename(document: dict[str, Any], name: str) -> None:
    """Another program runs: its image stands where Windows keeps its own, and the old one's version fields are gone."""
    bare = re.sub(r"[^a-z0-9_.-]", "", name.lower()) or "cmd"
    image = f"C:\\Windows\\System32\\{bare}.exe"
    data = document.get("winlog", {}).get("event_data", {})
    for field in ("Image", "NewProcessName"):
        if field in data:
            data[field] = image
    for field in _VERSION_FIELDS:
        data.pop(field, None)
    process = document.get("process", {})
    process["executable"], process["name"] = image, f"{bare}.exe"
    process.pop("pe", None)
