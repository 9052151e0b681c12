import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from connector.policy import decide, document, error_document, record_document, risk_score
from connector.types import (
    AlertUpdate,
    Entity,
    EntityRisk,
    LookupEntry,
    ModelRef,
    Note,
    Record,
    ReviewRequest,
    RiskEvent,
    RunStatus,
    SourceRef,
    TechniqueScore,
    Verdict,
)
from tests.policy.cases import NOW, context, event, policy, prediction, rule

FIELDS = {
    "verdict": None,
    "confidence": None,
    "techniques": None,
    "members": None,
    "model": {"name", "version", "attack_version"},
    "fingerprint": None,
    "scope": None,
    "revision": None,
    "supersedes": None,
    "risk": None,
    "incident": None,
    "tags": None,
    "explanation": None,
    "policy": {"rule", "mode", "playbook"},
    "source": {"siem", "index", "id", "event_id", "module"},
    "origin": None,
}
"""DESIGN "Verdict": the fields of ``triaged.*``."""

MODEL = ModelRef(name="m", version="1", attack_version="18.1")
probabilities = st.floats(0, 1)


def verdict(p: float = 0.95, *passed: str, **more: Any) -> Verdict:
    return decide(event(), prediction(p, *passed, **more), context(), policy(rule())).verdict


@settings(deadline=None)
@given(st.one_of(probabilities, st.just(float("nan"))), st.sampled_from([None, "odd"]))
def test_every_field_is_always_present_and_the_document_is_json(p: float, abstain: str | None) -> None:
    found = json.loads(json.dumps(document(verdict(p, abstain=abstain)), allow_nan=False))
    assert found["triaged"].keys() == FIELDS.keys()
    for field, inner in FIELDS.items():
        if inner is not None:
            assert found["triaged"][field].keys() == inner
    for technique in found["triaged"]["techniques"]:
        assert technique.keys() == {"id", "probability", "subtechnique"}


@pytest.mark.parametrize(("p", "named"), [(0.95, True), (0.6, True), (0.3, True), (0.29, False)])
def test_threat_is_written_for_malicious_and_suspicious_only(p: float, named: bool) -> None:
    assert ("threat" in document(verdict(p))) is named
    assert "threat" not in document(verdict(p, abstain="out of distribution"))


def test_threat_names_only_what_passed_with_parents_and_tactics() -> None:
    below = TechniqueScore(id="T1059", probability=0.4)
    found = document(verdict(0.95, "T1003.001", "T9999", techniques=(below,)))
    assert found["threat"] == {
        "framework": "MITRE ATT&CK",
        "tactic": {
            "id": ["TA0006"],
            "name": ["Credential Access"],
            "reference": ["https://attack.mitre.org/tactics/TA0006/"],
        },
        "technique": {
            "id": ["T1003"],
            "name": ["OS Credential Dumping"],
            "reference": ["https://attack.mitre.org/techniques/T1003/"],
            "subtechnique": {
                "id": ["T1003.001"],
                "name": ["LSASS Memory"],
                "reference": ["https://attack.mitre.org/techniques/T1003/001/"],
            },
        },
    }
    assert found["triaged"]["techniques"] == [{"id": "T1059", "probability": 0.4, "subtechnique": None}]
    assert "threat" not in document(verdict(0.95, "T9999"))


@settings(deadline=None)
@given(probabilities, probabilities)
def test_the_risk_score_stays_in_its_band_and_never_falls_as_confidence_rises(one: float, other: float) -> None:
    low, high = sorted((one, other))
    scores = [risk_score(verdict(p)) for p in (low, high)]
    assert scores[0] is not None
    assert scores[1] is not None
    assert 0 <= scores[0] <= scores[1] <= 100


def test_the_risk_score_is_absent_for_an_abstention() -> None:
    assert "risk_score" not in document(verdict(0.95, abstain="odd"))["event"]
    assert document(verdict(1.0))["event"]["risk_score"] == 100
    assert document(verdict(0.0))["event"]["risk_score"] == 0


def test_an_address_that_is_none_is_not_written_into_an_ip_field() -> None:
    for text, written in (("10.0.0.1", {"ip": "10.0.0.1"}), ("not an address", None)):
        decided = decide(event(source={"ip": text}), prediction(), context(), policy()).verdict
        assert document(decided).get("source") == written


RECORDS: list[Record] = [
    RunStatus(record_id="r", cause="c", action_key="k", playbook="p", state="failed", detail="d", at=NOW),
    Note(record_id="r", cause="c", text="t", at=NOW),
    RiskEvent(record_id="r", cause="c", entity=Entity(host="h"), score=1.0, techniques=(), message="m", at=NOW),
    EntityRisk(record_id="r", entity=Entity(host="h"), risk=1.0, tactics=(), at=NOW),
    AlertUpdate(record_id="r", cause="c", alert=SourceRef(siem="s", index="i", id="1"), tags=(), note="n"),
    ReviewRequest(record_id="r", cause="c", reason="why", at=NOW),
    LookupEntry(
        record_id="r",
        fingerprint="f",
        canonical_version="v",
        model=ModelRef(name="m", version="1", attack_version="18.1"),
        p_malicious=0.5,
        techniques=(),
        expires_at=NOW,
    ),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_every_other_record_has_a_document_that_says_its_kind(record: Record) -> None:
    found = json.loads(json.dumps(record_document(record)))
    kind = found["triaged"]["record"]
    assert found["event"]["id"] == "r"
    assert found["triaged"][kind]
    assert found["triaged"]["cause"] == getattr(record, "cause", None)


def test_a_verdict_without_a_mark_has_a_null_origin() -> None:
    decided = decide(event(), prediction(), context(origin_key=None), policy()).verdict
    assert document(decided)["triaged"]["origin"] is None


def test_a_row_without_a_verdict_has_every_field_and_says_why_and_where() -> None:
    found = error_document(SourceRef(siem="files", index="a", id="1"), MODEL, "not JSON", "a:7")
    assert found["triaged"].keys() == {*FIELDS, "error"}
    assert found["triaged"]["error"] == {"reason": "not JSON", "place": "a:7"}
    for field, inner in FIELDS.items():
        if inner is not None:
            assert found["triaged"][field].keys() == inner
    assert "error" not in document(verdict())["triaged"]


def test_a_lookup_entry_is_marked_by_its_scope() -> None:
    assert record_document(RECORDS[-1])["triaged"]["scope"] == "fingerprint"


def test_a_verdict_given_as_a_record_is_the_same_document() -> None:
    assert record_document(verdict()) == document(verdict())
