"""The canonical form: the ordered, masked fields of an event that a model may see.

The files of ``tables/`` are the table; this module compiles it, at import, into getters and masks. ``CANONICAL.md``
states the rules that a second implementation must follow.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from connector.events.masks import LIMIT, Mask, compile_mask, lower
from connector.types import Document, Json, Pairs

MAX_ELEMENTS: Final = 16
"""A longer list gives one pair an element, at most this many."""

Data = Mapping[str, Json]
Get = Callable[[Document, Data], Json]
"""Reads a document, given it and its ``winlog.event_data``; None where nothing is present."""

_SILENT: Final = ("", "-")
_DATA: Final = "winlog.event_data."
_NO_DATA: Final[Data] = {}


class Field(NamedTuple):
    """A compiled field; ``other`` reads the second operand of the verb ``same``."""

    name: str
    mask: Mask
    get: Get
    other: Get | None


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


class _Path(NamedTuple):
    """Where a value may stand: ``leaf`` in the event data (``folder`` None), in an object at the root, or further down."""

    folder: str | None
    leaf: str
    below: tuple[str, ...] = ()
    marks: tuple[str, str] | None = None


def _paths(paths: Iterable[str], *, dotted: bool) -> Iterator[_Path]:
    """The paths by nested keys, each with ``dotted`` also as one key at the root. A name of event data may hold dots."""
    for path in paths:
        where, _, marks = path.partition("|")
        start, _, stop = marks.partition("|")
        cut_out = (start, stop) if marks else None
        if where.startswith(_DATA):
            yield _Path(None, where[len(_DATA) :], (), cut_out)
        elif "." in where:
            folder, *below, leaf = where.split(".")
            yield _Path(folder, leaf, tuple(below), cut_out)
        if dotted or (not where.startswith(_DATA) and "." not in where):
            yield _Path("", where, (), cut_out)


def _reader(paths: Iterable[_Path]) -> Get:
    """The first of the paths that says something. One call a field: this is the innermost loop of all."""
    steps = tuple(paths)
    if any(step.below or step.marks for step in steps):
        return _deep_reader(steps)
    places = tuple((step.folder, step.leaf) for step in steps)

    def get(document: Document, data: Data) -> Json:
        for folder, leaf in places:
            node: Json = data if folder is None else document.get(folder) if folder else document
            if type(node) is dict:
                value = node.get(leaf)
                if type(value) is str:
                    if value and value != "-":
                        return value
                elif value is not None:
                    value = _single(value)
                    if not absent(value):
                        return value
        return None

    return get


def _deep_reader(steps: tuple[_Path, ...]) -> Get:
    """The same for paths that go further down, or take a part of a text."""

    def get(document: Document, data: Data) -> Json:
        for folder, leaf, below, marks in steps:
            node: Json = data if folder is None else document.get(folder) if folder else document
            for key in below:
                node = node.get(key) if type(node) is dict else None
            value = _single(node.get(leaf)) if type(node) is dict else None
            if marks is not None:
                value = part_of(value, *marks)
            if not absent(value):
                return value
        return None

    return get


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


def _same(mask: Mask, one: Json, other: Json) -> str:
    """``true`` or ``false`` where both operands are text; case folds A–Z."""
    if type(one) is not str or type(other) is not str:
        return ""
    left, right = mask(one), mask(other)
    return "" if not left or not right else "true" if lower(left) == lower(right) else "false"


class Kind(NamedTuple):
    """A compiled kind of event. ``dotted_fields`` also look for dotted names at the document's root."""

    name: str
    words: str
    fields: tuple[Field, ...]
    dotted_fields: tuple[Field, ...]
    digest: str


def _field(name: str, row: Mapping[str, Any], masks: Mapping[str, Mask], *, dotted: bool) -> Field:
    other = _reader(_paths(row["other"], dotted=dotted)) if "other" in row else None
    return Field(name, masks[row["mask"]], _reader(_paths(row["paths"], dotted=dotted)), other)


class Table:
    """The table, compiled."""

    def __init__(self, source: Mapping[str, Any]) -> None:
        self.labels: Mapping[str, str] = source["labels"]
        self.codes: Mapping[str, Mapping[str, str]] = source["codes"]
        self.logs: Mapping[str, Mapping[str, list[str]]] = source["logs"]
        self._source = source
        self._masks = {
            name: compile_mask(row["verb"], row["cut"], row.get("map")) for name, row in source["masks"].items()
        }
        self.fields: Collection[str] = source["fields"].keys()
        self._fields = {name: _field(name, row, self._masks, dotted=False) for name, row in source["fields"].items()}
        self._dotted = {name: _field(name, row, self._masks, dotted=True) for name, row in source["fields"].items()}
        self.kinds = {name: self._kind(name, row) for name, row in source["kinds"].items()}
        self._channels: dict[str, str] = {key: log for log, row in source["logs"].items() for key in row["channels"]}
        self._providers: dict[str, str] = {key: log for log, row in source["logs"].items() for key in row["providers"]}
        self._datasets: Mapping[str, str] = source["datasets"]
        self._selectors = {name: _reader(_paths(paths, dotted=True)) for name, paths in source["selectors"].items()}

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
        code = text_of(self._selectors["code"](document, _NO_DATA))
        channel = self._selectors["channel"](document, _NO_DATA)
        log = self._channels.get(lower(channel)) if type(channel) is str else None
        if log is None and type(provider := self._selectors["provider"](document, _NO_DATA)) is str:
            log = self._providers.get(lower(provider).partition("$")[0])
        if log is not None and code:
            kind = f"{log}-{code}"
            if kind in self.kinds:
                return kind
            if log in self.kinds:
                return log
        dataset = self._selectors["dataset"](document, _NO_DATA)
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
    for name, mask, get, other in row.dotted_fields if _is_dotted(ecs) else row.fields:
        value = get(ecs, data)
        if value is None:
            continue
        if other is not None:
            value = _same(mask, value, other(ecs, data))
        elif type(value) is list:
            pairs.extend(_elements(name, mask, value))
            continue
        else:
            value = mask(value if type(value) is str else text_of(value))
        if value:
            pairs.append((name, value))
    return tuple(pairs)


def _elements(name: str, mask: Mask, values: list[Json]) -> list[tuple[str, str]]:
    masked = (mask(text_of(value)) for value in values[:MAX_ELEMENTS] if not absent(value))
    return [(name, value) for value in masked if value]
