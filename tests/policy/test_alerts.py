"""A rule changes alerts of its SIEM only as it says, and only what the source itself calls an alert."""

from typing import Any

import msgspec
import pytest

from connector import identity
from connector.errors import ConfigError
from connector.policy import decide
from connector.types import AlertUpdate, Event, SourceRef
from tests.policy.cases import KEY, contain, context, event, policy, prediction, rule

CHANGE = {"tags": ["triaged"], "note": True}


def an_alert(**ecs: Any) -> Event:
    ref = SourceRef(siem="elastic", index=".internal.alerts-security.alerts-default-000001", id="1", alert="alert-1")
    return msgspec.structs.replace(event(**ecs), ref=ref)


def change(*rules: dict[str, Any], of: Event | None = None, **more: Any) -> AlertUpdate | None:
    in_force = policy(*rules, enabled=more.pop("enabled", True))
    return decide(of or an_alert(), prediction(), context(**more), in_force).alert


def test_the_rule_that_matches_says_what_becomes_of_the_alert() -> None:
    update = change(rule("dumping", alert=CHANGE), rule("behind", alert={"status": "closed"}))
    assert update is not None
    assert update.alert == SourceRef(
        siem="elastic", index=".internal.alerts-security.alerts-default-000001", id="alert-1"
    )
    assert (update.tags, update.status, update.cause) == (("triaged",), None, an_alert().id)
    assert update.note == (
        "Triaged: malicious (0.95), T1003 OS Credential Dumping, T1003.001 LSASS Memory\n"
        "rule 'dumping' matched: p_malicious 0.95 reaches trigger 0.8\n"
        "playbook collect-triage-package (auto)"
    )
    assert identity.is_ours(KEY, update.origin)


def test_nothing_is_closed_unless_the_rule_says_so() -> None:
    silent = change(rule(alert={"tags": ["seen"]}))
    assert silent is not None
    assert (silent.status, silent.note) == (None, "")
    closing = change(rule(alert={"status": "closed"}, mode="suggest"))
    assert closing is not None
    assert (closing.status, closing.tags, closing.note) == ("closed", (), "")


def test_what_an_event_says_of_itself_makes_it_no_alert() -> None:
    claims: dict[str, Any] = {"kibana": {"alert": {"uuid": "alert-9"}}, "event": {"kind": "signal", "id": "alert-9"}}
    assert change(rule(alert=CHANGE), of=event(**claims, host={"name": "ws-7"})) is None


@pytest.mark.parametrize(
    ("rules", "more"),
    [
        ([rule()], {}),
        ([rule("first"), rule("behind", alert=CHANGE)], {}),
        ([rule(alert=CHANGE, min_confidence=0.99)], {}),
        ([rule(alert=CHANGE)], {"enabled": False}),
        ([rule(alert=CHANGE)], {"revision": 2}),
    ],
)
def test_an_alert_is_left_alone(rules: list[dict[str, Any]], more: dict[str, Any]) -> None:
    assert change(*rules, **more) is None


def test_the_records_id_follows_from_the_verdict_and_the_rule_and_no_text_of_the_event_gets_into_it() -> None:
    hostile: dict[str, Any] = {
        "host": {"name": "<img src=x>"},
        "user": {"name": "[x](http://evil)"},
        "agent": {"id": "a"},
    }
    first, second = change(rule(alert=CHANGE)), change(rule(alert=CHANGE), of=an_alert(**hostile))
    assert first == second
    other = change(contain("other", alert=CHANGE))
    assert first is not None
    assert other is not None
    assert first.record_id != other.record_id


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "it changes nothing"),
        ({"tags": []}, "it changes nothing"),
        ({"state": "closed"}, "Keys here: note, status, tags"),
        ({"tags": ["a\nb"]}, "alert"),
        ({"status": ""}, "alert"),
    ],
)
def test_a_change_that_changes_nothing_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        policy(rule(alert=table))
