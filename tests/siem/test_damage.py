"""Damage costs what lies behind it, and one file that cannot be read no other."""

from __future__ import annotations

import errno
import gzip
import os
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.errors import TransientError
from connector.siem.tail import contents
from connector.testing import ManualClock
from connector.types import Span
from tests.siem.packing import EVENTS, JSONL
from tests.siem.test_source import everything, numbers, source

LINES = b"".join(b'{"n": %d, "x": "%s"}\n' % (n, random.Random(n).randbytes(100).hex().encode()) for n in range(2000))


@pytest.mark.parametrize("limit", [7, 100_000])
def test_what_stands_before_the_damage_of_a_packed_log_is_read_and_the_rest_is_a_gap_with_its_reason(
    limit: int, tmp_path: Path
) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(LINES)
    files = source(tmp_path)
    (head,) = files.heads()
    packed = tmp_path / "a.log.1.gz"
    packed.write_bytes(gzip.compress(LINES))
    os.utime(packed, (1e9, 1e9))
    log.unlink()
    (head,) = files.heads()
    status = packed.stat()
    with packed.open("r+b") as file:
        file.seek(status.st_size // 2)
        file.write(bytes(64))
    os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))
    span, found, cursor = Span(partition=head.partition, start=0, stop=head.offset), [], None
    while (batch := files.read(span, cursor, limit)).complete and not batch.done:
        found += batch.items
        cursor = batch.cursor
    assert not batch.complete
    assert "cannot be read" in batch.reason
    assert len(found) > 500
    assert [raw.position.offset for raw in found if raw.position] == sorted(
        {raw.position.offset for raw in found if raw.position}
    )


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """By inode, the error with which the file cannot be read while it is compared."""
    faults: dict[int, int] = {}
    real = contents.tail_of

    def tail_of(stream: Any, end: int) -> str:
        if error := faults.get(os.fstat(stream.fileno()).st_ino):
            raise OSError(error, os.strerror(error))
        return real(stream, end)

    monkeypatch.setattr(contents, "tail_of", tail_of)
    return faults


@pytest.mark.parametrize("named", ["a.jsonl", "b.jsonl"])
def test_a_file_that_cannot_be_compared_is_left_out_of_this_look_alone(
    named: str, tmp_path: Path, disk: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("connector.siem.files.emit", lambda _, __, reason: told.append(reason))
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_bytes(name.encode().join([b'{"n": 0, "in": "', b'"}\n']) + JSONL)
    files = source(tmp_path)
    both = files.heads()
    for name in ("a.jsonl", "b.jsonl"):
        with (tmp_path / name).open("ab") as file:
            file.write(b'{"n": 99}\n')
    disk[(tmp_path / named).stat().st_ino] = errno.EIO
    for _ in range(2):
        assert len(files.heads()) == 1
    assert told == [f"{tmp_path}/{named} cannot be read: Input/output error"]
    disk.clear()
    assert {head.partition for head in files.heads()} == {head.partition for head in both}
    assert numbers(everything(files)).count(99) == 2


def test_a_copy_that_cannot_be_compared_waits(tmp_path: Path, disk: dict[int, int]) -> None:
    clock = ManualClock(datetime.now(UTC))
    (tmp_path / "a.log").write_bytes(JSONL * 2)
    files = source(tmp_path, clock=clock, settle=timedelta(minutes=5))
    files.heads()
    (tmp_path / "a.log.1").write_bytes(JSONL)
    disk[(tmp_path / "a.log.1").stat().st_ino] = errno.EIO
    assert len(everything(files)) == 2 * len(EVENTS)


def test_too_many_open_files_while_comparing_are_an_outage(tmp_path: Path, disk: dict[int, int]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(JSONL)
    files = source(tmp_path)
    files.heads()
    path.write_bytes(JSONL * 2)
    disk[path.stat().st_ino] = errno.EMFILE
    with pytest.raises(TransientError, match="looking for files"):
        files.heads()
