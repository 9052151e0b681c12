"""Every setting and every policy key is documented, with its default."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from connector import settings, wiring
from connector.policy.model import PolicyTable

ROOT = Path(__file__).parents[2]
Tables = dict[str, dict[str, str]]


def tables(page: str) -> Tables:
    """The rows of each section's table: key → default, as written."""
    found: Tables = {}
    section = ""
    for line in (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line[3:].replace("`", "")
        elif row := re.match(r"\| `([\w]+)` \|([^|]*)\|", line):
            found.setdefault(section, {})[row[1]] = row[2].strip()
    return found


def shown(name: str, schema: Mapping[str, Any], prop: Mapping[str, Any]) -> str:
    """A default as the pages write it."""
    if name in schema.get("required", ()):
        return "required"
    default = prop.get("default")
    if isinstance(default, dict):
        return ""
    return "none" if default is None else f"`{json.dumps(default)}`"


def settings_tables() -> Iterator[tuple[str, Mapping[str, Any]]]:
    schema = settings.settings_model(wiring.kinds()).model_json_schema()
    yield "Top level", schema
    for name, prop in schema["properties"].items():
        if "$ref" in prop:
            table = resolved(schema, prop)
            yield f"[{name}]", table
            for inner, several in table["properties"].items():
                if "$ref" in several.get("additionalProperties", ()):
                    yield f"[{name}.{inner}.NAME]", resolved(schema, several["additionalProperties"])
        elif "additionalProperties" in prop:
            several = prop["additionalProperties"]
            for choice in several.get("oneOf", [several]):
                table = resolved(schema, choice)
                yield f'[{name}.NAME] with type = "{table["properties"]["type"]["const"]}"', table


def resolved(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return found


@pytest.mark.parametrize(
    ("section", "schema"), list(settings_tables()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_setting_is_documented_with_its_default(section: str, schema: Mapping[str, Any]) -> None:
    written = tables("settings.md")
    expected = {name: shown(name, schema, prop) for name, prop in schema["properties"].items()}
    assert written.get(section) == expected


def test_no_setting_is_documented_that_does_not_exist() -> None:
    assert set(tables("settings.md")) == {section for section, _ in settings_tables()}


def test_every_policy_key_is_documented() -> None:
    schema = PolicyTable.model_json_schema()
    written = tables("policy.md")
    for section, name in (
        ("[protected]", "Protected"),
        ("[[rules]]", "RuleTable"),
        ("rate and entity_rate", "RateCap"),
        ("when", "HoursTable"),
        ("alert", "AlertTable"),
    ):
        assert set(written[section]) == set(schema["$defs"][name]["properties"])
        assert {key for key, default in written[section].items() if default == "required"} == set(
            schema["$defs"][name].get("required", ())
        )
    assert set(written["The file"]) == set(schema["properties"])
