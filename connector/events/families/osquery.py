"""Results of osquery's scheduled queries in ECS, as Filebeat's module has them (dataset ``osquery.result``).

A row's columns are those of the query's table; well known ones become ECS fields, all stand under ``osquery.result.columns``.

Sources: https://osquery.readthedocs.io/en/stable/deployment/logging/,
https://www.elastic.co/docs/reference/beats/filebeat/filebeat-module-osquery
"""

from __future__ import annotations

from typing import Final

from connector.events.declared import declared
from connector.events.family import Family, Node
from connector.events.paths import address, copier, first, inner, moment, put, scalars
from connector.types import Document

_DATASET: Final = "osquery.result"
_DECLARED: Final = frozenset({"osquery.differential", "osquery.snapshot", "osquery.results", _DATASET})
_MOST_COLUMNS: Final = 128

_FIELDS: Final = {
    "process.command_line": ("cmdline", "command"),
    "process.pid": ("pid",),
    "file.path": ("target_path", "path"),
    "file.hash.sha256": ("sha256",),
    "file.hash.md5": ("md5",),
    "user.name": ("username", "user"),
    "user.id": ("uid",),
    "destination.port": ("remote_port",),
    "source.port": ("local_port",),
}
_copy: Final = copier(_FIELDS)
_copy_process: Final = copier({"process.executable": ("exe", "path"), "process.name": ("name",), **_FIELDS})
_REMOTE: Final = first(["remote_address", "host"])


def read(record: Document) -> Node | None:
    """One row of a query's result as an ECS document."""
    columns = record.get("columns")
    if type(columns) is not dict or not _is_result(record):
        return None
    document: Node = {"event": {"kind": "event", "dataset": _DATASET}}
    put(document, "@timestamp", moment(record.get("unixTime", record.get("calendarTime"))))
    put(document, "event.action", scalars(record.get("action")))
    put(document, "rule.name", scalars(record.get("name")))
    put(document, "osquery.result.name", scalars(record.get("name")))
    put(document, "osquery.result.action", scalars(record.get("action")))
    put(document, "osquery.result.host_identifier", scalars(record.get("hostIdentifier")))
    put(document, "host.name", scalars(record.get("hostIdentifier")))
    (_copy_process if "pid" in columns or "cmdline" in columns else _copy)(columns, document)
    put(document, "source.ip", address(_REMOTE(columns)))
    put(document, "host.os.type", scalars(inner(record, "decorations").get("platform", columns.get("platform"))))
    kept = {
        name: found for name, value in list(columns.items())[:_MOST_COLUMNS] if (found := scalars(value)) is not None
    }
    document.setdefault("osquery", {}).setdefault("result", {})["columns"] = kept
    return document


def _is_result(record: Document) -> bool:
    return declared(record) in _DECLARED or (
        "action" in record and ("hostIdentifier" in record or "unixTime" in record)
    )


FAMILY: Final = Family("osquery", datasets=frozenset({_DATASET, "osquery_manager.result"}), read=read)
