from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from connector.policy.facts import Facts
from connector.policy.matching import misses
from connector.policy.reach import unreachable
from connector.types import SourceRef, TechniqueScore
from tests.policy.cases import NOW, Thresholds, contain, later, policy, rule

ANY: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("first", "second", "reached"),
    [
        (ANY, ANY, False),
        (ANY, {"techniques": ["T1003"], "sources": ["a"], "quorum": 2, "min_severity": 3, "tags": ["x"]}, False),
        ({"techniques": ["T1003"]}, {"techniques": ["T1003.001"]}, False),
        ({"techniques": ["T1003.001"]}, {"techniques": ["T1003"]}, True),
        ({"tactics": ["credential-access"]}, {"techniques": ["T1003"]}, False),
        ({"techniques": ["T1003"]}, ANY, True),
        ({"techniques": ["T1003"], "thresholds": {"T1003.001": 0.9}}, {"techniques": ["T1003"]}, True),
        ({"techniques": ["T1003"], "technique_probability": 0.5}, {"techniques": ["T1003"]}, True),
        ({"min_confidence": "malicious"}, {"min_confidence": "trigger"}, False),
        ({"min_confidence": "trigger"}, {"min_confidence": "malicious"}, True),
        ({"min_confidence": 0.8}, {"min_confidence": "trigger"}, False),  # which is 0.8
        ({"min_confidence": 0.81}, {"min_confidence": "trigger"}, True),
        ({"sources": ["a", "b"]}, {"sources": ["a"]}, False),
        ({"sources": ["a"]}, {"sources": ["a", "b"]}, True),
        ({"tags": ["a", "b"]}, {"tags": ["a"]}, False),
        ({"tags": ["a"]}, ANY, True),
        ({"min_severity": 2}, {"min_severity": 3}, False),
        ({"min_severity": 2}, ANY, True),
        ({"quorum": 1}, {"quorum": 2}, False),
        ({"quorum": 2}, {"quorum": 1}, True),
        ({"when": {"from": "08:00"}}, {"when": {"from": "09:00", "to": "17:00"}}, False),
        ({"when": {"from": "20:00", "to": "08:00"}}, {"when": {"from": "22:00", "to": "06:00"}}, False),
        ({"when": {"from": "20:00", "to": "08:00"}}, {"when": {"from": "22:00", "to": "09:00"}}, True),
        ({"when": {"days": ["mon"]}}, ANY, True),
        (ANY, {"listed": True}, True),  # an entry of a block list is enough for the second alone
        ({"listed": True}, {"listed": True}, False),
    ],
)
def test_a_rule_behind_one_that_matches_all_that_it_does_is_never_reached(
    first: dict[str, Any], second: dict[str, Any], reached: bool
) -> None:
    rules = policy(rule("first", **first), rule("second", **second)).rules
    assert [(r.name, [c.name for c in by]) for r, by in unreachable(rules, Thresholds())] == (
        [] if reached else [("second", ["first"])]
    )


def test_several_rules_together_may_leave_nothing() -> None:
    rules = policy(
        rule("a", techniques=["T1003"]), rule("b", techniques=["T1059"]), rule("c", techniques=["T1003.001", "T1059"])
    ).rules
    assert [(r.name, [c.name for c in by]) for r, by in unreachable(rules)] == [("c", ["a", "b"])]


def test_containment_asks_for_more_and_so_leaves_something() -> None:
    assert not list(unreachable(policy(contain("first"), rule("second")).rules))
    assert list(unreachable(policy(rule("first"), contain("second")).rules))


def test_without_a_model_a_number_and_a_level_are_not_compared() -> None:
    assert not list(unreachable(policy(rule("a", min_confidence=0.1), rule("b")).rules))
    assert list(unreachable(policy(rule("a", min_confidence=0.0), rule("b")).rules))


TECHNIQUES = ("T1003", "T1003.001", "T1003.002", "T1059")
probabilities = st.sampled_from([0.0, 0.3, 0.6, 0.8, 1.0])


@st.composite
def criteria(draw: st.DrawFn) -> dict[str, Any]:
    named = draw(st.lists(st.sampled_from(TECHNIQUES), max_size=2, unique=True))
    found: dict[str, Any] = {
        "techniques": named,
        "min_confidence": draw(st.sampled_from(["suspicious", "malicious", "trigger", 0.3, 0.6])),
        "quorum": draw(st.integers(0, 2)),
        "sources": draw(st.sampled_from([[], ["a"], ["a", "b"]])),
        "tags": draw(st.sampled_from([[], [], ["x"], ["x", "y"]])),
        "min_severity": draw(st.sampled_from([None, None, 3, 5])),
        "listed": draw(st.booleans()),
        "when": draw(st.sampled_from([[], [], [{"from": "08:00"}], [{"from": "10:00", "to": "14:00"}]])),
    }
    if named:
        found["technique_probability"] = draw(st.none() | probabilities)
        if "T1003" in named:
            chosen = st.sampled_from(["T1003", "T1003.001", "T1003.002"])
            found["thresholds"] = draw(st.dictionaries(chosen, probabilities, max_size=2))
    return contain("?", **found) if draw(st.booleans()) and draw(st.booleans()) else rule("?", **found)


@st.composite
def seen(draw: st.DrawFn) -> Facts:
    sub = draw(st.sampled_from([None, "T1003.001", "T1003.002"]))
    below = None if sub is None else TechniqueScore(id=sub, probability=draw(probabilities))
    scores = TechniqueScore(id="T1003", probability=draw(probabilities), subtechnique=below)
    return Facts(
        at=later(hours=draw(st.integers(0, 23))) if draw(st.booleans()) else NOW,
        scored=draw(st.sampled_from(["malicious", "suspicious", "benign", "abstain"])),
        p_malicious=draw(probabilities),
        techniques=(scores,),
        passed=tuple(draw(st.lists(st.sampled_from(TECHNIQUES), max_size=3, unique=True))),
        members={"text": draw(probabilities), "rules": draw(st.none() | probabilities)},
        thresholds=Thresholds(),
        source=SourceRef(siem=draw(st.sampled_from("abc")), index="i", id="1"),
        tags=draw(st.frozensets(st.sampled_from("xyz"), max_size=2)),
        severity=draw(st.none() | st.integers(1, 6)),
        listed=draw(st.sampled_from([None, "block"])),
    )


@settings(deadline=None, max_examples=150)
@given(st.lists(criteria(), min_size=2, max_size=5), st.lists(seen(), min_size=5, max_size=5))
def test_no_event_ever_gets_to_a_rule_that_is_called_unreachable(
    tables: list[dict[str, Any]], facts: list[Facts]
) -> None:
    rules = policy(*({**table, "name": str(number)} for number, table in enumerate(tables))).rules
    dead = {read.name for read, _ in unreachable(rules, Thresholds())}
    for known in facts:
        first = next((read.name for read in rules if not any(misses(read, known))), None)
        assert first not in dead
