"""What ``/openapi.json`` says: routes by FastAPI, bodies by the types that decode them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import FastAPI

from connector.api import bodies
from connector.learn.review import Answer
from connector.settings import Scope

_BODIES = (bodies.Classify, bodies.Push, bodies.Lookup, bodies.Word, Answer)


def described(
    scope: Scope | None, summary: str, *, body: str | None = None, status: int = 200, open_to_all: bool = False
) -> Mapping[str, Any]:
    """Keyword arguments of a route: its summary, its body by the name of its type, and who may ask."""
    extra: dict[str, Any] = {"security": [] if open_to_all else [{"token": [scope] if scope else []}]}
    if body is not None:
        schema = {"$ref": f"#/components/schemas/{body}"}
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"summary": summary, "status_code": status, "openapi_extra": extra}


def complete(app: FastAPI) -> None:
    """Adds what FastAPI cannot know: the bodies' schemas, and how to authenticate."""
    schema = app.openapi()
    _, components = msgspec.json.schema_components(_BODIES, ref_template="#/components/schemas/{name}")
    parts = schema.setdefault("components", {})
    parts.setdefault("schemas", {}).update(components)
    parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    app.openapi_schema = schema
