"""What rules look at: the same facts, whether an event was just scored or its verdict lies in the ledger.

Rules see nothing else. So what a rule would have said of an old verdict can be asked again (``policy explain``,
``policy simulate``), and a criterion that needs more than this must first have its place here and in ``Verdict``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, Protocol, TypeAlias

from connector.types import Document, Entity, Json, Noun, Prediction, SourceRef, TechniqueScore, Verdict, VerdictName

ListName: TypeAlias = Literal["allow", "block"]

LISTED: Final[Mapping[ListName, VerdictName]] = {"allow": "benign", "block": "malicious"}
"""What an entry of a list makes of an event, whatever the model says."""

MOST_SEVERE: Final = 10**9
"""A severity beyond this is none: no product counts that far."""


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


class Facts(Noun, frozen=True, kw_only=True):
    """What is known of one event when its rule is looked for.

    ``at`` is when it is decided; ``p_malicious`` is nan where the model gave none; ``scored`` is the verdict's name by
    the model's own scores, whatever a list says; ``severity`` is ECS ``event.severity``. ``risk`` is the highest of the
    event's entities, and ``incident`` what it is part of; None where it is benign.
    """

    at: datetime
    scored: VerdictName
    p_malicious: float
    techniques: tuple[TechniqueScore, ...]
    passed: tuple[str, ...]
    members: Mapping[str, float | None]
    thresholds: Any
    """A :class:`Thresholds`."""
    source: SourceRef
    entity: Entity = Entity()
    tags: frozenset[str] = frozenset()
    severity: int | None = None
    listed: ListName | None = None
    risk: float | None = None
    incident: str | None = None


def verdict_name(prediction: Prediction, thresholds: Thresholds) -> VerdictName:
    """The verdict's name, a function of the prediction and two thresholds.

    ``abstain`` where the model abstained or gave no probability; ``malicious`` where p_malicious is at or above that
    threshold; ``suspicious`` where it is at or above that one; else ``benign``.
    """
    return "abstain" if prediction.abstain is not None else level(prediction.p_malicious, thresholds)


def level(p: float, thresholds: Thresholds) -> VerdictName:
    """The name that a probability alone gives."""
    if not 0.0 <= p <= 1.0:
        return "abstain"
    if p >= thresholds.malicious:
        return "malicious"
    return "suspicious" if p >= thresholds.suspicious else "benign"


def facts_again(verdict: Verdict, thresholds: Thresholds, at: datetime) -> Facts:
    """The facts of a verdict that was decided before; ``at`` is when, where the verdict is too old to say so itself.

    ``thresholds`` are those of the bundle that scored it. Of a verdict older than its field ``scored``, what a list
    overruled is told from its probability alone, and an entry of a block list only where no rule matched.
    """
    listed = _listed(verdict)
    p = math.nan if verdict.confidence is None else verdict.confidence
    return Facts(
        at=verdict.at or at,
        scored=verdict.scored or (verdict.verdict if listed is None else level(p, thresholds)),
        p_malicious=p,
        techniques=verdict.techniques,
        passed=verdict.passed,
        members=verdict.members,
        thresholds=thresholds,
        source=verdict.source,
        entity=verdict.entity,
        tags=frozenset(verdict.tags),
        severity=verdict.severity,
        listed=listed,
        risk=verdict.risk,
        incident=verdict.incident,
    )


def severity_of(ecs: Document) -> int | None:
    """ECS ``event.severity``: a whole number, or the text of one; anything else is none."""
    node: Json = ecs.get("event")
    value: Json = node.get("severity") if isinstance(node, dict) else ecs.get("event.severity")
    if isinstance(value, str) and len(value) < 11 and value.isascii() and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_SEVERE:
        return None
    return value


def _listed(verdict: Verdict) -> ListName | None:
    if verdict.scored is not None:
        return "allow" if verdict.verdict == LISTED["allow"] else "block"
    mode = None if verdict.policy is None else verdict.policy.mode
    return "allow" if mode == "allow" else "block" if mode == "block" else None
