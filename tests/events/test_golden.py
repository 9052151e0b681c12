"""Golden pairs: what each kind of event becomes, through the door that it came by and through the others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connector.events import canonical, decode
from connector.events.canonical import TABLE
from connector.events.normalise import to_ecs
from tests.events import doors, vectors

RAW = vectors.golden()


@pytest.mark.parametrize("name", RAW)
def test_a_golden_event_becomes_its_ecs_document(name: str) -> None:
    wanted = json.loads((vectors.GOLDEN / f"{name}.ecs.json").read_text("utf-8"))
    assert to_ecs(RAW[name])[1] == wanted


def test_every_kind_has_a_golden_event_of_that_kind() -> None:
    kinds = {to_ecs(raw)[0] for raw in RAW.values()}
    assert kinds == TABLE.kinds.keys()
    for name, raw in RAW.items():
        assert name.startswith(to_ecs(raw)[0])


def test_the_model_text_of_each_golden_event_is_the_committed_one() -> None:
    assert (vectors.GOLDEN / "texts.json").read_text("utf-8") == vectors.dump(vectors.texts())


def _neutral(raw: Any) -> doors.Neutral | None:
    if isinstance(raw, dict) and "Event" in raw:
        return doors.from_evtx(raw)
    if isinstance(raw, dict) and "EventID" in raw:
        return doors.from_flat(raw)
    if isinstance(raw, dict) and isinstance(raw.get("result"), dict) and raw["result"].get("_raw", "")[:6] == "<Event":
        carried = json.loads(json.dumps(decode(raw["result"]["_raw"])))
        return doors.from_evtx(carried) if "Event" in carried else None
    return None


@pytest.mark.parametrize("name", [name for name, raw in RAW.items() if _neutral(raw)])
def test_a_golden_event_has_one_canonical_form_through_every_door(name: str) -> None:
    event = _neutral(RAW[name])
    assert event is not None
    wanted = canonical(*reversed(to_ecs(RAW[name])))
    for door, write in doors.DOORS.items():
        if event.in_every_door():
            assert canonical(*reversed(to_ecs(write(event)))) == wanted, door


@pytest.mark.parametrize(
    ("name", "path", "wanted"),
    [
        ("sysmon-1", "process.name", "conhost.exe"),
        ("sysmon-1", "process.hash.md5", "C5E9B1D1103EDCEA2E408E9497A5A88F"),
        ("sysmon-1", "user.domain", "NT AUTHORITY"),
        ("sysmon-1", "host.name", "WORKSTATION5"),
        ("sysmon-1", "event.action", "process-start"),
        ("security-4688", "process.parent.pid", 0x3C0),
        ("security-4688", "event.outcome", "success"),
        ("sysmon-1-agent", "agent.id", "a7"),
        ("security-4625-winlogbeat6", "source.ip", "203.0.113.77"),
        ("security-4625-winlogbeat6", "event.outcome", "failure"),
        ("aws-cloudtrail-denied", "user.name", "bob"),
        ("aws-cloudtrail-denied", "source.ip", "203.0.113.50"),
        ("generic-text", "message", RAW["generic-text"]),
    ],
)
def test_entities_and_classification_stand_in_ecs(name: str, path: str, wanted: object) -> None:
    node: Any = to_ecs(RAW[name])[1]
    for key in path.split("."):
        node = node.get(key) if isinstance(node, dict) else None
    assert node == wanted
