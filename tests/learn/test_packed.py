"""Archives of corpora are unpacked up to a bound that is told, wherever one is read."""

from __future__ import annotations

import io
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from connector.errors import ConfigError
from connector.learn import streams
from connector.learn.corpora import capture_payloads, labelled_flows, otrf, packed
from connector.learn.corpora.source import Corpora
from connector.learn.evaluation import recordings

BOUND = 64 << 10
LARGE = b" " * (BOUND // 2 + 1)


def zipped(*files: str, content: bytes = LARGE) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in files:
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(*files: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in files:
            member = tarfile.TarInfo(name)
            member.size = len(LARGE)
            archive.addfile(member, io.BytesIO(LARGE))
    return buffer.getvalue()


def flows(folder: Path) -> Iterable[object]:
    return labelled_flows.captured_flows(Corpora(folder))


def sent(folder: Path) -> Iterable[object]:
    return capture_payloads.sent(Corpora(folder))


def unsw(folder: Path) -> Iterable[object]:
    return labelled_flows.unsw_flows(Corpora(folder))


def single(folder: Path) -> Iterable[object]:
    return streams.streams(Corpora(folder))


def survey(folder: Path) -> Iterable[object]:
    return otrf.surveyed(Corpora(folder)).seen


def evaluated(folder: Path) -> Iterable[object]:
    path = next(path for path in folder.rglob("*.*") if path.is_file())
    return recordings.events(path.name, path.read_bytes())


ATOMIC = "OTRF/Security-Datasets/datasets/atomic/windows/execution"
TABLE = "UNSW_NB15_training-set.csv"


@pytest.mark.parametrize(
    ("read", "place", "content"),
    [
        (flows, f"{ATOMIC}/network/a.zip", zipped("a.cap", "b.pcap")),
        (sent, f"{ATOMIC}/network/a.zip", zipped("a.cap", "b.pcap")),
        (unsw, "vincentlemaire-labs/CAID2025/UNSW_NB15_training-set.zip", zipped(TABLE, f"old/{TABLE}")),
        (single, f"{ATOMIC}/host/a.zip", zipped("a.json", "b.log")),
        (single, f"{ATOMIC}/host/a.tar.gz", tarred("a.json", "b.json")),
        (survey, f"{ATOMIC}/host/a.zip", zipped("a.json", "b.log")),
        (evaluated, f"{ATOMIC}/host/a.zip", zipped("a.json", "b.log")),
        (evaluated, f"{ATOMIC}/host/a.tar.gz", tarred("a.json", "b.json")),
    ],
)
def test_an_archive_that_unpacks_to_more_than_the_bound_is_refused(
    read: Callable[[Path], Iterable[object]],
    place: str,
    content: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packed, "MOST_UNPACKED", BOUND)
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_bytes(content)

    with pytest.raises(ConfigError, match=f"would unpack to 65,538 bytes, at most {BOUND:,} are read"):
        list(read(tmp_path))


def test_an_archive_up_to_the_bound_is_read_and_what_else_it_holds_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packed, "MOST_UNPACKED", 2 * len(LARGE))

    assert list(packed.zipped("a.zip", zipped("b.json", "a.json", "c.txt"), ".json")) == [LARGE] * 2


def test_a_zip_that_states_less_than_it_holds_is_refused_before_it_is_unpacked() -> None:
    size = 32 << 20
    content = zipped("a.json", content=bytes(size)).replace(struct.pack("<I", size), struct.pack("<I", 10))
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match="broken"):
            list(packed.zipped("a.zip", content, ".json"))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
