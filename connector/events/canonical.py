"""The canonical form: the ordered, masked fields of an event that a model may see.

``canonical.toml`` is the table; this module compiles it, at import, into getters and masks. ``docs/canonical.md`` states
the rules that a second implementation must follow.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from connector.events.masks import LIMIT, Mask, compile_mask, cut, lower, scrub
from connector.types import Document, Json, Pairs

MAX_ELEMENTS: Final = 16
"""A longer list gives one pair an element, at most this many."""

Get = Callable[[Document], Json]


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
        return value in {"", "-"}
    if kind is list or kind is tuple:
        return not value
    return kind is not int and kind is not bool


def _single(value: Json) -> Json:
    while type(value) is list and len(value) == 1:
        value = value[0]
    return value


def _path(path: str) -> Get:
    """A getter of one path: nested keys first, then the dotted key at the root. None where nothing is present."""
    keys = path.split(".") if not path.startswith("winlog.event_data.") else ["winlog", "event_data", path[18:]]
    *folders, leaf = keys

    def get(document: Document) -> Json:
        node: Json = document
        for folder in folders:
            node = node.get(folder)
            if type(node) is not dict:
                break
        else:
            value = _single(node.get(leaf))
            if not absent(value):
                return value
        value = _single(document.get(path))
        return None if absent(value) else value

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
    return None if found.strip(" \t") in {"", "-"} else found


def _extract(get: Get, start: str, stop: str) -> Get:
    return lambda document: part_of(get(document), start, stop)


def _getter(path: str) -> Get:
    where, _, marks = path.partition("|")
    if not marks:
        return _path(where)
    start, _, stop = marks.partition("|")
    return _extract(_path(where), start, stop)


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


def _first(gets: tuple[Get, ...], document: Document) -> Json:
    for get in gets:
        value = get(document)
        if value is not None:
            return value
    return None


def _same(field: Field, document: Document) -> str:
    """``true`` or ``false`` where both operands are text; case folds A–Z."""
    one, other = _first(field.gets, document), _first(field.others, document)
    if type(one) is not str or type(other) is not str:
        return ""
    left, right = field.mask(one), field.mask(other)
    return "" if not left or not right else "true" if lower(left) == lower(right) else "false"


class Kind(NamedTuple):
    """A compiled kind of event."""

    name: str
    words: str
    fields: tuple[Field, ...]
    digest: str


class Table:
    """``canonical.toml``, compiled."""

    def __init__(self, source: Mapping[str, Any]) -> None:
        self.labels: Mapping[str, str] = source["labels"]
        self._source = source
        self._masks = {
            name: compile_mask(row["verb"], row["cut"], row.get("map")) for name, row in source["masks"].items()
        }
        self._fields = {name: self._field(name, row) for name, row in source["fields"].items()}
        self.kinds = {name: self._kind(name, row) for name, row in source["kinds"].items()}
        self._channels = {key: log for log, row in source["logs"].items() for key in row["channels"]}
        self._providers = {key: log for log, row in source["logs"].items() for key in row["providers"]}
        self._selectors = {name: tuple(map(_getter, paths)) for name, paths in source["selectors"].items()}

    def _field(self, name: str, row: Mapping[str, Any]) -> Field:
        gets = tuple(map(_getter, row["paths"]))
        return Field(name, self._masks[row["mask"]], gets, tuple(map(_getter, row.get("other", ()))))

    def _kind(self, name: str, row: Mapping[str, Any]) -> Kind:
        source = self._source
        fields = [(field, source["fields"][field], source["labels"].get(field)) for field in row["fields"]]
        masks = {mask: source["masks"][mask] for mask in sorted({field[1]["mask"] for field in fields})}
        parts = [source["rules"], name, row["words"], fields, masks]
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        return Kind(name, row["words"], tuple(self._fields[field] for field in row["fields"]), digest)

    def kind_of(self, document: Document) -> str:
        """The kind of a document in ECS: by channel, else by provider, and event code."""
        code = text_of(_first(self._selectors["code"], document))
        channel = _first(self._selectors["channel"], document)
        provider = _first(self._selectors["provider"], document)
        log = self._channels.get(lower(channel)) if type(channel) is str else None
        if log is None and type(provider) is str:
            log = self._providers.get(lower(provider))
        kind = f"{log}-{code}"
        if kind in self.kinds:
            return kind
        return "windows" if channel is not None and code else "generic"


def _load() -> Table:
    with Path(__file__).with_name("canonical.toml").open("rb") as file:
        return Table(tomllib.load(file))


TABLE: Final = _load()

CANONICAL_VERSIONS: Final[Mapping[str, str]] = {name: kind.digest for name, kind in TABLE.kinds.items()}
"""One digest a kind of event: of its row in the table, with its fields, masks and rendering."""


def kind_of(document: Document) -> str:
    """The kind of an ECS document."""
    return TABLE.kind_of(document)


def canonical(ecs: Document, kind: str) -> Pairs:
    """The ordered (field, masked value) pairs of an ECS document. An unknown kind reads as ``generic``."""
    row = TABLE.kinds.get(kind) or TABLE.kinds["generic"]
    pairs = [("kind", row.name)]
    for field in row.fields:
        if field.others:
            value = _same(field, ecs)
        else:
            value = _first(field.gets, ecs)
            kind_of_value = type(value)
            if value is None:
                continue
            if kind_of_value is list:
                pairs.extend(_elements(field, value))
                continue
            value = field.mask(value if kind_of_value is str else text_of(value))
        if value:
            pairs.append((field.name, value))
    return tuple(pairs)


def _elements(field: Field, values: list[Json]) -> list[tuple[str, str]]:
    masked = (field.mask(text_of(value)) for value in values[:MAX_ELEMENTS] if not absent(value))
    return [(field.name, value) for value in masked if value]


def scrubbed(text: str, limit: int) -> str:
    """Text without lone surrogates, at most ``limit`` UTF-16 units: what may go into an ECS field of our own."""
    return cut(scrub(text), limit)
