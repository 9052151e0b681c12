"""The promise of a followed file: what was written is read, each record exactly once, whatever rotates it and kills us."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from connector import identity
from connector.models import Bundle, Store
from connector.pipeline import Ingest
from connector.settings import RetentionSettings
from connector.siem.files import FilesSource, FilesSourceConfig
from connector.types import Batch, Cursor, RawEvent, Span
from connector.wiring import plugins
from tests.models.tiny import tiny_store
from tests.pipeline.house import House
from tests.siem.writers import Log, Table

BANNER = b'{"started": "the same line at the start of each file"}\n'
HEADER = b'_time,"_raw"\r\n'
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where ledgers lie that need not outlive this machine. The logs lie on a disk, whose inodes are used again."""

STEPS = ("ingest.begun", "ingest.read", "ingest.prepared", "ingest.scored", "ingest.committed")


class Killed(BaseException):
    """What a test ends the reader with, in the middle of its work."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    store = Store(tiny_store(tmp_path_factory.mktemp("bundle") / "store"))
    return store.open(None, threads=1, cache_entries=1000, kinds=plugins("triaged.member"))


class Spy(FilesSource):
    """Remembers which record each native id stood for; one id never stands for two."""

    seen: dict[str, Any]

    def read(self, span: Span, after: Cursor | None, limit: int) -> Batch[RawEvent]:
        batch = super().read(span, after, limit)
        for raw in batch.items:
            number = number_of(raw)
            assert self.seen.setdefault(raw.native_id, number) == number
        return batch


def number_of(raw: RawEvent) -> int | None:
    assert raw.error is None, raw
    if isinstance(raw.data, bytes):
        return json.loads(raw.data).get("n")
    return int(raw.data["_time"])


class Follower:
    """A reader with its ledger, which can be killed at any step and started again."""

    def __init__(self, folder: Path, bundle: Bundle, pattern: str, batch: int) -> None:
        self.folder = folder
        self.house = House(folder, bundle)
        self.config = FilesSourceConfig(
            deployment="here",
            paths=(pattern,),
            settle=timedelta(minutes=5),
            batch=batch,
            memory=folder / "memory.sqlite",
        )
        self.seen: dict[str, Any] = {}
        self.start()

    def start(self) -> None:
        """A new process: nothing but the ledger and the memory on disk is known."""
        self.source = Spy("files", self.config, lambda: datetime.now(UTC))
        self.source.seen = self.seen
        house = self.house
        self.ingest = Ingest(
            "lab", self.source, self.config, ledger=house.ledger, bundle=lambda: house.bundle,
            policy=lambda: house.policy, routes=house.routes, origin_key=b"key", owner="worker",
            lease_ttl=timedelta(seconds=60), retention=RetentionSettings(), clock=house.clock, stopping=house.stopping,
            steps=self._step,
        )  # fmt: skip
        self.kill: tuple[str, int] | None = None

    def _step(self, step: str) -> None:
        if self.kill and step == self.kill[0]:
            self.kill = (step, self.kill[1] - 1)
            if self.kill[1] < 0:
                raise Killed

    def poll(self, kill: tuple[str, int] | None = None) -> None:
        self.kill = kill
        try:
            self.ingest.poll()
        except Killed:
            self.source.close()
            self.start()
        self.kill = None

    def read(self) -> Counter[int | None]:
        """How often each record has a verdict."""
        ids = {identity.event_id("here", native): native for native in self.seen}
        return Counter(self.seen[ids[known]] for known in self.house.ledger.known(list(ids)))

    def gaps(self) -> list[Any]:
        return list(self.house.ledger.gaps("lab", self.source.query_digest, 0, self.source.heads()))

    def close(self) -> None:
        self.source.close()
        self.house.close()


def follow(data: st.DataObject, bundle: Bundle, make: Callable[[Path, str, Any], Log], steps: int) -> None:
    with tempfile.TemporaryDirectory() as written, tempfile.TemporaryDirectory(dir=IN_MEMORY) as kept:
        folder = Path(written)
        numbers = itertools.count(1)
        logs = [make(folder, "a.log", numbers)]
        reader = Follower(Path(kept), bundle, str(folder / "*.log*"), data.draw(st.sampled_from([2, 7, 1000])))
        try:
            for _ in range(data.draw(st.integers(1, steps))):
                log = data.draw(st.sampled_from(logs))
                match data.draw(st.sampled_from(OPERATIONS)):
                    case "append":
                        log.append(data.draw(st.integers(0, 9)), data.draw(st.integers(0, 60)))
                    case "rename":
                        log.rename()
                    case "copy and truncate":
                        log.copy()
                        if data.draw(st.booleans()):
                            reader.poll()
                        log.truncate()
                    case "recreate":
                        log.flush()
                        for _ in range(2):  # the first may only end what a killed reader began
                            reader.poll()
                        log.recreate()
                    case "compress":
                        log.compress(data.draw(st.integers(0, 9)))
                    case "new":
                        logs.append(make(folder, f"b{len(logs)}.log", numbers))
                    case "poll":
                        reader.poll()
                    case "look":
                        reader.source.heads()
                    case "kill":
                        reader.poll((data.draw(st.sampled_from(STEPS)), data.draw(st.integers(0, 2))))
                    case _:
                        reader.source.close()
                        reader.start()
            for log in logs:
                log.flush()
            for _ in range(2):
                reader.poll()
            found = reader.read()
            openings = found.pop(None, 0)
            assert found == Counter(number for log in logs for number in log.written)
            # a file that holds nothing but the opening that others have too is waited for: it may be a copy
            assert openings <= sum(log.openings for log in logs)
            assert reader.gaps() == []
        finally:
            reader.close()


OPERATIONS = (
    "append", "append", "append", "append", "poll", "poll", "look", "rename", "copy and truncate", "recreate", "compress",
    "new", "kill", "kill", "restart",
)  # fmt: skip
QUICK = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
FULL = settings(QUICK, max_examples=60)
WRITERS: dict[str, Callable[[Path, str, Any], Log]] = {
    "lines": lambda folder, name, numbers: Log(folder, name, numbers, b""),
    "lines under a banner": lambda folder, name, numbers: Log(folder, name, numbers, BANNER),
    "rows under a header": lambda folder, name, numbers: Table(folder, name, numbers, HEADER),
}


@pytest.mark.parametrize("writer", ["lines", "rows under a header"])
@QUICK
@given(data=st.data())
def test_every_record_is_read_once_whatever_rotates_the_file_and_kills_the_reader(
    writer: str, data: st.DataObject, bundle: Bundle
) -> None:
    follow(data, bundle, WRITERS[writer], steps=25)


@pytest.mark.full
@pytest.mark.parametrize("writer", WRITERS)
@FULL
@given(data=st.data())
def test_every_record_is_read_once_over_long_stories(writer: str, data: st.DataObject, bundle: Bundle) -> None:
    follow(data, bundle, WRITERS[writer], steps=40)


@pytest.mark.parametrize("end", [Log.recreate, Log.truncate])
def test_what_was_seen_and_not_read_before_it_was_deleted_or_cut_is_a_gap_with_its_reason(
    end: Callable[[Log], None], bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    log = Log(tmp_path / "logs", "a.log", itertools.count(1), BANNER)
    reader = Follower(tmp_path, bundle, str(tmp_path / "logs" / "*"), 1000)
    try:
        log.append(3, 0)
        reader.poll()
        read = log.path.stat().st_size
        log.append(2, 0)
        reader.source.heads()
        end(log)
        log.append(9, 0)
        reader.source.close()
        reader.start()
        for _ in range(2):
            reader.poll()
        assert reader.read() == Counter([None, None, 1, 2, 3, *range(6, 15)])
        (gap,) = reader.gaps()
        assert gap.start == read
        assert "before byte" in gap.reason
    finally:
        reader.close()
