"""Paths into a vendor's record: nested keys, through lists, whichever case the collector left the names in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from connector.events.canonical import part_of
from connector.events.masks import lower
from connector.events.times import iso
from connector.types import Document, Json

Node = dict[str, Any]
Read = Callable[[Document], Json]
"""What stands at a path; None where nothing does."""

_MOST: Final = 16
_MILLISECONDS: Final = 100_000_000_000
_ENDLESS: Final = 1 << 63
"""A greater number counts milliseconds: as seconds it would be the year 5138."""

_SILENT: Final = ("", "-")
_DEEPEST: Final = 12
_LONGEST_JSON: Final = 65536
_JSON = msgspec.json.Decoder()


def said(value: Json) -> bool:
    """Whether a value says something: text, an integer or a boolean."""
    kind = type(value)
    return value not in _SILENT if kind is str else kind is int or kind is bool


def scalars(value: Json) -> Json:
    """A value that says something, or the first of a list's that do; None otherwise. A list of one is its element."""
    if type(value) is not list:
        return value if said(value) else None
    found = [item for item in value[:_MOST] if said(item)]
    return found[0] if len(found) == 1 else found or None


class _Path(NamedTuple):
    """A dotted path: its first key, the keys below it, each also in lower case, and the whole as one key.

    ``marks``: what comes before and after the part that counts; None where all does.
    """

    head: str
    folded: str
    below: tuple[tuple[str, str], ...]
    whole: str | None
    marks: tuple[str, str] | None


def _path(text: str) -> _Path:
    where, cut, marks = text.partition("|")
    start, _, stop = marks.partition("|")
    head, *below = where.split(".")
    keys = tuple((key, lower(key)) for key in below)
    return _Path(head, lower(head), keys, where if below else None, (start, stop) if cut else None)


def _of(record: Document, paths: Iterable[_Path]) -> Json:
    for head, folded, below, whole, marks in paths:
        value = _value(record, head, folded, below, whole)
        if marks is not None:
            value = part_of(value, *marks)
        if value is not None:
            return value
    return None


def _value(record: Document, head: str, folded: str, below: tuple[tuple[str, str], ...], whole: str | None) -> Json:
    node: Json = record.get(head)
    if node is None and (node := record.get(folded)) is None:
        return None if whole is None else scalars(record.get(whole))
    for key, low in below:
        if type(node) is not dict:
            node = _object(node)
            if node is None:
                return None
        found = node.get(key)
        node = node.get(low) if found is None else found
        if node is None:
            return None
    if type(node) is str:
        return None if node in _SILENT else node
    return scalars(node)


def _object(value: Json) -> Json:
    """The first object of a list, or the object that a text holds as JSON; None for anything else."""
    if type(value) is list:
        value = value[0] if value else None
    if type(value) is str and value[:1] == "{":
        value = _decoded(value)
    return value if type(value) is dict else None


def path(text: str) -> Read:
    """A reader of one dotted path.

    A key is looked up as it is, then in lower case (collectors fold them); a list on the way stands for its first element,
    JSON in a text for what it holds; a record that was flattened has the whole path as one key. ``path|start|stop`` takes
    what stands between two marks, as in the canonical table.
    """
    return first((text,))


def _decoded(text: str) -> Json:
    """What a text holds that is a JSON object; None for any other."""
    if len(text) > _LONGEST_JSON:
        return None
    try:
        return _JSON.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None


def first(paths: Iterable[str]) -> Read:
    """A reader of the first of several paths that says something."""
    found = tuple(_path(text) for text in paths)

    return lambda record: _of(record, found)


def copier(table: Mapping[str, str | Iterable[str]]) -> Callable[[Document, Node], None]:
    """Copies what stands at paths of a record to dotted places of a document: place = path, or paths of which the first counts."""
    rows = tuple(
        (tuple(_path(text) for text in ([paths] if isinstance(paths, str) else paths)), tuple(place.split(".")))
        for place, paths in table.items()
    )

    def copy(record: Document, document: Node) -> None:
        for paths, place in rows:
            value = _of(record, paths)
            if value is not None:
                _put(document, place, value)

    return copy


def inner(record: Document, *names: str) -> Document:
    """The object under the first of these names, in whichever case; an empty one where there is none."""
    for name in names:
        value = record.get(name, record.get(lower(name)))
        if type(value) is list and value:
            value = value[0]
        if type(value) is dict:
            return value
    return {}


def put(document: Node, where: str, value: Json) -> None:
    """Puts a value at a dotted path, unless it is None or something stands there or in the way.

    A path may end in a name that the record brought: an endless one gives no endless nest.
    """
    if value is not None:
        _put(document, tuple(where.split(".", _DEEPEST)), value)


def _put(document: Node, place: tuple[str, ...], value: Json) -> None:
    node = document
    for folder in place[:-1]:
        inner_node = node.get(folder)
        if inner_node is None:
            inner_node = node[folder] = {}
        elif type(inner_node) is not dict:
            return
        node = inner_node
    node.setdefault(place[-1], value)


def moment(value: Json) -> Json:
    """A time in ISO 8601, from seconds or milliseconds since 1970; text that is no number as it is."""
    if type(value) is str and len(value) == 13 and value.isascii() and value.isdigit():
        value = int(value)
    return iso(value / 1000 if type(value) is int and _MILLISECONDS < value < _ENDLESS else value)


def address(value: Json) -> str | None:
    """The IP address of a text that may name a port too; None for what is no address."""
    if type(value) is list and value:
        value = value[0]
    if type(value) is not str:
        return None
    host, bracket, _ = value.removeprefix("[").partition("]")
    if not bracket and value.count(":") == 1:
        host = value.partition(":")[0]
    return host if (host[:1].isalnum() and ("." in host or ":" in host)) or host.startswith("::") else None
