import tomllib
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from connector.attack import catalogue
from connector.errors import ConfigError
from connector.policy import Policy
from tests.policy.cases import LOADED, PLAYBOOKS, altered, contain, policy, rule


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"rulez": []},
            "unknown key (did you mean 'rules'?). Keys here: accept, enabled, name, protected, rules, soar",
        ),
        ({"rules": [rule(colldown="1h")]}, "did you mean 'cooldown'?"),
        ({"protected": {"host": ["dc1"]}}, "Keys here: addresses, agents, hosts, tags, users"),
        ({"rules": [rule(techniques=["T1003.099"])]}, "T1003 (OS Credential Dumping)"),
        ({"rules": [rule(techniques=["T1086"])]}, "T1059.001"),
        ({"rules": [rule(tactics=["evasion"])]}, "tactics are: initial-access"),
        ({"rules": [rule(playbook="isolate")]}, "playbooks are: block-indicator, collect-triage-package"),
        ({"rules": [rule(min_confidence="triger")]}, "min_confidence"),
        ({"rules": [rule(min_confidence=1.1)]}, "min_confidence"),
        ({"rules": [rule(mode="automatic")]}, "mode"),
        ({"rules": [rule(tier="kill")]}, "tier"),
        ({"rules": [rule(cooldown="soon")]}, "cooldown"),
        ({"rules": [rule(cooldown="0s")]}, "cooldown"),
        ({"rules": [rule(max_age="999999999d")]}, "max_age"),
        ({"rules": [rule(rate={"runs": 0})]}, "runs"),
        ({"rules": [rule("twice"), rule("twice")]}, "twice"),
        ({"rules": [rule(playbook="isolate-host")]}, "tier must be 'contain'"),
        ({"rules": [contain(group="15m")]}, "the first event of a window would decide for all"),
        ({"protected": {"addresses": ["10.0.0.1/8x"]}}, "addresses"),
        ({"accept": "yes"}, "accept"),
    ],
)
def test_a_wrong_policy_says_what_is_wrong_and_what_would_be_right(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Policy.build(table, LOADED)
    assert message in str(caught.value)


def test_the_shipped_policy_loads_and_runs_no_containment_by_itself() -> None:
    shipped = Policy.load(PLAYBOOKS / "policy.toml", PLAYBOOKS)
    assert shipped.enabled
    assert shipped.soars == {"dryrun"}
    assert not [rule.name for rule in shipped.rules if rule.tier == "contain" and rule.mode == "auto"]
    assert {rule.playbook for rule in shipped.rules} <= set(LOADED)


def test_durations_are_read_as_people_write_them() -> None:
    (read,) = policy(rule(cooldown="90s", max_age="7d", rate={"runs": 3, "per": "15m"})).rules
    assert (read.cooldown, read.max_age, read.rate.per) == (
        timedelta(seconds=90),
        timedelta(days=7),
        timedelta(minutes=15),
    )
    (default,) = policy(rule()).rules
    assert (default.max_age, default.min_confidence) == (timedelta(hours=1), "trigger")


def test_a_rule_looks_back_as_far_as_the_longest_of_what_it_counts() -> None:
    for key, value in (
        ("cooldown", "7d"),
        ("max_age", "7d"),
        ("group", "7d"),
        ("rate", {"runs": 1, "per": "7d"}),
        ("entity_rate", {"runs": 1, "per": "7d"}),
    ):
        (read,) = policy(rule(**{key: value})).rules
        assert read.memory == timedelta(days=7)


def test_a_technique_covers_its_subtechniques_and_a_tactic_its_techniques() -> None:
    (read,) = policy(rule(techniques=["T1003"])).rules
    assert read.techniques == frozenset({"T1003", *(sub.id for sub in catalogue().subtechniques("T1003"))})
    (read,) = policy(rule(tactics=["stealth"])).rules
    assert read.techniques is not None
    assert {t.id for t in catalogue().techniques.values() if "TA0005" in t.tactics} <= read.techniques


def test_a_rule_that_only_suggests_needs_no_soar() -> None:
    assert policy(rule(mode="suggest", soar="absent")).soars == frozenset()
    assert policy(contain(soar="edr"), rule()).soars == {"edr", "dryrun"}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        Policy.load(tmp_path / "none.toml", PLAYBOOKS)
    for text in ("rules = [", "rules = " + "[" * 10**5):
        (tmp_path / "bad.toml").write_text(text)
        with pytest.raises(ConfigError, match="not TOML"):
            Policy.load(tmp_path / "bad.toml", PLAYBOOKS)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_policy_altered_anywhere_is_sound_or_refused_with_a_reason(data: st.DataObject) -> None:
    table = tomllib.loads((PLAYBOOKS / "policy.toml").read_text())
    altered(table, data)
    with suppress(ConfigError):
        assert isinstance(Policy.build(table, LOADED), Policy)
