"""One record of each kind, with every field set."""

from __future__ import annotations

from datetime import UTC, datetime

from connector.types import (
    AlertUpdate,
    Entity,
    EntityRisk,
    Incident,
    IncidentStep,
    LookupEntry,
    ModelRef,
    Note,
    PolicyRef,
    ReviewRequest,
    RiskEvent,
    RunStatus,
    SourceRef,
    TechniqueScore,
    Verdict,
)

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_MODEL = ModelRef(name="tiny", version="1", attack_version="18.1")
_REF = SourceRef(siem="lab", index="events", id="1")
_ENTITY = Entity(host="H1", user="bob", address="10.0.0.1", agent_id="agent-1")
_SCORE = TechniqueScore(id="T1059", probability=0.9, subtechnique=TechniqueScore(id="T1059.001", probability=0.8))

RECORDS = (
    Verdict(
        record_id="v", event_id="e", revision=1, verdict="malicious", confidence=0.9, techniques=(_SCORE,),
        passed=("T1059",), members={"text": 0.9}, model=_MODEL, fingerprint="f", source=_REF, origin=None,
        timestamp="2026-01-01T00:00:00Z", entity=_ENTITY, explanation=("a child of Word",),
        policy=PolicyRef(rule="r", mode="auto", playbook="p"), risk=120.0, incident="i",
    ),
    RunStatus(record_id="r", cause="v", action_key="k", playbook="p", state="failed", detail="no", at=_AT, run_id="5"),
    Note(record_id="n", cause="v", text="a sentence", at=_AT),
    RiskEvent(record_id="x", cause="v", entity=_ENTITY, score=1.0, techniques=("T1059",), message="m", at=_AT),
    EntityRisk(
        record_id="y", entity=_ENTITY, risk=1.0, tactics=("TA0002",), at=_AT, techniques=("T1059",), incident="i", as_of=_AT
    ),
    Incident(
        record_id="i", cause="v", incident="i", entities=(_ENTITY,), tactics=("TA0002",),
        steps=(IncidentStep(technique="T1059", first=_AT, event_id="e", entity=_ENTITY),), risk=120.0, events=2,
        opened=_AT, newest=_AT, at=_AT,
    ),
    AlertUpdate(record_id="u", cause="v", alert=_REF, tags=("a",), note="n", status="closed"),
    ReviewRequest(record_id="q", cause="v", reason="members disagree", at=_AT),
    LookupEntry(
        record_id="l", fingerprint="f", canonical_version="1", model=_MODEL, p_malicious=0.1, techniques=(_SCORE,),
        expires_at=_AT,
    ),
)  # fmt: skip
