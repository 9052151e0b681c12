"""A stored verdict gives the facts that the event gave, so that rules asked again say what they said."""

from __future__ import annotations

import math

import msgspec
import pytest

from connector.policy import Listed, decide
from connector.policy.decide import facts_of
from connector.policy.facts import facts_again, severity_of
from connector.types import Verdict
from tests.policy.cases import NOW, Thresholds, context, event, policy, prediction, rule


def entry(name: str) -> Listed:
    return Listed(list=name, kind="host", value="ws-7", reason="known", author="anna")


@pytest.mark.parametrize("listed", [None, "allow", "block"])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.7, 0.95])
@pytest.mark.parametrize("abstain", [None, "out of distribution"])
def test_a_verdict_gives_the_facts_of_its_event_through_the_ledger_too(listed, p, abstain) -> None:
    one = event(host={"name": "ws-7"}, event={"severity": 47})
    scored = prediction(p, abstain=abstain)
    known = context(tags=frozenset({"vip"}), listed=entry(listed) if listed else None)
    verdict = decide(one, scored, known, policy(rule(listed=True))).verdict
    kept = msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict)
    assert facts_again(kept, Thresholds(), NOW) == facts_of(one, scored, known)


def test_a_verdict_without_a_probability_gives_none() -> None:
    verdict = decide(event(), prediction(math.nan), context(), policy()).verdict
    assert math.isnan(facts_again(verdict, Thresholds(), NOW).p_malicious)


@pytest.mark.parametrize(
    ("severity", "read"),
    [(47, 47), ("73", 73), (0, 0), (True, None), (4.5, None), (-1, None), ("high", None), (10**30, None), ("٣", None)],
)
def test_a_severity_is_a_whole_number_or_the_text_of_one(severity, read) -> None:
    assert severity_of({"event": {"severity": severity}}) == severity_of({"event.severity": severity}) == read
