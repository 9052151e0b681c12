"""From an event and what the text member says of it to a token; and whose window it belongs to."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from connector.models.cache import Cache
from connector.models.calibration import logit
from connector.models.highest import highest
from connector.models.sequence.arrays import logit_of
from connector.models.sequence.vocabulary import Places, Vocabulary
from connector.models.sequence.window import TOP, Token
from connector.policy.entity import as_address, collected
from connector.types import Document, Event, Json

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_REMEMBERED: Final = 100_000
_LONGEST_TIME: Final = 40


class Told(NamedTuple):
    """What the text member says of n events: logits in eighths (n,), places of techniques and weights of 255 (n, TOP)."""

    score: NDArray[np.int64]
    top: NDArray[np.int64]
    weights: NDArray[np.int64]


class Seen(NamedTuple):
    """What a window needs of an event besides its text: whose window (None: the event names no host), when, and which processes.

    ``at`` is None where the event does not say; ``tag`` tells the same event again. Nothing but ``key`` is read without a host.
    """

    key: str | None
    at: int | None
    tag: int
    process: int
    above: int


class Tokens:
    """Makes tokens by one vocabulary. What depends on the canonical form alone is remembered by fingerprint."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._places = Places(vocabulary)
        columns = {label: place for place, label in enumerate(vocabulary.text)}
        self._columns = np.array([columns[label] for label in vocabulary.techniques], np.intp)
        self._known: Cache[str, tuple[int, int, int]] = Cache(_REMEMBERED)

    def told(self, techniques: NDArray[np.float32], p_malicious: NDArray[np.float32]) -> Told:
        """The text member's view (n, its labels) and (n,), as tokens keep it."""
        seen = np.zeros((len(techniques), max(TOP, len(self._columns))), np.float32)
        np.fmax(techniques[:, self._columns], 0.0, out=seen[:, : len(self._columns)])  # nan is no technique at all
        top = highest(seen, TOP)
        weights = np.rint(np.take_along_axis(seen, top, axis=1) * 255.0).astype(np.int64)
        return Told(logit_of(logit(p_malicious)), np.where(weights > 0, top + 1, 0), weights)

    def of(self, events: Sequence[Event], seen: Sequence[Seen], told: Told) -> Iterator[Token]:
        """One token an event; each is made when it is asked for."""
        return map(self._of, events, seen, told.score.tolist(), told.top.tolist(), told.weights.tolist())

    def _of(self, event: Event, seen: Seen, score: int, top: list[int], weights: list[int]) -> Token:
        places = self._known.get(event.fingerprint)
        if places is None:
            places = self._places.of(event.kind, event.canonical)
            self._known.put(event.fingerprint, places)
        _, at, tag, process, above = seen
        first, second, third = top
        one, two, three = weights
        return Token(at or 0, tag, *places, score, (first, second, third), (one, two, three), process, above)


_NOWHERE: Final = Seen(None, None, 0, 0, 0)


def seen(event: Event) -> Seen:
    """What a window needs of an event besides its text."""
    key = window_key(event)
    if key is None:
        return _NOWHERE
    tag = int.from_bytes(hashlib.blake2b(event.id.encode(), digest_size=8).digest(), "little")
    return Seen(key, moment(event), tag, *processes(event.ecs))


def window_key(event: Event) -> str | None:
    """The key of the window that an event belongs to: a digest of its deployment and host; None where it names no host.

    The host is who its collector attests (``agent.id``), else its name without the domain.
    """
    host, agent_id = collected(event.ecs)
    return _key(host, agent_id, event.ref.siem) if host or agent_id else None


@lru_cache(_REMEMBERED)
def _key(host: str | None, agent_id: str | None, deployment: str) -> str:
    if agent_id:
        name = f"agent:{agent_id}"
    else:
        whole = host or ""
        name = f"host:{whole if as_address(whole) else whole.partition('.')[0]}".lower()
    return hashlib.sha256(f"{name}\t{deployment}".encode("utf-8", "surrogatepass")).hexdigest()


def moment(event: Event) -> int | None:
    """When an event took place, in milliseconds since the epoch; None where it does not say."""
    told = event.ecs.get("@timestamp")
    if not isinstance(told, str) or len(told) > _LONGEST_TIME:
        return None
    try:
        at = datetime.fromisoformat(told)
    except ValueError:
        return None
    return None if at.tzinfo is None else (at - _EPOCH) // _MILLISECOND


def processes(ecs: Document) -> tuple[int, int]:
    """Hashes of an event's process and of that one's parent, 32 bits each; 0 where the event names none."""
    process = ecs.get("process")
    if not isinstance(process, dict):
        return 0, 0
    parent = process.get("parent")
    return _hash(process), _hash(parent) if isinstance(parent, dict) else 0


def _hash(process: dict[str, Json]) -> int:
    """Of the identity that its sensor gives a process, else of its number."""
    name = process.get("entity_id") or process.get("pid")
    if isinstance(name, int):
        name = str(name)
    return (zlib.crc32(name.lower().encode("utf-8", "replace")) or 1) if isinstance(name, str) else 0
