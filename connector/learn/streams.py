"""Attack recordings as the product would read them: normalised events in time order, each with what its process says of it.

The single-technique recordings and the compound campaigns of OTRF's Security Datasets. The rule of
:mod:`connector.learn.corpora.process_tree` says which events are the attack's. What stands near the tree without being
proven of it is unclear, and so is everything of a recording whose attack has no known entry: it neither trains nor is
counted.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec
import yaml

from connector.errors import ConfigError, PermanentError
from connector.events import normalise
from connector.learn.corpora import otrf, process_tree
from connector.learn.corpora.packed import recorded
from connector.learn.corpora.source import Corpora
from connector.learn.dataset import split_of
from connector.policy.entity import entity_of
from connector.types import Document, Event, RawEvent, SourceRef

CAMPAIGNS: Final = "otrf_compound"
"""The pinned source of the compound recordings."""

Label: TypeAlias = Literal["attack", "background", "unclear"]
StreamSet: TypeAlias = Literal["single-technique", "campaign"]

_NOWHERE: Final = SourceRef(siem="corpus", index=otrf.NAME, id="")
_GUIDS: Final = ("ProcessGuid", "SourceProcessGUID", "SourceProcessGuid")
_PROCESS_IDS: Final = ("ProcessId", "ProcessID", "NewProcessId", "SourceProcessId")
_NXLOG_PROCESS_ID: Final = "ExecutionProcessID"
_TIMES: Final = ("@timestamp", "TimeCreated", "EventTime")


def trains(name: str, of: StreamSet, seed: int) -> bool:
    """Whether what ships may be fitted on a stream: the promotion gate judges by all recordings of the other splits."""
    return of == "campaign" or split_of(otrf.NAME, name, seed) == "train"


class Labelled(NamedTuple):
    """An event, whose it is, and its host: what the event calls it, in lower case and without a domain. No model reads the host."""

    event: Event
    label: Label
    host: str


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """One recording. Going through it yields its events in time order; each time it is read anew, so that memory stays small.

    ``group`` is what may not be split: the campaign, or the recording. ``techniques`` are those that its authors name for
    the whole of it. ``entry`` is the line of the attack's first process, and ``reason`` why there is none: then every event
    is unclear.
    """

    name: str
    group: str
    set: StreamSet
    techniques: tuple[str, ...]
    entry: str
    reason: str
    content: bytes
    tree: _Tree
    order: Sequence[int]

    def __iter__(self) -> Iterator[Labelled]:
        """The events; what is no event is passed over."""
        lines = list(_lines(self.name, self.content))
        for number in self.order:
            data = _decoded(lines[number])
            try:
                event = normalise(
                    RawEvent(deployment="corpus", native_id=f"{self.name}:{number}", ref=_NOWHERE, data=data or {})
                )
            except PermanentError:
                continue
            yield Labelled(event, self.tree.label(data or {}), host_of(event.ecs))


def streams(corpora: Corpora) -> Iterator[Stream]:
    """Every host recording, single techniques first, a copy of one passed over. Raises ``ConfigError`` where a source is missing."""
    techniques, views = _described(corpora, otrf.NAME)
    copies: set[bytes] = set()
    for path, content in corpora.files(otrf.NAME, ".zip", ".tar.gz"):
        digest = hashlib.sha256(content).digest()
        if "/host/" in path and digest not in copies:
            copies.add(digest)
            name = path.rsplit("/", 1)[-1]
            yield _stream(path, content, "single-technique", techniques.get(name, ()), views.get(name, ""))
    techniques, views = _described(corpora, CAMPAIGNS)
    for path, content in corpora.files(CAMPAIGNS, ".zip", ".tar.gz"):
        name = path.rsplit("/", 1)[-1]
        if "/compound/" in path and name in views and "_zeek_" not in name and "_pcap" not in name:
            yield _stream(path, content, "campaign", techniques[name], views[name])


def host_of(ecs: Document) -> str:
    """What an event calls its host, without a domain: recordings write it with one or without."""
    return (entity_of(ecs).host or "").partition(".")[0].lower()


class _Tree(msgspec.Struct, frozen=True):
    """A recording's attack, and what stands so near to it that it may be the attack's too.

    ``ids`` are (host, process id) of its processes, for logs that know no GUID; ``entered`` the processes in which it
    started a thread.
    """

    attack: process_tree.Recording
    ids: frozenset[tuple[str, int]]
    entered: frozenset[str]

    def label(self, event: Mapping[str, Any]) -> Label:
        """What a flat Windows event is."""
        if self.attack.holds(event):
            return "attack"
        if not self.attack.guids or process_tree.tells(event):
            return "unclear"
        guids = {str(event[name]).lower() for name in _GUIDS if name in event}
        if guids:
            return "unclear" if guids & self.entered else "background"
        host = _host(event)
        known = {(host, number) for number in _process_ids(event)}
        if known & self.ids:
            return "unclear"
        return "unclear" if not known and "PowerShell" in str(event.get("Channel", "")) else "background"


def _stream(path: str, content: bytes, kind: StreamSet, techniques: tuple[str, ...], view: str) -> Stream:
    starts: dict[int, Mapping[str, Any]] = {}
    threads: list[Mapping[str, Any]] = []
    times: list[str] = []
    places = array("l")
    for number, line in enumerate(_lines(path, content)):
        data = _decoded(line)
        if data is None:
            continue
        places.append(number)
        times.append(next((str(data[name]) for name in _TIMES if data.get(name)), times[-1] if times else ""))
        if data.get("EventID") == 1 and "ProcessGuid" in data:
            starts[len(places) - 1] = data
        elif data.get("EventID") == 8 and "TargetProcessGuid" in data:
            threads.append(data)
    order = sorted(range(len(times)), key=times.__getitem__)
    attack = process_tree.attack([starts[number] for number in order if number in starts], view)
    ids = {
        (_host(start), number)
        for start in starts.values()
        if str(start["ProcessGuid"]).lower() in attack.guids
        for number in _process_ids(start)[:1]
    }
    entered = {str(thread["TargetProcessGuid"]).lower() for thread in threads if attack.holds(thread)} - attack.guids
    folder = path.rsplit("/", 2)[-2]
    return Stream(
        name=path,
        group=folder if kind == "campaign" else path,
        set=kind,
        techniques=techniques,
        entry=attack.entry,
        reason="" if attack.guids else process_tree.no_entry(starts.values(), view),
        content=content,
        tree=_Tree(attack, frozenset(ids), frozenset(entered)),
        order=array("l", [places[number] for number in order]),
    )


def _described(corpora: Corpora, source: str) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """The techniques and the operator's own screen, by the file name of a recording."""
    if not corpora.holds(source):
        pin = corpora.sources.get(source)
        raise ConfigError(f"{corpora.folder} does not hold {source}: {pin.archive if pin else 'it is not pinned'}")
    techniques: dict[str, tuple[str, ...]] = {}
    views: dict[str, str] = {}
    for _, content in corpora.files(source, ".yaml"):
        document = yaml.load(content, Loader=yaml.CSafeLoader)
        found = tuple(
            f"{mapping['technique']}" + (f".{mapping['sub-technique']}" if mapping.get("sub-technique") else "")
            for mapping in document.get("attack_mappings") or ()
        )
        for file in document.get("files") or ():
            if file.get("type") == "Host":
                name = str(file.get("link", "")).rsplit("/", 1)[-1]
                techniques[name] = found
                views[name] = str((document.get("simulation") or {}).get("adversary_view") or "")
    return techniques, views


def _lines(path: str, content: bytes) -> Iterator[bytes]:
    for body in recorded(path, content):
        yield from body.splitlines()


def _decoded(line: bytes) -> Mapping[str, Any] | None:
    try:
        data = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return data if isinstance(data, dict) else None


def _host(event: Mapping[str, Any]) -> str:
    return str(event.get("Hostname") or event.get("Computer") or event.get("host") or "").partition(".")[0].lower()


def _process_ids(event: Mapping[str, Any]) -> list[int]:
    """The ids of the processes that an event names as its own, decimal or hexadecimal.

    The process that wrote a record is the one that it speaks of in PowerShell's logs alone; elsewhere it is the logger.
    """
    names = [*_PROCESS_IDS, *([_NXLOG_PROCESS_ID] if "PowerShell" in str(event.get("Channel", "")) else [])]
    found = []
    for name in names:
        try:
            found.append(int(str(event[name]), 0))
        except (KeyError, ValueError):
            continue
    return found
