from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.errors import ConfigError
from connector.policy import decide
from connector.policy.decide import facts_of
from connector.policy.hours import Hours, HoursTable
from connector.policy.matching import misses
from tests.policy.cases import contain, context, event, policy, prediction, rule


def matches(criteria: dict[str, Any], p: float = 0.95, *passed: str, **more: Any) -> bool:
    fresh = prediction(p, *passed, **more.pop("prediction", {}))
    return bool(decide(event(**more.pop("ecs", {})), fresh, context(**more), policy(rule(**criteria))).actions)


@pytest.mark.parametrize(
    ("thresholds", "matched"),
    [
        ({"T1003": 0.9}, True),
        ({"T1003": 0.91}, False),
        ({"T1003.001": 0.7}, True),
        ({"T1003.001": 0.71}, False),  # and T1003 is not seen beside it
        ({"T1003": 0.95, "T1003.001": 0.7}, True),
        ({"T1003": 0.2, "T1003.001": 0.71}, False),  # the nearest threshold counts
        ({"T1003.002": 0.99}, True),  # of another sub-technique
        ({"LSASS Memory": 0.7}, True),
    ],
)
def test_a_technique_must_reach_the_threshold_that_the_rule_has_for_it(
    thresholds: dict[str, float], matched: bool
) -> None:
    # every prediction of the cases shows T1003 at 0.9 and T1003.001 at 0.7
    assert matches({"techniques": ["T1003"], "thresholds": thresholds, "min_confidence": 0.1}) is matched


def test_the_smaller_of_the_two_probabilities_counts() -> None:
    criteria = {"techniques": ["T1003.001"], "thresholds": {"T1003.001": 0.65}, "min_confidence": 0.1}
    assert matches(criteria, 0.65)
    assert not matches(criteria, 0.64)
    criteria = {"techniques": ["T1003.001"], "technique_probability": 0.65, "min_confidence": 0.1}
    assert matches(criteria, 0.65)
    assert not matches(criteria, 0.64)


def test_a_threshold_may_be_a_level_of_the_model() -> None:
    criteria = {"techniques": ["T1003.001"], "thresholds": {"T1003.001": "malicious"}, "min_confidence": 0.1}
    assert matches(criteria, 0.6)  # which is 0.6
    assert not matches(criteria, 0.59)
    assert not matches({**criteria, "thresholds": {"T1003.001": "trigger"}})  # 0.8, and T1003.001 has 0.7


def test_a_technique_without_a_threshold_of_the_rule_needs_the_models_own() -> None:
    criteria = {"techniques": ["T1003", "T1059"], "thresholds": {"T1003": 0.99}}
    assert not matches(criteria)
    assert matches(criteria, 0.95, "T1059")


def test_a_threshold_may_be_lower_than_the_models_own() -> None:
    unpassed = {"passed": ()}
    assert matches({"techniques": ["T1003"], "thresholds": {"T1003": 0.5}}, prediction=unpassed)
    assert not matches({"techniques": ["T1003"]}, prediction=unpassed)


def test_what_is_not_among_the_five_most_probable_reaches_no_threshold() -> None:
    unrated = {"techniques": ()}
    assert matches({"techniques": ["T1003"]}, prediction=unrated)
    assert not matches({"techniques": ["T1003"], "technique_probability": 0.0}, prediction=unrated)


@pytest.mark.parametrize(
    ("members", "matched"),
    [
        ({"text": 0.9, "rules": 0.8}, True),
        ({"text": 0.9, "rules": 0.79}, False),
        ({"text": 0.9, "rules": None}, False),
        ({"text": 0.9, "rules": float("nan")}, False),
        ({"text": 0.9, "meta": 0.9}, False),  # it only repeats what the others say
        ({"text": 0.9, "rules": 0.1, "flow": 0.95}, True),
    ],
)
def test_a_quorum_counts_the_members_that_are_at_or_above_the_rules_floor(
    members: dict[str, float | None], matched: bool
) -> None:
    assert matches({"quorum": 2}, prediction={"members": members}) is matched


def test_a_rule_for_some_sources_leaves_the_others_alone() -> None:
    assert matches({"sources": ["splunk", "elastic"]})
    assert not matches({"sources": ["splunk"]})


@pytest.mark.parametrize(
    ("severity", "matched"), [(47, True), ("47", True), (46, False), (None, False), ("high", False), (True, False)]
)
def test_a_rule_may_ask_for_the_events_own_severity(severity: object, matched: bool) -> None:
    ecs = {"host": {"name": "ws-7"}, "event": {"severity": severity}}
    assert matches({"min_severity": 47}, ecs=ecs) is matched


FRIDAY = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("table", "hour", "holds"),
    [
        ({}, 0, True),
        ({"from": "08:00"}, 7.99, False),
        ({"from": "08:00"}, 23.99, True),
        ({"from": "08:00", "to": "18:00"}, 8, True),
        ({"from": "08:00", "to": "18:00"}, 18, False),
        ({"days": ["mon"]}, 12, False),
        ({"days": ["fri"]}, 24, False),
        ({"days": ["fri"], "from": "22:00", "to": "06:00"}, 22, True),
        ({"days": ["fri"], "from": "22:00", "to": "06:00"}, 29.99, True),  # Saturday morning
        ({"days": ["fri"], "from": "22:00", "to": "06:00"}, 30, False),
        ({"days": ["fri"], "from": "22:00", "to": "06:00"}, 5, False),  # that began on Thursday
        ({"days": ["sat"], "zone": "Asia/Tokyo"}, 15, True),
        ({"days": ["fri"], "zone": "America/New_York"}, 28, True),
    ],
)
def test_hours_hold_in_their_own_zone_and_past_midnight(table: dict[str, Any], hour: float, holds: bool) -> None:
    assert Hours.of(HoursTable.model_validate(table)).holds(FRIDAY + timedelta(hours=hour)) is holds
    assert matches({"when": table}, now=FRIDAY + timedelta(hours=hour)) is holds


def test_one_of_several_hours_is_enough_and_an_event_cannot_choose_its_own() -> None:
    criteria = {"when": [{"days": ["sat", "sun"]}, {"from": "18:00", "to": "08:00"}]}
    assert matches(criteria, now=FRIDAY + timedelta(hours=19))
    assert matches(criteria, now=FRIDAY + timedelta(hours=36))
    noon = FRIDAY + timedelta(hours=12)
    assert not matches(criteria, now=noon, ecs={"@timestamp": "2026-11-21T12:00:00Z", "host": {"name": "ws-7"}})


def test_every_criterion_that_is_missed_is_told() -> None:
    criteria: dict[str, Any] = {
        "sources": ["splunk"],
        "tags": ["vip"],
        "min_severity": 5,
        "min_confidence": 0.99,
        "quorum": 2,
        "techniques": ["T1003.001"],
        "thresholds": {"T1003.001": 0.8},
        "when": {"days": ["mon"]},
    }
    (read,) = policy(contain(**criteria)).rules
    facts = facts_of(event(), prediction(0.2), context())
    told = {miss.key: str(miss) for miss in misses(read, facts)}
    assert list(told) == [
        *("sources", "tags", "min_severity", "min_confidence", "tier", "quorum", "thresholds", "when"),
    ]
    assert told["sources"] == "sources: wants splunk but has elastic"
    assert told["min_severity"] == "min_severity: wants 5 but has none"
    assert told["min_confidence"] == "min_confidence: wants 0.99 but has 0.2"
    assert told["thresholds"] == "thresholds: wants T1003.001 0.8 but has T1003.001 0.2"


@pytest.mark.parametrize(
    ("criteria", "message"),
    [
        ({"thresholds": {"T1003": 0.5}}, "needs techniques or tactics"),
        ({"technique_probability": 0.5}, "needs techniques or tactics"),
        ({"techniques": ["T1059"], "thresholds": {"T1003": 0.5}}, "T1003 is not among the rule's techniques"),
        ({"techniques": ["T1003"], "thresholds": {"T1003.099": 0.5}}, "T1003 (OS Credential Dumping)"),
        ({"techniques": ["T1003"], "thresholds": {"T1003": 1.5}}, "thresholds"),
        ({"quorum": -1}, "quorum"),
        ({"when": {"from": "25:00"}}, "from"),
        ({"when": {"from": "09:00", "to": "09:00"}}, "the same"),
        ({"when": {"zone": "Mars/Olympus"}}, "no time zone 'Mars/Olympus'"),
        ({"when": {"days": []}}, "days"),
        ({"when": {"till": "09:00"}}, "Keys here: days, from, to, zone"),
        ({"min_severity": "high"}, "min_severity"),
    ],
)
def test_a_criterion_that_could_never_be_meant_is_refused(criteria: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        policy(rule(**criteria))
    assert message in str(caught.value)


def explained(*rules: dict[str, Any], p: float = 0.95, **more: Any) -> tuple[str, ...]:
    fresh = prediction(p, **more.pop("prediction", {}))
    return decide(event(), fresh, context(**more), policy(*rules)).verdict.explanation


def test_a_verdict_says_which_rule_matched_by_what_and_what_kept_others_from_it() -> None:
    assert explained(
        rule("elsewhere", techniques=["T1486"]),
        rule("sure", min_confidence=0.99),
        contain("precise", techniques=["T1003"], thresholds={"T1003.001": 0.8}),
        rule("dumping", techniques=["T1003"], thresholds={"T1003.001": 0.7}, quorum=2),
        rule("behind"),
    ) == (
        "rule 'dumping' matched: p_malicious 0.95 reaches trigger 0.8, 2 members agree (2 needed), T1003.001 reaches 0.7",
        "rule 'sure' did not match: min_confidence: wants 0.99 but has 0.95",
        "rule 'precise' did not match: thresholds: wants T1003.001 0.8 but has T1003.001 0.7",
    )


def test_what_is_not_even_suspicious_needs_no_reason() -> None:
    assert explained(rule("r"), p=0.2) == ()
    assert explained(rule("r"), p=float("nan")) == ("abstained: the model gave no probability",)
    assert explained(rule("r"), p=0.5) == ("rule 'r' did not match: min_confidence: wants 0.8 but has 0.5",)


def test_a_long_policy_gives_no_long_explanation() -> None:
    rules = [rule(f"r{number}", min_confidence=0.99) for number in range(50)]
    assert len(explained(*rules)) == 3
