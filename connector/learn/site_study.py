"""What a site layer changes, measured: ``python -m connector.learn.site_study STORE CORPORA``.

Streams: OTRF's compound recordings, three whole hosts with a campaign each, which train nothing. Each host's first fifth
in time is its baseline, whatever it holds, and the rest is judged; then each host is judged with what the two others
showed; then again with attack events of its own planted in the baseline of one of the others. Last, administration that trained
nothing: one half of the groups is learnt, the other judged. Attack is what the process tree says.
"""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import yaml
from numpy.typing import NDArray

from connector.errors import PermanentError
from connector.events import normalise
from connector.learn.corpora import administration as generated, atomic, routine, scripts, tldr
from connector.learn.corpora.process_tree import attack
from connector.learn.corpora.recipes import RECIPES
from connector.learn.corpora.source import Corpora
from connector.learn.dataset import split_of
from connector.learn.evaluation.samples import read
from connector.learn.site import learn
from connector.learn.site_baseline import gathered
from connector.models import Bundle, Store
from connector.models.ensemble import TEXT
from connector.models.memory import Memory, keys_of
from connector.models.site import bundle_digest
from connector.models.site_store import SiteStore
from connector.ports import Member, State
from connector.types import Event, RawEvent, Scores, SourceRef, StateChange

ARCHIVE: Final = "OTRF__Security-Datasets-compound.tar"
FIRST: Final = 0.2
"""The share of a host's stream, in time, that is its baseline."""

SEED: Final = 1
"""Of the dataset's split."""

ADMINISTRATION: Final = (
    routine.NAME,
    generated.NAME,
    tldr.NAME,
    scripts.RUNNER_IMAGES,
    scripts.CHOCOLATEY,
)

_KEY: Final = "0" * 64
_NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Seen(msgspec.Struct, frozen=True):
    """One event of a stream, and whether the attack's process tree made it."""

    event: Event
    attack: bool


Stream = Sequence[Seen]


def compound(corpora: Path) -> Mapping[str, Stream]:
    """The events of each campaign in time order, by the campaign's number."""
    views: dict[str, str] = {}
    bodies: dict[str, bytes] = {}
    with tarfile.open(corpora / ARCHIVE) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            if stream is None or "zeek" in member.name:
                continue
            name = member.name.partition("LSASS_campaign_")[2][:2]
            if member.name.endswith(".yaml"):
                views[name] = str(yaml.safe_load(stream)["simulation"]["adversary_view"])
            elif member.name.endswith(".zip"):
                with zipfile.ZipFile(io.BytesIO(stream.read())) as archive:
                    bodies[name] = archive.read(archive.namelist()[0])
    return {name: _stream(name, bodies[name], views[name]) for name in sorted(bodies)}


def _stream(name: str, body: bytes, view: str) -> Stream:
    rows: list[dict[str, Any]] = [msgspec.json.decode(line) for line in body.splitlines()]
    rows.sort(key=lambda row: str(row.get("@timestamp")))
    tree = attack([row for row in rows if row.get("EventID") == 1 and "ProcessGuid" in row], view)
    found = []
    ref = SourceRef(siem="corpus", index=name, id="")
    for number, row in enumerate(rows):
        try:
            event = normalise(RawEvent(deployment="corpus", native_id=f"{name}:{number}", ref=ref, data=row))
        except PermanentError:
            continue
        found.append(Seen(event, tree.holds(row)))
    return found


class Judged(msgspec.Struct, frozen=True):
    """What a stream's judged part shows at each level: false alarms per 10,000, attack events found, streams found."""

    level: str
    alarms: float
    events: float
    streams: str


def judged(bundle: Bundle, streams: Iterable[Stream]) -> list[Judged]:
    """All streams together, at the bundle's own levels."""
    scores: list[NDArray[np.float64]] = []
    truth: list[NDArray[np.bool_]] = []
    for stream in streams:
        predictions = bundle.predict([seen.event for seen in stream], {})[0]
        scores.append(np.array([prediction.p_malicious for prediction in predictions]))
        truth.append(np.array([seen.attack for seen in stream]))
    rows = []
    for level, cut in bundle.thresholds.levels().items():
        hits = [p >= cut for p in scores]
        false = sum(int((hit & ~bad).sum()) for hit, bad in zip(hits, truth, strict=True))
        true = [int((hit & bad).sum()) for hit, bad in zip(hits, truth, strict=True)]
        ordinary, bad = sum(int((~bad).sum()) for bad in truth), sum(int(bad.sum()) for bad in truth)
        with_attack = sum(bool(bad.any()) for bad in truth)
        rows.append(
            Judged(
                level=level,
                alarms=1e4 * false / max(ordinary, 1),
                events=sum(true) / max(bad, 1),
                streams=f"{sum(map(bool, true))}/{with_attack}",
            )
        )
    return rows


def layered(bundle: Bundle, baseline: Stream, folder: Path, budget: float | None = None) -> Bundle:
    """The bundle with a layer learnt from a baseline, put in use whether it stands or not."""
    store = SiteStore(folder)
    found = gathered(_batches([seen.event for seen in baseline]), key=_KEY)
    store.promote(learn(found, bundle, store, now=_NOW, budget=budget).version)
    return bundle.on_site(store.open(bundle.ref, bundle_digest(bundle.manifest)))


def own_first(bundle: Bundle, streams: Mapping[str, Stream], folder: Path, budget: float | None) -> list[Judged]:
    """Every host with a layer of its own first fifth."""
    found = []
    for name, stream in streams.items():
        start = int(FIRST * len(stream))
        found.append((layered(bundle, stream[:start], folder / name, budget), stream[start:]))
    return _together(found)


def of_others(bundle: Bundle, streams: Mapping[str, Stream], folder: Path, *, planted: bool = False) -> list[Judged]:
    """Every host with a layer of the other hosts, with attack events of its own planted in one of them or not."""
    found = []
    for name, stream in streams.items():
        others = [seen for other, rows in streams.items() if other != name for seen in rows]
        if planted:
            others += plant(stream, others[0].event)
        found.append((layered(bundle, others, folder / name), stream))
    return _together(found)


def plant(stream: Stream, host: Event) -> list[Seen]:
    """Attack events of a stream as if another host had logged them, each three times."""
    chosen = {seen.event.fingerprint: seen for seen in stream if seen.attack}
    ecs = {"host": host.ecs.get("host"), "@timestamp": host.ecs.get("@timestamp")}
    return [
        Seen(msgspec.structs.replace(seen.event, ecs={**seen.event.ecs, **ecs}), attack=True)
        for seen in chosen.values()
        for _ in range(3)
    ]


def _together(found: Sequence[tuple[Bundle, Stream]]) -> list[Judged]:
    """The results of several layers, each on its own stream, as one."""
    parts = [judged(bundle, [stream]) for bundle, stream in found]
    ordinary = [sum(not seen.attack for seen in stream) for _, stream in found]
    bad = [sum(seen.attack for seen in stream) for _, stream in found]
    rows = []
    for place, level in enumerate(parts[0]):
        at = [part[place] for part in parts]
        rows.append(
            Judged(
                level=level.level,
                alarms=float(np.average([row.alarms for row in at], weights=ordinary)),
                events=float(np.average([row.events for row in at], weights=bad)),
                streams=f"{sum(row.streams[0] == '1' for row in at)}/{len(at)}",
            )
        )
    return rows


def administration(corpora: Path) -> tuple[Stream, Stream]:
    """Administration that trained nothing, in two halves by group, the second one with attack commands that trained nothing.

    Scripts, generated administration and manual pages, and Atomic Red Team's commands, of the dataset's dev split. The
    hosts that recipes invent are taken away: each command would be what one host alone shows.
    """
    held = Corpora(corpora)
    halves: tuple[list[Seen], list[Seen]] = ([], [])
    for name in ADMINISTRATION:
        for row, event in read(RECIPES[name](held), name, ""):
            if split_of(name, row.group, SEED) == "dev" and row.malicious is False:
                side = hashlib.sha256(row.group.encode()).digest()[0] % 2
                halves[side].append(Seen(msgspec.structs.replace(event, ecs={}), attack=False))
    attacks = [
        Seen(event, attack=True)
        for row, event in read(RECIPES[atomic.NAME](held), atomic.NAME, "")
        if split_of(atomic.NAME, row.group, SEED) == "dev"
    ]
    return halves[0], [*halves[1], *attacks]


class Remembering:
    """A text member whose scores are kept: a study scores the same events under many layers."""

    needs: tuple[str, ...] = ()

    def __init__(self, member: Member) -> None:
        self.name = member.name
        self.labels = member.labels
        self.key = member.key
        self.state_keys = member.state_keys
        self._member = member
        self._memory = Memory(member, (member,), 1_000_000)

    def score(self, events: Sequence[Event], views: Mapping[str, Scores], state: State) -> tuple[Scores, StateChange]:
        """What the member says, or said."""
        return self._memory.score(events, keys_of((self._member,), events), views, state)


def studied(store: Path) -> Bundle:
    """The bundle that a store has in production, with a text member that remembers."""
    bundle = Store(store).open(threads=1)
    members = [Remembering(m) if m.name == TEXT else m for m in bundle.members.values()]
    return Bundle(bundle.manifest, members, cache_entries=0, attacks=bundle.attacks)


def _batches(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    for start in range(0, len(events), 1000):
        yield events[start : start + 1000]


def main(store: Path, corpora: Path) -> None:
    """Prints every comparison."""
    bundle = studied(store)
    streams = compound(corpora)
    rest = [stream[int(FIRST * len(stream)) :] for stream in streams.values()]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tell("last 80% of each host, no layer", judged(bundle, rest))
        tell("last 80%, layer of its first 20%", own_first(bundle, streams, folder / "a", None))
        tell("the same, 1 alarm per 10,000 wanted", own_first(bundle, streams, folder / "b", 1.0))
        tell("whole hosts, no layer", judged(bundle, streams.values()))
        tell("whole hosts, layer of the two others", of_others(bundle, streams, folder / "c"))
        tell("the same, its attack planted on one of them", of_others(bundle, streams, folder / "d", planted=True))
        learnt, left = administration(corpora)
        tell("half of administration, no layer", judged(bundle, [left]))
        tell("half of administration, layer of the other half", judged(layered(bundle, learnt, folder / "e"), [left]))


def tell(what: str, rows: Sequence[Judged]) -> None:
    """One block of lines."""
    print(what)
    for row in rows:
        print(
            f"  {row.level:10s} false alarms {row.alarms:7.2f} per 10,000   events {row.events:.4f}   campaigns {row.streams}"
        )
    sys.stdout.flush()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
