"""An answer as a change of an alert: written so that the export reads it as any analyst's closing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from connector.learn.export.labels import CAUSED, known_techniques
from connector.learn.export.machine import Machines
from connector.ledger import Ledger, Review
from connector.types import Cause, Disposition, DispositionChange

LONGEST_COMMENT: Final = 2000
LONGEST_NAME: Final = 256

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an analyst says of an event. ``techniques``: none of them (empty), or not said (None)."""

    disposition: Disposition
    techniques: (
        Annotated[tuple[Annotated[str, msgspec.Meta(max_length=16)], ...], msgspec.Meta(max_length=8)] | None
    ) = None
    cause: Cause | None = None
    comment: Annotated[str, msgspec.Meta(max_length=LONGEST_COMMENT)] = ""
    analyst: Name | None = None


def answer(
    ledger: Ledger, review: Review, said: Answer, *, analyst: str, actor: str, machines: Machines
) -> Review | None:
    """Records an answer: a question that was withdrawn stays so. Returns the question as it stands.

    ``actor`` is who stands in the audit log: the one who came in, whoever they answer for. Raises ``ValueError`` for a
    technique that nobody knows, a cause of what is no false alarm, or an analyst without a name, and where ``machines`` tell the analyst as none.
    """
    if machines.is_account(analyst):
        raise ValueError(f"{analyst!r}: a service account's answer labels nothing; name the analyst who answers")
    return ledger.answer_review(review.id, change_of(review, said, analyst), actor)


def change_of(review: Review, said: Answer, analyst: str) -> DispositionChange:
    """The change; its times are the ledger's to set. Raises ``ValueError``, as :func:`answer` does."""
    if not analyst.strip():
        raise ValueError("an answer names its analyst")
    if said.cause is not None and said.disposition not in CAUSED:
        raise ValueError(f"a cause is of false alarms: {', '.join(sorted(CAUSED))}; not of {said.disposition!r}")
    return DispositionChange(
        alert_id=review.id,
        event_ids=(review.event_id,),
        status="closed",
        disposition=said.disposition,
        changed_at=review.asked_at,
        observed_at=review.asked_at,
        analyst=analyst.strip(),
        comment=_comment(said.techniques, said.comment.strip()),
        tags=() if said.cause is None else (f"cause:{said.cause}",),
    )


def _comment(techniques: Sequence[str] | None, comment: str) -> str:
    """The techniques as the export reads them, ended by a full stop, so that nothing of the comment joins them."""
    if techniques is None:
        return comment
    if unknown := [one for one in techniques if not known_techniques([one])]:
        raise ValueError(f"no ATT&CK technique has the id {', '.join(map(repr, unknown))}")
    named = ", ".join(sorted({one.upper() for one in techniques})) or "none"
    return f"technique: {named}. {comment}".strip()
