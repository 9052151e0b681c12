"""admit: whether a proposed action may act now. A pure function; its context is read under the lock of the claim.

::

    Refuse (final)   its rule is gone from today's policy or asks less; older than max_age; a protected asset or an
                     unresolved identity in containment; automatic containment that fails closed; a silence; rejected
                     by a person; the rule's cool-down on this entity
    Wait             a switch that is on; an approval that is pending; a full rate cap, of the playbook or the entity
    Run              otherwise

Refusals come first, so that an action which may never act does not wait, and lifting a switch releases nothing old.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from connector.policy.admission import AdmissionContext, Admitted, Refuse, Run, Scope, Wait
from connector.policy.containment import uncontainable
from connector.policy.model import Policy, RateCap, Rule
from connector.policy.silences import covers
from connector.types import Action, Mode, Tier

KILL_SWITCH = "kill"
"""The switch that stops every playbook."""

DRIFT_SWITCH = "drift"
"""The switch that says that the model drifts: nothing is contained without a person."""

SWITCHED = ("rule", "playbook", "soar")
"""What has switches of its own, ``rule:NAME`` and so on, each stopping the actions that carry the name."""

RECHECK = timedelta(seconds=30)
"""How long an action rests at least before it is looked at again."""

LONGEST_REST = timedelta(minutes=5)
"""How long an action rests at most while a rate cap is full."""

TIERS: tuple[Tier, ...] = ("log", "note", "ticket", "contain")
MODES: tuple[Mode, ...] = ("suggest", "approve", "auto")


def cooldown_scope(rule: str, entity_key: str) -> str:
    """Counts by rule and entity."""
    return f"cooldown:{rule}:{entity_key}"


def rate_scope(action: Action) -> str:
    """Counts by playbook."""
    return f"rate:{action.playbook}"


def entity_scope(action: Action) -> str:
    """Counts by entity, whatever ran on it."""
    return f"entity:{action.entity_key}"


def scopes(action: Action, policy: Policy) -> tuple[Scope, ...]:
    """The scopes that an admitted action is counted under; empty where its rule is gone.

    The entity counts for the rules that cap it, so every rule's actions are counted there.
    """
    rule = policy.rule(action.rule)
    if rule is None:
        return ()
    return (
        Scope(name=cooldown_scope(action.rule, action.entity_key), window=rule.cooldown),
        Scope(name=rate_scope(action), window=rule.rate.per),
        Scope(name=entity_scope(action), window=rule.entity_rate.per if rule.entity_rate else timedelta(0)),
    )


def switched_off(action: Action, switches: frozenset[str], policy: Policy) -> str | None:
    """Why no playbook may start now, or None. Asked again right before the send."""
    if not policy.enabled:
        return "the policy is disabled (enabled = false)"
    if KILL_SWITCH in switches:
        return "the kill switch is on"
    if DRIFT_SWITCH in switches and (action.tier, action.mode) == ("contain", "auto"):
        return "the model drifts (switch drift)"
    stopped = (f"{kind}:{name}" for kind, name in _names(action))
    return next((f"the switch {name} is on" for name in stopped if name in switches), None)


def is_switch(name: str) -> bool:
    """Whether :func:`switched_off` would ever heed a switch of this name."""
    kind, _, thing = name.partition(":")
    return name in {KILL_SWITCH, DRIFT_SWITCH} or (kind in SWITCHED and bool(thing.strip()))


def admit(action: Action, context: AdmissionContext, policy: Policy, now: datetime) -> Admitted:
    """Run, wait, or refuse. Waiting ends by itself: an action older than its rule's ``max_age`` is refused."""
    rule = policy.rule(action.rule)
    if rule is None:
        return Refuse(reason=f"rule {action.rule!r} is not in the policy any more")
    refused = (
        _outdated(action, rule, now)
        or (_tier(action, rule) == "contain" and uncontainable(action, _mode(action, rule), context, policy))
        or _silenced(action, context)
        or _rejected(context)
        or _cooling(action, rule, context, now)
    )
    if refused:
        return Refuse(reason=refused)
    if stopped := switched_off(action, context.switches, policy):
        return Wait(until=now + RECHECK, reason=stopped)
    if _mode(action, rule) == "approve" and (unapproved := _unapproved(context, now)):
        # a person's decision wakes it; nobody needs to look before it is too old
        return Wait(until=max(action.proposed_at + rule.max_age, now + RECHECK), reason=unapproved)
    for cap, scope, whose in _caps(action, rule):
        _, count = context.counted[scope]
        if count >= cap.runs:
            rest = min(cap.per / (cap.runs + 1), LONGEST_REST)  # a full window frees a place that often on average
            return Wait(until=now + max(rest, RECHECK), reason=f"rate cap: {count} runs {whose} in {cap.per}")
    return Run()


def _outdated(action: Action, rule: Rule, now: datetime) -> str | None:
    if (rule.playbook, rule.soar) != (action.playbook, action.soar):
        return f"rule {rule.name!r} now runs playbook {rule.playbook!r} on {rule.soar!r}"
    if rule.mode == "suggest":
        return f"rule {rule.name!r} now only suggests"
    if now - action.proposed_at > rule.max_age:
        return f"older than max_age ({rule.max_age})"
    return None


def _silenced(action: Action, context: AdmissionContext) -> str | None:
    known = (context.aliases, context.tags)
    return next((f"silenced ({s.scope})" for s in context.silences if covers(s.scope, action, *known)), None)


def _cooling(action: Action, rule: Rule, context: AdmissionContext, now: datetime) -> str | None:
    last, _ = context.counted[cooldown_scope(action.rule, action.entity_key)]
    if last is not None and now - last < rule.cooldown:
        over = (last + rule.cooldown).isoformat(timespec="seconds")
        return f"cool-down: rule {rule.name!r} acted on {action.entity_key}, and rests until {over}"
    return None


def _rejected(context: AdmissionContext) -> str | None:
    return "rejected by a person" if context.approval is not None and context.approval.state == "rejected" else None


def _unapproved(context: AdmissionContext, now: datetime) -> str | None:
    approval = context.approval
    if approval is None or approval.state != "approved":
        return "waits for approval"
    if approval.expires_at is not None and approval.expires_at <= now:
        return "the approval has expired"
    return None


def _caps(action: Action, rule: Rule) -> Iterator[tuple[RateCap, str, str]]:
    """The rule's caps, each with its scope, and what it counts."""
    yield rule.rate, rate_scope(action), f"of {rule.playbook!r}"
    if rule.entity_rate is not None:
        yield rule.entity_rate, entity_scope(action), f"on {action.entity_key}"


def _mode(action: Action, rule: Rule) -> Mode:
    """The stricter of the mode that proposed the action and today's."""
    return min(action.mode, rule.mode, key=MODES.index)


def _tier(action: Action, rule: Rule) -> Tier:
    """The higher of the tier that proposed the action and today's."""
    return max(action.tier, rule.tier, key=TIERS.index)


def _names(action: Action) -> tuple[tuple[str, str], ...]:
    return tuple(zip(SWITCHED, (action.rule, action.playbook, action.soar), strict=True))
