"""Whose content a file holds, where names, inodes, devices, first lines and clocks say too little."""

from __future__ import annotations

import gzip
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connector.errors import TransientError
from connector.siem import files as module
from connector.siem.formats import found
from connector.siem.tail import Content, finder
from connector.siem.tail.contents import sort
from connector.testing import ManualClock
from connector.types import Span
from tests.siem.packing import EVENTS, JSONL
from tests.siem.test_source import drain, everything, numbers, source, spans


def test_an_identity_survives_a_device_that_gets_another_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jsonl").write_bytes(JSONL)
    (before,) = source(tmp_path).heads()
    _renumber(monkeypatch, lambda _: 4242)
    assert source(tmp_path).heads() == [before]


def test_two_files_on_two_devices_are_told_apart_though_inode_and_first_line_are_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"n": 0}\n{"n": 1}\n')
    (tmp_path / "b.jsonl").write_bytes(b'{"n": 0}\n{"n": 2}\n')
    real = found.look

    def look(stream: Any, path: str, *, follow: bool) -> found.FoundFile | None:
        file = real(stream, path, follow=follow)
        return None if file is None else msgspec.structs.replace(file, device=len(path), identity="7-same")

    monkeypatch.setattr(finder, "look", look)
    files = source(tmp_path)
    assert sorted(numbers(everything(files))) == [0, 0, 1, 2]
    assert sorted(head.partition for head in files.heads()) == ["7-same", "7-same.2"]


def test_a_link_to_a_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(JSONL)
    os.link(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    (tmp_path / "c.jsonl").symlink_to(tmp_path / "a.jsonl")
    files = source(tmp_path)
    for _ in range(2):
        assert numbers(everything(files)) == [event["n"] for event in EVENTS]


def _renumber(monkeypatch: pytest.MonkeyPatch, device: Any) -> None:
    real = found.look

    def look(stream: Any, path: str, *, follow: bool) -> found.FoundFile | None:
        file = real(stream, path, follow=follow)
        return None if file is None else msgspec.structs.replace(file, device=device(path))

    fstat = os.fstat
    monkeypatch.setattr(finder, "look", look)
    monkeypatch.setattr(os, "fstat", lambda handle: _with_device(fstat(handle), 4242))


def _with_device(status: os.stat_result, device: int) -> os.stat_result:
    fields = list(status)
    fields[2] = device
    return os.stat_result(fields, {"st_mtime_ns": status.st_mtime_ns})


def test_a_file_cut_under_the_same_first_line_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"time,host\n" + b"1,a\n" * 100)
    files = source(path)
    assert len(everything(files)) == 100
    path.write_bytes(b"time,host\n2,b\n")
    lost, fresh = sorted(files.heads(), key=lambda head: -head.offset)
    assert lost.offset == 410
    assert [raw.data for raw in drain(files, Span(partition=fresh.partition, start=0, stop=14))] == [
        {"time": "2", "host": "b"}
    ]


def _refused(_: found.FoundFile, error: OSError) -> None:
    raise error


def test_files_that_did_not_change_keep_their_contents_though_inode_and_first_line_are_one() -> None:
    def file(name: str, size: int) -> found.FoundFile:
        return found.FoundFile(
            path=name,
            identity="7-same",
            layout="records",
            device=1,
            inode=7,
            size=size,
            modified_ns=0,
            head="same",
            first=9,
        )

    contents = {
        f"7-{name}": Content(identity=f"7-{name}", head="same", inode=7, path=name, layout="records", end=end, tail="t")
        for name, end in (("a", 50), ("b", 100))
    }
    sorted_ = sort(
        [file("a", 50), file("b", 100)], contents, sure=lambda _: True, fresh=lambda _: False, refused=_refused
    )
    assert {key: held.path for key, held in sorted_.held.items()} == {"7-a": "a", "7-b": "b"}


def test_a_copy_before_a_truncation_is_known_among_a_hundred_older_ones(tmp_path: Path) -> None:
    opening = b'{"started": "the same line at the start of each file"}\n'
    log = tmp_path / "a.log"
    log.write_bytes(opening + b'{"n": 1}\n' * 50)
    for number in range(100):
        old = tmp_path / f"a.log.{number}"
        old.write_bytes(opening + b'{"n": %d}\n' % (1000 + number))
        os.utime(old, (1e9 + number, 1e9 + number))
    files = source(tmp_path, clock=ManualClock(datetime.now(UTC)), settle=timedelta(minutes=5))
    assert len(files.heads()) == 101
    shutil.copyfile(log, tmp_path / "a.log.100")
    assert len(files.heads()) == 101


@pytest.mark.parametrize("ahead", [-timedelta(minutes=1), timedelta(days=4000)])
def test_a_container_that_nobody_writes_to_is_read_whatever_time_it_bears(ahead: timedelta, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(JSONL))
    clock = ManualClock(datetime.now(UTC))
    written = (clock() + ahead).timestamp()
    os.utime(path, (written, written))
    files = source(path, clock=clock, settle=timedelta(minutes=5))
    assert files.heads() == []
    clock.advance(301)
    assert numbers(everything(files)) == list(range(len(EVENTS)))


class _Torn:
    """A disk that reads no more behind a place of one file."""

    def __init__(self, path: Path, error: int) -> None:
        self._path, self._error, self.healed = str(path), error, False

    def __call__(self, path: str) -> Any:
        if path == self._path and not self.healed:
            raise OSError(self._error, os.strerror(self._error))
        return found_opened(path)


found_opened = module.opened


def test_a_file_that_cannot_be_read_on_keeps_no_other_from_being_read_and_is_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        (tmp_path / f"{name}.jsonl").write_bytes(JSONL)
    (tmp_path / "b.jsonl").write_bytes(JSONL * 2)
    files = source(tmp_path)
    both = spans(files)
    disk = _Torn(tmp_path / "a.jsonl", 5)
    monkeypatch.setattr(module, "opened", disk)
    batches = [files.read(span, None, 1000) for span in both]
    assert sorted((len(batch.items), batch.done, batch.complete) for batch in batches) == [
        (0, True, False),
        (2 * len(EVENTS), True, True),
    ]
    assert [reason for batch in batches if (reason := batch.reason)] == [
        f"{tmp_path}/a.jsonl cannot be read: [Errno 5] Input/output error"
    ]
    disk.healed = True
    assert sorted(len(drain(files, span)) for span in both) == [len(EVENTS), 2 * len(EVENTS)]


def test_too_many_open_files_are_an_outage_and_no_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jsonl").write_bytes(JSONL)
    files = source(tmp_path)
    (span,) = spans(files)
    monkeypatch.setattr(module, "opened", _Torn(tmp_path / "a.jsonl", 24))
    with pytest.raises(TransientError, match="Too many open files"):
        files.read(span, None, 1000)


def test_what_is_missing_of_a_lost_file_is_told_to_a_reader_that_stood_still_for_days(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(JSONL)
    clock = ManualClock(datetime.now(UTC))
    files = source(path, clock=clock)
    (head,) = files.heads()
    path.unlink()
    assert files.heads() == [head]
    clock.advance(3 * 86_400)
    assert files.heads() == [head]
    batch = files.read(Span(partition=head.partition, start=0, stop=head.offset), None, 10)
    assert (batch.complete, batch.done) == (False, True)
    assert files.heads() == []


def test_a_copy_that_was_packed_before_a_log_grew_never_stands_for_the_log(tmp_path: Path) -> None:
    log, opening = tmp_path / "a.log", b'{"started": "the same line at the start of each file"}\n'
    log.write_bytes(opening)
    early = tmp_path / "a.log.1.gz"
    early.write_bytes(gzip.compress(opening))
    os.utime(early, (1e9, 1e9))
    files = source(tmp_path)
    assert len(files.heads()) == 1
    log.write_bytes(opening + b'{"n": 1}\n{"n": 2}\n')
    (grown,) = files.heads()
    late = tmp_path / "a.log.2.gz"
    late.write_bytes(gzip.compress(log.read_bytes()))
    os.utime(late, (1e9, 1e9))
    log.unlink()
    assert files.heads() == [grown]
    assert len(drain(files, Span(partition=grown.partition, start=0, stop=grown.offset))) == 3
    log.write_bytes(opening + b'{"n": 3}\n')
    assert {head.offset for head in files.heads() if head.partition == grown.partition} == {grown.offset}
