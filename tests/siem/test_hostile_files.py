"""Files that are made to hurt: bombs, names that climb, brackets without end. They cost what they weigh, and say why they end."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from connector.siem.files import FilesSource, FilesSourceConfig
from connector.siem.formats import Limits, records
from connector.siem.formats.reader import Item
from connector.siem.formats.streams import PIECE
from connector.siem.tail import rows
from connector.testing import ManualClock
from connector.types import Cursor, Span
from tests import growth
from tests.fuzz.targets import TARGETS
from tests.siem.packing import JSONL, tarred, zipped

ALLOWED = 1 << 20
UNPACKED = 16 << 20
LINE = b'{"a": "' + b"x" * 2000 + b'"}\n'


def read(data: bytes, name: str, **limits: int) -> list[Item]:
    return list(records(io.BufferedReader(io.BytesIO(data), PIECE), name, Limits(**limits)))


def _deflated(size: int) -> bytes:
    """A gzip stream of so many equal lines, made without holding them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = LINE * 100
    return b"".join(packer.compress(block) for _ in range(size // len(block))) + packer.flush()


BOMBS: dict[str, Callable[[], bytes]] = {
    "b.jsonl.gz": lambda: _deflated(UNPACKED),
    "b.jsonl.bz2": lambda: bz2.compress(LINE * (UNPACKED // len(LINE))),
    "b.jsonl.xz": lambda: lzma.compress(LINE * (UNPACKED // len(LINE)), preset=0),
    "b.zip": lambda: zipped({"a.jsonl": LINE * (UNPACKED // len(LINE))}),
    "layers.gz": lambda: gzip.compress(gzip.compress(_deflated(UNPACKED))),
    "many.zip": lambda: zipped({f"{n}.jsonl.gz": gzip.compress(LINE * 100) for n in range(100)}),
    "one line.gz": lambda: gzip.compress(b"x" * UNPACKED),
    "utf-16.gz": lambda: gzip.compress(b"\xff\xfe" + b"x\x00" * UNPACKED),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_at_its_budget_with_a_clear_error_and_little_memory(name: str) -> None:
    packed = BOMBS[name]()
    limits = Limits(max_event=1 << 16, max_unpacked=ALLOWED)
    tracemalloc.start()
    try:
        total, errors = 0, []
        for content, _, error in records(io.BufferedReader(io.BytesIO(packed), PIECE), name, limits):
            total += len(content)
            errors += [error] if error else []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert f"unpacks to more than {ALLOWED} bytes; the rest is not read" in errors
    assert total <= ALLOWED
    assert peak < 16 * ALLOWED


def test_members_that_share_their_bytes_spend_the_budget_each() -> None:
    """A zip whose directory names one compressed member again and again: small on disk, endless unpacked."""
    one = zipped({"a.jsonl": LINE * 50})
    with zipfile.ZipFile(io.BytesIO(one)) as archive:
        (info,) = archive.infolist()
        packed = io.BytesIO(one[: archive.start_dir])
    packed.seek(0, 2)
    with zipfile.ZipFile(packed, "a") as archive:
        archive.filelist = [info] * 500
        archive._didModify = True
    items = read(packed.getvalue(), "shared.zip", max_unpacked=ALLOWED)
    assert sum(1 for content, _, error in items if not error) <= ALLOWED // len(LINE)
    assert [error for _, _, error in items if error]


CLIMBING = (
    "../../up.jsonl",
    "/etc/absolute.jsonl",
    "x\\..\\..\\windows.jsonl",
    "C:\\drive.jsonl",
    "a/../../../b.jsonl",
    "nul\0.jsonl",
)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_names_that_climb_are_read_as_names_and_nothing_is_written(
    pack: Callable[..., bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "deep" / "deeper"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    items = read(pack(dict.fromkeys(CLIMBING, JSONL)), "climbing")
    assert len([content for content, _, error in items if not error]) == len(CLIMBING) * len(JSONL.splitlines())
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_links_and_devices_in_a_tar_are_passed_over(kind: bytes) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        link = tarfile.TarInfo("passwd.jsonl")
        link.type, link.linkname = kind, "/etc/passwd"
        archive.addfile(link)
        info = tarfile.TarInfo("a.jsonl")
        info.size = len(LINE)
        archive.addfile(info, io.BytesIO(LINE))
    assert [content for content, _, _ in read(packed.getvalue(), "links.tar")] == [LINE.strip()]


ENDLESS: dict[str, Callable[[int], bytes]] = {
    "brackets.json": lambda n: b"[" + b"{" * n,
    "deep.json": lambda n: b"[" + b'{"a":' * n + b"1" + b"}" * n + b"]",
    "closing.json": lambda n: b"[{}" + b"]" * n,
    "quotes.json": lambda n: b'[{"' + b'\\"' * n,
    "strings.json": lambda n: b"[{" + b'"",' * n,
    "open string.json": lambda n: b'[{}, "' + b"x" * n,
    "strays.json": lambda n: b"[{}," + b"1," * n + b"{}]",
    "small.json": lambda n: b"[" + b"{}," * n + b"{}]",
    "arrays.json": lambda n: b"[{}]" * n,
    "torn.json": lambda n: b"[\n" + b'{"a": "\n' * n,
    "keys.json": lambda n: b"{" + b'"kind": "x", ' * n,
    "wrapped.json": lambda n: b'{"Records": [' + b"{}," * n + b"{}]}",
    "scalars.json": lambda n: b'{"metadata": [' + b"[1]," * n,
    "events.xml": lambda n: b"<?xml version='1.0'?><Events>" + b"<Event>" * n,
    "ends.xml": lambda n: b"<Events>" + b"<Event/></Event>" * n,
    "comments.xml": lambda n: b"<!--" + b"<Event " * n,
    "lines.log": lambda n: b"\n" * n + b"x",
    "line.log": lambda n: b"x" * n,
    "carriage.log": lambda n: b"x\r" * n,
    "quotes.csv": lambda n: b'_time,_raw\n1,"' + b'""' * n,
    "open.csv": lambda n: b"_time,_raw\n" + b'1,"x\n' * n,
    "cells.csv": lambda n: b"_time,_raw\n" + b"," * n + b"\n",
    "rows.csv": lambda n: b"_time,_raw\n" + b"1,2\n" * n,
    "headers.csv": lambda n: b"_time,_raw\n" * n,
    "columns.csv": lambda n: b"_raw," + b",".join(b"c%d" % i for i in range(n)) + b"\n" + b"1," * n + b"1\n",
    "many.csv": lambda n: b"_time,__mv_a\n1," + b"$a$;" * n + b"$b$\n",
    "zeek.log": lambda n: b"#separator \\x09\n#fields\ta\tb\n" + b"1\t2\n" * n,
    "escapes.log": lambda n: b"#separator \\x09\n#fields\ta\n#types\tstring\n" + b"\\x41" * n + b"\n",
    "sets.log": lambda n: b"#separator \\x09\n#fields\ta\n#types\tset[string]\n" + b"a," * n + b"\n",
    "separator.log": lambda n: b"#separator " + b"\\x" * n + b"\n#fields" + b"\ta" * n,
    "audit.log": lambda n: b"type=SYSCALL msg=audit(1.2:3): a=1\n" * n,
    "serials.log": lambda n: b"".join(b"type=SYSCALL msg=audit(1.2:%d): a=1\n" % i for i in range(n)),
    "wide.json": lambda n: b"\xff\xfe" + b"\x0a\x0a" * n,
    "big.json": lambda n: b"\xfe\xff" + b"\x0a\x0a" * n,
}


def _whole(name: str) -> Callable[[bytes], object]:
    limits = Limits(max_event=1 << 18, max_unpacked=1 << 26)

    def run(data: bytes) -> int:
        found = 0
        for content, place, error in records(io.BufferedReader(io.BytesIO(data), PIECE), name, limits):
            assert content or error
            assert place.startswith(name)
            found += 1
        return found

    return run


def _long(short: int, whole: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("count", [short, pytest.param(whole, marks=pytest.mark.full)])


@pytest.mark.parametrize("name", ENDLESS)
@_long(15_000, 60_000)
@pytest.mark.timeout(120)  # a hang guard: a quadratic way would take hours
def test_splitting_costs_what_the_file_weighs(name: str, count: int) -> None:
    assert growth.ratio(ENDLESS[name], _whole(name), count) < growth.LINEAR


@pytest.mark.parametrize("name", ENDLESS)
@_long(30_000, 200_000)
def test_no_record_is_longer_than_an_event_may_be(name: str, count: int) -> None:
    limit = 1 << 14
    for content, _, error in read(ENDLESS[name](count), name, max_event=limit):
        assert error or _size(content) <= 2 * limit + PIECE


def _size(content: Any) -> int:
    return len(content) if isinstance(content, bytes) else sum(map(len, map(str, content.values())))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_under_any_name_are_records_or_errors(data: bytes) -> None:
    TARGETS["files"].run(data)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_that_is_longer_in_utf_8_is_read_whole(encoding: str) -> None:
    text = '{"a": "' + "漢" * 300_000 + '"}\n{"a": "\U0001f600"}\n'
    packed = gzip.compress(text.encode(encoding))
    assert [
        content.decode() for content, _, _ in read(packed, "wide.json.gz") if isinstance(content, bytes)
    ] == text.splitlines()


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.zip", "a.json"])
def test_a_read_gives_no_more_bytes_than_a_portion_and_one_event(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "PORTION", 1000)
    line = b'{"a": "' + b"x" * 400 + b'"}'
    plain = b"\n".join([line] * 20) + b"\n"
    content = {
        "gz": gzip.compress(plain),
        "zip": zipped({"a.jsonl": plain}),
        "json": b"[" + b",\n".join([line] * 20) + b"]",
    }
    (tmp_path / name).write_bytes(content.get(name.rpartition(".")[2], plain))
    config = FilesSourceConfig(deployment="d", paths=(str(tmp_path / name),), settle=timedelta(0))
    source = FilesSource("files", config, ManualClock(datetime.now(UTC) + timedelta(days=1)))
    (head,) = source.heads()
    span = Span(partition=head.partition, start=0, stop=head.offset)
    sizes, cursor, done = [], None, False
    while not done:
        batch = source.read(span, cursor, 1000)
        assert batch.complete
        sizes.append(len(batch.items))
        cursor, done = batch.cursor, batch.done
    assert sum(sizes) == 20
    assert max(sizes) == 3
    source.close()


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=80))
def test_a_cursor_of_nobody_is_read_from_somewhere(recipe: bytes) -> None:
    TARGETS["cursor"].run(recipe)


@pytest.mark.parametrize("token", ["", "x", "-1", "9" * 400, "5:x", "٣:1", "1_0"])
def test_a_span_is_read_from_its_start_after_a_cursor_of_nobody(token: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"n": 0}\n' * 3)
    source = FilesSource(
        "files", FilesSourceConfig(deployment="d", paths=(str(tmp_path),)), ManualClock(datetime.now(UTC))
    )
    (head,) = source.heads()
    batch = source.read(Span(partition=head.partition, start=9, stop=head.offset), Cursor(token=token), 10)
    assert [raw.position.offset for raw in batch.items if raw.position] == [9, 18]
    source.close()


def test_a_cursor_behind_its_span_has_nothing_left(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"n": 0}\n' * 3)
    source = FilesSource(
        "files", FilesSourceConfig(deployment="d", paths=(str(tmp_path),)), ManualClock(datetime.now(UTC))
    )
    (head,) = source.heads()
    batch = source.read(Span(partition=head.partition, start=0, stop=head.offset), Cursor(token="9" * 18), 10)
    assert (batch.items, batch.done) == ((), True)
    source.close()


def test_a_table_row_without_any_cell_is_passed_over_as_a_blank_line_is() -> None:
    items = read(b'_time,_raw,host\n1,x,h\n,,\n"","",""\n2,y,h\n', "a.csv")
    assert [content for content, _, _ in items] == [
        {"_time": n, "_raw": raw, "host": "h"} for n, raw in (("1", "x"), ("2", "y"))
    ]
