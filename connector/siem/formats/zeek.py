"""Zeek's logs in its tab-separated form: lines that start with ``#`` say how the others are to be read.

Format: the ASCII writer's manual, "Log Files". A value that is unset is absent; sets and vectors are lists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, ClassVar, TypeAlias

from connector.siem.formats.lines import Encoding, lines
from connector.types import Document

Row: TypeAlias = tuple[int, int, int, Document | bytes, str | None]
Value: TypeAlias = str | int | float | bool

_ESCAPED = re.compile(r"\\x([0-9A-Fa-f]{2})")
_SHOWN = 4096
_WIDEST = 20


def is_header(line: bytes) -> bool:
    """Whether a file that starts with this line is such a log."""
    return line.startswith((b"#separator ", b"#fields\t"))


class ZeekRows:
    """The rows below a header; another header, as after a rotation or in joined files, rules from there on."""

    remembers: ClassVar[bool] = True

    def __init__(self) -> None:
        self.line = 0
        self._separator = "\t"
        self._told = {"set_separator": ",", "empty_field": "(empty)", "unset_field": "-", "path": ""}
        self._fields: list[str] = []
        self._types: list[str] = []

    def rows(
        self,
        stream: BinaryIO,
        limit: int,
        *,
        offset: int = 0,
        number: int = 0,
        whole: bool = False,
        encoding: Encoding = "utf-8",
    ) -> Iterator[Row]:
        """Each row as a document with ``_path``, the name of its log."""
        found = lines(stream, limit, offset=offset, number=number, whole=whole, encoding=encoding, strip=False)
        for start, behind, line_number, line, error in found:
            self.line = line_number
            if error is not None:
                yield start, behind, line_number, line, error
                continue
            text = line.decode("utf-8", "replace").lstrip("\x00")
            if text.startswith("#"):
                self._learn(text[1:])
            elif text.strip():
                document, wrong = self._document(text)
                yield start, behind, line_number, line[:_SHOWN] if document is None else document, wrong

    def _learn(self, directive: str) -> None:
        if directive.startswith("separator "):
            self._separator = _unescaped(directive.removeprefix("separator ")) or "\t"
            return
        name, _, rest = directive.partition(self._separator)
        match name:
            case "fields":
                self._fields = rest.split(self._separator)
                self._types = []
            case "types":
                self._types = rest.split(self._separator)
            case _ if name in self._told:
                self._told[name] = _unescaped(rest)

    def _document(self, text: str) -> tuple[Document | None, str | None]:
        cells = text.split(self._separator)
        if len(cells) != len(self._fields):
            return None, f"the row has {len(cells)} values, and its header {len(self._fields)} fields"
        kinds = self._types if len(self._types) == len(cells) else ["string"] * len(cells)
        found: dict[str, Value | list[Value]] = {}
        if self._told["path"]:
            found["_path"] = self._told["path"]
        for name, kind, cell in zip(self._fields, kinds, cells, strict=True):
            if cell != self._told["unset_field"]:
                found[name] = self._value(kind, cell)
        return found, None

    def _value(self, kind: str, cell: str) -> Value | list[Value]:
        container, _, inner = kind.partition("[")
        if container in {"set", "vector"} and inner:
            if cell == self._told["empty_field"]:
                return []
            read = _READERS.get(inner.rstrip("]"), _unescaped)
            return [read(part) for part in cell.split(self._told["set_separator"] or ",")]
        if cell == self._told["empty_field"]:
            return ""
        return _READERS.get(kind, _unescaped)(cell)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if "\\x" in text else text


def _integer(text: str) -> Value:
    plain = text.isascii() and text.removeprefix("-").isdigit() and len(text) <= _WIDEST
    return int(text) if plain else text


def _number(text: str) -> Value:
    try:
        number = float(text)
    except ValueError:
        return text
    return number if number - number == 0 else text


def _truth(text: str) -> Value:
    return {"T": True, "F": False}.get(text, text)


_READERS: dict[str, Callable[[str], Value]] = {
    "bool": _truth,
    "count": _integer,
    "int": _integer,
    "port": _integer,
    "double": _number,
    "interval": _number,
    "time": _number,
}
