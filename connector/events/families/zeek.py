"""Zeek's logs in ECS, as Elastic's zeek integration writes them.

Sources: https://docs.zeek.org/en/master/script-reference/log-files.html (the logs' fields),
https://www.elastic.co/docs/reference/integrations/zeek (their ECS names).
"""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any, Final, NamedTuple

from connector.events.family import Family
from connector.events.fields import Rules, copy, rule
from connector.events.masks import lower
from connector.events.paths import put
from connector.events.times import iso
from connector.types import Document, Json

Node = dict[str, Any]


class _Log(NamedTuple):
    name: str
    dataset: str
    category: str
    type: str
    protocol: str
    rules: Rules


def _read_table() -> tuple[dict[str, _Log], dict[str, str]]:
    source = tomllib.loads(Path(__file__).with_name("data").joinpath("zeek.toml").read_text(encoding="utf-8"))
    logs: dict[str, _Log] = {}
    marks: dict[str, str] = {}
    for name, row in source["logs"].items():
        rules = tuple(rule(*field) for field in (*row["fields"], *source["all"]["fields"]))
        category = row.get("category", "network")
        logs[name] = _Log(name, row["dataset"], category, row["type"], row.get("protocol", ""), rules)
        marks |= dict.fromkeys(row["marks"], name)
    return logs, marks


_LOGS, _MARKS = _read_table()
_TRUTH: Final = {"T": True, "F": False}
_SETS: Final = frozenset(
    {"answers", "analyzers", "tx_hosts", "rx_hosts", "orig_mime_types", "resp_mime_types", "actions"}
)
_TLS: Final = {"TLSv10": "1.0", "TLSv11": "1.1", "TLSv12": "1.2", "TLSv13": "1.3", "SSLv3": "3.0", "SSLv2": "2.0"}
_LONGEST: Final = 1e9
"""Seconds; what claims to have lasted longer is malformed, and too long for the nanoseconds of ECS."""
_STATES: Final = {"SF": "success", "S0": "failure", "REJ": "failure"}


def read(record: Document) -> Node | None:
    """A record of one of Zeek's logs, in JSON or as a row of its tables; None for anything else."""
    flat = _flat(record)
    log = _log_of(record, flat)
    if log is None:
        return None
    event: Node = {"kind": "alert" if log.name == "notice" else "event", "module": "zeek", "dataset": log.dataset}
    event |= {"category": [log.category], "type": [log.type], "action": log.name}
    document: Node = {"event": event}
    copy(document, {name: _value(name, value) for name, value in flat.items()}, log.rules)
    if log.protocol:
        document.setdefault("network", {})["protocol"] = log.protocol
    _finish(document, log.name)
    if log.name == "conn":
        put(document, "event.duration", _nanoseconds(flat.get("duration")))
    put(document, "@timestamp", iso(record.get("ts")))
    return document


def _flat(record: Document) -> Document:
    """The record with ``id.orig_h`` where its connection stands in an object."""
    inner = record.get("id")
    if type(inner) is not dict:
        return record
    return {**record, **{f"id.{name}": value for name, value in inner.items()}}


def _log_of(record: Document, flat: Document) -> _Log | None:
    path = record.get("_path")
    if type(path) is str:
        return _LOGS.get(lower(path).removesuffix("_red"))
    if "ts" not in record or not (
        "id.orig_h" in flat or "fuid" in record or "certificate.subject" in record or "note" in record
    ):
        return None
    return next((_LOGS[_MARKS[name]] for name in record if name in _MARKS), None)


def _value(name: str, value: Json) -> Json:
    """A table's text as the JSON log would have it."""
    if type(value) is not str:
        return value
    if name in _SETS:
        return [part for part in value.split(",", 64) if part] if value not in {"-", "(empty)"} else None
    return _TRUTH.get(value, value) if len(value) == 1 else None if value == "(empty)" else value


def _nanoseconds(seconds: Json) -> int | None:
    """An interval of Zeek's as ECS counts durations; None for what is none."""
    try:
        found = float(seconds) if type(seconds) in {int, float, str} else math.nan
    except (OverflowError, ValueError):
        return None
    return round(found * 1e9) if 0.0 <= found < _LONGEST else None


def _finish(document: Node, name: str) -> None:
    """What the integration derives."""
    zeek = document.get("zeek", {})
    if name == "ssl":
        version = zeek.get("ssl", {}).pop("version", None)
        if type(version) is str:
            document.setdefault("tls", {})["version"] = _TLS.get(version, version)
    elif name == "notice":
        notice = zeek.get("notice", {})
        rule_ = {"name": notice.get("note"), "description": notice.get("msg")}
        document["rule"] = {key: value for key, value in rule_.items() if value is not None}
    elif name == "dns" and "answers" in zeek.get("dns", {}):
        answers = zeek["dns"].pop("answers")
        if type(answers) is list:
            document.setdefault("dns", {})["answers"] = [{"data": item} for item in answers if type(item) is str]
    elif name == "conn":
        state = zeek.get("connection", {}).get("state")
        if type(state) is str and state in _STATES:
            document["event"]["outcome"] = _STATES[state]


FAMILY: Final = Family("zeek", datasets=frozenset(log.dataset for log in _LOGS.values()), read=read)
