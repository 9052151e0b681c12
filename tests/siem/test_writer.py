"""The files writer: on the disk before it answers, and each record once."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connector.errors import TransientError
from connector.policy import document
from connector.siem.jsonl import FilesWriter, FilesWriterConfig
from connector.testing import ManualClock, examples
from connector.types import Verdict


def writer(path: Path, **options: Any) -> FilesWriter:
    return FilesWriter("out", FilesWriterConfig(path=path, **options), ManualClock())


def ids(path: Path) -> list[str]:
    return [json.loads(line)["_id"] for line in path.read_bytes().splitlines()]


def verdicts(*numbers: int) -> list[Verdict]:
    return [examples.verdict(number) for number in numbers]


def expected(*numbers: int) -> list[str]:
    return [verdict.record_id for verdict in verdicts(*numbers)]


def test_a_verdict_is_its_document_with_its_record_id(tmp_path: Path) -> None:
    out = writer(tmp_path / "new" / "v.jsonl")
    out.write(verdicts(1))
    out.close()
    (line,) = (tmp_path / "new" / "v.jsonl").read_bytes().splitlines()
    assert json.loads(line) == {
        "_id": examples.verdict(1).record_id,
        **json.loads(msgspec.json.encode(document(examples.verdict(1)))),
    }


def test_a_record_stands_once_across_calls_and_restarts(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    for _ in range(2):
        out = writer(path)
        assert {delivery.outcome for delivery in out.write(verdicts(1, 2, 1))} == {"delivered"}
        out.write(verdicts(2, 3))
        out.close()
    assert ids(path) == expected(1, 2, 3)


def test_without_unique_every_delivery_is_a_line_and_there_is_no_index(tmp_path: Path) -> None:
    out = writer(tmp_path / "v.jsonl", unique=False)
    out.write(verdicts(1))
    out.write(verdicts(1))
    assert ids(tmp_path / "v.jsonl") == expected(1, 1)
    assert [file.name for file in tmp_path.iterdir()] == ["v.jsonl"]


@pytest.mark.parametrize("unique", [True, False])
def test_a_torn_last_line_is_cut_off_before_the_next_write(tmp_path: Path, unique: bool) -> None:
    path = tmp_path / "v.jsonl"
    out = writer(path, unique=unique)
    out.write(verdicts(1, 2))
    with path.open("ab") as file:
        file.write(b'{"_id": "torn')
    out.write(verdicts(3))
    out.close()
    assert ids(path) == expected(1, 2, 3)


def test_what_was_written_but_never_acknowledged_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    out = writer(path)
    out.write(verdicts(1))
    unacknowledged = path.read_bytes().replace(expected(1)[0].encode(), expected(2)[0].encode())
    with path.open("ab") as file:
        file.write(unacknowledged)
    out.write(verdicts(1, 2, 3))
    out.close()
    assert ids(path) == expected(1, 2, 3)


@pytest.mark.parametrize("harm", ["deleted", "garbage"])
def test_the_index_is_made_again_from_the_file(tmp_path: Path, harm: str) -> None:
    path, index = tmp_path / "v.jsonl", tmp_path / ".v.jsonl.ids"
    out = writer(path)
    out.write(verdicts(1, 2))
    out.close()
    if harm == "deleted":
        index.unlink()
    else:
        index.write_bytes(b"this is no database" * 100)
    out = writer(path)
    out.write(verdicts(1, 2, 3))
    out.close()
    assert ids(path) == expected(1, 2, 3)


def test_a_file_that_was_moved_away_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    out = writer(path)
    out.write(verdicts(1, 2))
    path.rename(tmp_path / "v.jsonl.1")
    out.write(verdicts(2, 3))
    out.close()
    assert ids(path) == expected(2, 3)


def test_what_cannot_be_json_is_rejected_alone(tmp_path: Path) -> None:
    bad = msgspec.structs.replace(examples.verdict(2), kind="x", explanation=("lone \ud800 surrogate",))
    out = writer(tmp_path / "v.jsonl")
    outcomes = [delivery.outcome for delivery in out.write([*verdicts(1), bad, *verdicts(3)])]
    out.close()
    assert outcomes == ["delivered", "rejected", "delivered"]
    assert ids(tmp_path / "v.jsonl") == expected(1, 3)


def test_a_full_disk_leaves_no_half_of_a_line_and_says_that_nothing_was_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "v.jsonl"
    out = writer(path)
    out.write(verdicts(1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _full)
        with pytest.raises(TransientError) as raised:
            out.write(verdicts(2))
    assert not raised.value.sent
    assert ids(path) == expected(1)
    out.write(verdicts(2))
    out.close()
    assert ids(path) == expected(1, 2)


def _full(_: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_folder_that_cannot_be_written_is_a_transient_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TransientError, match=r"writing .*v\.jsonl"):
        writer(tmp_path / "file" / "v.jsonl").write(verdicts(1))


def _write_for_ever(path: Path) -> None:
    out = writer(path)
    number = 0
    while True:
        out.write(verdicts(*range(number, number + 20)))
        number += 10


def test_a_writer_killed_anywhere_leaves_each_record_once(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    context = multiprocessing.get_context("fork")
    for delay in (0.05, 0.11, 0.17):
        process = context.Process(target=_write_for_ever, args=(path,))
        process.start()
        process.join(delay)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    out = writer(path)
    out.write(verdicts(0, 1, 2, 3, 100_000))
    out.close()
    found = ids(path)
    assert len(found) == len(set(found)) > 5


def test_two_writers_on_one_file_write_each_record_once(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    one, two = writer(path), writer(path)
    for number in range(5):
        one.write(verdicts(number, number + 1))
        two.write(verdicts(number + 1, number + 2))
    one.close()
    two.close()
    assert sorted(ids(path)) == sorted(expected(*range(7)))


def test_the_index_survives_in_a_sound_state(tmp_path: Path) -> None:
    out = writer(tmp_path / "v.jsonl")
    out.write(verdicts(1, 2))
    out.close()
    database = sqlite3.connect(tmp_path / ".v.jsonl.ids")
    assert database.execute("SELECT count(*) FROM ids").fetchone() == (2,)
    assert database.execute("SELECT known FROM state").fetchone() == ((tmp_path / "v.jsonl").stat().st_size,)
    database.close()


def test_a_file_rotated_while_the_lock_is_awaited_is_left_as_it_is(tmp_path: Path) -> None:
    path, rotated = tmp_path / "v.jsonl", tmp_path / "v.jsonl.1"
    out = writer(path)
    out.write(verdicts(1, 2))
    with path.open("rb") as held, ThreadPoolExecutor(1) as pool:
        fcntl.flock(held, fcntl.LOCK_EX)
        writing = pool.submit(out.write, verdicts(3))
        _wait_for_a_waiter(path)
        path.rename(rotated)
        path.write_bytes(b"")
        fcntl.flock(held, fcntl.LOCK_UN)
        assert [delivery.outcome for delivery in writing.result(10)] == ["delivered"]
    out.close()
    assert ids(rotated) == expected(1, 2)
    assert ids(path) == expected(3)


def _wait_for_a_waiter(path: Path) -> None:
    """Until somebody waits for the file's lock, as the kernel lists it."""
    end = time.monotonic() + 10
    inode = f":{path.stat().st_ino} "
    while not any("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines()):
        assert time.monotonic() < end, "nobody waits for the lock"
        time.sleep(0.01)
