"""The files source: what a file's identity is, and what is read when files grow, rotate and vanish."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pydantic
import pytest
from hypothesis import given, settings, strategies as st

from connector.errors import ConfigError
from connector.siem.files import FilesSource, FilesSourceConfig, open_paths
from connector.testing import ManualClock
from connector.types import Batch, Cursor, RawEvent, Span
from tests.siem.packing import EVENTS, FORMS, JSONL


def source(*paths: Path | str, clock: ManualClock | None = None, **options: Any) -> FilesSource:
    config = FilesSourceConfig(deployment="here", paths=tuple(map(str, paths)), **{"settle": timedelta(0)} | options)
    return FilesSource("files", config, clock or ManualClock(datetime.now(UTC) + timedelta(days=1)))


def spans(files: FilesSource) -> list[Span]:
    return [Span(partition=head.partition, start=0, stop=head.offset) for head in files.heads()]


def drain(files: FilesSource, span: Span, limit: int = 7, after: Cursor | None = None) -> list[RawEvent]:
    found: list[RawEvent] = []
    while True:
        batch = files.read(span, after, limit)
        assert batch.complete, batch.reason
        found += batch.items
        if batch.done:
            return found
        after = batch.cursor


def everything(files: FilesSource) -> list[RawEvent]:
    return [raw for span in spans(files) for raw in drain(files, span)]


def numbers(raws: Sequence[RawEvent]) -> list[int]:
    return [json.loads(raw.data)["n"] for raw in raws if isinstance(raw.data, bytes)]


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_read_once_in_pages_and_counted(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FORMS[name])
    files = source(tmp_path, follow=False)
    (span,) = spans(files)
    raws = drain(files, span, limit=4)
    assert numbers(raws) == [event["n"] for event in EVENTS]
    assert files.count(span) == len(EVENTS) == len({raw.native_id for raw in raws})


@pytest.mark.parametrize("name", ["events.jsonl", "events.jsonl.gz", "zips-in.tar", "array.json"])
def test_classify_and_the_source_give_the_same_ids_and_places(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FORMS[name])
    assert list(open_paths([tmp_path / name], deployment="here")) == everything(source(tmp_path, follow=False))


def test_a_native_id_is_the_files_identity_and_the_byte_of_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(JSONL)
    (span,) = spans(files := source(path))
    for raw in drain(files, span):
        assert raw.position is not None
        assert raw.native_id == f"{span.partition}:{raw.position.offset}"
        assert isinstance(raw.data, bytes)
        assert JSONL[raw.position.offset :].startswith(raw.data)


def test_a_growing_file_keeps_its_identity_and_gives_only_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n": 1}\n')
    files = source(path)
    (first,) = spans(files)
    assert numbers(drain(files, first)) == [1]
    with path.open("ab") as file:
        file.write(b'{"n": 2}\n' * 3)
    (second,) = files.heads()
    assert second.partition == first.partition
    fresh = drain(files, Span(partition=first.partition, start=first.stop, stop=second.offset))
    assert numbers(fresh) == [2, 2, 2]
    assert [raw.place for raw in fresh] == [f"{path}:{line}" for line in (2, 3, 4)]


def test_a_last_line_without_its_end_is_not_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n": 1}\n{"n": 2')
    files = source(path)
    (span,) = spans(files)
    assert span.stop == len(b'{"n": 1}\n')
    assert numbers(drain(files, span)) == [1]
    assert numbers(everything(source(path, follow=False))[:1]) == [1]
    assert len(everything(source(path, follow=False))) == 2


def test_a_file_without_a_whole_first_line_is_not_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n": 1')
    files = source(path)
    assert files.heads() == []
    path.write_bytes(b'{"n": 1}\n')
    assert numbers(everything(files)) == [1]


def test_a_renamed_file_keeps_its_identity_and_a_new_one_in_its_place_gets_another(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n": 1}\n')
    files = source(tmp_path)
    (old,) = files.heads()
    path.rename(tmp_path / "a.jsonl.1")
    path.write_bytes(b'{"n": 2}\n')
    assert {head.partition for head in files.heads()} > {old.partition}
    assert sorted(numbers(everything(files))) == [1, 2]


def test_a_file_cut_and_written_anew_is_another_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n": 1}\n')
    files = source(path)
    (old,) = spans(files)
    path.write_bytes(b'{"n": 2}\n')
    stale = files.read(old, None, 10)
    assert (stale.items, stale.done, stale.complete) == ((), True, False)
    assert numbers(everything(files)) == [2]


def test_a_file_that_is_gone_makes_the_read_incomplete(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n": 1}\n')
    files = source(path)
    (span,) = spans(files)
    path.unlink()
    for _ in range(2):
        batch = files.read(span, None, 10)
        assert (batch.items, batch.done, batch.complete) == ((), True, False)
    assert files.count(span) is None


def test_a_file_that_was_cut_short_makes_the_read_incomplete_and_what_is_left_is_another(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(JSONL)
    files = source(path)
    (span,) = spans(files)
    os.truncate(path, JSONL.index(b"\n") + 1)
    batch = files.read(span, None, 100)
    assert (batch.items, batch.done, batch.complete) == ((), True, False)
    assert f"before byte {len(JSONL)} of it was read" in batch.reason
    (left,) = spans(files)
    assert left.partition != span.partition
    assert numbers(drain(files, left)) == [0]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_spans_that_meet_anywhere_give_every_line_once(data: st.DataObject, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "spans.jsonl"
    lines = [b'{"n": %d, "pad": "%s"}' % (n, b"x" * (n % 9)) for n in range(12)]
    path.write_bytes(b"\n\n".join(lines) + b"\n")
    files = source(path)
    (whole,) = spans(files)
    cuts = sorted(data.draw(st.lists(st.integers(0, whole.stop), max_size=4)))
    edges = [0, *cuts, whole.stop]
    limit = data.draw(st.integers(1, 5))
    pairs = itertools.pairwise(edges)
    found = [
        raw for a, b in pairs if a < b for raw in drain(files, Span(partition=whole.partition, start=a, stop=b), limit)
    ]
    assert numbers(found) == list(range(12))


def test_an_overlong_line_that_still_grows_is_one_error_however_often_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n": 1}\n' + b"x" * 3000)
    files = source(path, max_event_bytes=1024)
    (first,) = spans(files)
    assert [raw.error is None for raw in drain(files, first)] == [True, False]
    with path.open("ab") as file:
        file.write(b"y" * 3000 + b'\n{"n": 2}\n')
    (second,) = files.heads()
    rest = drain(files, Span(partition=first.partition, start=first.stop, stop=second.offset))
    assert numbers(rest) == [2]


def test_a_container_is_left_alone_while_it_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(JSONL))
    clock = ManualClock(datetime.now(UTC))
    files = source(path, clock=clock, settle=timedelta(seconds=5))
    assert files.heads() == []
    clock.advance(10)
    assert numbers(everything(files)) == list(range(len(EVENTS)))


def test_a_container_resumes_at_any_ordinal_in_a_new_process(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(FORMS["zips-in.tar"])
    (span,) = spans(source(path))
    for ordinal in range(len(EVENTS)):
        other = source(path)
        other.heads()
        rest = drain(other, span, after=Cursor(token=str(ordinal)))
        assert numbers(rest) == list(range(ordinal, len(EVENTS)))


def test_containers_are_read_in_turns_without_losing_their_place(tmp_path: Path) -> None:
    for index in range(6):
        (tmp_path / f"{index}.jsonl.gz").write_bytes(gzip.compress(JSONL, mtime=index))
    files = source(tmp_path)
    every = spans(files)
    batches: dict[str, Batch[RawEvent]] = {}
    found: dict[str, list[RawEvent]] = {span.partition: [] for span in every}
    for _ in range(len(EVENTS)):
        for span in every:
            before = batches.get(span.partition)
            batches[span.partition] = files.read(span, before.cursor if before else None, 1)
            found[span.partition] += batches[span.partition].items
    assert [numbers(raws) for raws in found.values()] == [list(range(len(EVENTS)))] * 6
    files.close()


def test_a_path_added_to_the_configuration_unproves_nothing(tmp_path: Path) -> None:
    assert source(tmp_path / "a").query_digest == source(tmp_path / "a", tmp_path / "b").query_digest
    assert source(tmp_path).query_digest != source(tmp_path, max_event_bytes=2048).query_digest


def test_folders_and_globs_name_event_files_alone_and_each_once(tmp_path: Path) -> None:
    for name in ("b.jsonl", "sub/a.jsonl", "README.md", ".hidden.jsonl", "sub/notes.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b'{"n": 1, "file": "%s"}\n' % name.encode())
    given = [str(tmp_path), str(tmp_path / "*.jsonl"), str(tmp_path / "**" / "*.jsonl")]
    raws = list(open_paths(given))
    assert [Path(raw.ref.index).name for raw in raws] == ["b.jsonl", "a.jsonl"]
    assert len(everything(source(*given))) == 2


def test_a_file_named_itself_is_read_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(JSONL)
    assert len(list(open_paths([tmp_path / "README.md"]))) == len(EVENTS)


def test_a_path_that_names_nothing_is_refused_by_classify_and_awaited_by_the_daemon(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no event file at"):
        list(open_paths([tmp_path / "missing.jsonl"]))
    assert source(tmp_path / "missing.jsonl").heads() == []


def test_a_lookback_is_refused(tmp_path: Path) -> None:
    with pytest.raises(pydantic.ValidationError, match="lookback"):
        source(tmp_path, lookback=timedelta(minutes=1))


def test_an_unreadable_file_keeps_no_other_from_being_read(tmp_path: Path) -> None:
    """``/proc/self/mem`` is a file whose first byte nobody can read, not even root."""
    (tmp_path / "b.jsonl").write_bytes(JSONL)
    assert len(everything(source("/proc/self/mem", tmp_path))) == len(EVENTS)
    first, *rest = open_paths(["/proc/self/mem", tmp_path])
    assert first.error is not None
    assert "cannot be read" in first.error
    assert len(rest) == len(EVENTS)


def test_a_binary_file_in_a_followed_folder_is_left_out_and_by_classify_it_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(JSONL)
    (tmp_path / "wtmp").write_bytes(b"\x07\x00\x00\x00" * 96)
    assert len(everything(source(tmp_path))) == len(EVENTS)
    *_, last = open_paths([tmp_path])
    assert last.error == "is binary and in no known format"


def test_a_replaced_container_is_not_read_under_the_old_identity(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(JSONL, mtime=1))
    files = source(path)
    (span,) = spans(files)
    first = files.read(span, None, 3)
    path.write_bytes(gzip.compress(b'{"n": 99}\n', mtime=2))
    files.close()
    stale = files.read(span, first.cursor, 3)
    assert (stale.items, stale.done, stale.complete) == ((), True, False)
    assert numbers(everything(files)) == [99]


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").write_bytes(JSONL)
    assert len(list(open_paths([tmp_path]))) == len(everything(source(tmp_path))) == len(EVENTS)


def test_a_pretty_document_never_counts_as_lines_while_it_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    whole = FORMS["pretty-array.json"]
    clock = ManualClock(datetime.now(UTC))
    files = source(path, clock=clock, settle=timedelta(seconds=5))
    for length in (1, 2, 5, 40, 100, len(whole) - 3, len(whole)):
        path.write_bytes(whole[:length])
        assert files.heads() == []
    clock.advance(10)
    assert numbers(everything(files)) == [event["n"] for event in EVENTS]


def test_threads_that_read_and_look_at_once_get_every_event(tmp_path: Path) -> None:
    for index in range(6):
        (tmp_path / f"{index}.jsonl.gz").write_bytes(gzip.compress(JSONL, mtime=index))
    files = source(tmp_path)
    every = spans(files) * 8
    with ThreadPoolExecutor(8) as pool:
        looks = [pool.submit(files.heads) for _ in range(20)]
        found = list(pool.map(lambda span: numbers(drain(files, span, limit=1)), every))
    assert found == [list(range(len(EVENTS)))] * len(every)
    assert {len(look.result()) for look in looks} == {6}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Reasons of which the source told."""
    reasons: list[str] = []
    monkeypatch.setattr("connector.siem.files.emit", lambda _, __, reason: reasons.append(reason))
    return reasons


def test_a_file_whose_reader_is_not_installed_keeps_no_other_from_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    (tmp_path / "a.evtx").write_bytes(b"ElfFile\x00" + bytes(5000))
    (tmp_path / "b.jsonl").write_bytes(JSONL)
    monkeypatch.setitem(sys.modules, "evtx", None)
    files = source(tmp_path)
    assert len(everything(files)) == len(EVENTS)
    assert len(files.heads()) == 1
    assert len(told) == 1
    assert "evtx" in told[0]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_wide_file_is_followed_by_whole_lines(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes('\ufeff{"n": 1}\n'.encode(encoding) + b"{")
    files = source(path)
    (first,) = spans(files)
    assert numbers(drain(files, first)) == [1]
    path.write_bytes('\ufeff{"n": 1}\n{"n": 2}\r\n'.encode(encoding))
    (second,) = files.heads()
    fresh = drain(files, Span(partition=first.partition, start=first.stop, stop=second.offset))
    assert numbers(fresh) == [2]


def test_nuls_that_a_truncation_left_before_the_content_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.seek(3_000_000)
        file.write(b'{"n": 1}\n{"n": 2}\n')
    files = source(path)
    assert [(raw.position.offset, raw.place) for raw in everything(files) if raw.position] == [
        (3_000_000, f"{path}:1"),
        (3_000_009, f"{path}:2"),
    ]
    assert numbers(everything(source(path))) == [1, 2]
