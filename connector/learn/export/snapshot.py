"""An event as the ledger kept it, made fit to leave the site."""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import Final

import msgspec

from connector.events import canonical, fingerprint, render
from connector.learn.export.pseudonyms import Pseudonyms
from connector.learn.export.redaction import Found, Redaction, as_class, as_word
from connector.learn.export.rows import Sighted
from connector.ledger import Scored
from connector.types import Document, Json

LARGEST: Final = 16 << 20
"""Bytes of an unpacked snapshot; the pipeline keeps smaller ones."""

_GROUP_LENGTH: Final = 16
_NUMBER: Final = re.compile(r"(?<![a-z])[0-9a-f]*\d[0-9a-f]*(?![a-z])")
_ODD: Final = re.compile(r"[^a-z0-9]+")


class Kept(msgspec.Struct, frozen=True):
    """What a snapshot holds."""

    kind: str
    ecs: dict[str, Json]


_decode = msgspec.json.Decoder(Kept).decode


def found_in(scored: Scored) -> Found | None:
    """Names and secrets of an event; None where its snapshot cannot be read (any more)."""
    kept = kept_in(scored.snapshot)
    if kept is None:
        return None
    found = Found()
    found.look_into(kept.ecs)
    return found


def sighted(scored: Scored, found: Found, pseudonyms: Pseudonyms) -> Sighted | None:
    """The event without the names and secrets that were found in it; None where its snapshot cannot be read."""
    kept = kept_in(scored.snapshot)
    if kept is None:
        return None
    verdict = scored.verdict
    named = Redaction(found, pseudonyms.of)
    pairs, text = _read(kept, found)
    return Sighted(
        event_id=verdict.event_id,
        siem=verdict.source.siem,
        index=named.text(verdict.source.index),
        source_id=named.text(verdict.source.id),
        kind=kept.kind,
        text=text,
        fingerprint=fingerprint(pairs),
        group=group_of(kept.kind, text),
        event=msgspec.Raw(msgspec.json.encode(named.document(kept.ecs), order="sorted")),
        occurred_at=_time(kept.ecs) or verdict.timestamp,
        scored_at=verdict.at or scored.at,
        verdict=verdict.verdict,
        confidence=verdict.confidence,
        passed=verdict.passed,
        model=f"{verdict.model.name}/{verdict.model.version}",
    )


def group_in(snapshot: bytes) -> str | None:
    """The group of the row that the export would write of an event; None: it would write none."""
    kept = kept_in(snapshot)
    if kept is None:
        return None
    found = Found()
    found.look_into(kept.ecs)
    return None if found.search().is_dear else group_of(kept.kind, _read(kept, found)[1])


def _read(kept: Kept, found: Found) -> tuple[tuple[tuple[str, str], ...], str]:
    """The canonical form and the text of an event, with classes in place of what was found in it."""
    classed = Redaction(found, as_class)
    pairs = tuple((field, classed.text(value)) for field, value in canonical(kept.ecs, kept.kind))
    return pairs, Redaction(found, as_word, "secret").text(render(pairs))  # rendering decodes what was encoded


def group_of(kind: str, text: str) -> str:
    """What near-duplicates share: the text without its numbers, and without what is neither letter nor digit.

    Equal fingerprints have equal texts, and so one group. It depends on this event alone: a later one moves no earlier one.
    """
    plain = _ODD.sub(" ", _NUMBER.sub("0", text.lower())).strip()
    return hashlib.sha256(f"{kind}\0{plain}".encode()).hexdigest()[:_GROUP_LENGTH]


def kept_in(snapshot: bytes) -> Kept | None:
    """The event of a snapshot as the ledger has it, names and all; None where it cannot be read."""
    try:
        return _decode(zlib.decompressobj().decompress(snapshot, LARGEST))
    except (zlib.error, msgspec.MsgspecError, RecursionError):
        return None


def _time(ecs: Document) -> str | None:
    found = ecs.get("@timestamp")
    return found if isinstance(found, str) and len(found) <= 64 else None
