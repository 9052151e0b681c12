"""A server asked directly, past everything of ours."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.error import HTTPError

from tests.servers.process import Server


def ask(server: Server, method: str, path: str, body: Any = None, *, user: str | None = None) -> Any:
    """The decoded answer, a refusal too. A list of rows is sent as lines of JSON."""
    lines = "".join(json.dumps(row) + "\n" for row in body) if isinstance(body, list) else json.dumps(body)
    request = urllib.request.Request(f"{server.url}{path}", None if body is None else lines.encode(), method=method)
    request.add_header("content-type", "application/json")
    credentials = server.credentials()
    if credentials is not None:
        pair = f"{user or credentials[0]}:{credentials[1]}"
        request.add_header("authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=60, context=server.ssl_context()) as answer:
            return json.loads(answer.read() or b"null")
    except HTTPError as error:
        with error:
            return json.loads(error.read() or b"{}") | {"refused": error.code}


def held(server: Server, indices: str, size: int = 10_000) -> list[dict[str, Any]]:
    """Every document of some indices, as the server gives it."""
    ask(server, "POST", f"/{indices}/_refresh?expand_wildcards=open,hidden")
    answer = ask(server, "POST", f"/{indices}/_search?expand_wildcards=open,hidden", {"size": size})
    hits: list[dict[str, Any]] = answer["hits"]["hits"]
    return hits


def put(server: Server, index: str, documents: Mapping[str, Any] | Sequence[Any]) -> None:
    """Indexes documents, by id where they come with one, and makes them searchable."""
    rows: list[Any] = []
    for number, document in documents.items() if isinstance(documents, Mapping) else ((None, d) for d in documents):
        rows += [{"index": {"_index": index} | ({} if number is None else {"_id": number})}, document]
    answer = ask(server, "POST", "/_bulk?refresh=true", rows)
    assert not answer.get("errors", True), answer
