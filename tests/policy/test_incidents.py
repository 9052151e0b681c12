"""Rules about risk and incidents: what they match, what one action stands for, and that nothing is contained by them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connector.errors import ConfigError
from connector.policy import Policy, Rule
from connector.policy.decide import proposals
from connector.policy.facts import facts_again
from connector.policy.matching import matching
from connector.policy.model import load_playbooks
from connector.policy.reach import unreachable
from connector.resources import shipped
from connector.testing import examples
from connector.testing.clock import START


class Levels(msgspec.Struct, frozen=True):
    suspicious: float = 0.01
    malicious: float = 0.1
    trigger: float = 0.5


def policy(*rules: dict[str, Any]) -> Policy:
    common = {"min_confidence": 0.0, "tier": "ticket", "mode": "auto", "playbook": "notify-on-call"}
    named = [{"name": f"rule {number}", **common, **rule} for number, rule in enumerate(rules)]
    return Policy.build({"rules": named}, load_playbooks(shipped("playbooks")))


def verdict(number: int = 0, **changes: Any) -> Any:
    return msgspec.structs.replace(examples.verdict(number), **changes)


def matched(rules: Policy, **changes: Any) -> Rule | None:
    return matching(facts_again(verdict(**changes), Levels(), START), rules)


def test_a_rule_with_a_risk_matches_from_that_risk_on() -> None:
    rules = policy({"min_risk": 80})
    assert [matched(rules, risk=risk) is not None for risk in (None, 79.9, 80.0, 300.0)] == [False, False, True, True]


def test_a_rule_about_incidents_matches_what_is_part_of_one() -> None:
    rules = policy({"incident": True})
    assert matched(rules, incident=None) is None
    assert matched(rules, incident="one") is not None


def test_all_events_of_an_incident_propose_one_action_and_those_of_another_one_another() -> None:
    (rule,) = policy({"incident": True}).rules
    keys = [
        proposals(rule, verdict(number, incident=incident), START)[0].key
        for number, incident in ((0, "one"), (1, "one"), (2, "two"))
    ]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("more", [{"tier": "contain", "playbook": "isolate-host"}, {"group": "15m"}])
def test_an_incident_is_no_subject_of_a_containment_nor_of_a_window(more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="incident"):
        policy({"incident": True, **more})


def test_a_rule_is_unreachable_only_behind_one_that_asks_for_no_more_risk() -> None:
    def covered(first: dict[str, Any], second: dict[str, Any]) -> bool:
        return bool(list(unreachable(policy(first, second).rules, Levels())))

    assert covered({"min_risk": 50}, {"min_risk": 80})
    assert covered({}, {"incident": True})
    assert not covered({"min_risk": 80}, {"min_risk": 50})
    assert not covered({"min_risk": 80}, {})
    assert not covered({"incident": True}, {})
