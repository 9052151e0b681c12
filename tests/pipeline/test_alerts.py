"""Alerts of the SIEM are changed through the outbox: once, as the rule says, and nothing else is."""

from __future__ import annotations

from tests.daemon.site import process_start
from tests.pipeline.house import POLICY

ALERTING = POLICY + 'alert = { tags = ["triaged"], note = true }\n'


def updates(house):
    return {
        document["triaged"]["alert_update"]["alert"]["id"]: document["triaged"]["alert_update"]
        for document in house.siem.documents.values()
        if document["triaged"].get("record") == "alert_update"
    }


def test_an_alert_is_changed_once_and_an_ordinary_event_is_not(house):
    house = house(source={"start": "beginning"}, policy=ALERTING)
    house.siem.put([process_start("alert.exe")], ids=["alert-1"], alerts=True)
    house.put("event.exe")
    house.run(60)
    house.siem.faults.add("write", times=1)
    for _ in range(4):
        house.deliver.drain()
        house.clock.advance(600)
    found = updates(house)
    assert list(found) == ["alert-1"]
    assert found["alert-1"]["tags"] == ("triaged",)
    assert found["alert-1"]["status"] is None
    assert found["alert-1"]["note"].startswith("Triaged: ")
    assert house.verdicts() == {"alert-1": 1, "event.exe": 1}
    assert house.ledger.pending("siem") == 0


def test_a_rule_without_a_change_leaves_alerts_alone(house):
    house = house(source={"start": "beginning"})
    house.siem.put([process_start("alert.exe")], ids=["alert-1"], alerts=True)
    house.run(60)
    house.deliver.drain()
    assert updates(house) == {}
