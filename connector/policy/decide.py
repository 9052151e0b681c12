"""decide: what an event is, and which playbook its rule proposes. A pure function of its arguments."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Protocol

from connector import identity
from connector.attack import catalogue
from connector.policy.entity import entity_key, entity_of
from connector.policy.model import Policy, Rule
from connector.types import Action, Entity, Event, Json, ModelRef, Noun, PolicyRef, Prediction, Verdict, VerdictName

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


class Thresholds(Protocol):
    """The bundle's thresholds on p_malicious: ``suspicious`` <= ``malicious`` <= ``trigger``."""

    @property
    def suspicious(self) -> float:
        """From here on an analyst should look."""
        ...

    @property
    def malicious(self) -> float:
        """From here on the event counts as an attack's."""
        ...

    @property
    def trigger(self) -> float:
        """From here on a playbook may be proposed."""
        ...


class DecisionContext(Noun, frozen=True, kw_only=True):
    """What a decision depends on besides the event: one for a whole batch, but for what is known of the entity."""

    now: datetime
    model: ModelRef
    thresholds: Any
    """A :class:`Thresholds`."""
    members: int
    """How many members the bundle has."""
    origin_key: bytes | None
    """None: the verdict is for a person's eyes and gets no mark, as `triaged classify` prints it."""
    revision: int = 1
    tags: frozenset[str] = frozenset()
    aliases: frozenset[str] = frozenset()
    risk: float | None = None
    incident: str | None = None
    last_level: VerdictName | None = None
    bundle_status: str = "ready"
    drift_status: str = "unknown"


class Decision(Noun, frozen=True, kw_only=True):
    """The verdict, and the actions that it proposes; they act only if ``admit`` lets them."""

    verdict: Verdict
    actions: tuple[Action, ...] = ()


def verdict_name(prediction: Prediction, thresholds: Thresholds) -> VerdictName:
    """The verdict's name, a function of the prediction and two thresholds.

    ``abstain`` where the model abstained or gave no probability; ``malicious`` where p_malicious is at or above that
    threshold; ``suspicious`` where it is at or above that one; else ``benign``.
    """
    p = prediction.p_malicious
    if prediction.abstain is not None or not 0.0 <= p <= 1.0:
        return "abstain"
    if p >= thresholds.malicious:
        return "malicious"
    return "suspicious" if p >= thresholds.suspicious else "benign"


def decide(event: Event, prediction: Prediction, context: DecisionContext, policy: Policy) -> Decision:
    """The verdict on an event, and what its rule proposes. A revision after the first never proposes anything."""
    name = verdict_name(prediction, context.thresholds)
    rule = _matching(prediction, name, context.thresholds, policy)
    entity = entity_of(event.ecs)
    record_id = identity.record_id(event.id, context.revision)
    p = prediction.p_malicious
    verdict = Verdict(
        record_id=record_id,
        event_id=event.id,
        revision=context.revision,
        verdict=name,
        confidence=p if 0.0 <= p <= 1.0 else None,
        techniques=prediction.techniques,
        passed=prediction.passed,
        members=prediction.members,
        model=context.model,
        fingerprint=event.fingerprint,
        source=event.ref,
        origin="" if context.origin_key is None else identity.origin_mark(context.origin_key, record_id),
        timestamp=timestamp_of(event.ecs.get("@timestamp")),
        kind=event.kind,
        entity=entity,
        explanation=_explanation(prediction, name),
        policy=None if rule is None else PolicyRef(rule=rule.name, mode=rule.mode, playbook=rule.playbook),
        supersedes=None if context.revision == 1 else identity.record_id(event.id, context.revision - 1),
    )
    if rule is None or rule.mode == "suggest" or context.revision > 1:
        return Decision(verdict=verdict)
    return Decision(verdict=verdict, actions=(_action(rule, event, entity, verdict, context.now),))


def timestamp_of(value: Json) -> str | None:
    """The value where it is an RFC 3339 date and time with an offset, as it came; else None: a target would refuse it."""
    if not isinstance(value, str) or _RFC3339.fullmatch(value) is None:
        return None
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return None
    return value


def _action(rule: Rule, event: Event, entity: Entity, verdict: Verdict, now: datetime) -> Action:
    return Action(
        key=identity.action_key(event.id, rule.name),
        cause=verdict.record_id,
        rule=rule.name,
        playbook=rule.playbook,
        soar=rule.soar,
        tier=rule.tier,
        mode=rule.mode,
        subject=event.id,
        entity=entity,
        entity_key=entity_key(entity, event),
        verdict=verdict,
        proposed_at=now,
    )


def _explanation(prediction: Prediction, name: VerdictName) -> tuple[str, ...]:
    if name != "abstain":
        return prediction.explanation
    return (f"abstained: {prediction.abstain or 'the model gave no probability'}", *prediction.explanation)


def _matching(prediction: Prediction, name: VerdictName, thresholds: Thresholds, policy: Policy) -> Rule | None:
    """The first rule that matches. Containment never hangs on an abstention or a benign verdict."""
    p = prediction.p_malicious
    if not 0.0 <= p <= 1.0:
        return None
    for rule in policy.rules:
        floor = rule.min_confidence
        if p < (getattr(thresholds, floor) if isinstance(floor, str) else floor):
            continue
        if rule.tier == "contain" and not _may_contain(prediction, name):
            continue
        if rule.techniques is None or not rule.techniques.isdisjoint(_candidates(prediction, rule)):
            return rule
    return None


def _may_contain(prediction: Prediction, name: VerdictName) -> bool:
    known = catalogue().techniques
    return name in {"malicious", "suspicious"} and any(technique in known for technique in prediction.passed)


def _candidates(prediction: Prediction, rule: Rule) -> set[str]:
    """The ids that this rule may match: those that passed the model's threshold, or the rule's own where it has one."""
    if rule.technique_probability is None:
        return set(prediction.passed)
    found = set()
    for technique in prediction.techniques:
        for score in (technique, technique.subtechnique):
            if score is not None and score.probability >= rule.technique_probability:
                found.add(score.id)
    return found
