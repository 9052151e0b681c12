"""``normalise``: an event of any door to ECS, its canonical form and its fingerprint.

Every Windows door is first brought to Winlogbeat's shape; then the ECS fields of its kind are added. A document that
is in ECS already only gains fields: its canonical form is the same before and after, which is what lets Painless compute
it at ingest.
"""

from __future__ import annotations

from typing import Any, Final

from connector.errors import PermanentError
from connector.events import families
from connector.events.canonical import canonical, kind_of
from connector.events.decode import checked, decode
from connector.events.families import powershell, security
from connector.events.families.rendered import restore_data
from connector.events.fields import Meta, copy
from connector.events.fingerprint import fingerprint
from connector.events.generic import from_foreign, from_text, is_ecs
from connector.events.windows import from_evtx, from_flat, from_winlogbeat6, is_flat, is_winlogbeat6
from connector.identity import event_id
from connector.types import Document, Event, Json, RawEvent

Node = dict[str, Any]

_OWN_FOLDERS: Final = frozenset(
    {"event", "process", "user"} | {(*rule.folders, rule.leaf)[0] for meta in families.METAS for rule in meta.rules}
)
"""Objects at a document's root that we may add to."""

_MAX_WRAPPERS: Final = 4

ECS_ALONE: Final = frozenset({"ecs", "ecs.version", "data_stream", "data_stream.dataset", "event.dataset", "winlog"})
"""Names that no vendor's own schema has; `user`, `event`, `source`, `http` and others are vendors' words too."""

_SAYS_ECS: Final = frozenset({"ecs", "data_stream"})
"""With one of these at its root a document is in ECS, whatever other layout's names stand beside it."""


def normalise(raw: RawEvent) -> Event:
    """The event in ECS with its kind, canonical form, fingerprint and derived id.

    Raises:
        PermanentError: the source found the record unreadable, or it cannot be decoded; the message says why.
    """
    if raw.error is not None:
        raise PermanentError(raw.error)
    try:
        kind, ecs = to_ecs(raw.data)
        pairs = canonical(ecs, kind)
        digest = fingerprint(pairs)
    except (ArithmeticError, RecursionError, TypeError, ValueError) as error:
        raise PermanentError(f"no JSON event: {type(error).__name__}: {error}") from error
    return Event(
        id=event_id(raw.deployment, raw.native_id),
        ref=raw.ref,
        kind=kind,
        ecs=ecs,
        canonical=pairs,
        fingerprint=digest,
        position=raw.position,
        place=raw.place,
    )


def to_ecs(data: Document | str | bytes) -> tuple[str, Node]:
    """The kind of an event and its ECS document. The input is not changed."""
    document = _shape(decode(data) if isinstance(data, str | bytes) else checked(dict(data)))
    kind = kind_of(document)
    _add_fields(document, kind)
    return kind, document


def _unwrap(row: Document) -> Document:
    """Takes an event out of what carries it: a search hit, an export row, a collector's envelope, ``_raw``."""
    for _ in range(_MAX_WRAPPERS):
        inner = _inner(row)
        if inner is None:
            return row
        row = inner
    return row


def _inner(row: Document) -> Document | None:
    raw = row.get("_raw")
    if type(raw) is str:
        text = raw.lstrip()
        if text.startswith(("<Event", "{")):
            return _carried(text)
    if type(row.get("_source")) is dict:
        return dict(row["_source"])
    if not ECS_ALONE.isdisjoint(row):
        return None
    if type(row.get("result")) is dict and ("preview" in row or "offset" in row or len(row) == 1):
        return dict(row["result"])
    event = row.get("event")
    if "sourcetype" in row and type(event) is dict and "ecs" not in row:
        return event
    enveloped = len(row) == 1 or ("mime" in row and "normalized" in row)
    body = event if "sourcetype" in row else row.get("body") if enveloped else None
    return _carried(body) if type(body) is str and body.strip() else None


def _carried(text: str) -> Document | None:
    """The event in a text; None where the text is not whole, so that the fields around it speak."""
    try:
        return decode(text)
    except PermanentError:
        return None


def _shape(row: Document) -> Node:
    row = _unwrap(row)
    if _SAYS_ECS.isdisjoint(row):
        return _by_layout(row)
    return (families.read_keyed(row) or _expanded(row)) if is_ecs(row) else _by_layout(row)


def _by_layout(row: Document) -> Node:
    event = row.get("Event")
    if type(event) is dict and "System" in event:
        return _with_params(from_evtx(event))
    if is_flat(row):
        return _with_params(from_flat(row))
    if is_winlogbeat6(row):
        return from_winlogbeat6(row)
    if is_ecs(row):
        own = families.read_keyed(row) if _is_surely_ecs(row) else families.read(row)
        return own or _expanded(row)
    if len(row) == 1 and type(row.get("message")) is str:
        return families.read_text(row["message"]) or from_text(row["message"])
    return families.read(row) or from_foreign(row)


def _is_surely_ecs(row: Document) -> bool:
    event = row.get("event")
    return not ECS_ALONE.isdisjoint(row) or (type(event) is dict and "dataset" in event)


def _with_params(document: Node) -> Node:
    """Events whose door kept only the rendered message get their unnamed texts, or their UserData, back."""
    winlog = document["winlog"]
    data, message = winlog["event_data"], document.get("message")
    if type(message) is not str:
        return document
    if "user_data" not in winlog:
        restore_data(winlog.get("provider_name"), winlog["event_id"], message, data)
    if "param3" not in data and winlog.get("channel") == "Windows PowerShell":
        powershell.restore_params(winlog["event_id"], message, data)
    return document


def _expanded(row: Document) -> Node:
    """A copy that may be added to, whose dotted root names also stand nested where nothing stands there yet.

    What we add goes at most two levels deep; so deep the source's objects are copied.
    """
    document = dict(row)
    for folder in _OWN_FOLDERS:
        node = row.get(folder)
        if type(node) is dict:
            document[folder] = {key: dict(inner) if type(inner) is dict else inner for key, inner in node.items()}
    own: set[int] = set()
    for path, value in row.items():
        if "." in path:
            _nest(document, path.split(".", 8), value, own)
    return document


def _nest(document: Node, keys: list[str], value: Json, own: set[int]) -> None:
    """Puts a value at nested keys unless something stands there. ``own`` are the objects (by id) that are copies of ours."""
    node = document
    for key in keys[:-1]:
        inner: Json = node.get(key)
        if inner is not None and type(inner) is not dict:
            return
        if id(inner) not in own:
            node[key] = inner = dict(inner or {})
            own.add(id(inner))
        node = inner
    node.setdefault(keys[-1], value)


def _add_fields(document: Node, kind: str) -> None:
    """Adds the kind's ECS fields."""
    meta = families.KINDS.get(kind)
    if meta is None:
        found = families.log_event(document)
        meta = found[1] if found else security.WINDOWS if kind == "windows" else None
    if meta is None:
        return
    winlog = document.get("winlog")
    data = winlog.get("event_data") if type(winlog) is dict else None
    if type(data) is not dict:
        data = {}
    copy(document, data, meta.rules)
    if kind.startswith("powershell-"):
        powershell.add_context(document, data, kind)
    if meta.user_data and type(winlog) is dict and type(winlog.get("user_data")) is dict:
        copy(document, winlog["user_data"], meta.rules)
    _describe(document, meta)


def _describe(document: Node, meta: Meta) -> None:
    event = document.setdefault("event", {})
    if type(event) is not dict:
        return
    if meta.action:
        event.setdefault("action", meta.action)
    event.setdefault("category", [meta.category])
    event.setdefault("type", [meta.type])
    process = document.get("process")
    if type(process) is dict and type(process.get("executable")) is str:
        process.setdefault("name", process["executable"].rpartition("\\")[2])
