import json
import re
import tarfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connector.attack import catalogue
from connector.attack.generate import build, main, objects
from connector.attack.techniques import FACTS
from connector.errors import ConfigError, PermanentError


def test_every_subtechnique_has_a_live_parent_and_every_technique_a_tactic() -> None:
    facts = catalogue()
    assert len(facts.tactics) == 14
    for technique in facts.techniques.values():
        assert technique.tactics
        assert all(facts.tactics[tactic].id == tactic for tactic in technique.tactics)
        if technique.parent is not None:
            assert technique.id.startswith(f"{technique.parent}.")
            assert facts.techniques[technique.parent].parent is None


def test_looks_up_by_id_and_by_name_without_regard_to_case() -> None:
    facts = catalogue()
    assert facts.version == "18.1"
    assert facts.technique("t1059.001") is facts.technique("T1059.001")
    assert facts.find("powershell").id == "T1059.001"
    assert facts.find("OS Credential Dumping: LSASS Memory").id == "T1003.001"
    assert facts.technique("T1059.001").url == "https://attack.mitre.org/techniques/T1059/001/"
    assert "T1003.001" in {sub.id for sub in facts.subtechniques("T1003")}
    assert {technique.id for technique in facts.parents} >= {"T1003", "T1059"}
    assert facts.technique("T0000") is None


def test_v19_tactics_read_as_defense_evasion() -> None:
    facts = catalogue()
    assert facts.tactic("stealth") is facts.tactic("Defense-Impairment") is facts.tactic("TA0005")
    assert facts.tactic("credential-access").name == "Credential Access"
    assert facts.tactic("no such tactic") is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("T1003.099", "T1003 (OS Credential Dumping)"),
        ("powershel", "T1059.001 (PowerShell)"),
        ("T1086", "T1059.001"),
        ("T1034", "deprecated"),
    ],
)
def test_an_unknown_id_names_what_may_be_meant(text: str, names: str) -> None:
    with pytest.raises(PermanentError, match=re.escape(names)):
        catalogue().find(text)


def test_a_name_that_two_techniques_share_is_not_guessed() -> None:
    with pytest.raises(PermanentError, match=r"T1587\.001 \(Malware\), T1588\.001 \(Malware\)"):
        catalogue().find("Malware")


def attack_pattern(number: str, external_id: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "attack-pattern",
        "id": f"attack-pattern--{number}",
        "name": f"Name {number}",
        "modified": "2025-01-01T00:00:00.000Z",
        "external_references": [{"source_name": "mitre-attack", "external_id": external_id}],
        "kill_chain_phases": [{"kill_chain_name": "mitre-attack", "phase_name": "execution"}],
        **more,
    }


def revoked_by(old: str, new: str) -> dict[str, Any]:
    return {
        "type": "relationship",
        "relationship_type": "revoked-by",
        "id": f"relationship--{old}{new}",
        "source_ref": f"attack-pattern--{old}",
        "target_ref": f"attack-pattern--{new}",
    }


TACTIC = {
    "type": "x-mitre-tactic",
    "id": "x-mitre-tactic--1",
    "name": "Execution",
    "x_mitre_shortname": "execution",
    "external_references": [{"source_name": "mitre-attack", "external_id": "TA0002"}],
}


def test_revocations_are_followed_to_the_live_end_even_in_a_ring() -> None:
    stix = [
        TACTIC,
        attack_pattern("a", "T0001", revoked=True),
        attack_pattern("b", "T0002", revoked=True),
        attack_pattern("c", "T0003"),
        attack_pattern("d", "T0004", revoked=True),
        attack_pattern("e", "T0005", x_mitre_deprecated=True),
        revoked_by("a", "b"),
        revoked_by("b", "c"),
        revoked_by("d", "d"),
    ]
    facts = build(iter(stix), "0")
    assert facts.revoked == {"T0001": ("T0003",), "T0002": ("T0003",)}
    assert facts.deprecated == ("T0004", "T0005")
    assert [technique.id for technique in facts.techniques] == ["T0003"]


def test_a_tar_an_unpacked_tree_and_a_bundle_give_the_same_facts(tmp_path: Path) -> None:
    folder = tmp_path / "mitre" / "cti" / "enterprise-attack"
    for item in (TACTIC, attack_pattern("a", "T0001")):
        path = folder / item["type"] / f"{item['id']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"type": "bundle", "objects": [item]}))
    with tarfile.open(tmp_path / "cti.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "mitre", "mitre")
    other = {"type": "malware", "id": "malware--1"}
    released = {"type": "bundle", "objects": [TACTIC, attack_pattern("a", "T0001"), other]}
    (tmp_path / "release.json").write_text(json.dumps(released))
    facts = set()
    for corpus in (tmp_path / "mitre", tmp_path / "cti.tar.gz", tmp_path / "release.json"):
        assert main([str(corpus), "--version", "0", "--out", str(tmp_path / "facts")]) == 0
        facts.add((tmp_path / "facts").read_bytes())
    assert len(facts) == 1


def test_a_tree_without_techniques_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="checkout of mitre/cti"):
        build(objects(tmp_path), "0")


def test_the_committed_facts_are_what_the_corpus_gives(corpora: Path) -> None:
    facts = build(objects(corpora / "mitre__cti.tar.xz"), "18.1")
    assert msgspec.json.format(msgspec.json.encode(facts), indent=1) + b"\n" == FACTS.read_bytes()
