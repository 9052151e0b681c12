"""The attack recordings as numbers: per event what a token is made of, and whose it is. Read once, then kept in a file.

Recordings without a known entry are left out: everything in them is unclear.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.events import CANONICAL_VERSIONS, render
from connector.learn.corpora import otrf
from connector.learn.corpora.source import Corpora
from connector.learn.evaluation.recordings import host_of, sites_of
from connector.learn.scrub import scrub
from connector.learn.streams import CAMPAIGNS, Stream, StreamSet, streams
from connector.models.sequence.tokens import moment, processes, window_key
from connector.models.sequence.vocabulary import IMAGE, PARENT
from connector.types import Event

BACKGROUND, ATTACK, UNCLEAR = 0, 1, 2
_LABELS: Final[Mapping[str, int]] = {"background": BACKGROUND, "attack": ATTACK, "unclear": UNCLEAR}
NOWHERE: Final = -1
TOLD: Final = 500
"""Events by which the site of a recording is told that is not read further."""

_COLUMNS: Final = ("mark", "window", "label", "at", "process", "above")


class Mark(msgspec.Struct, frozen=True):
    """A distinct event: its kind, its program and that one's parent, and its text as the text member trains on it."""

    fingerprint: str
    kind: str
    image: str
    parent: str
    text: str


class Part(msgspec.Struct, frozen=True):
    """One recording: its events stand at ``start`` to ``stop``; ``site`` is what is left out together with it."""

    name: str
    group: str
    set: StreamSet
    site: str
    techniques: tuple[str, ...]
    start: int
    stop: int


class _Facts(msgspec.Struct, frozen=True):
    marks: list[Mark]
    parts: list[Part]
    unknown: dict[str, str]
    sites: dict[str, str]
    verified: dict[str, str]


class Recorded(msgspec.Struct, frozen=True, eq=False):
    """All recordings whose attack is known. The arrays have one entry an event, recording after recording.

    ``mark`` and ``window`` are numbers of the distinct event and of the host's window, :data:`NOWHERE` where the event names
    no host; ``at`` is in milliseconds, -1 where the event does not say; ``process`` and ``above`` are hashes as tokens have them. ``unknown`` are the recordings that
    are left out, with the reason; ``sites`` says where each was made, these too; ``verified`` are the archives' digests.
    """

    marks: Sequence[Mark]
    parts: Sequence[Part]
    unknown: Mapping[str, str]
    sites: Mapping[str, str]
    verified: Mapping[str, str]
    mark: NDArray[np.int32]
    window: NDArray[np.int32]
    label: NDArray[np.uint8]
    at: NDArray[np.int64]
    process: NDArray[np.uint32]
    above: NDArray[np.uint32]


def sides(recorded: Recorded, part: Part) -> NDArray[np.uint8]:
    """What each event of a recording is; unclear where it names no host: the member has no view of it when it serves."""
    span = slice(part.start, part.stop)
    return np.where(recorded.window[span] == NOWHERE, np.uint8(UNCLEAR), recorded.label[span])


def digest_of(corpora: Corpora, names: Sequence[str]) -> str:
    """16 hexadecimal digits that change with the folder, with the archives of these sources, and with how events are read."""
    told = hashlib.sha256(str(corpora.folder.resolve()).encode())
    for name in names:
        told.update(corpora.sources[name].sha256.encode())
    told.update(msgspec.json.encode(CANONICAL_VERSIONS, order="sorted"))
    return told.hexdigest()[:16]


def kept(corpora: Corpora, place: Path) -> Recorded:
    """What an earlier run on the same archives left in ``place``, else what is read now and left there.

    Its name gets a digest of what was read.
    """
    place = place.with_stem(f"{place.stem}-{digest_of(corpora, (otrf.NAME, CAMPAIGNS))}")
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        found = read(corpora)
        facts = _Facts(
            list(found.marks), list(found.parts), dict(found.unknown), dict(found.sites), dict(found.verified)
        )
        fresh = place.with_suffix(".new.npz")
        told = np.frombuffer(msgspec.msgpack.encode(facts), np.uint8)
        np.savez(fresh, facts=told, **{name: getattr(found, name) for name in _COLUMNS})
        fresh.replace(place)
    with np.load(place, allow_pickle=False) as arrays:
        facts = msgspec.msgpack.decode(arrays["facts"].tobytes(), type=_Facts)
        return Recorded(
            facts.marks, facts.parts, facts.unknown, facts.sites, facts.verified, *(arrays[name] for name in _COLUMNS)
        )


def read(corpora: Corpora) -> Recorded:
    """Every recording, once through."""
    reading = _Reading()
    for stream in streams(corpora):
        reading.enter(stream)
    return reading.done(corpora.verified)


class _Reading:
    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._windows: dict[tuple[str, str], int] = {}
        self._marks: list[Mark] = []
        self._found: list[tuple[Stream, int, int]] = []
        self._unknown: dict[str, str] = {}
        self._hosts: dict[str, Counter[str]] = {}
        self._columns = {name: array(code) for name, code in zip(_COLUMNS, "iiBqII", strict=True)}

    def enter(self, stream: Stream) -> None:
        hosts = self._hosts[stream.name] = Counter()
        if stream.reason:
            self._unknown[stream.name] = stream.reason
            hosts.update(host_of(seen.event) for seen in islice(stream, TOLD))
            return
        start = len(self._columns["mark"])
        for seen in stream:
            hosts[host_of(seen.event)] += 1
            process, above = processes(seen.event.ecs)
            at = moment(seen.event)
            key = window_key(seen.event)
            window = NOWHERE if key is None else self._windows.setdefault((stream.name, key), len(self._windows))
            row = (self._place(seen.event), window, _LABELS[seen.label], -1 if at is None else at, process, above)
            for column, value in zip(self._columns.values(), row, strict=True):
                column.append(value)
        light = msgspec.structs.replace(stream, content=b"", order=())
        self._found.append((light, start, len(self._columns["mark"])))

    def _place(self, event: Event) -> int:
        place = self._places.setdefault(event.fingerprint, len(self._marks))
        if place == len(self._marks):
            pairs = dict(event.canonical)
            text = str(scrub(render(event.canonical)))
            self._marks.append(Mark(event.fingerprint, event.kind, pairs.get(IMAGE, ""), pairs.get(PARENT, ""), text))
        return place

    def done(self, verified: Mapping[str, str]) -> Recorded:
        sites = sites_of(self._hosts)
        parts = [
            Part(
                stream.name,
                stream.group,
                stream.set,
                sites.get(stream.name, stream.name),
                stream.techniques,
                start,
                stop,
            )
            for stream, start, stop in self._found
        ]
        kinds = (np.int32, np.int32, np.uint8, np.int64, np.uint32, np.uint32)
        columns = (np.array(column, kind) for column, kind in zip(self._columns.values(), kinds, strict=True))
        return Recorded(self._marks, parts, self._unknown, sites, dict(verified), *columns)
