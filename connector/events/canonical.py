"""The canonical form: the ordered, masked fields of an event that a model may see.

The files of ``tables/`` are the table; this module compiles it, at import, into getters and masks. ``CANONICAL.md``
states the rules that a second implementation must follow.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from connector.events.masks import LIMIT, Mask, compile_mask, lower
from connector.types import Document, Json, Pairs

MAX_ELEMENTS: Final = 16
"""A longer list gives one pair an element, at most this many."""

Data = Mapping[str, Json]
Get = Callable[[Document, Data], Json]
"""Reads one path of a document, given the document and its ``winlog.event_data``; None where nothing is present."""

_SILENT: Final = ("", "-")
_DATA: Final = "winlog.event_data."
_NO_DATA: Final[Data] = {}


class Field(NamedTuple):
    """A compiled field: ``gets`` are tried in order; ``others`` is the second operand of the verb ``same``."""

    name: str
    mask: Mask
    gets: tuple[Get, ...]
    others: tuple[Get, ...]


def absent(value: Json) -> bool:
    """Null, the empty string, ``-``, a fraction, an object and an empty list say nothing."""
    kind = type(value)
    if kind is str:
        return value in _SILENT
    if kind is list or kind is tuple:
        return not value
    return kind is not int and kind is not bool


def _single(value: Json) -> Json:
    while type(value) is list and len(value) == 1:
        value = value[0]
    return value


def _from_data(name: str) -> Get:
    def get(_: Document, data: Data) -> Json:
        value = data.get(name)
        if type(value) is str:
            return None if value in _SILENT else value
        value = _single(value)
        return None if absent(value) else value

    return get


def _from_document(keys: list[str]) -> Get:
    *folders, leaf = keys

    def get(document: Document, _: Data) -> Json:
        node: Json = document
        for folder in folders:
            node = node.get(folder)
            if type(node) is not dict:
                return None
        value = node.get(leaf)
        if type(value) is str:
            return None if value in _SILENT else value
        value = _single(value)
        return None if absent(value) else value

    return get


def _nested(path: str) -> Get:
    """A getter of one path by nested keys. A name of event data may itself hold dots."""
    return _from_data(path[len(_DATA) :]) if path.startswith(_DATA) else _from_document(path.split("."))


def _or_dotted(path: str) -> Get:
    """A getter of one path: by nested keys, else by the dotted key at the root."""
    nested, dotted = _nested(path), _from_document([path])

    def get(document: Document, data: Data) -> Json:
        value = nested(document, data)
        return dotted(document, data) if value is None else value

    return get


def part_of(value: Json, start: str, stop: str = "") -> str | None:
    """What follows ``start`` in a text, up to ``stop`` or the end of the line; None where that says nothing."""
    if type(value) is not str:
        return None
    begin = value.find(start)
    if begin < 0:
        return None
    rest = value[begin + len(start) : begin + len(start) + LIMIT]
    ends = [end for mark in ("\n", "\r", stop) if mark and (end := rest.find(mark)) >= 0]
    found = rest[: min(ends)] if ends else rest
    return None if found.strip(" \t") in _SILENT else found


def _extract(get: Get, start: str, stop: str) -> Get:
    return lambda document, data: part_of(get(document, data), start, stop)


def _getters(paths: Iterable[str], read: Callable[[str], Get]) -> tuple[Get, ...]:
    gets = []
    for path in paths:
        where, _, marks = path.partition("|")
        start, _, stop = marks.partition("|")
        gets.append(_extract(read(where), start, stop) if marks else read(where))
    return tuple(gets)


def _data_of(document: Document) -> Data:
    winlog = document.get("winlog")
    data = winlog.get("event_data") if type(winlog) is dict else None
    return data if type(data) is dict else _NO_DATA


def _is_dotted(document: Document) -> bool:
    return "." in "".join(document)


def text_of(value: Json) -> str:
    """A scalar as text: booleans ``true`` and ``false``, integers decimal; the empty string for anything else."""
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    return _decimal(value) if kind is int else ""


def _decimal(value: int) -> str:
    """Decimal digits of any integer that JSON can bring; past 4,300 digits it is not a number but an attack."""
    return str(value) if value.bit_length() < 14000 else ""


def _first(gets: tuple[Get, ...], document: Document, data: Data) -> Json:
    for get in gets:
        value = get(document, data)
        if value is not None:
            return value
    return None


def _same(field: Field, document: Document, data: Data) -> str:
    """``true`` or ``false`` where both operands are text; case folds A–Z."""
    one, other = _first(field.gets, document, data), _first(field.others, document, data)
    if type(one) is not str or type(other) is not str:
        return ""
    left, right = field.mask(one), field.mask(other)
    return "" if not left or not right else "true" if lower(left) == lower(right) else "false"


class Kind(NamedTuple):
    """A compiled kind of event. ``dotted_fields`` also look for dotted names at the document's root."""

    name: str
    words: str
    fields: tuple[Field, ...]
    dotted_fields: tuple[Field, ...]
    digest: str


class Table:
    """The table, compiled."""

    def __init__(self, source: Mapping[str, Any]) -> None:
        self.labels: Mapping[str, str] = source["labels"]
        self.codes: Mapping[str, Mapping[str, str]] = source["codes"]
        self._source = source
        self._masks = {
            name: compile_mask(row["verb"], row["cut"], row.get("map")) for name, row in source["masks"].items()
        }
        self.fields: Collection[str] = source["fields"].keys()
        self._fields = {name: self._field(name, row, _nested) for name, row in source["fields"].items()}
        self._dotted = {name: self._field(name, row, _or_dotted) for name, row in source["fields"].items()}
        self.kinds = {name: self._kind(name, row) for name, row in source["kinds"].items()}
        self._channels: dict[str, str] = {key: log for log, row in source["logs"].items() for key in row["channels"]}
        self._providers: dict[str, str] = {key: log for log, row in source["logs"].items() for key in row["providers"]}
        self._datasets: Mapping[str, str] = source["datasets"]
        self._selectors = {name: _getters(paths, _or_dotted) for name, paths in source["selectors"].items()}

    def _field(self, name: str, row: Mapping[str, Any], read: Callable[[str], Get]) -> Field:
        return Field(name, self._masks[row["mask"]], _getters(row["paths"], read), _getters(row.get("other", ()), read))

    def _kind(self, name: str, row: Mapping[str, Any]) -> Kind:
        source, fields = self._source, row["fields"]
        rows = [(field, source["fields"][field], source["labels"].get(field)) for field in fields]
        masks = {mask: source["masks"][mask] for mask in {field[1]["mask"] for field in rows}}
        codes = {field: source["codes"].get(field) for field in ("*", *fields)}
        parts = [source["rules"], name, row["words"], rows, masks, codes]
        return Kind(
            name=name,
            words=row["words"],
            fields=tuple(self._fields[field] for field in fields),
            dotted_fields=tuple(self._dotted[field] for field in fields),
            digest=hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest(),
        )

    def kind_of(self, document: Document) -> str:
        """The kind of a document in ECS: by channel or provider and event code, else by dataset."""
        code = text_of(_first(self._selectors["code"], document, _NO_DATA))
        channel = _first(self._selectors["channel"], document, _NO_DATA)
        provider = _first(self._selectors["provider"], document, _NO_DATA)
        log = self._channels.get(lower(channel)) if type(channel) is str else None
        if log is None and type(provider) is str:
            log = self._providers.get(lower(provider))
        if log is not None and code:
            kind = f"{log}-{code}"
            if kind in self.kinds:
                return kind
            if log in self.kinds:
                return log
        dataset = _first(self._selectors["dataset"], document, _NO_DATA)
        told = self._datasets.get(lower(dataset)) if isinstance(dataset, str) else None
        return told or ("windows" if channel is not None and code else "generic")


def tables() -> dict[str, Any]:
    """The table as data: the files of ``tables/`` as one. A name that stands in two of them is refused."""
    whole: dict[str, Any] = {"datasets": {}}
    for path in sorted(Path(__file__).with_name("tables").glob("*.toml")):
        for section, rows in tomllib.loads(path.read_text(encoding="utf-8")).items():
            if not isinstance(rows, dict):
                whole[section] = rows
                continue
            known = whole.setdefault(section, {})
            if twice := known.keys() & rows.keys():
                raise ValueError(f"{path.name}: [{section}] {', '.join(sorted(twice))} stands in another table too")
            known |= rows
    return whole


TABLE: Final = Table(tables())

CANONICAL_VERSIONS: Final[Mapping[str, str]] = {name: kind.digest for name, kind in TABLE.kinds.items()}
"""One digest a kind of event: of its row in the table, with its fields, masks and rendering."""


def kind_of(document: Document) -> str:
    """The kind of an ECS document."""
    return TABLE.kind_of(document)


def canonical(ecs: Document, kind: str) -> Pairs:
    """The ordered (field, masked value) pairs of an ECS document. An unknown kind reads as ``generic``."""
    row = TABLE.kinds.get(kind) or TABLE.kinds["generic"]
    data = _data_of(ecs)
    pairs = [("kind", row.name)]
    for field in row.dotted_fields if _is_dotted(ecs) else row.fields:
        if field.others:
            value = _same(field, ecs, data)
        else:
            value = _first(field.gets, ecs, data)
            if value is None:
                continue
            if type(value) is list:
                pairs.extend(_elements(field, value))
                continue
            value = field.mask(value if type(value) is str else text_of(value))
        if value:
            pairs.append((field.name, value))
    return tuple(pairs)


def _elements(field: Field, values: list[Json]) -> list[tuple[str, str]]:
    masked = (field.mask(text_of(value)) for value in values[:MAX_ELEMENTS] if not absent(value))
    return [(field.name, value) for value in masked if value]
