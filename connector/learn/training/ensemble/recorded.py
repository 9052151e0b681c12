"""The attack recordings read once: distinct events with their texts and rule matches, and per event what it is and whose.

Reading them takes minutes and asking a model takes seconds, so what was read is kept: of each distinct event (by
fingerprint) what a member reads of it, and of each event of a stream a few numbers. Nothing of a host goes into a feature:
it says which fold an event is in, and whose risk it adds to.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from connector.events import render
from connector.learn.corpora import otrf
from connector.learn.corpora.source import Corpora
from connector.learn.evaluation import sigma
from connector.learn.evaluation.recordings import host_of, sites_of
from connector.learn.rule_weights import Witnesses
from connector.learn.scrub import scrub
from connector.learn.streams import CAMPAIGNS, Labelled, Stream, StreamSet, streams, trains
from connector.learn.training.sequence.recorded import digest_of
from connector.models.rules.nouns import Match
from connector.models.rules.ruleset import RuleSet
from connector.pipeline.entities.times import event_time
from connector.pipeline.entities.who import entities_of
from connector.policy.entity import entity_of
from connector.types import Entity, Event

BACKGROUND, ATTACK, UNCLEAR = 0, 1, 2
_LABELS: Final[Mapping[str, int]] = {"background": BACKGROUND, "attack": ATTACK, "unclear": UNCLEAR}
_NOW: Final = datetime(2100, 1, 1, tzinfo=UTC)
"""No recording is younger: each event takes place when it says."""

TOLD: Final = 500
"""Events by which the site of a recording is told that is not read further."""

FOR_GATE: Final = "left out for the promotion gate"

Whose = tuple[tuple[str, Entity], ...]


class Mark(msgspec.Struct, frozen=True):
    """A distinct event. ``matches`` are places among the rules; None where no rule speaks of its log."""

    fingerprint: str
    kind: str
    text: str
    matches: tuple[int, ...] | None


class Part(msgspec.Struct, frozen=True):
    """One stream: its events stand at ``start`` to ``stop``. ``site`` is what is left out together with it."""

    name: str
    group: str
    set: StreamSet
    site: str
    techniques: tuple[str, ...]
    entry: str
    reason: str
    start: int
    stop: int

    @property
    def known(self) -> bool:
        """Whether its attack's entry was found: only then is an event attack or background."""
        return not self.reason


class _Facts(msgspec.Struct, frozen=True):
    marks: list[Mark]
    parts: list[Part]
    rules: list[Match]
    whose: list[Whose]
    verified: dict[str, str]


class Recorded(msgspec.Struct, frozen=True, eq=False):
    """Everything. ``mark``, ``owner``, ``label`` and ``at`` (microseconds) have one entry an event, stream after stream."""

    marks: Sequence[Mark]
    parts: Sequence[Part]
    rules: Sequence[Match]
    whose: Sequence[Whose]
    verified: Mapping[str, str]
    mark: NDArray[np.int32]
    owner: NDArray[np.int32]
    label: NDArray[np.uint8]
    at: NDArray[np.int64]

    @property
    def part(self) -> NDArray[np.int32]:
        """The stream of each event."""
        return np.repeat(np.arange(len(self.parts), dtype=np.int32), [part.stop - part.start for part in self.parts])

    @property
    def sites(self) -> Mapping[str, str]:
        """The site of each recording, by its name as dataset rows call their group."""
        return {part.name: part.site for part in self.parts}

    def groups_of(self, chosen: Sequence[int]) -> dict[str, int]:
        """In how many groups of these streams each fingerprint occurs."""
        seen: dict[int, set[str]] = {}
        for number in chosen:
            part = self.parts[number]
            for mark in np.unique(self.mark[part.start : part.stop]).tolist():
                seen.setdefault(mark, set()).add(part.group)
        return {self.marks[mark].fingerprint: len(found) for mark, found in seen.items()}


def kept(corpora: Corpora, folder: Path) -> Recorded:
    """What an earlier run left in ``folder``, else what is read now, with Sigma's rules, and left there."""
    place = folder / f"recorded-{digest_of(corpora, (otrf.NAME, CAMPAIGNS, sigma.SOURCE))}.npz"
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write(place, read(corpora, sigma.rules(corpora)))
    return _read(place)


def read(corpora: Corpora, rules: RuleSet) -> Recorded:
    """Every stream whose attack is known, once through; of the others no event can be told to be of either side."""
    reading = _Reading(rules)
    for stream in streams(corpora):
        reading.enter(stream)
        print(f"read: {stream.name.rsplit('/', 1)[-1]}, {len(reading.mark)} events so far", flush=True)
    return reading.done(corpora.verified)


class _Reading:
    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        self._places: dict[str, int] = {}
        self._owners: dict[Whose, int] = {}
        self._marks: list[Mark] = []
        self._found: list[tuple[Stream, int, int]] = []
        self._hosts: dict[str, Counter[str]] = {}
        self.mark, self._owner, self._at = array("i"), array("i"), array("q")
        self._label = array("B")

    def enter(self, stream: Stream) -> None:
        start, hosts = len(self.mark), Counter[str]()
        for one in islice(stream, TOLD) if stream.reason else stream:
            hosts[host_of(one.event)] += 1
            if not stream.reason:
                self._add(one)
        self._hosts[stream.name] = hosts
        light = replace(stream, content=b"", order=())
        self._found.append((light, start, len(self.mark)))

    def _add(self, one: Labelled) -> None:
        event = one.event
        whose = tuple(entities_of(entity_of(event.ecs), "corpus"))
        self.mark.append(self._place(event))
        self._owner.append(self._owners.setdefault(whose, len(self._owners)))
        self._label.append(_LABELS[one.label])
        self._at.append(event_time(event, _NOW))

    def _place(self, event: Event) -> int:
        place = self._places.get(event.fingerprint)
        if place is None:
            place = self._places[event.fingerprint] = len(self._marks)
            heard = self._rules.heard(event)
            matches = None if heard is None else tuple(heard)
            text = str(scrub(render(event.canonical)))
            self._marks.append(Mark(event.fingerprint, event.kind, text, matches))
        return place

    def done(self, verified: Mapping[str, str]) -> Recorded:
        sites = sites_of(self._hosts)
        parts = [
            Part(
                name=stream.name,
                group=stream.group,
                set=stream.set,
                site=sites.get(stream.name, stream.name),
                techniques=stream.techniques,
                entry=stream.entry,
                reason=stream.reason,
                start=start,
                stop=stop,
            )
            for stream, start, stop in self._found
        ]
        return Recorded(
            self._marks,
            parts,
            [rule.match for rule in self._rules.rules],
            list(self._owners),
            dict(verified),
            np.array(self.mark, np.int32),
            np.array(self._owner, np.int32),
            np.array(self._label, np.uint8),
            np.array(self._at, np.int64),
        )


def _write(place: Path, found: Recorded) -> None:
    facts = _Facts(list(found.marks), list(found.parts), list(found.rules), list(found.whose), dict(found.verified))
    fresh = place.with_suffix(".new.npz")
    told = np.frombuffer(msgspec.msgpack.encode(facts), np.uint8)
    np.savez(fresh, facts=told, mark=found.mark, owner=found.owner, label=found.label, at=found.at)
    fresh.replace(place)


def _read(place: Path) -> Recorded:
    with np.load(place, allow_pickle=False) as arrays:
        facts = msgspec.msgpack.decode(arrays["facts"].tobytes(), type=_Facts)
        columns = [arrays[name] for name in ("mark", "owner", "label", "at")]
    return Recorded(facts.marks, facts.parts, facts.rules, facts.whose, facts.verified, *columns)


def taught(found: Recorded, seed: int) -> Recorded:
    """The same without the attacks of the recordings that the promotion gate judges by: whatever ships is fitted on this."""
    parts = [part if trains(part.name, part.set, seed) else replace(part, reason=FOR_GATE) for part in found.parts]
    return replace(found, parts=parts)


def ambiguous(found: Recorded) -> Iterator[tuple[str, str]]:
    """The recordings whose attack no rule finds, each with the reason."""
    yield from ((part.name, part.reason) for part in found.parts if not part.known)


def witnesses(found: Recorded) -> Witnesses:
    """What the recordings' events say of each rule, as their process trees label them."""
    told = Witnesses()
    for part in (part for part in found.parts if part.known):
        marks, labels = found.mark[part.start : part.stop], found.label[part.start : part.stop]
        for side, malicious in ((ATTACK, True), (BACKGROUND, False)):
            for mark in np.unique(marks[labels == side]).tolist():
                matches = found.marks[mark].matches
                if matches is not None:
                    told.count(
                        (part.set, part.group),
                        "process-tree" if malicious else "outside-tree",
                        malicious=malicious,
                        techniques=part.techniques if malicious else (),
                        matches=[found.rules[place] for place in matches],
                    )
    return told
