"""``receivers/simple``: one event in the body of a request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from tests.splunkd.events import Indexes
from tests.splunkd.wire import Answer, RefusedError, Request, json_answer


def text(raw: str | Mapping[str, Any]) -> str:
    """An event's text: a mapping becomes JSON."""
    return raw if isinstance(raw, str) else json.dumps(raw, separators=(",", ":"), ensure_ascii=False)


def simple(request: Request, indexes: Indexes) -> Answer:
    """Indexes the body as one event. Raises :class:`RefusedError` for an empty body or an index that is not there."""
    raw = request.body.decode(errors="replace")
    named = {name: "".join(request.query.get(name, [])[-1:]) for name in ("index", "host", "source", "sourcetype")}
    index = named.pop("index") or "main"
    if not raw:
        raise RefusedError(400, "No data was sent.")
    if index not in indexes.names:
        raise RefusedError(400, f"supplied index '{index}' missing")
    event = indexes.put(raw, index=index, **named)
    told = {
        "_index": index,
        "bytes": str(len(request.body)),
        "host": event.host,
        "source": event.source,
        "sourcetype": event.sourcetype,
    }
    if request.wants_json:
        return json_answer({"index": index, **{name: value for name, value in told.items() if name != "_index"}})
    inner = "".join(
        f"<field k='{name}'><value><text>{escape(value)}</text></value></field>" for name, value in told.items()
    )
    return Answer(
        f"<?xml version='1.0' encoding='UTF-8'?>\n<response><results><result>{inner}</result></results></response>".encode()
    )
