"""The recipes of docs/soars.md are settings that load, and bodies that a chat takes whatever an event says."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connector.soar.webhook import STATES, WebhookSettings, rendered
from connector.testing import examples
from tests.policy.hostile import HOSTILE, poisoned

PAGE = (Path(__file__).parents[2] / "docs" / "soars.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## Webhooks") : PAGE.index("## TheHive 5")]
TABLES: dict[str, dict[str, Any]] = {
    name: table
    for block in re.findall(r"^```toml\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)
    for name, table in tomllib.loads(block.replace("…", "x"))["soars"].items()
}
WITH_BODY = [name for name, table in TABLES.items() if "body" in table]


@pytest.mark.parametrize("name", TABLES)
def test_a_recipe_loads(name: str) -> None:
    WebhookSettings.model_validate(TABLES[name])


def test_there_is_a_recipe_for_workflows_chats_and_mail() -> None:
    assert set(TABLES) == {"flow", "n8n", "slack", "teams", "mail"}
    assert set(WITH_BODY) == {"slack", "teams", "mail"}


def texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for inner in node.values() if isinstance(node, dict) else node:
            yield from texts(inner)


@pytest.mark.parametrize("name", WITH_BODY)
def test_no_event_makes_a_chat_refuse_a_message(name: str) -> None:
    body = TABLES[name]["body"]
    shape = len(list(texts(body)))
    for value in HOSTILE.values():
        sent = json.loads(msgspec.json.encode(rendered(body, poisoned(examples.action(0), value))))
        found = list(texts(sent))
        assert len(found) == shape
        assert all(0 < len(text) <= 3000 and text.isprintable() for text in found)


def test_every_word_for_a_state_is_documented() -> None:
    (row,) = re.findall(r"^\| `state` \|(.*)$", SECTION, re.MULTILINE)
    words = [set(re.findall(r"`(\w+)`", part)) - {"states"} for part in row.partition(". `states`")[0].split(" · ")]
    expected = [
        {word for word, state in STATES.items() if state == end}
        for end in ("running", "succeeded", "failed", "timed_out")
    ]
    assert words == expected
