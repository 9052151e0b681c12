"""OTRF Security Datasets: attack recordings; the attack by process tree, the benign background by recurrence.

Between them stands what a Sigma rule fires on: outside a tree it is no background, and where no tree is known it is
taken for the attack, a weak label.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec
import yaml

from connector.errors import PermanentError
from connector.events import normalise
from connector.learn.corpora.packed import recorded
from connector.learn.corpora.process_tree import Recording, attack, no_entry, tells
from connector.learn.corpora.rule_matches import fired, rule_set
from connector.learn.corpora.sample import Basis, Sample
from connector.learn.corpora.source import Corpora
from connector.types import Document, RawEvent, SourceRef

NAME = "otrf"
RECURS = 3
BENIGN_PER_KIND = 400
ATTACK_PER_KIND = 20
ELSEWHERE_PER_KIND = 3
ATTACK_LIMITS: Mapping[str, int] = {"sysmon-5": 0, "sysmon-7": 3, "sysmon-12": 5, "sysmon-13": 8}
"""Fewer of what a process does by the hundred whoever started it; what only tells that it ended, not at all."""

STARTS = frozenset({"sysmon-1", "security-4688"})
_NOWHERE = SourceRef(siem="corpus", index=NAME, id="")


class Seen(msgspec.Struct):
    """A fingerprint: the first raw event that had it, its kind, and where it occurred."""

    data: Mapping[str, Any]
    kind: str
    group: str
    outside: set[str]
    inside: set[str]


class Survey(msgspec.Struct, frozen=True):
    """All recordings read once: techniques by recording name, recordings whose attack is known, every fingerprint's places."""

    techniques: Mapping[str, tuple[str, ...]]
    known: frozenset[str]
    seen: Mapping[str, Seen]
    entries: Mapping[str, str]
    """The line of the attack's first process by recording, where the rule of process_tree finds one."""
    reasons: Mapping[str, str]
    """Why there is none, by recording, for the others."""


def samples(corpora: Corpora) -> Iterator[Sample]:
    """Attack events per recording, what rules fire on elsewhere, then the background that recurs in no attack."""
    survey = surveyed(corpora)
    matches = matched(corpora)
    yield from _attacks(survey)
    yield from _matched(survey, matches)
    yield from _background(survey, matches)
    yield from _elsewhere(survey, matches)


def ordinary(corpora: Corpora) -> Mapping[str, list[Document]]:
    """Ordinary raw events by kind, for recipes that put a pattern into one; empty where these recordings are not there."""
    found: dict[str, list[Document]] = defaultdict(list)
    if corpora.holds(NAME):
        for _, row in _chosen_background(surveyed(corpora), matched(corpora)):
            found[row.kind].append(row.data)
    return found


@lru_cache(maxsize=1)
def matched(corpora: Corpora) -> Mapping[str, tuple[str, ...]]:
    """The techniques of the rules that fire, by fingerprint; empty where the rules are not among the sources."""
    rows = ((fingerprint, row.data) for fingerprint, row in surveyed(corpora).seen.items())
    return fired(rule_set(corpora), rows)


@lru_cache(maxsize=1)
def surveyed(corpora: Corpora) -> Survey:
    """Reads every host recording; kept for the recipes that need it again."""
    techniques, views = _metadata(corpora)
    entries: dict[str, str] = {}
    reasons: dict[str, str] = {}
    seen: dict[str, Seen] = {}
    for path, content in corpora.files(NAME, ".zip", ".tar.gz"):
        if "/host/" in path:
            view = views.get(path.rsplit("/", 1)[-1], "")
            events = _events(path, content)
            starts = [event for event in events if event.get("EventID") == 1 and "ProcessGuid" in event]
            tree = attack(starts, view)
            _enter(path, events, tree, seen)
            if tree.guids:
                entries[path] = tree.entry
            else:
                reasons[path] = no_entry(starts, view)
    return Survey(techniques, frozenset(entries), seen, entries, reasons)


def _metadata(corpora: Corpora) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    techniques: dict[str, tuple[str, ...]] = {}
    views: dict[str, str] = {}
    for _, content in corpora.files(NAME, ".yaml"):
        document = yaml.load(content, Loader=yaml.CSafeLoader)
        found = tuple(
            str(mapping["technique"]) + (f".{mapping['sub-technique']}" if mapping.get("sub-technique") else "")
            for mapping in document.get("attack_mappings") or ()
        )
        for file in document.get("files") or ():
            name = str(file.get("link", "")).rsplit("/", 1)[-1]
            techniques[name] = found
            views[name] = str((document.get("simulation") or {}).get("adversary_view") or "")
    return techniques, views


def _events(path: str, content: bytes) -> list[Mapping[str, Any]]:
    """The flat Windows events of one recording, in file order."""
    found: list[Mapping[str, Any]] = []
    for body in recorded(path, content):
        for line in body.splitlines():
            try:
                event = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if isinstance(event, dict):
                found.append(event)
    return found


def _enter(group: str, events: list[Mapping[str, Any]], tree: Recording, seen: dict[str, Seen]) -> None:
    for number, data in enumerate(events):
        try:
            event = normalise(RawEvent(deployment="corpus", native_id=f"{group}:{number}", ref=_NOWHERE, data=data))
        except PermanentError:
            continue
        row = seen.get(event.fingerprint)
        if row is None:
            row = seen[event.fingerprint] = Seen(data, event.kind, group, set(), set())
        _place(row, tree, data, group)


def _place(row: Seen, tree: Recording, data: Mapping[str, Any], group: str) -> None:
    if tree.holds(data):
        if not row.inside:
            row.data, row.group = data, group
        row.inside.add(group)
    else:
        row.outside.add(group)


def _attacks(survey: Survey) -> Iterator[Sample]:
    """Events of attack trees that never happen outside one: what a shell loads and writes in any session is no attack.

    Their techniques are the recording's own, so that there are labels that no rule gave.
    """
    taken: Counter[tuple[str, str]] = Counter()
    for fingerprint, row in survey.seen.items():
        if not row.inside or row.outside:
            continue
        taken[row.group, row.kind] += 1
        if taken[row.group, row.kind] <= ATTACK_LIMITS.get(row.kind, ATTACK_PER_KIND):
            found = survey.techniques.get(row.group.rsplit("/", 1)[-1], ()) if len(row.inside) < RECURS else ()
            yield _sample(fingerprint, row, "process-tree", techniques=found, malicious=True)


def _matched(survey: Survey, matches: Mapping[str, tuple[str, ...]]) -> Iterator[Sample]:
    """What rules fire on outside every tree. Where the trees are known they say that it is none of the attack's: left open."""
    taken: Counter[tuple[str, str]] = Counter()
    for fingerprint, techniques in matches.items():
        row = survey.seen[fingerprint]
        taken[row.group, row.kind] += 1
        if not row.inside and taken[row.group, row.kind] <= ATTACK_PER_KIND:
            open_ = bool(row.outside & survey.known) or len(row.outside) >= RECURS
            yield _sample(fingerprint, row, "rule-match", techniques=techniques, malicious=None if open_ else True)


def _background(survey: Survey, matches: Mapping[str, tuple[str, ...]]) -> Iterator[Sample]:
    for fingerprint, row in _chosen_background(survey, matches):
        yield _sample(fingerprint, row, "recurring", malicious=False)


def _elsewhere(survey: Survey, matches: Mapping[str, tuple[str, ...]]) -> Iterator[Sample]:
    """What happens outside the attack's tree, where that is known: all process starts, which are scarce, a few of the rest."""
    taken: Counter[tuple[str, str]] = Counter()
    for fingerprint, row in survey.seen.items():
        lone = not row.inside and len(row.outside) < RECURS and row.outside <= survey.known
        if not lone or fingerprint in matches or tells(row.data):
            continue
        taken[row.group, row.kind] += 1
        if row.kind in STARTS or taken[row.group, row.kind] <= ELSEWHERE_PER_KIND:
            yield _sample(fingerprint, row, "outside-tree", malicious=False)


def _sample(
    fingerprint: str, row: Seen, basis: Basis, *, malicious: bool | None, techniques: tuple[str, ...] = ()
) -> Sample:
    return Sample(
        data=row.data,
        group=row.group,
        record=fingerprint[:16],
        basis=basis,
        techniques=techniques,
        malicious=malicious,
    )


def _chosen_background(survey: Survey, matches: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, Seen]]:
    """What most recordings share and no rule fires on, up to a limit a kind."""
    by_kind: dict[str, list[tuple[str, Seen]]] = defaultdict(list)
    for fingerprint, row in survey.seen.items():
        if not row.inside and len(row.outside) >= RECURS and fingerprint not in matches:
            by_kind[row.kind].append((fingerprint, row))
    for kind in sorted(by_kind):
        yield from sorted(by_kind[kind], key=lambda item: (-len(item[1].outside), item[0]))[:BENIGN_PER_KIND]
