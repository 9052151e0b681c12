"""A newer ATT&CK release: what it changes is said, and with its catalogue its new ids train."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from connector.attack import catalogue
from connector.attack.techniques import FOLDER
from connector.errors import ConfigError
from connector.learn.intel import release
from connector.models.store import Store
from connector.models.testbed import lay_bundle

TACTICS = [
    {
        "type": "x-mitre-tactic", "id": f"x-mitre-tactic--{one.id}", "name": one.name,
        "x_mitre_shortname": one.shortname,
        "external_references": [{"source_name": "mitre-attack", "external_id": one.id}],
    }
    for one in catalogue().tactics.values()
    if one.shortname != "defense-evasion"
]  # fmt: skip


def collection(version: str, name: str = release.DOMAIN) -> dict[str, object]:
    return {"type": "x-mitre-collection", "id": "x-mitre-collection--1", "name": name, "x_mitre_version": version}


def technique(number: int, identity: str, name: str, **more: object) -> dict[str, object]:
    return {
        "type": "attack-pattern", "id": f"attack-pattern--{number}", "name": name,
        "modified": "2027-01-01T00:00:00.000Z",
        "external_references": [{"source_name": "mitre-attack", "external_id": identity}],
        "kill_chain_phases": [{"kill_chain_name": "mitre-attack", "phase_name": "execution"}],
        **more,
    }  # fmt: skip


def whole(version: str) -> list[dict[str, object]]:
    """Every technique of the catalogue but two, of which one goes over into a new one and the other is deprecated."""
    gone = {"T1086", "T1033", "T1124"}
    kept = [
        technique(number, one.id, one.name, x_mitre_is_subtechnique=one.parent is not None)
        for number, one in enumerate(catalogue().techniques.values())
        if one.id not in gone
    ]
    return [
        collection(version),
        *TACTICS,
        *kept,
        technique(9001, "T1033", "System Owner/User Discovery", revoked=True),
        technique(9002, "T9033", "Account Discovery of the Session"),
        technique(9003, "T1124", "System Time Discovery", x_mitre_deprecated=True),
        {
            "type": "relationship", "id": "relationship--1", "relationship_type": "revoked-by",
            "source_ref": "attack-pattern--9001", "target_ref": "attack-pattern--9002",
        },
        {"type": "malware", "id": "malware--1"},
        {
            "type": "relationship", "id": "relationship--2", "relationship_type": "uses", "source_ref": "malware--1",
            "target_ref": "attack-pattern--9002", "description": "Tool asks who is logged on.",
            "modified": "2027-01-01T00:00:00.000Z",
        },
    ]  # fmt: skip


def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, since a catalogue is read once a process."""
    command = [sys.executable, "-m", "connector.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **more})


def test_what_a_newer_release_changes_is_said_by_id_and_name() -> None:
    facts = release.read(whole("99.0"))
    assert facts is not None
    assert release.is_newer(facts, catalogue())
    assert list(release.lines(facts, catalogue())) == [
        "ATT&CK 99.0 has 1 techniques that 18.1 lacks, and gave up 2",
        "  new: T9033 (Account Discovery of the Session)",
        "  gone: T1033 (System Owner/User Discovery), now T9033",
        "  gone: T1124 (System Time Discovery), no successor",
        "  tactics: new none; gone defense-evasion: a policy that names one of these is refused until it is changed",
    ]


@pytest.mark.parametrize(
    ("version", "newer"),
    [("18.1", False), ("17.1", False), ("9.0", False), ("18.2", True), ("19", True), ("100.0", True)],
)
def test_versions_are_compared_as_numbers(version: str, newer: bool) -> None:
    facts = release.read(whole(version))
    assert facts is not None
    assert release.is_newer(facts, catalogue()) is newer


def test_a_bundle_that_is_no_release_of_the_enterprise_domain_says_nothing_of_the_catalogue() -> None:
    assert release.read(whole("99.0")[1:]) is None
    assert release.read([collection("99.0", "Mobile ATT&CK"), *whole("99.0")[1:]]) is None


def test_a_release_that_is_damaged_is_refused() -> None:
    broken = technique(1, "T1059", "Command and Scripting Interpreter")
    del broken["kill_chain_phases"]
    with pytest.raises(ConfigError, match=r"ATT&CK 99\.0: an object of the release lacks 'kill_chain_phases'"):
        release.read([collection("99.0"), *TACTICS, broken])


def test_with_the_catalogue_that_the_command_wrote_new_ids_are_read(tmp_path: Path) -> None:
    (tmp_path / "attack.json").write_text(json.dumps({"type": "bundle", "objects": whole("99.0")}))
    order = ["learn", "intel", "--attack", str(tmp_path / "attack.json"), "--output", str(tmp_path / "new")]

    before = run(*order)
    assert before.returncode == 0, before.stderr
    assert "technique ids read as unknown: 1: T9033" in before.stdout
    folder = tmp_path / "new" / "attack"
    assert f"set {FOLDER}={folder}" in before.stdout

    after = run(*order, **{FOLDER: str(folder)})
    assert after.returncode == 0, after.stderr
    assert "technique ids read as exact: 1" in after.stdout
    assert "unknown" not in after.stdout
    assert FOLDER not in after.stdout


def test_a_bundle_of_another_catalogue_is_refused_with_the_name_of_the_variable(tmp_path: Path) -> None:
    lay_bundle(tmp_path, attack_version="99.0")
    assert any("ids of ATT&CK 99.0" in said and FOLDER in said for said in Store(tmp_path).verify("tiny/1"))


def test_a_bundle_of_the_packaged_catalogue_is_refused_with_the_word_to_unset_the_variable(tmp_path: Path) -> None:
    facts = release.read(whole("99.0"))
    assert facts is not None
    lay_bundle(tmp_path / "store")
    more = {FOLDER: str(release.write(facts, tmp_path)), "TRIAGED_MODEL__STORE": str(tmp_path / "store")}
    done = run("model", "verify", **more)
    assert done.returncode == 1
    assert f"the catalogue here is of 99.0: unset {FOLDER}\n" in done.stdout


def test_names_of_a_release_cannot_steer_the_terminal(tmp_path: Path) -> None:
    facts = whole("99.0\x07\x1b[1m")
    steering = technique(9002, "T9033\x1b[2J\b", "Account\x1b]0;x\x07 Discovery\r\n  new: T9999 (forged)")
    facts = [steering if one["id"] == steering["id"] else one for one in facts]
    (tmp_path / "attack.json").write_text(json.dumps({"type": "bundle", "objects": facts}))
    done = run("learn", "intel", "--attack", str(tmp_path / "attack.json"), "--output", str(tmp_path / "new"))
    assert done.returncode == 0, done.stderr
    assert all(line.isprintable() for line in done.stdout.split("\n"))
    assert "\n  new: T9033" in done.stdout
    assert "\n  new: T9999" not in done.stdout


def test_ids_that_the_release_gave_up_lead_on_and_its_absent_tactics_are_unknown(tmp_path: Path) -> None:
    facts = release.read(whole("99.0"))
    assert facts is not None
    release.write(facts, tmp_path)
    asked = (
        "from connector.attack import catalogue, migrate;"
        "print(catalogue().version, *migrate('T1033').ids, migrate('T1124').kind, catalogue().tactic('stealth'))"
    )
    command = [sys.executable, "-c", asked]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, FOLDER: str(tmp_path)}
    )
    assert done.stdout.split() == ["99.0", "T9033", "unknown", "None"]


def test_a_folder_without_a_catalogue_is_said(tmp_path: Path) -> None:
    done = run("model", "verify", **{FOLDER: str(tmp_path)})
    assert done.returncode == 2
    assert f"{FOLDER}={tmp_path}" in done.stderr
