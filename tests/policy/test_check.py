from pathlib import Path
from typing import Any

import pytest

from connector import wiring
from connector.errors import ConfigError
from connector.models.testbed import lay_bundle, lay_text_member, text_spec
from connector.policy import Policy
from connector.policy.assets import read_assets
from connector.policy.check import Site, findings
from tests.policy.cases import PLAYBOOKS, policy, rule

ASSETS = """host,agent,address,user,tags
dc01.corp.example,agent-dc,10.1.0.0/16,,domain-controller
,,,Anna,vip
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    table = tmp_path / "assets.csv"
    table.write_text(ASSETS)
    return Site(
        soars=frozenset({"dryrun"}),
        sources=frozenset({"elastic-prod"}),
        labels=frozenset({"T1003", "T1003.001"}),
        members=1,
        assets=tuple(read_assets([table])),
    )


@pytest.mark.parametrize(
    ("criteria", "finding"),
    [
        ({"soar": "edr"}, "no SOAR 'edr' in the settings; there are: dryrun"),
        ({"sources": ["elastic"]}, "no source has the deployment elastic; there are: elastic-prod"),
        ({"tags": ["crown-jewel"]}, "no row of the tables of assets has the tag crown-jewel"),
        ({"quorum": 2}, "a quorum of 2 cannot come together: the model in production has 1 member(s)"),
        ({"techniques": ["T1595"]}, "the model in production tells none of its techniques"),
        ({"tactics": ["reconnaissance"]}, "the model in production tells none of its techniques"),
    ],
)
def test_a_name_that_this_site_does_not_know_is_found(site: Site, criteria: dict[str, Any], finding: str) -> None:
    assert findings(policy(rule(**criteria)), site) == [f"rule 'r': {finding}"]
    assert findings(policy(rule(**criteria)), Site()) == []


def test_the_member_that_reads_all_others_is_not_counted_for_a_quorum(tmp_path: Path) -> None:
    specs = [text_spec(name) for name in ("rules", "meta")]
    for spec in specs:
        lay_text_member(tmp_path / "tiny" / "1" / spec.directory)
    lay_bundle(tmp_path, members=specs)
    settings = wiring.load_settings(None)
    model = settings.model.model_copy(update={"store": tmp_path, "bundle": "tiny/1"})
    known = wiring.site(settings.model_copy(update={"model": model}))
    assert known.members == 2


def test_what_this_site_knows_is_no_finding(site: Site) -> None:
    known = rule(sources=["elastic-prod"], tags=["vip"], quorum=1, techniques=["T1003.001", "T1595"])
    assert findings(policy(known, rule("suggests", mode="suggest", soar="edr", techniques=["T1003"])), site) == []


@pytest.mark.parametrize(
    ("protected", "known"),
    [
        ({"hosts": ["DC*"]}, True),
        ({"hosts": ["dc01"]}, True),  # as a host is matched: by its short name too
        ({"hosts": ["lmr-*", "ws-*"]}, False),
        ({"agents": ["agent-dc"]}, True),
        ({"agents": ["agent-7"]}, False),
        ({"users": ["anna"]}, True),
        ({"users": ["svc-*"]}, False),
        ({"addresses": ["10.1.2.0/24"]}, True),
        ({"addresses": ["10.2.0.0/24", "fd00::/8"]}, False),
        ({"tags": ["domain-controller"]}, True),
        ({"tags": ["crown-jewel"]}, False),
    ],
)
def test_a_protected_list_that_matches_nothing_known_is_found(
    site: Site, protected: dict[str, Any], known: bool
) -> None:
    (kind,) = protected
    found = findings(policy(protected=protected), site)
    assert [finding.partition(" ")[0] for finding in found] == ([] if known else [f"protected.{kind}"])
    assert findings(policy(protected=protected), Site()) == []


def test_a_rule_that_is_never_reached_is_found_with_those_that_hide_it() -> None:
    (found,) = findings(policy(rule("all"), rule("dumping", techniques=["T1003"])), Site())
    assert found == "rule 'dumping' is never reached: what it matches is matched before by 'all'"


def test_the_shipped_policy_has_no_findings() -> None:
    shipped = Policy.load(PLAYBOOKS / "policy.toml", PLAYBOOKS)
    assert findings(shipped, Site(soars=frozenset({"dryrun"}))) == []


def test_every_unknown_technique_and_playbook_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        policy(rule(techniques=["T1003.099", "T1086"]))
    assert "T1003 (OS Credential Dumping)" in str(caught.value)
    assert "T1059.001" in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        policy(rule("a", playbook="isolate"), rule("b", playbook="isolate-host"))
    assert "rule 'a': no playbook 'isolate'" in str(caught.value)
    assert "rule 'b': playbook 'isolate-host' contains" in str(caught.value)
