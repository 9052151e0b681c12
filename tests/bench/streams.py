"""A stream of raw events with the repetition of real ones: OTRF's recordings, or else the bundled scenario."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from connector.errors import PermanentError
from connector.events import normalise
from connector.types import Event, RawEvent, SourceRef
from tests.bench.plan import SEED, Plan

OTRF = "OTRF__Security-Datasets.tar"
SCENARIO = Path(__file__).parents[2] / "connector" / "demo" / "scenario"


class Stream:
    """Lines in one spool file, in the order of their recordings, and where each begins."""

    def __init__(self, name: str, spool: Path, offsets: np.ndarray) -> None:
        self.name = name
        self._spool = spool
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def lines(self, places: np.ndarray) -> Iterator[bytes]:
        """The lines at these places, in this order."""
        with self._spool.open("rb") as file:
            for place in places.tolist():
                file.seek(self._offsets[place])
                yield file.read(self._offsets[place + 1] - self._offsets[place])

    def shuffled(self, count: int) -> np.ndarray:
        """So many places in the fixed order of the seed; a stream that is too short begins again."""
        order = np.random.default_rng(SEED).permutation(len(self))
        return np.resize(order, count)


def gather(corpora: Path, directory: Path) -> Stream:
    """Spools the corpus, or the bundled scenario where the corpus is not there."""
    tar = corpora / OTRF
    name, lines = ("OTRF", otrf_lines(tar)) if tar.is_file() else ("bundled scenario", scenario_lines())
    spool = directory / "spool.jsonl"
    lengths = [0]
    with spool.open("wb") as file:
        lengths.extend(file.write(line + b"\n") for line in lines)
    return Stream(name, spool, np.cumsum(lengths))


def otrf_lines(tar: Path) -> Iterator[bytes]:
    """Every host event of the recordings: the JSON lines in the zips in the tar."""
    with tarfile.open(tar) as outer:
        for entry in outer:
            if not (entry.isfile() and entry.name.endswith(".zip")):
                continue
            inner = outer.extractfile(entry)
            assert inner is not None
            with zipfile.ZipFile(io.BytesIO(inner.read())) as recording:
                for name in recording.namelist():
                    if name.endswith(".json") and "__MACOSX" not in name:
                        yield from (line for line in recording.read(name).splitlines() if line.startswith(b"{"))


def scenario_lines() -> Iterator[bytes]:
    """The demo's events in Winlogbeat's format."""
    for path in sorted(SCENARIO.glob("*.winlogbeat.jsonl.gz")):
        yield from gzip.decompress(path.read_bytes()).splitlines()


def distinct_events(stream: Stream, plan: Plan) -> list[Event]:
    """Events with distinct fingerprints, drawn from the distinct ones of a sample, so that rare ones count as such."""
    return [event for _, event in distinct(stream, plan.sample, plan.texts)]


def distinct(stream: Stream, sample: int, count: int) -> list[tuple[bytes, Event]]:
    """Lines and their events, as ``distinct_events`` draws them: ``count`` at most from so many of the stream."""
    found: dict[str, tuple[bytes, Event]] = {}
    for number, line in enumerate(stream.lines(stream.shuffled(sample))):
        ref = SourceRef(siem="bench", index="bench", id=str(number))
        try:
            event = normalise(RawEvent(deployment="bench", native_id=str(number), ref=ref, data=line))
        except PermanentError:
            continue
        found.setdefault(event.fingerprint, (line, event))
    order = np.random.default_rng(SEED).permutation(len(found))[:count]
    pairs = list(found.values())
    return [pairs[place] for place in order.tolist()]
