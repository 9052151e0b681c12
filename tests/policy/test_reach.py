from random import Random
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from connector.policy.facts import Facts
from connector.policy.matching import misses
from connector.policy.reach import unreachable
from connector.types import SourceRef, TechniqueScore
from tests.policy.cases import Thresholds, contain, later, policy, rule

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
PROBABILITIES = (0.0, 0.3, 0.6, 0.8, 1.0)
CRITERIA: dict[str, list[Any]] = {
    "techniques": [["T1003"], ["T1003"], ["T1003.001"], ["T1003", "T1059"], ["T1059"], []],
    "technique_probability": [None, None, 0.3, 0.6, 0.8],
    "thresholds": [
        {},
        {},
        {"T1003.001": 0.6},
        {"T1003.001": "trigger"},
        {"T1003.002": 0.3},
        {"T1003": 0.3, "T1003.001": 0.6},
    ],
    "min_confidence": ["suspicious", "malicious", "trigger", 0.3, 0.6],
    "quorum": [0, 0, 1, 2],
    "sources": [[], [], ["a"], ["a", "b"]],
    "tags": [[], [], ["x"], ["x", "y"]],
    "min_severity": [None, None, 3, 5],
    "listed": [False, True],
    "when": [[], [], [{"from": "08:00"}], [{"from": "10:00", "to": "14:00"}]],
    "tier": ["ticket", "ticket", "contain"],
}


def table(criteria: dict[str, Any], name: str) -> dict[str, Any]:
    """The rule of some criteria, without the thresholds that it could not have."""
    named = criteria["techniques"]
    thresholds = {t: floor for t, floor in criteria["thresholds"].items() if t in named or t.partition(".")[0] in named}
    probability = criteria["technique_probability"] if named else None
    made = {**criteria, "thresholds": thresholds, "technique_probability": probability}
    return (contain if made["tier"] == "contain" else rule)(name, **made)


@st.composite
def alike(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A few rules that differ in little, as those do of which one hides another."""
    base = {key: draw(st.sampled_from(values)) for key, values in CRITERIA.items()}
    tables = [base]
    for _ in range(draw(st.integers(1, 3))):
        changed = draw(st.sets(st.sampled_from(sorted(CRITERIA)), max_size=2))
        tables.append({**base, **{key: draw(st.sampled_from(CRITERIA[key])) for key in sorted(changed)}})
    return [table(criteria, str(number)) for number, criteria in enumerate(tables)]


def seen(dice: Random) -> Facts:
    sub = dice.choice(["T1003.001", "T1003.001", "T1003.002", None])
    below = None if sub is None else TechniqueScore(id=sub, probability=dice.choice(PROBABILITIES))
    return Facts(
        at=later(hours=dice.choice([0, 6, 12, 18])),
        scored=dice.choice(["malicious", "suspicious", "benign", "abstain"]),
        p_malicious=dice.choice(PROBABILITIES),
        techniques=(TechniqueScore(id="T1003", probability=dice.choice(PROBABILITIES), subtechnique=below),),
        passed=tuple(dice.sample(TECHNIQUES, dice.randint(0, 3))),
        members={"text": dice.choice(PROBABILITIES), "rules": dice.choice([None, *PROBABILITIES])},
        thresholds=Thresholds(),
        source=SourceRef(siem=dice.choice("aab"), index="i", id="1"),
        tags=frozenset(dice.sample("xyz", dice.randint(0, 2))),
        severity=dice.choice([None, 3, 5]),
        listed=dice.choice([None, None, "block"]),
    )


SEEN = [seen(Random(number)) for number in range(1500)]


def nobody_gets_there(tables: list[dict[str, Any]]) -> None:
    rules = policy(*tables).rules
    dead = {read.name for read, _ in unreachable(rules, Thresholds())}
    for known in SEEN if dead else ():
        first = next((read.name for read in rules if not any(misses(read, known))), None)
        assert first not in dead


@settings(deadline=None, max_examples=60)
@given(alike())
def test_no_event_ever_gets_to_a_rule_that_is_called_unreachable(tables: list[dict[str, Any]]) -> None:
    nobody_gets_there(tables)


@pytest.mark.full
@settings(deadline=None, max_examples=2000)
@given(alike())
def test_no_event_ever_gets_to_one_of_many_rules_that_are_called_unreachable(tables: list[dict[str, Any]]) -> None:
    nobody_gets_there(tables)
