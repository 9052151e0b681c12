"""Containment fails closed: what must hold before an asset is cut off, and what more before it happens by itself."""

from __future__ import annotations

from connector.attack import catalogue
from connector.policy.admission import AdmissionContext
from connector.policy.entity import MOST_ADDRESSES, may_be_cut, protected_by
from connector.policy.matching import META
from connector.policy.model import Policy, Protected
from connector.types import Action, Mode


def uncontainable(action: Action, mode: Mode, context: AdmissionContext, policy: Policy) -> str | None:
    """Why this containment must not happen in this mode, or None."""
    if not action.entity.agent_id:
        return "containment needs a collector-attested identity (agent.id), and the event has none"
    if protection := protected_by(policy.protected, action.entity, context.aliases, context.tags):
        return f"protected asset ({protection})"
    if _named(policy.protected) and may_be_cut(action.entity):
        return f"the host of the event has {MOST_ADDRESSES} addresses or more: those not looked at may be protected"
    if mode != "auto":
        return None
    missing = next((reason for holds, reason in _needed(action, context, policy) if not holds), None)
    return missing and f"automatic containment {missing}"


def _named(protected: Protected) -> frozenset[str]:
    """The lists that protect by what an event may lie about: only a table of assets says what an agent's host is."""
    return frozenset(kind for kind in ("hosts", "users", "addresses", "tags") if getattr(protected, kind))


def _needed(action: Action, context: AdmissionContext, policy: Policy) -> tuple[tuple[bool, str], ...]:
    """What automatic containment needs, each with what to say where it is missing."""
    verdict = action.verdict
    members = verdict.members.items()
    votes = sum(vote is not None and 0.0 <= vote <= 1.0 for name, vote in members if name != META)
    known = any(technique in catalogue().techniques for technique in verdict.passed)
    untold = ", ".join(sorted(_named(policy.protected) - context.resolved))
    unique = context.uniqueness == "key" or policy.accepts_second_run
    return (
        (votes >= 2, f"needs two members with a view; this verdict has {votes}"),
        (verdict.verdict in {"malicious", "suspicious"}, f"on a verdict {verdict.verdict!r}"),
        (known, "without a known technique"),
        (context.bundle_ready, "without a bundle in production, or before its site layer stands"),
        (not context.drifting, "while the model drifts"),
        (not untold, f"of agent {action.entity.agent_id!r}, maybe protected: no table of assets tells its {untold}"),
        (unique, f"on a SOAR without unique keys ({context.uniqueness})"),
    )
