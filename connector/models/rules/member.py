"""The rules member: Sigma rules that match, each worth what labels taught of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from connector.errors import ConfigError
from connector.models.rules import needs_extra
from connector.models.rules.nouns import LEVELS, Match
from connector.models.rules.views import view_of
from connector.models.rules.weights import Weights, read
from connector.ports import MemberPlugin, MemberSpec, State
from connector.types import Event, Scores, StateChange

if TYPE_CHECKING:
    from connector.models.rules.ruleset import RuleSet
    from connector.models.rules.watched import Current

MOST_NOTES: Final = 8
"""Rules that an explanation names; the most severe come first."""


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
        return _key(*self._watched.current(), event)

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
            found = None if current is None else self._matches(current, event)
            notes.append(() if found is None else self._notes(found))
            if found is not None:
                techniques[row] = 0.0
                for label, worth in self._weights.shown(found).items():
                    if label in self._column:
                        techniques[row, self._column[label]] = worth
                p_malicious[row] = self._weights.malice(found, self._prevalence)
        return Scores(techniques=techniques, p_malicious=p_malicious, notes=tuple(notes)), StateChange()

    def _matches(self, current: Current, event: Event) -> list[Match] | None:
        """The matches that count, the most severe first; None where no rule speaks of the event's log."""
        view = view_of(event)
        if not current.rules.covers(view):
            return None
        found = [current.rules.rules[place].match for place in current.rules.matching(view)]
        counted = [match for match in found if LEVELS.index(match.level) >= self._least]
        return sorted(counted, key=lambda match: (-LEVELS.index(match.level), match.id))

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


def _key(rules: RuleSet, digest: str, event: Event) -> str:
    told = (digest, *rules.reads(view_of(event)))
    try:
        whole = msgspec.msgpack.encode(told)
    except UnicodeEncodeError:  # half of a surrogate pair, which Python's own notation can say
        whole = repr(told).encode()
    return hashlib.sha256(whole).hexdigest()


plugin = MemberPlugin(member=RulesMember, testbed="connector.models.rules.testbed:RulesTestbed")
