"""The injection corpus itself: it reaches every text, and an action that holds it survives the ledger's JSON."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connector.testing import examples
from connector.types import Action
from tests.policy.hostile import CANARY, HOSTILE, poisoned, shape

MARK = "planted"


def texts(node: Any, place: str = "") -> dict[str, str]:
    if isinstance(node, str):
        return {place: node}
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list | tuple) else ()
    return {found: text for name, child in inner for found, text in texts(child, f"{place}.{name}").items()}


def test_only_what_nobody_outside_chooses_is_left_as_it_was() -> None:
    found = texts(msgspec.to_builtins(poisoned(examples.action(1), MARK)))
    kept = {place.lstrip(".") for place, text in found.items() if text != MARK}
    assert kept == {
        *("key", "cause", "playbook", "soar", "tier", "mode", "proposed_at"),
        *(f"verdict.{name}" for name in ("type", "record_id", "event_id", "verdict", "fingerprint", "origin", "at")),
        *("verdict.passed.0", "verdict.passed.1"),
        *("verdict.techniques.0.id", "verdict.techniques.0.subtechnique.id"),
    }
    assert found.keys() >= {f".entity.{name}" for name in ("host", "user", "address", "agent_id")}
    assert found.keys() >= {".verdict.tags.0", ".verdict.explanation.0", ".verdict.source.module"}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_an_action_that_holds_it_comes_out_of_json_as_it_went_in(value: str) -> None:
    action = poisoned(examples.action(1), value)
    assert msgspec.json.decode(msgspec.json.encode(action), type=Action) == action


def test_the_corpus_holds_each_kind_that_is_promised() -> None:
    assert len(set(HOSTILE.values())) == len(HOSTILE)
    assert max(len(value.encode()) for value in HOSTILE.values()) > 1 << 20
    assert sum(CANARY in value for value in HOSTILE.values()) > len(HOSTILE) // 2


def test_a_shape_tells_a_field_that_was_added_from_a_value_that_changed() -> None:
    assert shape({"a": ["x", 1]}) == shape({"a": ["y", 2]})
    assert shape({"a": "x"}) != shape({"a": "x", "evil": "x"})
    assert shape({"a": "x"}) != shape({"a": ["x"]})
