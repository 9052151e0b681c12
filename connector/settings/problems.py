"""What is wrong with settings, in words: where, what, and which keys exist there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

FILE_SECTION = "the settings file"


def explain(error: ValidationError, model: type[BaseModel], path: Path | None) -> str:
    """One line a problem: where it is, what is wrong, and for an unknown key the keys that exist there."""
    lines = [f"{path or FILE_SECTION} has {error.error_count()} problem(s):"]
    schema = model.model_json_schema()
    for problem in error.errors(include_url=False, include_input=False):
        where = [str(part) for part in problem["loc"]]
        message = problem["msg"]
        if problem["type"] == "extra_forbidden":
            known = known_keys(schema, where[:-1])
            near = difflib.get_close_matches(where[-1], known, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            message = f"unknown key{hint}. Keys here: {', '.join(known)}"
        lines.append(f"  {_written(schema, where) or 'settings'}: {message}")
    return "\n".join(lines)


def known_keys(schema: Mapping[str, Any], where: Iterable[str]) -> list[str]:
    """The keys that the JSON schema allows at a place; places inside an adapter table carry its ``type`` tag."""
    node: Mapping[str, Any] = schema
    for part in where:
        node, _ = _below(schema, node, part)
    return sorted(_resolve(schema, node).get("properties", {}))


def _written(schema: Mapping[str, Any], where: Iterable[str]) -> str:
    """The place as the file spells it: without the tags."""
    node: Mapping[str, Any] = schema
    keys = []
    for part in where:
        node, tag = _below(schema, node, part)
        if not tag:
            keys.append(part)
    return ".".join(keys)


def _below(schema: Mapping[str, Any], node: Mapping[str, Any], part: str) -> tuple[Mapping[str, Any], bool]:
    """What the schema says one step down, and whether that step is a tag and no key of the file."""
    node = _resolve(schema, node)
    choices = node.get("discriminator", {}).get("mapping", {})
    if part in choices:
        return {"$ref": choices[part]}, True
    if part in node.get("properties", {}):
        return node["properties"][part], False
    if "items" in node:
        return node["items"], False
    return node.get("additionalProperties") or {}, False


def _resolve(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference stands for; of a table that may be absent, the table."""
    while "$ref" in node or "anyOf" in node:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        else:
            node = next((choice for choice in node["anyOf"] if choice.get("type") != "null"), {})
    return node
