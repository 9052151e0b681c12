import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from connector import identity
from connector.policy import decide, verdict_name
from connector.policy.decide import timestamp_of
from connector.types import Entity, TechniqueScore
from tests.policy.cases import (
    NOW,
    Thresholds,
    contain,
    context,
    event,
    policy,
    prediction,
    proposed,
    rule,
)


@pytest.mark.parametrize(
    ("p", "abstain", "name"),
    [
        (0.6, None, "malicious"),
        (0.599, None, "suspicious"),
        (0.3, None, "suspicious"),
        (0.299, None, "benign"),
        (0.99, "out of distribution", "abstain"),
        (math.nan, None, "abstain"),
        (1.5, None, "abstain"),
    ],
)
def test_the_name_is_a_function_of_two_thresholds(p: float, abstain: str | None, name: str) -> None:
    assert verdict_name(prediction(p, abstain=abstain), Thresholds()) == name


def test_the_first_rule_that_matches_decides() -> None:
    in_force = policy(rule("first", techniques=["T1003"]), rule("second", techniques=["T1003"]))
    assert proposed(in_force).rule == "first"
    assert proposed(policy(rule("other", techniques=["T1059"]), rule("any"))).rule == "any"


@pytest.mark.parametrize(
    ("criteria", "matches"),
    [
        ({"techniques": ["T1003"]}, True),
        ({"techniques": ["T1003.001"]}, True),
        ({"techniques": ["T1003.002"]}, False),
        ({"techniques": ["T1059"]}, False),
        ({"techniques": ["OS Credential Dumping"]}, True),
        ({"tactics": ["credential-access"]}, True),
        ({"tactics": ["TA0007"]}, False),
        ({"techniques": ["T1059"], "tactics": ["credential-access"]}, True),
        ({"min_confidence": 0.95}, True),
        ({"min_confidence": 0.951}, False),
        ({"min_confidence": "malicious"}, True),
        ({"techniques": ["T1003"], "technique_probability": 0.9}, True),
        ({"techniques": ["T1003"], "technique_probability": 0.91}, False),
        ({"techniques": ["T1003.001"], "technique_probability": 0.71}, False),
    ],
)
def test_a_rule_matches_on_confidence_and_technique(criteria: dict[str, Any], matches: bool) -> None:
    decision = decide(event(), prediction(0.95), context(), policy(rule(**criteria)))
    assert bool(decision.actions) is matches
    assert (decision.verdict.policy is not None) is matches


def test_a_parent_covers_a_subtechnique_that_alone_passed() -> None:
    in_force = policy(rule(techniques=["T1003"]))
    assert decide(event(), prediction(0.95, "T1003.001"), context(), in_force).actions


def test_default_confidence_is_the_trigger_threshold() -> None:
    in_force = policy(rule())
    assert decide(event(), prediction(0.8), context(), in_force).actions
    assert not decide(event(), prediction(0.79), context(), in_force).actions


def test_suggest_names_the_playbook_and_proposes_nothing() -> None:
    decision = decide(event(), prediction(), context(), policy(rule(mode="suggest")))
    assert decision.actions == ()
    assert decision.verdict.policy is not None
    assert decision.verdict.policy.playbook == "collect-triage-package"


def test_containment_never_hangs_on_an_abstention_while_enrichment_still_does() -> None:
    in_force = policy(contain(mode="approve"), rule("note", tier="note", playbook="notify-on-call"))
    decision = decide(event(), prediction(abstain="members disagree"), context(), in_force)
    assert [action.rule for action in decision.actions] == ["note"]
    assert decision.verdict.explanation[0] == "abstained: members disagree"


@pytest.mark.parametrize("passed", [("T9999",), ("T1086",)])
def test_containment_never_hangs_on_an_unknown_technique(passed: tuple[str, ...]) -> None:
    in_force = policy(contain(mode="auto", min_confidence=0.0))
    assert not decide(event(), prediction(0.99, *passed), context(), in_force).actions


def test_containment_never_hangs_on_a_benign_verdict() -> None:
    in_force = policy(contain(mode="auto", min_confidence=0.0))
    assert not decide(event(), prediction(0.1), context(), in_force).actions


def test_a_later_revision_supersedes_and_never_triggers() -> None:
    first = decide(event(), prediction(), context(), policy(rule()))
    second = decide(event(), prediction(), context(revision=2), policy(rule()))
    assert first.actions
    assert not second.actions
    assert second.verdict.supersedes == first.verdict.record_id == event().id
    assert second.verdict.record_id == identity.record_id(event().id, 2)


def test_ids_follow_from_the_event_and_the_rule_alone() -> None:
    first = decide(event(), prediction(0.95), context(), policy(rule()))
    later_run = context(now=NOW + timedelta(days=1), origin_key=b"other", members=5)
    second = decide(
        event(host={"name": "other"}),
        prediction(0.85, "T1059"),
        later_run,
        policy(rule("x", mode="suggest", min_confidence=0.9), rule()),
    )
    assert first.verdict.record_id == second.verdict.record_id
    assert first.actions[0].key == second.actions[0].key
    other = decide(event("2"), prediction(), context(), policy(rule()))
    renamed = decide(event(), prediction(), context(), policy(rule("renamed")))
    assert len({d.actions[0].key for d in (first, other, renamed)}) == 3


def test_the_mark_of_origin_verifies() -> None:
    verdict = decide(event(), prediction(), context(), policy()).verdict
    assert identity.is_ours(b"k" * 32, verdict.origin)
    assert not identity.is_ours(b"x" * 32, verdict.origin)


def test_the_action_carries_what_the_soar_and_the_counters_need() -> None:
    action = proposed(policy(rule(soar="hive"), soar="other"))
    assert (action.soar, action.playbook, action.tier, action.mode) == (
        "hive",
        "collect-triage-package",
        "ticket",
        "auto",
    )
    assert action.entity == Entity(host="ws-7", user="anna", agent_id="agent-7")
    assert action.entity_key == "agent:agent-7"
    assert action.cause == action.verdict.record_id
    assert action.proposed_at == NOW
    assert action.key == identity.action_key(event().id, "r")


@pytest.mark.parametrize(
    ("ecs", "entity", "key"),
    [
        ({"host": {"hostname": "WS"}}, Entity(host="WS"), "host:ws"),
        ({"host.name": "flat"}, Entity(host="flat"), "host:flat"),
        ({"host": {"name": ["one", "two"]}}, Entity(host="one"), "host:one"),
        ({"host": "plain"}, Entity(), "source:elastic/logs"),
        ({"host": {"name": {"odd": 1}}}, Entity(), "source:elastic/logs"),
        ({"host": {"name": "a\r\nX-Evil: 1"}}, Entity(), "source:elastic/logs"),
        ({"host": {"name": "x" * 257}}, Entity(), "source:elastic/logs"),
        ({"user": {"name": "Anna"}}, Entity(user="Anna"), "user:anna"),
        ({"source": {"ip": "10.0.0.1"}}, Entity(address="10.0.0.1"), "address:10.0.0.1"),
        ({"agent": {"id": 7}}, Entity(), "source:elastic/logs"),
        (
            {"agent": {"id": "a", "name": "WS"}, "host": {"name": "ws.corp"}},
            Entity(host="ws.corp", agent_id="a"),
            "agent:a",
        ),
        ({"agent": {"id": "a", "name": "collector"}, "host": {"name": "ws"}}, Entity(host="ws"), "host:ws"),
        ({"agent": {"id": "a", "hostname": "relay"}}, Entity(), "source:elastic/logs"),
    ],
)
def test_entities_are_read_from_any_shape(ecs: dict[str, Any], entity: Entity, key: str) -> None:
    action = proposed(policy(rule()), event(**ecs))
    assert (action.entity, action.entity_key) == (entity, key)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=8,
)
ecs_documents = st.dictionaries(
    st.sampled_from(["@timestamp", "host", "user", "source", "agent", "host.name", "x"]), json_values
)


@settings(deadline=None)
@given(ecs_documents, st.floats(), st.one_of(st.none(), st.just("why")))
def test_any_event_and_any_number_give_one_verdict_always_the_same(
    ecs: dict[str, Any], p: float, abstain: str | None
) -> None:
    in_force = policy(contain(mode="approve"), rule())
    first, second = (decide(event(**ecs), prediction(p, abstain=abstain), context(), in_force) for _ in range(2))
    assert first == second
    assert first.verdict.confidence is None or 0 <= first.verdict.confidence <= 1
    assert len(first.actions) <= 1


def test_a_subtechnique_counts_by_its_own_probability() -> None:
    scores = (
        TechniqueScore(id="T1003", probability=0.2, subtechnique=TechniqueScore(id="T1003.001", probability=0.6)),
    )
    in_force = policy(rule(techniques=["T1003"], technique_probability=0.5))
    assert decide(event(), prediction(techniques=scores), context(), in_force).actions
    in_force = policy(rule(techniques=["T1003"], technique_probability=0.61))
    assert not decide(event(), prediction(techniques=scores), context(), in_force).actions


@pytest.mark.parametrize(
    "value",
    ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00.5+02:00"],
)
def test_a_time_that_a_target_takes_is_kept_as_it_came(value):
    assert timestamp_of(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        "2026-01-01",
        "2026-02-30T00:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00Z\n",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        5,
        None,
        "9" * 99,
    ],
)
def test_a_time_that_is_none_is_left_out_so_that_no_target_refuses_the_verdict(value):
    assert timestamp_of(value) is None
