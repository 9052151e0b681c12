"""Records as ECS documents: the one contract of what Triaged writes, whatever the target.

``event.risk_score`` (0–100) follows from the verdict's name and confidence alone, so that it means the same everywhere::

    benign       0 + 21 × confidence      "low" where risk scores are read in Elastic's bands
    suspicious  47 + 26 × confidence      "medium" to "high"
    malicious   74 + 26 × confidence      "critical"
    abstain      absent

Within one bundle it never falls while the confidence rises. ECS field reference: https://www.elastic.co/guide/en/ecs/current/
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from connector.attack import Technique, catalogue
from connector.policy.entity import as_address
from connector.types import (
    Entity,
    EntityRisk,
    LookupEntry,
    ModelRef,
    PolicyRef,
    Record,
    ReviewRequest,
    SourceRef,
    TechniqueScore,
    Verdict,
    VerdictName,
)

RISK: dict[VerdictName, tuple[float, float]] = {"benign": (0, 21), "suspicious": (47, 26), "malicious": (74, 26)}
FRAMEWORK = "MITRE ATT&CK"
LEVELS = ((90, "Critical"), (70, "High"), (40, "Moderate"), (20, "Low"), (0, "Unknown"))


def document(verdict: Verdict) -> dict[str, Any]:
    """The verdict as an ECS document. Every ``triaged.*`` field is present, null where there is no value."""
    event: dict[str, Any] = {"id": verdict.event_id, "kind": "enrichment"}
    risk = risk_score(verdict)
    if risk is not None:
        event["risk_score"] = risk
    found: dict[str, Any] = {"event": event, "triaged": _triaged(verdict), **_entity(verdict.entity)}
    if verdict.timestamp is not None:
        found["@timestamp"] = verdict.timestamp
    if verdict.verdict in {"malicious", "suspicious"} and (threat := threat_of(verdict.passed)):
        found["threat"] = threat
    return found


def record_document(record: Record) -> dict[str, Any]:
    """Any record as an ECS document. What is not a verdict stands under ``triaged.<kind of record>``."""
    if isinstance(record, Verdict):
        return document(record)
    fields: dict[str, Any] = msgspec.to_builtins(record)
    kind = fields.pop("type")
    triaged: dict[str, Any] = {
        "record": kind,
        "cause": fields.pop("cause", None),
        "origin": fields.pop("origin", None) or None,
    }
    if isinstance(record, LookupEntry):
        triaged["scope"] = "fingerprint"
    if isinstance(record, ReviewRequest):
        triaged["needs_label"] = fields.pop("open")
    found: dict[str, Any] = {
        "event": {"id": fields.pop("record_id"), "kind": "enrichment", "action": kind},
        "triaged": {**triaged, kind: fields},
    }
    if "at" in fields:
        found["@timestamp"] = fields["at"]
    if isinstance(record, EntityRisk):
        found |= _risk_fields(record)
    return found


def normalised(risk: float) -> float:
    """A risk, which has no upper limit, from 0 to 100: 50 points are in the middle, and each 50 more halve what is left."""
    return round(100.0 * (1.0 - math.exp2(-risk / 50.0)), 2)


def risk_level(risk: float) -> str:
    """The level of a risk, as Elastic's entity risk scoring names it."""
    return next(name for least, name in LEVELS if normalised(risk) >= least)


def _risk_fields(record: EntityRisk) -> dict[str, Any]:
    """ECS ``host.risk.*`` or ``user.risk.*``. ECS has no such fields for an address."""
    for group, name in (("host", record.entity.host), ("user", record.entity.user)):
        if name is not None:
            risk = {
                "calculated_score": record.risk,
                "calculated_score_norm": normalised(record.risk),
                "calculated_level": risk_level(record.risk),
            }
            return {group: {"name": name, "risk": risk}}
    return {}


def error_document(ref: SourceRef, model: ModelRef, reason: str, place: str) -> dict[str, Any]:
    """The row of an event that got no verdict: the same fields, null, and ``triaged.error`` with reason and place."""
    return {
        "event": {"kind": "pipeline_error"},
        "error": {"message": reason},
        "triaged": {
            "verdict": None,
            "confidence": None,
            "techniques": [],
            "members": {},
            "model": _model(model),
            "fingerprint": None,
            "scope": "event",
            "revision": None,
            "supersedes": None,
            "risk": None,
            "incident": None,
            "tags": [],
            "explanation": [],
            "policy": _policy(None),
            "source": _source(ref),
            "origin": None,
            "error": {"reason": reason, "place": place},
        },
    }


def risk_score(verdict: Verdict) -> float | None:
    """0 to 100, two decimals; None for an abstention."""
    band = RISK.get(verdict.verdict)
    if band is None or verdict.confidence is None:
        return None
    low, width = band
    return round(low + width * verdict.confidence, 2)


def threat_of(passed: Sequence[str]) -> dict[str, Any] | None:
    """``threat.*`` for techniques above their threshold: parents, sub-techniques and their tactics, each once."""
    attack = catalogue()
    techniques: dict[str, Technique] = {}
    subtechniques: dict[str, Technique] = {}
    for technique in map(attack.technique, passed):
        if technique is None:
            continue
        if technique.parent is None:
            techniques[technique.id] = technique
        else:
            subtechniques[technique.id] = technique
            techniques.setdefault(technique.parent, attack.techniques[technique.parent])
    if not techniques:
        return None
    everything = (*techniques.values(), *subtechniques.values())
    tactics = {tactic: attack.tactics[tactic] for technique in everything for tactic in technique.tactics}
    return {
        "framework": FRAMEWORK,
        "tactic": _columns(tuple(tactics.values())),
        "technique": _columns(tuple(techniques.values()))
        | ({"subtechnique": _columns(tuple(subtechniques.values()))} if subtechniques else {}),
    }


def address_of(entity: Entity) -> str | None:
    """The source address as its type writes it; None where there is none, or one with a zone, which is any text again."""
    address = as_address(entity.address)
    return None if address is None or "%" in str(address) else str(address)


def _columns(things: Sequence[Any]) -> dict[str, Any]:
    return {
        "id": [thing.id for thing in things],
        "name": [thing.name for thing in things],
        "reference": [thing.url for thing in things],
    }


def _entity(entity: Entity) -> dict[str, Any]:
    named = {
        "host": {"name": entity.host},
        "user": {"name": entity.user},
        "source": {"ip": address_of(entity)},
        "agent": {"id": entity.agent_id},
    }
    return {group: fields for group, fields in named.items() if all(fields.values())}


def _triaged(verdict: Verdict) -> dict[str, Any]:
    return {
        "verdict": verdict.verdict,
        "confidence": verdict.confidence,
        "techniques": [_score(score) for score in verdict.techniques],
        "members": {name: _number(vote) for name, vote in verdict.members.items()},
        "model": _model(verdict.model),
        "fingerprint": verdict.fingerprint,
        "scope": verdict.scope,
        "revision": verdict.revision,
        "supersedes": verdict.supersedes,
        "risk": verdict.risk,
        "incident": verdict.incident,
        "tags": list(verdict.tags),
        "explanation": list(verdict.explanation),
        "policy": _policy(verdict.policy),
        "source": _source(verdict.source),
        "origin": verdict.origin or None,
    }


def _model(model: ModelRef) -> dict[str, str]:
    return {"name": model.name, "version": model.version, "attack_version": model.attack_version}


def _policy(policy: PolicyRef | None) -> dict[str, str | None]:
    if policy is None:
        return {"rule": None, "mode": None, "playbook": None}
    return {"rule": policy.rule, "mode": policy.mode, "playbook": policy.playbook}


def _source(ref: SourceRef) -> dict[str, str | None]:
    return {"siem": ref.siem, "index": ref.index, "id": ref.id, "event_id": ref.event_id, "module": ref.module}


def _number(value: float | None) -> float | None:
    """JSON has no nan: a number that is none is null."""
    return value if value is not None and math.isfinite(value) else None


def _score(score: TechniqueScore) -> dict[str, Any]:
    sub = score.subtechnique
    return {
        "id": score.id,
        "probability": _number(score.probability),
        "subtechnique": None if sub is None else {"id": sub.id, "probability": _number(sub.probability)},
    }
