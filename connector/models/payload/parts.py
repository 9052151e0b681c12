"""The payload of an event, taken apart: each value that a client chose by itself, and what went over the wire raw.

Where a payload stands is a table, ``parts.toml``. Everything is bounded: bytes of a field, pieces of a field and of an event.
"""

from __future__ import annotations

import base64
import binascii
import heapq
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from connector.types import Document, Json

MOST_READ: Final = 1 << 16
"""Bytes of one field."""

MOST_PIECES: Final = 24
"""Pieces of one event: those with most signs first, since words and numbers alone attack nothing."""

_MOST_BASE64: Final = MOST_READ // 3 * 4
"""Characters of base64 that give no more than :data:`MOST_READ` bytes, in whole groups of four."""

_PRINTABLE: Final = 0.85
"""A payload of which a smaller share is printable is no text."""

_URL: Final = re.compile(rb"[a-z][a-z0-9+.\-]{0,20}://[^/?#]{0,300}", re.IGNORECASE)
_REQUEST: Final = re.compile(rb"[A-Z]{3,10} +(\S{1,32768}) +HTTP/[0-9.]{1,4}", re.DOTALL)
_NAME: Final = re.compile(rb"(?<![^&])[^&;=]{0,256}=")
_FORM: Final = re.compile(rb"[\w.\[\]%+\-]{1,128}=")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/=]{8,}")
_SIGNS: Final = bytes(range(33, 48)) + b":;<=>?@[\\]^`{|}~" + bytes(range(1, 32)) + bytes(range(127, 256))
_TEXT: Final = bytes(range(32, 127)) + b"\t\r\n"
_JSON: Final = msgspec.json.Decoder()


class Piece(NamedTuple):
    """Bytes that one field holds. ``raw``: as they went over the wire, no text that could be decoded."""

    where: str
    data: bytes
    raw: bool = False


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the table. ``text`` is read where none of ``paths`` is there: the same in printable, lossy form."""

    products: str
    form: str
    paths: tuple[str, ...]
    text: str | None = None


def table() -> tuple[Part, ...]:
    """The lines of ``parts.toml``."""
    rows = tomllib.loads(Path(__file__).with_name("parts.toml").read_text("utf-8"))["parts"]
    return tuple(msgspec.convert(row, Part) for row in rows)


_TABLE: Final = table()
_FOLDERS: Final = frozenset(path.partition(".")[0] for part in _TABLE for path in part.paths)


def pieces(ecs: Document) -> tuple[Piece, ...]:
    """The pieces of an event's payload, the most telling first; empty where it has none."""
    if _FOLDERS.isdisjoint(ecs):
        return ()
    found: dict[bytes, Piece] = {}
    for part in _TABLE:
        for piece in _read(part, ecs):
            if piece.data.strip():
                found.setdefault(piece.data, piece)
    return tuple(sorted(found.values(), key=lambda piece: -_signs(piece.data))[:MOST_PIECES])


def _signs(data: bytes) -> int:
    return len(data) - len(data.translate(None, _SIGNS))


def _read(part: Part, ecs: Document) -> Iterator[Piece]:
    for path in part.paths:
        value = _at(ecs, path)
        if value:
            yield from _FORMS[part.form](path, value)
            return
    if part.text is not None and (value := _at(ecs, part.text)):
        yield from _FORMS["body" if part.form == "encoded_body" else "wire"](part.text, value)


def _at(ecs: Document, path: str) -> str:
    """The text at a dotted path; empty where there is none."""
    node: Json = ecs
    for key in path.split("."):
        if not isinstance(node, Mapping):
            return ""
        node = node.get(key)
    return node if isinstance(node, str) else ""


def _bytes(text: str) -> bytes:
    return text[:MOST_READ].encode("utf-8", "replace")[:MOST_READ]


def _query(path: str, text: str) -> Iterator[Piece]:
    return _pairs(path, _bytes(text))


def _pairs(path: str, data: bytes) -> Iterator[Piece]:
    """The values of ``name=value&…``; a plus stands for a space, as forms are sent. Names are the application's own."""
    return _telling(path, _NAME.sub(b"", data).replace(b"+", b" ").split(b"&"))


def _telling(path: str, values: Iterable[bytes]) -> Iterator[Piece]:
    """The values of one field that an event may keep: one field can hold tens of thousands, all of another's making."""
    told = dict.fromkeys(value for value in values if value.strip())
    return (Piece(path, value) for value in heapq.nlargest(MOST_PIECES, told, key=_signs))


def _path(path: str, text: str) -> Iterator[Piece]:
    yield Piece(path, _bytes(text))


def _target(path: str, text: str) -> Iterator[Piece]:
    return _of_target(path, _bytes(text))


def _of_target(path: str, data: bytes) -> Iterator[Piece]:
    request = _REQUEST.match(data)
    data = request[1] if request else data
    host = _URL.match(data)
    data = data[host.end() :] if host else data
    where, mark, query = data.partition(b"?")
    yield Piece(path, where)
    if mark:
        yield from _pairs(path, query)


def _body(path: str, text: str) -> Iterator[Piece]:
    return _of_body(path, _bytes(text))


def _of_body(path: str, data: bytes) -> Iterator[Piece]:
    """A form's values, a JSON document's texts, or the whole."""
    if data[:1] in {b"{", b"["}:
        try:
            told = _JSON.decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            pass
        else:
            yield from _telling(path, map(_bytes, _leaves(told)))
            return
    if _FORM.match(data):
        yield from _pairs(path, data)
    else:
        yield _whole(path, data)


def _leaves(told: Json) -> Iterator[str]:
    """The texts of a JSON document, in its order; the bytes that were decoded bound how many there are."""
    waiting: list[Json] = [told]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, dict):
            waiting.extend(reversed(node.values()))
        elif isinstance(node, list):
            waiting.extend(reversed(node))


def _whole(path: str, data: bytes) -> Piece:
    text = len(data) - len(data.translate(None, _TEXT))
    return Piece(path, data, raw=text < _PRINTABLE * len(data))


def _of_wire(path: str, data: bytes) -> Iterator[Piece]:
    """What a client sent: an HTTP request taken apart, anything else whole."""
    if not _REQUEST.match(data):
        yield _whole(path, data)
        return
    head, _, body = data.partition(b"\r\n\r\n")
    yield from _of_target(path, head)
    if body:
        yield from _of_body(path, body)


def _wire(path: str, text: str) -> Iterator[Piece]:
    return _of_wire(path, _bytes(text))


def _decoded(text: str) -> bytes:
    """Base64, whatever white space stands in it; what is none counts as the text that it is."""
    read = "".join(text[: 2 * MOST_READ].split())
    if not _BASE64.fullmatch(read):
        return _bytes(text)
    if len(text) > 2 * MOST_READ or len(read) > _MOST_BASE64:
        read = read[: min(len(read), _MOST_BASE64) // 4 * 4]
    try:
        return base64.b64decode(read)
    except binascii.Error:
        return _bytes(text)


def _encoded(path: str, text: str) -> Iterator[Piece]:
    return _of_wire(path, _decoded(text))


def _encoded_body(path: str, text: str) -> Iterator[Piece]:
    return _of_body(path, _decoded(text))


_FORMS: Final[Mapping[str, Callable[[str, str], Iterator[Piece]]]] = {
    "query": _query,
    "path": _path,
    "target": _target,
    "body": _body,
    "wire": _wire,
    "bytes": _encoded,
    "encoded_body": _encoded_body,
}
