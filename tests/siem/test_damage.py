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

LINES = b"".join(
    b'{"n": %d, "x": "%s"}\n' % (n, random.Random(n).randbytes(100).hex().encode())  # noqa: S311 - bytes that pack badly
    for n in range(2000)
)


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
