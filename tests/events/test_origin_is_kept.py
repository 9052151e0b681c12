"""What a document in ECS says of its origin is kept, whoever normalises it."""

from __future__ import annotations

from typing import Any

import pytest

from connector.events.generic import is_ecs
from connector.events.normalise import to_ecs
from tests.events import vectors

ORIGIN: dict[str, Any] = {
    "agent": {"id": "agent-7", "type": "filebeat"},
    "observer": {"name": "collector-3"},
    "labels": {"site": "riga"},
}
_OF_ECS = {"ecs", "data_stream", "winlog", "kibana"}


def _in_ecs(raw: Any) -> bool:
    """Whether a golden event is a document in ECS, and not a vendor's record that shares a name with it."""
    if not isinstance(raw, dict) or not is_ecs(raw):
        return False
    event = raw.get("event")
    return (isinstance(event, dict) and "dataset" in event) or any(key.partition(".")[0] in _OF_ECS for key in raw)


RAW = {name: raw for name, raw in vectors.golden().items() if _in_ecs(raw)}


@pytest.mark.parametrize("name", RAW)
def test_agent_observer_labels_and_the_events_own_id_survive(name: str) -> None:
    raw = RAW[name]
    event = raw["event"] if isinstance(raw.get("event"), dict) else {}
    named = {**event, "id": "native-1", "module": event.get("module", "custom")}
    ecs = to_ecs({**raw, **ORIGIN, "event": named})[1]
    assert ecs["event"]["id"] == "native-1"
    assert ecs["event"]["module"] == named["module"]
    for folder, fields in ORIGIN.items():
        assert ecs[folder].items() >= fields.items(), folder
