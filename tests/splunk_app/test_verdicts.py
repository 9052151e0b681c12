"""What a verdict document adds to an event."""

from __future__ import annotations

import csv

import msgspec
import pytest
from triaged_verdicts import Attack, added_by

from connector.attack import catalogue
from connector.policy.document import document, error_document
from connector.testing import examples
from connector.types import ModelRef, SourceRef, TechniqueScore, Verdict
from tests.splunk_app.search import APP


def made(**changed):
    scores = (
        TechniqueScore(id="T1059", probability=0.9, subtechnique=TechniqueScore(id="T1059.001", probability=0.8)),
        TechniqueScore(id="T1003", probability=0.6, subtechnique=TechniqueScore(id="T1003.001", probability=0.2)),
        TechniqueScore(id="T1033", probability=0.3),
    )
    base = examples.records()[Verdict]
    fields = {
        "verdict": "malicious",
        "confidence": 0.987654,
        "techniques": scores,
        "passed": ("T1003", "T1059", "T1059.001"),
        "explanation": ("first", "second"),
        "model": ModelRef(name="base", version="3", attack_version="18.1"),
        **changed,
    }
    return document(msgspec.structs.replace(base, **fields))


def added(threshold=None, top=None, **changed):
    return added_by(made(**changed), Attack(), threshold, top)


def test_techniques_are_those_that_the_verdict_names_the_most_probable_first():
    found = added()
    assert found["attack_technique"] == ["T1059", "T1059.001", "T1003"]
    assert found["attack_technique_name"] == [
        "Command and Scripting Interpreter",
        "PowerShell",
        "OS Credential Dumping",
    ]
    assert found["attack_tactic"] == ["Execution", "Credential Access"]


def test_the_rest_of_the_verdict_comes_along():
    found = added()
    assert found["triage_confidence"] == ["0.9877"]
    assert found["triage_verdict"] == ["malicious"]
    assert found["triage_explanation"] == ["first", "second"]
    assert found["triage_model"] == ["base 3"]
    assert "triage_error" not in found


@pytest.mark.parametrize(
    ("threshold", "top", "ids"),
    [
        (0.25, None, ["T1059", "T1059.001", "T1003", "T1033"]),
        (0.0, None, ["T1059", "T1059.001", "T1003", "T1003.001", "T1033"]),
        (0.85, None, ["T1059"]),
        (1.0, None, []),
        (0.0, 1, ["T1059", "T1059.001"]),
        (None, 1, ["T1059", "T1059.001"]),
        (None, 2, ["T1059", "T1059.001", "T1003"]),
    ],
)
def test_a_threshold_lists_what_is_probable_and_top_bounds_how_many(threshold, top, ids):
    assert added(threshold, top)["attack_technique"] == ids


def test_a_benign_verdict_names_no_technique_unless_a_threshold_asks_for_them():
    assert added(verdict="benign")["attack_technique"] == []
    assert added(0.5, verdict="benign")["attack_technique"] == ["T1059", "T1059.001", "T1003"]


def test_an_abstention_without_confidence_leaves_it_empty():
    assert added(verdict="abstain", confidence=None)["triage_confidence"] == []


def test_an_event_that_cannot_be_read_says_why():
    ref, model = SourceRef(siem="s", index="i", id="1"), ModelRef(name="base", version="3", attack_version="18.1")
    found = added_by(error_document(ref, model, "no event in it", "events[0]"), Attack())
    assert found == {"triage_model": ["base 3"], "triage_error": ["no event in it"]}


def test_a_technique_that_the_table_does_not_know_is_named_by_its_id():
    assert Attack().named("T9999") == ["T9999"]


def test_the_apps_table_is_the_daemons_catalogue():
    attack = catalogue()
    with (APP / "lookups" / "triaged_attack.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["technique", "name", "tactics"]
    assert rows == [
        [technique.id, technique.name, "|".join(attack.tactics[tactic].name for tactic in technique.tactics)]
        for technique in attack.techniques.values()
    ]
