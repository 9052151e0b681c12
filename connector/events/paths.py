"""Paths into a vendor's record: nested keys, through lists, whichever case the collector left the names in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from connector.events.masks import lower
from connector.types import Document, Json

Node = dict[str, Any]
Read = Callable[[Document], Json]
"""What stands at a path; None where nothing does."""

_MOST: Final = 16
_LONGEST_JSON: Final = 65536
_JSON = msgspec.json.Decoder()


def said(value: Json) -> bool:
    """Whether a value says something: text, an integer or a boolean."""
    kind = type(value)
    return value not in {"", "-"} if kind is str else kind is int or kind is bool


def scalars(value: Json) -> Json:
    """A value that says something, or the first of a list's that do; None otherwise. A list of one is its element."""
    if type(value) is not list:
        return value if said(value) else None
    found = [item for item in value[:_MOST] if said(item)]
    return found[0] if len(found) == 1 else found or None


def path(text: str) -> Read:
    """A reader of one dotted path.

    A key is looked up as it is, then in lower case (collectors fold them); a list on the way stands for its first element,
    JSON in a text for what it holds; a record that was flattened has the whole path as one key.
    """
    keys = tuple((key, lower(key)) for key in text.split("."))

    def read(record: Document) -> Json:
        node: Json = record
        for key, folded in keys:
            if type(node) is list:
                node = node[0] if node else None
            if type(node) is str:
                node = _decoded(node)
            if type(node) is not dict:
                return scalars(record.get(text))
            found = node.get(key)
            node = node.get(folded) if found is None else found
        return scalars(record.get(text) if node is None else node)

    return read


def _decoded(text: str) -> Json:
    """What a text holds that is a JSON object; None for any other."""
    if text[:1] != "{" or len(text) > _LONGEST_JSON:
        return None
    try:
        return _JSON.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None


def first(paths: Iterable[str]) -> Read:
    """A reader of the first of several paths that says something."""
    reads = tuple(path(text) for text in paths)
    if len(reads) == 1:
        return reads[0]

    def read(record: Document) -> Json:
        for get in reads:
            value = get(record)
            if value is not None:
                return value
        return None

    return read


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
    """Puts a value at a dotted path, unless it is None or something stands there or in the way."""
    if value is None:
        return
    *folders, leaf = where.split(".")
    node = document
    for folder in folders:
        node = node.setdefault(folder, {})
        if type(node) is not dict:
            return
    node.setdefault(leaf, value)


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
