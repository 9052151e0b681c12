"""Linux audit events in ECS, as Auditbeat's auditd module and the Auditd Manager integration write them.

The records of one event (a system call, its arguments, folder, files and address) become one document.
Source: https://www.elastic.co/docs/reference/beats/auditbeat/exported-fields-auditd
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from connector.events.audit_records import Record, command_of, from_laurel, is_audit, records
from connector.events.family import Family
from connector.events.paths import put
from connector.events.times import iso
from connector.types import Document

Node = dict[str, Any]
What = tuple[str, str, str]

_DATASET: Final = "auditd_manager.auditd"
_DATA: Final = Path(__file__).with_name("data")


def _actions() -> tuple[Mapping[str, What], Mapping[str, What]]:
    source = tomllib.loads((_DATA / "auditd.toml").read_text(encoding="utf-8"))
    syscalls, types = (
        {name: (action, row["category"], row["type"]) for action, row in rows.items() for name in row["names"].split()}
        for rows in (source["syscalls"], source["records"])
    )
    return syscalls, types


def _numbers() -> dict[tuple[str, str], str]:
    source = tomllib.loads((_DATA / "syscalls.toml").read_text(encoding="utf-8"))
    return {
        (arch, str(int(first) + place)): name
        for arch, rows in source.items()
        for first, names in rows.items()
        for place, name in enumerate(names.split())
    }


_BY_SYSCALL, _BY_TYPE = _actions()
_SYSCALLS: Final = _numbers()
_ARCHES: Final = {"c000003e": "x86_64", "c00000b7": "aarch64", "40000003": "i386"}
_IDS: Final = (
    ("uid", "user.id"),
    ("auid", "user.audit.id"),
    ("euid", "user.effective.id"),
    ("UID", "user.name"),
    ("AUID", "user.audit.name"),
    ("EUID", "user.effective.name"),
    ("gid", "user.group.id"),
    ("exe", "process.executable"),
    ("comm", "process.name"),
    ("cwd", "process.working_directory"),
    ("proctitle", "process.title"),
    ("hostname", "source.domain"),
)
_KEPT: Final = frozenset(
    {
        *(
            "syscall",
            "arch",
            "tty",
            "ses",
            "exit",
            "a0",
            "a1",
            "a2",
            "a3",
            "op",
            "acct",
            "terminal",
            "unit",
            "grantors",
        ),
        *("id", "sig", "reason", "apparmor", "operation", "profile", "denied_mask", "requested_mask", "dev", "prom"),
        *("old_prom", "table", "family", "list", "res", "scontext", "tcontext", "tclass", "data", "key", "addr", "grp"),
        *("old", "audit_enabled", "old-auid", "new_group", "name"),
    }
)
_UNSET: Final = frozenset({"4294967295", "-1", "unset"})
_SUCCESS: Final = {
    "yes": "success",
    "no": "failure",
    "success": "success",
    "failed": "failure",
    "1": "success",
    "0": "failure",
}
_FIRST: Final = ("SYSCALL", "SECCOMP", "AVC")
_NETWORK: Final = frozenset({"connect", "sendto", "sendmsg"})


def read_text(text: str) -> Node | None:
    """The records of one event, one a line. None where the text is no audit record."""
    if not is_audit(text):
        return None
    found = records(text)
    if not found:
        return None
    same = [record for record in found if record.event == found[0].event]
    document = _event(same, command_of(text))
    document["event"]["original"] = text
    return document


def read(record: Document) -> Node | None:
    """A Splunk row whose ``_raw`` is an audit event, or an event as laurel writes it."""
    raw = record.get("_raw")
    if type(raw) is str:
        return read_text(raw)
    if "ID" in record and ("SYSCALL" in record or any(name in record for name in ("USER_CMD", "USER_AUTH"))):
        found, argv = from_laurel(record)
        return _event(found, argv) if found else None
    return None


def _event(found: list[Record], argv: list[str]) -> Node:
    """One ECS document of an event's records."""
    document: Node = {"event": {"kind": "event", "module": "auditd", "dataset": _DATASET}}
    fields = _merged(found)
    main = _main(found)
    syscall = _syscall(fields) if "SYSCALL" in {record.type for record in found} else None
    action, category, type_ = _what(main, syscall)
    event = document["event"]
    event |= {"action": action, "category": [category], "type": [type_]}
    outcome = _SUCCESS.get(fields.get("success", fields.get("res", "")))
    if outcome:
        event["outcome"] = outcome
    _when(document, found[0].event)
    _who(document, fields)
    _process(document, fields, argv)
    data = {key: value for key, value in fields.items() if key in _KEPT}
    if syscall:
        data |= {"syscall": syscall, "arch": _ARCHES.get(fields.get("arch", ""), fields.get("arch", ""))}
    put(document, "auditd.data", data)
    put(document, "auditd.message_type", main.lower())
    if category == "file":
        put(document, "file.path", _file(found, fields.get("cwd", "")))
    _address(document, fields, syscall)
    return document


def _merged(found: Iterable[Record]) -> dict[str, str]:
    """The fields of all records; the first that says something wins. PATH and EXECVE have fields of their own meaning."""
    fields: dict[str, str] = {}
    for record in found:
        if record.type not in {"PATH", "EXECVE", "OBJ_PID"}:
            for key, value in record.fields.items():
                fields.setdefault(key, value)
    return fields


def _main(found: list[Record]) -> str:
    types = [record.type for record in found]
    return next((name for name in _FIRST if name in types), types[0])


def _syscall(fields: Mapping[str, str]) -> str:
    number = fields.get("syscall", "")
    return fields.get("SYSCALL") or _SYSCALLS.get((fields.get("arch", ""), number), number)


def _what(main: str, syscall: str | None) -> What:
    if syscall:
        return _BY_SYSCALL.get(syscall, (syscall, "process", "info"))
    return _BY_TYPE.get(main, (main.lower().replace("_", "-"), "host", "info"))


def _when(document: Node, stamp: str) -> None:
    seconds, _, serial = stamp.partition(":")
    put(
        document, "auditd.sequence", int(serial) if serial.isascii() and serial.isdigit() and len(serial) < 19 else None
    )
    put(document, "@timestamp", iso(seconds))


def _who(document: Node, fields: Mapping[str, str]) -> None:
    for name, where in _IDS:
        value = fields.get(name)
        if value is None:
            continue
        value = "unset" if where.endswith("id") and value in _UNSET else value
        if name in {"euid", "EUID"} and value == fields.get(name[1:]):
            continue
        put(document, where, value)


def _process(document: Node, fields: Mapping[str, str], argv: list[str]) -> None:
    for name, where in (("pid", "process.pid"), ("ppid", "process.parent.pid")):
        value = fields.get(name, "")
        if value.isascii() and value.isdigit() and len(value) < 12:
            put(document, where, int(value))
    if argv:
        put(document, "process.args", argv)
        put(document, "process.command_line", " ".join(argv))
    elif "cmd" in fields:
        put(document, "process.command_line", fields["cmd"])


def _file(found: Iterable[Record], cwd: str) -> str | None:
    """The file that a system call was about: of its paths the last that is no parent folder."""
    names = [
        record.fields["name"]
        for record in found
        if record.type == "PATH" and "name" in record.fields and record.fields.get("nametype") != "PARENT"
    ]
    if not names:
        return None
    return names[-1] if names[-1].startswith("/") or not cwd else f"{cwd.rstrip('/')}/{names[-1]}"


def _address(document: Node, fields: Mapping[str, str], syscall: str | None) -> None:
    """The peer of a socket call, from the socket address in hexadecimal; the host that a user came from."""
    peer = _socket(fields.get("saddr", ""))
    if peer:
        side = "destination" if syscall in _NETWORK or syscall is None else "source"
        put(document, f"{side}.ip", peer[0])
        put(document, f"{side}.port", peer[1])
        put(document, "network.direction", "egress" if side == "destination" else "ingress")
    elif "." in fields.get("addr", "") or ":" in fields.get("addr", ""):
        put(document, "source.ip", fields["addr"])


def _socket(text: str) -> tuple[str, int] | None:
    """``sockaddr_in`` and ``sockaddr_in6`` of a little-endian machine."""
    try:
        raw = bytes.fromhex(text[:256])
    except ValueError:
        return None
    if raw[:2] == b"\x02\x00" and len(raw) >= 8:
        return ".".join(str(byte) for byte in raw[4:8]), int.from_bytes(raw[2:4], "big")
    if raw[:2] == b"\x0a\x00" and len(raw) >= 24:
        groups = (f"{int.from_bytes(raw[at : at + 2], 'big'):x}" for at in range(8, 24, 2))
        return ":".join(groups), int.from_bytes(raw[2:4], "big")
    return None


FAMILY: Final = Family(
    "auditd",
    datasets=frozenset({_DATASET, "auditd.auditd", "auditd.log", "auditd"}),
    read=read,
    read_text=read_text,
)
