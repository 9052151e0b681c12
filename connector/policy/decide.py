"""decide: what an event is, and which playbook its rule proposes. A pure function of its arguments."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from connector import identity
from connector.policy.admission import Scope
from connector.policy.alerts import alert_update
from connector.policy.entity import entity_key, entity_of, name_in
from connector.policy.facts import LISTED, Facts, ListName, severity_of, verdict_name
from connector.policy.hysteresis import renewals
from connector.policy.matching import matching
from connector.policy.model import Policy, Rule
from connector.policy.reasons import reasons
from connector.types import (
    Action,
    AlertUpdate,
    Event,
    Json,
    ModelRef,
    Noun,
    PolicyRef,
    Prediction,
    SourceRef,
    Verdict,
    VerdictName,
)

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


class Listed(Noun, frozen=True, kw_only=True):
    """An entry of an allow or block list. ``kind`` is what its value is; ``expires`` None: never."""

    list: ListName
    kind: str
    value: str
    reason: str
    author: str
    expires: datetime | None = None


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
    about: tuple[str, ...] = ()
    """What the site's own tables say of the entity, for people."""
    listed: Listed | None = None
    """The entry of an allow or block list that the event matches."""
    risk: float | None = None
    """The highest of the event's entities, with the event; None where it is benign."""
    incident: str | None = None
    """The incident that the event is part of."""
    last_level: VerdictName | None = None
    bundle_status: str = "ready"
    drift_status: str = "unknown"


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Where windows of ``group`` are counted from."""


class Decision(Noun, frozen=True, kw_only=True):
    """The verdict, and the actions that it proposes; they act only if ``admit`` lets them.

    ``alert``: the change of the alert that the event is. ``renewals``: the cool-downs that begin anew with the event,
    where they are not over.
    """

    verdict: Verdict
    actions: tuple[Action, ...] = ()
    alert: AlertUpdate | None = None
    renewals: tuple[Scope, ...] = ()


def decide(event: Event, prediction: Prediction, context: DecisionContext, policy: Policy) -> Decision:
    """The verdict on an event, and what its rule proposes. A revision after the first never proposes anything.

    An entry of a list has the last word on the verdict's name. What is allowed proposes nothing; what is blocked proposes
    what the model's own scores do, and what rules with ``listed`` say.
    """
    facts = facts_of(event, prediction, context)
    rule = matching(facts, policy)
    record_id = identity.record_id(event.id, context.revision)
    p = prediction.p_malicious
    verdict = Verdict(
        record_id=record_id,
        event_id=event.id,
        revision=context.revision,
        verdict=LISTED[context.listed.list] if context.listed else facts.scored,
        confidence=p if 0.0 <= p <= 1.0 else None,
        techniques=prediction.techniques,
        passed=prediction.passed,
        members=prediction.members,
        model=context.model,
        fingerprint=event.fingerprint,
        source=facts.source,
        origin="" if context.origin_key is None else identity.origin_mark(context.origin_key, record_id),
        timestamp=timestamp_of(event.ecs.get("@timestamp")),
        at=context.now,
        kind=event.kind,
        entity=facts.entity,
        tags=tuple(sorted(context.tags)),
        explanation=(*_explanation(prediction, facts.scored, context), *reasons(rule, facts, policy)),
        policy=_policy_ref(rule, context.listed),
        supersedes=None if context.revision == 1 else identity.record_id(event.id, context.revision - 1),
        severity=facts.severity,
        scored=facts.scored if context.listed else None,
        risk=facts.risk,
        incident=facts.incident,
    )
    acts = rule is not None and policy.enabled and context.revision == 1
    return Decision(
        verdict=verdict,
        alert=alert_update(rule, verdict, event.ref, context.origin_key) if rule and acts else None,
        actions=proposals(rule, verdict, context.now),
        renewals=renewals(facts, entity_key(facts.entity, facts.source), policy) if context.revision == 1 else (),
    )


def facts_of(event: Event, prediction: Prediction, context: DecisionContext) -> Facts:
    """The facts of an event that was just scored; :func:`connector.policy.facts.facts_again` has those of its verdict."""
    return Facts(
        at=context.now,
        scored=verdict_name(prediction, context.thresholds),
        p_malicious=prediction.p_malicious,
        techniques=prediction.techniques,
        passed=prediction.passed,
        members=prediction.members,
        thresholds=context.thresholds,
        source=source_of(event),
        entity=entity_of(event.ecs),
        tags=context.tags,
        severity=severity_of(event.ecs),
        listed=None if context.listed is None else context.listed.list,
        risk=None if context.risk is None else round(context.risk, 1),
        incident=context.incident,
    )


def proposals(rule: Rule | None, verdict: Verdict, now: datetime) -> tuple[Action, ...]:
    """What the rule that matched proposes; nothing where it only suggests, or the verdict is a later revision.

    All verdicts on an entity in one window of a rule with ``group`` propose the same action: it has the same key. So do
    all verdicts of an incident where the rule is about incidents.
    """
    if rule is None or rule.mode == "suggest" or verdict.revision > 1:
        return ()
    whose = entity_key(verdict.entity, verdict.source)
    subject = verdict.event_id
    if rule.group is not None:
        start = (now - (now - EPOCH) % rule.group).isoformat()
        subject = identity.window_subject((rule.name, rule.playbook, rule.soar), whose, start)
    elif rule.incident and verdict.incident is not None:
        subject = identity.incident_subject((rule.name, rule.playbook, rule.soar), verdict.incident)
    action = Action(
        key=identity.action_key(subject, rule.name),
        cause=verdict.record_id,
        rule=rule.name,
        playbook=rule.playbook,
        soar=rule.soar,
        tier=rule.tier,
        mode=rule.mode,
        subject=subject,
        entity=verdict.entity,
        entity_key=whose,
        verdict=verdict,
        proposed_at=now,
    )
    return (action,)


def timestamp_of(value: Json) -> str | None:
    """The value where it is an RFC 3339 date and time with an offset, as it came; else None: a target would refuse it.

    A time that in UTC lies outside the years 1 to 9999 is none either.
    """
    if not isinstance(value, str) or _RFC3339.fullmatch(value) is None:
        return None
    try:
        datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return value


def source_of(event: Event) -> SourceRef:
    """Where the event stands, with the id and the module that its own document names where its SIEM names none."""
    event_id = event.ref.event_id or name_in(event.ecs, "event", "id")
    module = event.ref.module or name_in(event.ecs, "event", "module")
    if event_id is None and module is None:
        return event.ref
    return msgspec.structs.replace(event.ref, event_id=event_id, module=module)


def _policy_ref(rule: Rule | None, listed: Listed | None) -> PolicyRef | None:
    """The rule that matched, else the list."""
    if rule is not None:
        return PolicyRef(rule=rule.name, mode=rule.mode, playbook=rule.playbook)
    return None if listed is None else PolicyRef(rule=f"{listed.list} list", mode=listed.list, playbook=None)


def _explanation(prediction: Prediction, scored: VerdictName, context: DecisionContext) -> tuple[str, ...]:
    told = [] if context.listed is None else [_of_entry(context.listed)]
    if scored == "abstain":
        told.append(f"abstained: {prediction.abstain or 'the model gave no probability'}")
    return (*told, *prediction.explanation, *context.about)


def _of_entry(entry: Listed) -> str:
    until = "for good" if entry.expires is None else f"until {entry.expires.isoformat()}"
    return f"{entry.list} list: {entry.kind} {entry.value}: {entry.reason} ({entry.author}, {until})"
