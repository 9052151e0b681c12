"""decide: what an event is, and which playbook its rule proposes. A pure function of its arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from connector import identity
from connector.attack import catalogue
from connector.policy.entity import entity_key, entity_of, name_in
from connector.policy.model import Policy, Rule
from connector.types import (
    Action,
    Entity,
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


ListName: TypeAlias = Literal["allow", "block"]


class Listed(Noun, frozen=True, kw_only=True):
    """An entry of an allow or block list. ``kind`` is what its value is; ``expires`` None: never."""

    list: ListName
    kind: str
    value: str
    reason: str
    author: str
    expires: datetime | None = None


LISTED: Mapping[ListName, VerdictName] = {"allow": "benign", "block": "malicious"}
"""What an entry makes of an event, whatever the model says."""


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
    """The verdict on an event, and what its rule proposes. A revision after the first never proposes anything.

    An entry of a list has the last word on the verdict's name. What is allowed proposes nothing; what is blocked proposes
    what the model's own scores do, and what rules with ``listed`` say.
    """
    scored = verdict_name(prediction, context.thresholds)
    name = LISTED[context.listed.list] if context.listed else scored
    rule = _matching(prediction, scored, context, policy)
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
        source=source_of(event),
        origin="" if context.origin_key is None else identity.origin_mark(context.origin_key, record_id),
        timestamp=timestamp_of(event.ecs.get("@timestamp")),
        at=context.now,
        kind=event.kind,
        entity=entity,
        tags=tuple(sorted(context.tags)),
        explanation=_explanation(prediction, scored, context),
        policy=_policy_ref(rule, context.listed),
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


def source_of(event: Event) -> SourceRef:
    """Where the event stands, with the id and the module that its own document names."""
    event_id, module = name_in(event.ecs, "event", "id"), name_in(event.ecs, "event", "module")
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


def _matching(prediction: Prediction, scored: VerdictName, context: DecisionContext, policy: Policy) -> Rule | None:
    """The first rule that matches; none for what is allowed."""
    if context.listed is not None and context.listed.list == "allow":
        return None
    return next((rule for rule in policy.rules if _matches(rule, prediction, scored, context)), None)


def _matches(rule: Rule, prediction: Prediction, scored: VerdictName, context: DecisionContext) -> bool:
    """By the model's own scores, or because the event is blocked and the rule says that this is enough.

    Containment never hangs on an abstention, a benign verdict, or an event without a known technique.
    """
    if rule.tags is not None and rule.tags.isdisjoint(context.tags):
        return False
    contains = rule.tier == "contain"
    if rule.listed and context.listed is not None and (not contains or _may_contain(prediction, "malicious")):
        return True
    p, floor = prediction.p_malicious, rule.min_confidence
    if not 0.0 <= p <= 1.0 or p < (getattr(context.thresholds, floor) if isinstance(floor, str) else floor):
        return False
    if contains and not _may_contain(prediction, scored):
        return False
    return rule.techniques is None or not rule.techniques.isdisjoint(_candidates(prediction, rule))


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
