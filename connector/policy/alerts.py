"""What a rule changes on an event that is itself an alert of its SIEM: tags, a note, and a status only where it says one."""

from __future__ import annotations

from connector import identity
from connector.attack import catalogue
from connector.policy.model import Rule
from connector.types import AlertUpdate, SourceRef, Verdict


def alert_update(rule: Rule, verdict: Verdict, ref: SourceRef, origin_key: bytes | None) -> AlertUpdate | None:
    """The change of the alert that the event is; None where the rule changes none, or the event is none.

    ``ref`` is where the source itself says that the event stands: what the event's text claims names no alert. The
    record's id follows from the verdict and the rule.
    """
    if rule.alert is None or ref.alert is None:
        return None
    record = identity.follow_up_id(verdict.record_id, "alert_update", rule.name)
    return AlertUpdate(
        record_id=record,
        cause=verdict.record_id,
        alert=SourceRef(siem=ref.siem, index=ref.index, id=ref.alert),
        tags=rule.alert.tags,
        note=_note(rule, verdict) if rule.alert.note else "",
        status=rule.alert.status,
        origin="" if origin_key is None else identity.origin_mark(origin_key, record),
    )


def _note(rule: Rule, verdict: Verdict) -> str:
    """A few lines for the analyst. Nothing in them is an event's text."""
    known = catalogue().techniques
    techniques = ", ".join(f"{t} {known[t].name}" for t in verdict.passed if t in known)
    sure = "" if verdict.confidence is None else f" ({verdict.confidence:.4g})"
    lines = [f"Triaged: {verdict.verdict}{sure}{f', {techniques}' if techniques else ''}"]
    lines += [line for line in verdict.explanation if line.startswith(f"rule {rule.name!r} matched: ")][-1:]
    lines.append(f"playbook {rule.playbook} ({rule.mode})")
    return "\n".join(lines)
