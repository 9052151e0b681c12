"""Lifts a vendor's record into ECS by a table: where each ECS field stands in the record."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from connector.events.canonical import text_of
from connector.events.masks import lower
from connector.events.paths import Read, first, said
from connector.events.times import iso
from connector.types import Document, Json

Node = dict[str, Any]

_DATE_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?$")
_MILLISECONDS: Final = 100_000_000_000
"""A greater number is no second of our time, but a millisecond."""
_NO_ZONE: Final = len("2024-03-05T10:11:12")

_DEEPEST: Final = 32
_MOST_LEAVES: Final = 96
_LONGEST_LEAF: Final = 1024


class Lift(NamedTuple):
    """An ECS field's folders and name, and the reader of its value."""

    folders: tuple[str, ...]
    leaf: str
    read: Read


def lifts(table: Mapping[str, str | tuple[str, ...]]) -> tuple[Lift, ...]:
    """The compiled table: ECS path → the paths in the record, of which the first that says something wins."""
    rows = []
    for where, paths in table.items():
        *folders, leaf = where.split(".")
        rows.append(Lift(tuple(folders), leaf, first((paths,) if isinstance(paths, str) else paths)))
    return tuple(rows)


def lift(document: Node, record: Document, rows: tuple[Lift, ...]) -> None:
    """Fills in what the record says. The folders on the way are ours or missing; what stands in a place stays."""
    for folders, leaf, read in rows:
        value = read(record)
        if value is None:
            continue
        node = document
        for folder in folders:
            node = node.setdefault(folder, {})
        node.setdefault(leaf, value)


def timed(document: Node) -> Node:
    """The document, with its ``@timestamp`` in ISO 8601: of epoch (milli)seconds, ``date time`` in UTC, or a web log's time."""
    time = document.get("@timestamp")
    if time is None:
        return document
    if type(time) is str and time[10:11] == "T":
        written: str | None = time if len(time) > _NO_ZONE else f"{time}Z"
    elif type(time) is int and _MILLISECONDS < time < _MILLISECONDS * 1000:
        written = iso(time / 1000)
    elif type(time) is str and _DATE_TIME.match(time):
        written = f"{time[:10]}T{time[11:23]}Z"
    elif type(time) is str and "/" in time:
        written = _web_time(time)
    else:
        written = iso(time)
    if written is None:
        del document["@timestamp"]
    else:
        document["@timestamp"] = written
    return document


def _web_time(time: str) -> str | None:
    """``06/Feb/2024:00:00:38 +0000``; None for what is none."""
    try:
        return datetime.strptime(time[:32], "%d/%b/%Y:%H:%M:%S %z").isoformat()
    except ValueError:
        return None


def is_address(value: Json) -> bool:
    """Whether a value is an IP address, and nothing else."""
    if type(value) is not str or len(value) > 64 or not ("." in value or ":" in value):
        return False
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def pruned(value: Json, depth: int = _DEEPEST) -> Json:
    """A copy without nulls, empty texts, objects and lists, as Elastic's pipelines drop them; deeper parts are dropped too."""
    if type(value) is dict:
        kept = {key: inner for key, item in value.items() if (inner := pruned(item, depth - 1)) is not None}
        return kept if kept and depth else None
    if type(value) is list:
        items = [inner for item in value if (inner := pruned(item, depth - 1)) is not None]
        return items if items and depth else None
    return None if value == "" else value


def java_text(value: Json) -> str:
    """``{name=value, list=[a, b]}``: how Elastic's CloudTrail pipeline writes an object as text (Java's ``toString``)."""
    if type(value) is dict:
        return "{" + ", ".join(f"{key}={java_text(item)}" for key, item in value.items()) + "}"
    if type(value) is list:
        return "[" + ", ".join(java_text(item) for item in value) + "]"
    if type(value) is float:
        return repr(value)
    return text_of(value)


def leaves(value: Json, silent: tuple[str, ...]) -> str:
    """``path=value`` of the leaves of an object, in key order; names that end in one of ``silent`` are left out."""
    found: list[str] = []
    for leaf in _leaves("", value, silent, _DEEPEST):
        found.append(leaf)
        if len(found) >= _MOST_LEAVES:
            break
    return " ".join(found)


def _leaves(path: str, value: Json, silent: tuple[str, ...], depth: int) -> Iterator[str]:
    if depth == 0:
        return
    if type(value) is dict:
        for key in sorted(value):
            if not lower(key).endswith(silent):
                yield from _leaves(f"{path}.{key}" if path else key, value[key], silent, depth - 1)
    elif type(value) is list:
        for item in value:
            yield from _leaves(path, item, silent, depth - 1)
    elif said(value):
        yield f"{path}={text_of(value)[:_LONGEST_LEAF]}"
