"""The rules member: Sigma rules that match, each worth what labels taught of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.errors import ConfigError
from connector.models.cache import Cache
from connector.models.rules import needs_extra
from connector.models.rules.nouns import LEVELS, Match
from connector.models.rules.weights import Weights, read
from connector.ports import MemberPlugin, MemberSpec, State
from connector.types import Event, Scores, StateChange

if TYPE_CHECKING:
    from connector.models.rules.watched import Current

MOST_NOTES: Final = 8
"""Rules that an explanation names; the most severe come first."""

OPINIONS: Final = 4096
"""Sets of matches of which it is remembered what they say."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the manifest may say of a rules member.

    ``packs`` and ``weights`` are files of the member's directory; ``folders`` are the user's own, read again as they
    change. Rules below ``level`` take no part. ``prevalence`` is the bundle's share of malicious rows in training, to
    which the rules' precision is brought; absent, it stays at that of the rows which taught it.
    """

    packs: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    weights: str | None = None
    level: str = "low"
    prevalence: float | None = None


class Opinion(NamedTuple):
    """What a set of matches says: ``techniques`` (n labels,), how malicious that is, and the rules by name."""

    techniques: NDArray[np.float32]
    p_malicious: float
    notes: tuple[str, ...]


class RulesMember:
    """Scores events by the rules that match. An event of a log that no rule speaks of gets no view.

    A bundle may ship what rules are worth without the rules: until a site names its folder of them, no event has a view.
    """

    needs: tuple[str, ...] = ()

    def __init__(self, spec: MemberSpec, directory: Path, threads: int) -> None:
        del threads
        self.name = spec.name
        self.labels = spec.labels
        options = _options(spec)
        self._column = {label: place for place, label in enumerate(spec.labels)}
        self._least = LEVELS.index(options.level)
        self._weights = Weights() if options.weights is None else read(directory / options.weights)
        self._prevalence = options.prevalence
        self._opinions: Cache[tuple[str, tuple[int, ...]], Opinion] = Cache(OPINIONS)
        self._watched: Watched | None = None
        if options.packs or options.folders:
            needs_extra()
            from connector.models.rules.watched import Watched  # noqa: PLC0415 - the extra may be missing

            packs = [directory / name for name in options.packs]
            self._watched = Watched([Path(folder) for folder in options.folders], packs, time.monotonic)

    def key(self, event: Event) -> str | None:
        """SHA-256 of what the rules of the event's log read, unmasked, and of the rules; one key where there are no rules."""
        if self._watched is None:
            return ""
        rules, digest = self._watched.current()
        return hashlib.sha256(digest.encode() + rules.tells(event)).hexdigest()

    def state_keys(self, events: Sequence[Event]) -> frozenset[str]:
        """None: each event is matched by itself."""
        del events
        return frozenset()

    def score(self, events: Sequence[Event], views: Mapping[str, Scores], state: State) -> tuple[Scores, StateChange]:
        """For each label the most that a rule which names it is worth; p_malicious is that of the most telling match."""
        del views, state
        current = None if self._watched is None else self._watched.current()
        techniques = np.full((len(events), len(self.labels)), np.nan, np.float32)
        p_malicious = np.full(len(events), np.nan, np.float32)
        notes: list[tuple[str, ...]] = []
        for row, event in enumerate(events):
            found = None if current is None else self._opinion(current, event)
            notes.append(() if found is None else found.notes)
            if found is not None:
                techniques[row], p_malicious[row] = found.techniques, found.p_malicious
        return Scores(techniques=techniques, p_malicious=p_malicious, notes=tuple(notes)), StateChange()

    def _opinion(self, current: Current, event: Event) -> Opinion | None:
        """What the rules that match say, made once for all events that the same ones match; None where no rule speaks of the event's log."""
        matching = current.rules.heard(event)
        if matching is None:
            return None
        key = (current.digest, tuple(matching))
        known = self._opinions.get(key)
        if known is None:
            known = self._said([current.rules.rules[place].match for place in matching])
            self._opinions.put(key, known)
        return known

    def _said(self, matches: Iterable[Match]) -> Opinion:
        """Of the matches that count, the most severe first."""
        counted = [match for match in matches if LEVELS.index(match.level) >= self._least]
        found = sorted(counted, key=lambda match: (-LEVELS.index(match.level), match.id))
        techniques = np.zeros(len(self.labels), np.float32)
        for label, worth in self._weights.shown(found).items():
            if label in self._column:
                techniques[self._column[label]] = worth
        return Opinion(techniques, self._weights.malice(found, self._prevalence), self._notes(found))

    def _notes(self, found: Sequence[Match]) -> tuple[str, ...]:
        """``rules: Title (level, by Author) [id]``: the rules' licence asks for the author."""
        return tuple(
            f"{self.name}: {match.title} ({match.level}{match.author and f', by {match.author}'}) [{match.id}]"
            for match in found[:MOST_NOTES]
        )


def _options(spec: MemberSpec) -> Options:
    try:
        options = msgspec.convert(spec.options, Options)
    except msgspec.ValidationError as error:
        raise ConfigError(f"member {spec.name!r}: {error}") from error
    if options.level not in LEVELS:
        raise ConfigError(f"member {spec.name!r}: level {options.level!r} is none of {', '.join(LEVELS)}")
    if options.prevalence is not None and not 0.0 < options.prevalence < 1.0:
        raise ConfigError(f"member {spec.name!r}: a prevalence lies strictly between 0 and 1")
    return options


plugin = MemberPlugin(member=RulesMember, testbed="connector.models.rules.testbed:RulesTestbed")
