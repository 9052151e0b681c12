"""Audit logs and alerts of services, one row of ``saas.toml`` a product: where its record tells who did what, with which result.

A product is known by the type that its record declares (``connector.events.declared``), or by keys that its records alone
have. ``saas.*`` are the leaves that tell more: the kind of actor and of target, a role, what changed. They are running text
that may name people, so mail addresses and the event's own users are taken out of them here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from connector.events.canonical import text_of
from connector.events.declared import declared
from connector.events.family import Family, Node
from connector.events.masks import lower
from connector.events.paths import Read, address, copier, first, moment, put
from connector.events.scrub import LONGEST, scrubbed
from connector.types import Document, Json

_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_SHORTEST_NAME: Final = 4
_NAMED: Final = (
    "user.name",
    "user.email",
    "user.full_name",
    "user.target.name",
    "user.target.email",
    "user.target.full_name",
    "host.name",
)
_SCRUBBED: Final = ("event.reason", "error.message", "rule.name", "rule.description", "email.subject", "saas.")
_TIME: Final = first(
    ("timestamp", "time", "created_at", "createdAt", "created", "date_create", "effective_at", "published", "eventTime",
     "event.timestamp", "event.time", "data.date", "metadata.eventCreationTime", "messageTime", "Datetime", "EVENT_TIMESTAMP",
     "generatedDateTime", "EdgeStartTimestamp", "p_event_time")
)  # fmt: skip
_OUTCOMES: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("success", "succeeded", "successful", "ok", "true", "yes", "allow", "allowed", "approved", "granted", "passed",
         "completed", "login_no_error", "credentials_ok", "skip", "1"),
        "success",
    ),
    **dict.fromkeys(
        ("failure", "fail", "failed", "false", "no", "deny", "denied", "block", "blocked", "error", "rejected", "fraud",
         "declined", "credentials_failed", "drop", "dropped", "0"),
        "failure",
    ),
}  # fmt: skip


class Product(NamedTuple):
    """One row: its dataset, the keys that its records alone have, and how its fields are read.

    ``copy`` writes what goes as it is; ``converted`` are addresses, outcomes and codes, ``words`` what a field's codes mean,
    ``texts`` what people write.
    """

    dataset: str
    keys: frozenset[str]
    constants: tuple[tuple[str, str], ...]
    copy: Callable[[Document, Node], None]
    converted: tuple[tuple[str, Read], ...]
    texts: tuple[tuple[str, Read], ...]
    words: Mapping[str, Mapping[str, str]]


def _product(dataset: str, row: Mapping[str, Any]) -> Product:
    fields = {place: [paths] if isinstance(paths, str) else paths for place, paths in row["fields"].items()}
    texts = {place for place in fields if place.startswith(_SCRUBBED)}
    words = row.get("words", {})
    converted = {place for place in fields if place.endswith(".ip") or place == "event.outcome" or place in words}
    return Product(
        dataset=dataset,
        keys=frozenset(row.get("keys", ())),
        constants=tuple(row.get("constants", {}).items()),
        copy=copier({place: paths for place, paths in fields.items() if place not in texts | converted}),
        converted=tuple((place, first(fields[place])) for place in fields if place in converted),
        texts=tuple((place, first(fields[place])) for place in fields if place in texts),
        words=words,
    )


_ROWS: Final = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
PRODUCTS: Final = {dataset: _product(dataset, row) for dataset, row in _ROWS.items()}
"""The products by dataset."""

_DECLARED: Final = {name: PRODUCTS[dataset] for dataset, row in _ROWS.items() for name in row.get("declared", ())}
_KEYED: Final[Mapping[str, tuple[Product, ...]]] = {
    anchor: tuple(PRODUCTS[dataset] for dataset, row in _ROWS.items() if row.get("keys", [""])[0] == anchor)
    for anchor in {row["keys"][0] for row in _ROWS.values() if row.get("keys")}
}
"""The products by the first of their keys, which is their rarest."""


def product_of(record: Document) -> Product | None:
    """The product whose record this is."""
    found = _DECLARED.get(declared(record))
    if found is not None or _KEYED.keys().isdisjoint(record):
        return found
    keys = record.keys()
    return next((row for key in keys & _KEYED.keys() for row in _KEYED[key] if row.keys <= keys), None)


def read(record: Document) -> Node | None:
    """A product's record as an ECS document."""
    product = product_of(record)
    if product is None:
        return None
    document: Node = {"event": {"dataset": product.dataset, "original": _ENCODER.encode(record).decode()}}
    put(document, "@timestamp", moment(_TIME(record)))
    for where, value in product.constants:
        put(document, where, value)
    product.copy(record, document)
    for place, get in product.converted:
        put(document, place, _converted(product, place, get(record)))
    names = _names(document)
    for place, get in product.texts:
        put(document, place, scrubbed(get(record), names))
    document["event"].setdefault("kind", "event")
    return document


def _converted(product: Product, place: str, value: Json) -> Json:
    if place in product.words:
        return product.words[place].get(text_of(value), value)
    return outcome(value) if place == "event.outcome" else address(value)


def outcome(value: Json) -> str | None:
    """``success`` or ``failure``, from a service's own word or an HTTP status."""
    word = lower(text_of(value[0] if type(value) is list else value))
    if word in _OUTCOMES:
        return _OUTCOMES[word]
    if len(word) == 3 and word[0] in "12345" and word.isascii() and word.isdigit():
        return "failure" if word[0] in "45" else "success"
    return None


def _names(document: Document) -> list[str]:
    """What names a person or a host in an event."""
    found: set[str] = set()
    for where in _NAMED:
        node: Json = document
        for key in where.split("."):
            node = node.get(key) if type(node) is dict else None
        if type(node) is str and _SHORTEST_NAME <= len(node) < LONGEST:
            found.add(node)
    return list(found)


FAMILY: Final = Family("saas", datasets=frozenset(PRODUCTS), read=read)
