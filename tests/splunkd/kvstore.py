"""The KV store: collections of documents by app, with its query language and its limits."""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tests.splunkd import atom
from tests.splunkd.wire import Answer, RefusedError, Request, json_answer

MOST_A_BATCH = 1000
MOST_A_QUERY = 50_000

Document = dict[str, Any]


class KvStore:
    """The endpoints below ``storage/collections``. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._collections: dict[tuple[str, str], dict[str, Document]] = {}
        self._settings: dict[tuple[str, str], dict[str, str]] = {}

    def define(self, name: str, app: str = "search", settings: Mapping[str, str] | None = None) -> dict[str, Document]:
        """A collection, made where there is none: its documents by ``_key``."""
        with self._lock:
            self._settings.setdefault((app, name), dict(settings or {}))
            return self._collections.setdefault((app, name), {})

    def named(self, name: str) -> dict[str, Document] | None:
        """The collection of this name in whatever app it is."""
        with self._lock:
            return next((held for (_, one), held in self._collections.items() if one == name), None)

    # storage/collections/config

    def configs(self, request: Request) -> Answer:
        """Every collection."""
        with self._lock:
            entries = [self._config(app, name) for app, name in sorted(self._collections) if _sees(request, app)]
        return atom.feed(request, "collections-conf", entries)

    def create(self, request: Request) -> Answer:
        """A new collection."""
        name, app = request.get("name"), _app(request)
        with self._lock:
            if (app, name) in self._collections:
                raise RefusedError(409, f"An object with name={name} already exists")
            self.define(
                name, app, {key: request.get(key) for key in request.form if key not in {"name", "output_mode"}}
            )
        return atom.feed(request, "collections-conf", [self._config(app, name)], 201)

    def config(self, request: Request, name: str) -> Answer:
        """One collection: read, changed (POST) or removed (DELETE)."""
        with self._lock:
            app = self._app_of(request, name)
            if request.method == "DELETE":
                del self._collections[app, name], self._settings[app, name]
                return atom.feed(request, "collections-conf", [])
            if request.method == "POST":
                self._settings[app, name] |= {key: request.get(key) for key in request.form if key != "output_mode"}
            return atom.feed(request, "collections-conf", [self._config(app, name)])

    def _config(self, app: str, name: str) -> atom.Entry:
        content = {"disabled": False, "enforceTypes": False, **self._settings[app, name]}
        return atom.Entry(name, f"storage/collections/config/{name}", content, "nobody", app)

    # storage/collections/data

    def data(self, request: Request, name: str) -> Answer:
        """Documents: found (GET), put in (POST) or removed (DELETE, all that fit the query)."""
        with self._lock:
            held = self._held(request, name)
            if request.method == "GET":
                return json_answer(self._find(held, request.get))
            if request.method == "DELETE":
                for document in self._matching(held, request.get("query")):
                    del held[document["_key"]]
                return json_answer({})
            document = _document(request.json())
            key = document.setdefault("_key", secrets.token_hex(12))
            if key in held:
                raise RefusedError(409, "A document with the same key and user already exists.")
            held[key] = document
            return json_answer({"_key": key}, 201)

    def document(self, request: Request, name: str, key: str) -> Answer:
        """One document: read, replaced whole (POST), or removed."""
        with self._lock:
            held = self._held(request, name)
            if key not in held:
                raise RefusedError(404, "Could not find object.")
            if request.method == "DELETE":
                del held[key]
                return json_answer({})
            if request.method in {"POST", "PUT"}:
                held[key] = _document(request.json()) | {"_key": key}
                return json_answer({"_key": key})
            return json_answer(held[key])

    def batch_save(self, request: Request, name: str) -> Answer:
        """Puts documents in, over those that have their keys; answers with the keys."""
        with self._lock:
            held = self._held(request, name)
            documents = request.json()
            if not isinstance(documents, list):
                raise RefusedError(400, "JSON in the request is invalid. ( JSON array expected )")
            if len(documents) > MOST_A_BATCH:
                raise RefusedError(
                    400, "JSON in the request is invalid. ( Request exceeds API limits - too many documents )"
                )
            fresh = [_document(document) for document in documents]
            for document in fresh:
                held[document.setdefault("_key", secrets.token_hex(12))] = document
            return json_answer([document["_key"] for document in fresh])

    def batch_find(self, request: Request, name: str) -> Answer:
        """The documents of several queries."""
        with self._lock:
            held = self._held(request, name)
            asked = request.json()
            if not isinstance(asked, list) or not all(isinstance(one, dict) for one in asked):
                raise RefusedError(400, "JSON in the request is invalid. ( a list of queries expected )")
            return json_answer([self._find(held, lambda key, one=one: _parameter(one, key)) for one in asked])

    def _find(self, held: Mapping[str, Document], get: Callable[[str], str]) -> list[Document]:
        found = self._matching(held, get("query"))
        for part in reversed([part for part in get("sort").split(",") if part]):
            name, _, order = part.partition(":")
            found.sort(key=lambda document, name=name: _rank(document.get(name)), reverse=order == "-1")
        skip, limit = _whole(get("skip")), _whole(get("limit")) or MOST_A_QUERY
        wanted = [part.partition(":") for part in get("fields").split(",") if part]
        return [_projected(document, wanted) for document in found[skip : skip + min(limit, MOST_A_QUERY)]]

    def _matching(self, held: Mapping[str, Document], query: str) -> list[Document]:
        if not query:
            return list(held.values())
        try:
            asked = json.loads(query)
        except ValueError:
            raise RefusedError(400, "JSON in the request is invalid. ( the query is not JSON )") from None
        return [document for document in held.values() if matches(document, asked)]

    def _held(self, request: Request, name: str) -> dict[str, Document]:
        return self._collections[self._app_of(request, name), name]

    def _app_of(self, request: Request, name: str) -> str:
        app = _app(request)
        if (app, name) in self._collections:
            return app
        for other, one in self._collections:
            if one == name and request.app in {"", "-"}:
                return other
        raise RefusedError(
            404, "Could not find object." if request.path.count("/") < 3 else f"Could not find collection {name}."
        )


def _app(request: Request) -> str:
    return request.app if request.app not in {"", "-"} else "search"


def _sees(request: Request, app: str) -> bool:
    return request.app in {"", "-", app}


def _document(value: Any) -> Document:
    if not isinstance(value, dict):
        raise RefusedError(400, "JSON in the request is invalid. ( JSON object expected )")
    if not isinstance(value.get("_key", ""), str) or value.get("_key") == "":
        raise RefusedError(400, "JSON in the request is invalid. ( _key must be a string )")
    return {**value, "_user": "nobody"}


def _whole(text: str) -> int:
    if text and not text.isdecimal():
        raise RefusedError(400, "JSON in the request is invalid. ( limit and skip are whole numbers )")
    return int(text or 0)


def _parameter(asked: Mapping[str, Any], name: str) -> str:
    value = asked.get(name, "")
    return json.dumps(value) if isinstance(value, dict) else str(value)


def _projected(document: Document, wanted: Iterable[tuple[str, str, str]]) -> Document:
    kept = [name for name, _, flag in wanted if flag in {"", "1"}]
    dropped = {name for name, _, flag in wanted if flag == "0"}
    return {name: value for name, value in document.items() if (name in kept if kept else name not in dropped)}


def _rank(value: Any) -> tuple[bool, bool, float, str]:
    is_number = isinstance(value, int | float)
    return value is not None, not is_number, float(value) if is_number else 0.0, "" if is_number else str(value)


def matches(document: Mapping[str, Any], query: Any) -> bool:
    """Whether a document fits a query. Raises :class:`RefusedError` for an operator that the KV store doesn't know."""
    if not isinstance(query, Mapping):
        raise RefusedError(400, "JSON in the request is invalid. ( a query is an object )")
    return all(_holds(document, name, asked) for name, asked in query.items())


def _holds(document: Mapping[str, Any], name: str, asked: Any) -> bool:
    if name in {"$and", "$or"} and isinstance(asked, list):
        return (all if name == "$and" else any)([matches(document, one) for one in asked])
    if name == "$not":
        return not matches(document, asked)
    if name.startswith("$"):
        raise RefusedError(400, f"JSON in the request is invalid. ( unknown operator {name} )")
    value: Any = document
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(asked, Mapping):
        return all(_compared(value, operator, bound) for operator, bound in asked.items())
    return asked in value if isinstance(value, list) and not isinstance(asked, list) else value == asked


def _compared(value: Any, operator: str, bound: Any) -> bool:
    if operator == "$ne":
        return value != bound
    if operator == "$regex":
        return isinstance(value, str) and re.search(bound, value) is not None
    tests: Mapping[str, Callable[[Any, Any], bool]] = {
        "$gt": lambda a, b: a > b,
        "$gte": lambda a, b: a >= b,
        "$lt": lambda a, b: a < b,
        "$lte": lambda a, b: a <= b,
    }
    if operator not in tests:
        raise RefusedError(400, f"JSON in the request is invalid. ( unknown operator {operator} )")
    alike = isinstance(value, str) == isinstance(bound, str) and value is not None
    return alike and tests[operator](value, bound)
