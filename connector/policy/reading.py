"""A verdict read back from its document, as ``classify``, the API and the SIEMs give it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from connector import identity
from connector.errors import PermanentError
from connector.policy.entity import name_in
from connector.types import Document, Entity, Json, ModelRef, PolicyRef, SourceRef, TechniqueScore, Verdict, VerdictName


class _Policy(msgspec.Struct, frozen=True):
    rule: str | None = None
    mode: str | None = None
    playbook: str | None = None


class _Triaged(msgspec.Struct, frozen=True, kw_only=True):
    """``triaged.*`` of a verdict's document."""

    verdict: VerdictName
    confidence: float | None
    techniques: tuple[TechniqueScore, ...]
    model: ModelRef
    fingerprint: str
    source: SourceRef
    revision: int = 1
    members: Mapping[str, float | None] = {}
    scope: str = "event"
    supersedes: str | None = None
    risk: float | None = None
    incident: str | None = None
    tags: tuple[str, ...] = ()
    explanation: tuple[str, ...] = ()
    policy: _Policy = _Policy()
    origin: str | None = None


class _Event(msgspec.Struct, frozen=True):
    id: str


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    event: _Event
    triaged: _Triaged
    timestamp: str | None = msgspec.field(default=None, name="@timestamp")


_READY: Final = msgspec.json.Decoder(_Document)
"""Made while the module is imported: two threads that read a type for the first time at once end the process."""

_AS_THEY_ARE: Final = tuple(name for name in _Triaged.__struct_fields__ if name != "policy")


def verdict_in(found: Document) -> Verdict:
    """The verdict that a document holds; what documents leave out (when it was decided) is absent.

    ``passed`` is what the document names: techniques of the catalogue, and the parent of each sub-technique.
    Raises ``PermanentError`` that says where it is no verdict.
    """
    try:
        read = msgspec.convert(found, _Document)
    except msgspec.ValidationError as error:
        raise PermanentError(f"no verdict: {error}") from error
    triaged, policy = read.triaged, read.triaged.policy
    return Verdict(
        record_id=identity.record_id(read.event.id, triaged.revision),
        event_id=read.event.id,
        timestamp=read.timestamp,
        entity=_entity(found),
        passed=tuple(_passed(found.get("threat"))),
        policy=PolicyRef(rule=policy.rule, mode=policy.mode or "", playbook=policy.playbook) if policy.rule else None,
        **{name: getattr(triaged, name) for name in _AS_THEY_ARE},
    )


def _entity(found: Document) -> Entity:
    return Entity(
        host=name_in(found, "host", "name"),
        user=name_in(found, "user", "name"),
        address=name_in(found, "source", "ip"),
        agent_id=name_in(found, "agent", "id"),
    )


def _passed(threat: Json) -> Iterator[str]:
    """The techniques, and below them the sub-techniques, that passed their threshold."""
    technique = threat.get("technique") if isinstance(threat, Mapping) else None
    for node in (technique, technique.get("subtechnique") if isinstance(technique, Mapping) else None):
        ids = node.get("id") if isinstance(node, Mapping) else None
        yield from (one for one in (ids if isinstance(ids, list) else [ids]) if isinstance(one, str))
