"""Lookup tables of a search: names that stand for KV store collections, and tables that are computed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tests.splunkd.events import Row, flatten
from tests.splunkd.kvstore import KvStore


class Tables:
    """Lookup tables by name."""

    def __init__(self, kv: KvStore) -> None:
        self._kv = kv
        self._collections: dict[str, tuple[str, str]] = {}
        self._computed: dict[str, Callable[[], list[dict[str, Any]]]] = {}

    def define(self, name: str, collection: str, app: str = "search") -> None:
        """A lookup definition over a collection, as ``transforms.conf`` has it."""
        self._kv.define(collection, app)
        self._collections[name] = (collection, app)

    def compute(self, name: str, rows: Callable[[], list[dict[str, Any]]]) -> None:
        """A table whose rows are made when it is read."""
        self._computed[name] = rows

    def read(self, name: str) -> list[dict[str, Any]] | None:
        """The rows, every value as text; ``None`` where there is no such table."""
        if name in self._computed:
            return self._computed[name]()
        if name not in self._collections:
            return None
        collection, app = self._collections[name]
        return [_row(document) for document in list(self._kv.define(collection, app).values())]

    def write(self, name: str, rows: Iterable[Mapping[str, Any]], *, append: bool) -> bool:
        """Writes rows into the collection of a lookup; ``append`` leaves what is there."""
        if name not in self._collections:
            return False
        collection, app = self._collections[name]
        held = self._kv.define(collection, app)
        if not append:
            held.clear()
        for row in rows:
            key = str(row.get("_key") or secrets.token_hex(12))
            held[key] = {name: value for name, value in row.items() if name[:1] != "_"} | {
                "_key": key,
                "_user": "nobody",
            }
        return True


def _row(document: Mapping[str, Any]) -> dict[str, Any]:
    found: Row = {}
    flatten({name: value for name, value in document.items() if not isinstance(value, list)}, "", found)
    lists = {name: [str(one) for one in value] for name, value in document.items() if isinstance(value, list)}
    return {**found, **lists}
