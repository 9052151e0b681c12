"""The component template maps exactly the fields that a verdict document has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from connector.policy import document
from connector.types import Entity, ModelRef, PolicyRef, SourceRef, TechniqueScore, Verdict

TEMPLATE = Path(__file__).parents[2] / "elastic_ingest" / "component_templates" / "triaged-verdict-mappings.json"

FULL = Verdict(
    record_id="r",
    event_id="e",
    revision=2,
    verdict="malicious",
    confidence=0.9,
    techniques=(
        TechniqueScore(id="T1003", probability=0.9, subtechnique=TechniqueScore(id="T1003.001", probability=0.8)),
    ),
    passed=("T1003", "T1003.001"),
    members={"text": 0.9},
    model=ModelRef(name="n", version="1", attack_version="18.1"),
    fingerprint="f",
    source=SourceRef(siem="s", index="i", id="1", event_id="e1", module="m"),
    origin="o",
    timestamp="2026-03-17T09:52:18.481Z",
    entity=Entity(host="h", user="u", address="10.0.0.1", agent_id="a"),
    tags=("crown-jewel",),
    explanation=("why",),
    policy=PolicyRef(rule="r", mode="auto", playbook="p"),
    supersedes="e",
    risk=120.5,
    incident="i",
)


def mappings() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(TEMPLATE.read_text(encoding="utf-8"))["template"]["mappings"]
    return found


def mapped(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for name, field in node["properties"].items():
        if field.get("type", "object") not in {"object", "nested"} or "properties" not in field:
            yield f"{path}{name}", field["type"]
        else:
            yield from mapped(field, f"{path}{name}.")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, path)
    else:
        yield path, value


def test_every_field_of_a_verdict_document_is_mapped_and_no_other() -> None:
    written = {path for path, _ in leaves(document(FULL))} - {"triaged.members.text"}
    assert written == set(dict(mapped(mappings()))) - {"triaged.members"}


def test_numbers_are_mapped_as_numbers_and_text_as_keywords() -> None:
    types = dict(mapped(mappings()))
    for path, value in leaves(document(FULL)):
        if isinstance(value, int | float) and not path.startswith("triaged.members."):
            assert types[path] in {"float", "integer"}, path
        elif isinstance(value, str):
            assert types[path] in {"keyword", "date", "ip"}, path


def test_members_are_mapped_as_they_come() -> None:
    (rule,) = mappings()["dynamic_templates"]
    assert rule["triaged_members"]["path_match"] == "triaged.members.*"
    more = msgspec.structs.replace(FULL, members={"rules": 0.1, "text": None})
    assert set(document(more)["triaged"]["members"]) == {"rules", "text"}
