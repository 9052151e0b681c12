"""Windows and hysteresis: what belongs to one action, and what keeps a cool-down going."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from connector.policy import Listed, decide
from connector.policy.admit import cooldown_scope
from connector.types import TechniqueScore
from tests.policy.cases import contain, context, event, later, policy, prediction, rule


def renewed(p: float, *rules: dict[str, Any], **more: Any) -> list[str]:
    decision = decide(event(), prediction(p, **more.pop("scores", {})), context(**more), policy(*rules))
    return [scope.name.split(":")[1] for scope in decision.renewals]


def test_a_score_just_below_the_floor_keeps_the_cool_down_going_and_proposes_nothing() -> None:
    in_force = policy(rule(min_confidence=0.8, hysteresis=0.1, cooldown="30m"))
    decision = decide(event(), prediction(0.7), context(), in_force)
    (scope,) = decision.renewals
    assert (scope.name, scope.window) == (cooldown_scope("r", "agent:agent-7"), timedelta(minutes=30))
    assert decision.actions == ()


@pytest.mark.parametrize(
    ("p", "close"), [(0.69, False), (0.7, True), (0.8, True), (1.0, True), (float("nan"), False), (-0.05, False)]
)
def test_the_band_reaches_from_the_hysteresis_below_the_floor_up(p: float, close: bool) -> None:
    assert renewed(p, rule(min_confidence=0.8, hysteresis=0.1)) == ["r"] * close


def test_a_technique_and_a_quorum_that_are_just_missed_are_close_too() -> None:
    asks = rule(techniques=["T1003"], thresholds={"T1003": 0.9}, min_confidence=0.5, hysteresis=0.1)
    assert renewed(0.95, asks, scores={"techniques": (TechniqueScore(id="T1003", probability=0.82),)}) == ["r"]
    assert renewed(0.95, asks, scores={"techniques": (TechniqueScore(id="T1003", probability=0.7),)}) == []
    votes = rule(min_confidence=0.9, quorum=2, hysteresis=0.1)
    assert renewed(0.95, votes, scores={"members": {"text": 0.95, "rules": 0.85}}) == ["r"]
    assert renewed(0.95, votes, scores={"members": {"text": 0.95, "rules": 0.5}}) == []


def test_containment_is_close_where_the_verdict_is_just_not_suspicious() -> None:
    asks = contain(min_confidence="suspicious", hysteresis=0.1)
    assert renewed(0.25, asks) == ["c"]
    assert renewed(0.15, asks) == []
    assert renewed(0.25, asks, scores={"abstain": "the members disagree"}) == []


def test_every_rule_that_is_close_is_renewed_whichever_decides() -> None:
    first, second = rule("first", hysteresis=0.1), rule("second", hysteresis=0.1, min_confidence=0.9)
    assert renewed(0.85, rule("plain"), first, second) == ["first", "second"]
    assert renewed(0.85, rule("idle", hysteresis=0.1, mode="suggest")) == []


def test_what_is_allowed_and_what_is_scored_again_renews_nothing() -> None:
    asks = rule(hysteresis=0.1)
    entry = Listed(list="allow", kind="host", value="ws-7", reason="a test bench", author="anna")
    assert renewed(0.95, asks) == ["r"]
    assert renewed(0.95, asks, listed=entry) == []
    assert renewed(0.95, asks, revision=2) == []


def keys(minutes: float, native: str = "1", host: str = "ws-7", name: str = "r", **more: Any) -> str:
    seen = event(native, host={"name": host}, agent={"id": f"agent of {host}"})
    now = context(now=later(minutes=minutes))
    (action,) = decide(seen, prediction(), now, policy(rule(name, **more))).actions
    assert action.verdict.event_id == seen.id
    return action.key


def test_one_action_stands_for_all_that_a_rule_sees_of_an_entity_in_a_window() -> None:
    grouped = {"group": "15m"}
    first = keys(0, "1", **grouped)
    assert keys(14.99, "2", **grouped) == first
    assert len({first, keys(15, "2", **grouped), keys(0, host="ws-8", **grouped), keys(0, name="s", **grouped)}) == 4
    assert keys(0, "1") != keys(0, "2")


def test_a_rule_that_changes_within_a_window_proposes_another_action() -> None:
    """One with the same key on another SOAR would start there a run that the ledger takes for the first one."""
    before = keys(0, group="15m")
    assert before not in {keys(0, group="15m", soar="other"), keys(0, group="15m", playbook="notify-on-call")}


def test_windows_are_cut_at_the_same_places_whatever_comes_first() -> None:
    assert keys(-0.01, group="15m") != keys(0, group="15m")
    assert keys(4, group="15m") == keys(11, group="15m")


def test_the_subject_is_what_the_key_was_derived_from() -> None:
    (action,) = decide(event(), prediction(), context(), policy(rule(group="15m"))).actions
    assert action.subject != action.verdict.event_id
    assert msgspec.json.decode(msgspec.json.encode(action), type=type(action)) == action
