"""Linux audit records: lines of ``audit.log`` as (type, fields). Values that the kernel wrote in hexadecimal are decoded.

Source: https://github.com/linux-audit/audit-documentation/wiki (the records' fields), audit(7), auditd.conf(5).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from connector.types import Document, Json

MAX_RECORDS: Final = 256
"""Records of one event that are read; the kernel writes a few dozen at most."""

_MAX_ARGUMENTS: Final = 512
_MAX_FIELDS: Final = 2048
_ENRICHED: Final = "\x1d"
_QUOTES: Final = {'"': '"', "'": "'"}
_ENCODED: Final = frozenset(
    {
        *("name", "exe", "comm", "cwd", "proctitle", "cmd", "acct", "data", "key", "path", "unit", "vm", "file", "dir"),
        *("watch", "grp", "new_group", "id", "profile", "operation", "ocomm"),
    }
)
"""Fields of untrusted text: quoted, or in hexadecimal where they hold a space, a quote or a control character."""


class Record(NamedTuple):
    """One audit record: its type (``SYSCALL``), its event (``time:serial``), and its fields."""

    type: str
    event: str
    fields: dict[str, str]


def is_audit(text: str) -> bool:
    """Whether a text begins like an audit record."""
    return text.startswith(("type=", "node=")) and "msg=audit(" in text[:512]


def records(text: str) -> list[Record]:
    """The records of a text, one a line. Lines that are none are passed over."""
    found = (_record(line) for line in text.split("\n", MAX_RECORDS)[:MAX_RECORDS])
    return [record for record in found if record is not None]


def _record(line: str) -> Record | None:
    head, mark, rest = line.partition("msg=audit(")
    event, closed, body = rest.partition("):")
    _, named, type_ = head.partition("type=")
    type_ = type_.strip()
    if not (mark and closed and named) or not type_.replace("_", "").isalnum() or len(event) > 64:
        return None
    plain, _, names = body.partition(_ENRICHED)
    fields = dict(_fields(plain))
    inner = fields.pop("msg", None)
    if inner is not None:
        fields |= dict(_fields(inner))
    fields |= dict(_fields(names))
    return Record(type_, event, fields)


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """``key=value`` pairs. A value is quoted or ends at a space; words without ``=`` are passed over."""
    at, end = 0, len(text)
    for _ in range(_MAX_FIELDS):
        equals = text.find("=", at)
        if equals < 0:
            return
        key = text[at:equals].rpartition(" ")[2].strip().strip("(,")
        begin = equals + 1
        quote = _QUOTES.get(text[begin : begin + 1])
        stop = text.find(quote, begin + 1) if quote else -1
        if quote and stop >= 0:
            value, at = text[begin + 1 : stop], stop + 1
        else:
            space = text.find(" ", begin)
            at = space if space >= 0 else end
            value = _bare(key, text[begin:at])
        if value not in {"(null)", "(none)", "?", ""}:
            yield key, value


def _bare(key: str, value: str) -> str:
    value = value.strip().rstrip(",)" if not value.startswith("(") else ",")
    return decoded(value) if key in _ENCODED else value


def decoded(value: str) -> str:
    """Text that was written in hexadecimal; anything else as it is. NUL, which parts arguments, becomes a space."""
    try:
        raw = bytes.fromhex(value) if len(value) % 2 == 0 and value.isalnum() else b""
    except ValueError:
        return value
    return raw.decode("utf-8", "replace").replace("\0", " ").strip(" ") if raw else value


def arguments(line: str) -> list[str]:
    """The arguments of an EXECVE record's line, in order; one that was cut into pieces (``a2[0]``) is whole again."""
    pieces: dict[int, list[str]] = {}
    for key, value, quoted in _words(line):
        number, _, _ = key[1:].partition("[")
        if key[0] != "a" or not number.isascii() or not number.isdigit() or len(number) > 4:
            continue
        if len(pieces) < _MAX_ARGUMENTS or int(number) in pieces:
            pieces.setdefault(int(number), []).append(value if quoted else "\0" + value)
    return [_joined(pieces[number]) for number in sorted(pieces)]


def _words(line: str) -> Iterator[tuple[str, str, bool]]:
    at = 0
    for _ in range(_MAX_FIELDS):
        equals = line.find("=", at)
        if equals < 1:
            return
        key = line[at:equals].rpartition(" ")[2]
        quoted = line[equals + 1 : equals + 2] == '"'
        begin = equals + 2 if quoted else equals + 1
        stop = line.find('"' if quoted else " ", begin)
        stop = len(line) if stop < 0 else stop
        if key:
            yield key, line[begin:stop], quoted
        at = stop + 1


def _joined(pieces: list[str]) -> str:
    if all(piece.startswith("\0") for piece in pieces):
        return decoded("".join(piece[1:] for piece in pieces))
    return "".join(decoded(piece[1:]) if piece.startswith("\0") else piece for piece in pieces)


def command_of(text: str) -> list[str]:
    """The arguments of the EXECVE records of an event's text."""
    found: list[str] = []
    for line in text.split("\n", MAX_RECORDS)[:MAX_RECORDS]:
        head, mark, rest = line.partition("msg=audit(")
        if mark and "type=EXECVE" in head:
            found += arguments(rest.partition("):")[2].partition(_ENRICHED)[0].strip())
    return found


def from_laurel(record: Document) -> tuple[list[Record], list[str]]:
    """An event as laurel writes it (one object a record type) as records, and its arguments."""
    found: list[Record] = []
    told = record.get("ID")
    event = told if type(told) is str else ""
    for type_, inner in record.items():
        rows = inner[:MAX_RECORDS] if type(inner) is list else [inner]
        found += (Record(type_, event, _texts(fields)) for fields in rows if type(fields) is dict)
    execve = record.get("EXECVE")
    argv: Json = execve.get("ARGV") if type(execve) is dict else None
    return found, [item for item in argv[:_MAX_ARGUMENTS] if type(item) is str] if type(argv) is list else []


def _texts(fields: dict[str, Any]) -> dict[str, str]:
    """Scalars as text; hexadecimal numbers without ``0x``, lists of arguments joined."""
    texts = {}
    for key, value in fields.items():
        if type(value) is str:
            texts[key] = value[2:] if key in {"arch", "saddr"} and value.startswith("0x") else value
        elif type(value) is int:
            texts[key] = str(value) if value.bit_length() < 128 else ""
        elif key == "ARGV" and type(value) is list:
            texts["proctitle"] = " ".join(item for item in value[:_MAX_ARGUMENTS] if type(item) is str)
    return texts
