"""Whole attack recordings as streams: how often each event occurs, on which host, inside the attack's tree or outside.

A dataset row is one distinct event of a sample; false alarms are counted on everything that the hosts logged.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from connector.errors import PermanentError
from connector.events import normalise, render
from connector.learn.corpora import otrf, process_tree
from connector.learn.corpora.packed import recorded
from connector.learn.corpora.source import Corpora
from connector.learn.evaluation.sigma import alarms
from connector.learn.scrub import scrub
from connector.models.rules.ruleset import RuleSet
from connector.types import Event, RawEvent, SourceRef

_NOWHERE = SourceRef(siem="corpus", index=otrf.NAME, id="")


class Text(msgspec.Struct, frozen=True):
    """A distinct event: its kind, what the model reads, scrubbed as rows are, and whether a rule that is an alarm matches it."""

    kind: str
    text: str
    alarm: bool


class Stream(msgspec.Struct, frozen=True):
    """One recording. ``attack`` counts events of its process tree by fingerprint, ``background`` all others by host too.

    ``known``: its attack's entry was found, so that what lies outside the tree is background.
    """

    recording: str
    site: str
    known: bool
    attack: Mapping[str, int]
    background: Mapping[tuple[str, str], int]


class Streams(msgspec.Struct, frozen=True):
    """All recordings, and their distinct events by fingerprint."""

    texts: Mapping[str, Text]
    recordings: Sequence[Stream]

    @property
    def sites(self) -> Mapping[str, str]:
        """The site of each recording."""
        return {stream.recording: stream.site for stream in self.recordings}


def kept(corpora: Corpora, rules: RuleSet, place: Path) -> Streams:
    """The same, from a file where an earlier run left it."""
    if not place.exists():
        streams = read(corpora, rules)
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_suffix(".new")
        fresh.write_bytes(msgspec.msgpack.encode(streams))
        fresh.replace(place)
    return msgspec.msgpack.decode(place.read_bytes(), type=Streams)


def read(corpora: Corpora, rules: RuleSet) -> Streams:
    """Every host recording of the OTRF datasets, with the attack trees that the dataset's own rule finds."""
    views = _views(corpora)
    texts = _Texts(rules)
    found: dict[str, _Counted] = {}
    for path, content in corpora.files(otrf.NAME, ".zip", ".tar.gz"):
        if "/host/" in path:
            found[path] = _counted(path, list(events(path, content)), views.get(path.rsplit("/", 1)[-1], ""), texts)
    sites = sites_of({path: counted.hosts for path, counted in found.items()})
    return Streams(
        texts.found,
        [
            Stream(path, sites[path], counted.known, counted.attack, counted.background)
            for path, counted in found.items()
            if path in sites
        ],
    )


def _views(corpora: Corpora) -> dict[str, str]:
    """What each recording's metadata shows of the operator's own screen."""
    views: dict[str, str] = {}
    for _, content in corpora.files(otrf.NAME, ".yaml"):
        document = yaml.load(content, Loader=yaml.CSafeLoader)
        view = str((document.get("simulation") or {}).get("adversary_view") or "")
        views.update((str(file.get("link", "")).rsplit("/", 1)[-1], view) for file in document.get("files") or ())
    return views


class _Counted(msgspec.Struct):
    """What is counted in one recording; ``known``: its attack's tree was found."""

    known: bool
    hosts: Counter[str] = msgspec.field(default_factory=Counter)
    attack: Counter[str] = msgspec.field(default_factory=Counter)
    background: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)


def _counted(path: str, raws: Sequence[Mapping[str, Any]], view: str, texts: _Texts) -> _Counted:
    starts = [event for event in raws if event.get("EventID") == 1 and "ProcessGuid" in event]
    tree = process_tree.attack(starts, view)
    counted = _Counted(bool(tree.guids))
    for number, data in enumerate(raws):
        try:
            event = normalise(RawEvent(deployment="corpus", native_id=f"{path}:{number}", ref=_NOWHERE, data=data))
        except PermanentError:
            continue
        host = host_of(event)
        counted.hosts[host] += 1
        texts.enter(event)
        if tree.holds(data):
            counted.attack[event.fingerprint] += 1
        else:
            counted.background[event.fingerprint, host] += 1
    return counted


class _Texts:
    """What is found of each distinct event, when it is first seen."""

    def __init__(self, rules: RuleSet) -> None:
        self.found: dict[str, Text] = {}
        self._rules = rules

    def enter(self, event: Event) -> None:
        if event.fingerprint not in self.found:
            alarm = alarms(self._rules.match([event])[0])
            self.found[event.fingerprint] = Text(event.kind, str(scrub(render(event.canonical))), alarm)


def host_of(event: Event) -> str:
    """What an event calls its host, lower case; for splitting and counting alone, no model reads it."""
    host = event.ecs.get("host")
    name = host.get("name") if isinstance(host, dict) else None
    return name.lower() if isinstance(name, str) else ""


def sites_of(hosts: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
    """The site of each recording: the domain that most of its events come from; a host without one is its own site.

    ``hosts`` counts events by recording and host. A name without a domain is the host that has it elsewhere.
    """
    domains: dict[str, Counter[str]] = defaultdict(Counter)
    for found in hosts.values():
        for host, count in found.items():
            name, dot, domain = host.partition(".")
            if dot:
                domains[name][domain] += count
    sites = {}
    for recording, found in hosts.items():
        weight: Counter[str] = Counter()
        for host, count in found.items():
            name, dot, domain = host.partition(".")
            weight[domain if dot else domains[name].most_common(1)[0][0] if name in domains else name] += count
        if weight:
            sites[recording] = weight.most_common(1)[0][0]
    return sites


def events(path: str, content: bytes) -> Iterator[Mapping[str, Any]]:
    """The flat events of one recording in file order; what is no JSON object is passed over."""
    for body in recorded(path, content):
        for line in body.splitlines():
            try:
                event = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if isinstance(event, dict):
                yield event
