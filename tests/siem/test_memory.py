"""What is remembered of files may be damaged, foreign or locked: the source goes on, at the latest with its next look."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from connector.errors import TransientError
from connector.siem.tail import Content
from connector.siem.tail.memory import Memory
from connector.telemetry import Signal


def content(number: int) -> Content:
    return Content(
        identity=f"{number:x}-head",
        head="head",
        inode=number,
        path=f"/var/log/{number}",
        layout="records",
        end=7,
        tail="t",
    )


def filled(path: Path, count: int = 500) -> None:
    memory = Memory(path)
    with memory.turn() as contents:
        contents.update({content(number).identity: content(number) for number in range(count)})
    memory.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def torn_page(path: Path) -> None:
    """The header and the schema are whole: that it is damaged shows only when it is read."""
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


def torn_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def other_version(path: Path) -> None:
    database = sqlite3.connect(path)
    database.executescript("DROP TABLE contents; CREATE TABLE contents (other); PRAGMA user_version = 4242")
    database.close()


@pytest.fixture
def renewed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of memories of which it was told that they are begun anew."""
    told: list[str] = []

    def emit(signal: Signal, *, path: str, reason: str) -> None:
        assert signal is Signal.MEMORY_RENEWED
        assert reason
        told.append(path)

    monkeypatch.setattr("connector.siem.tail.memory.emit", emit)
    return told


@pytest.mark.parametrize("harm", [garbage, torn_page, torn_off, other_version])
def test_a_memory_that_cannot_be_read_is_begun_anew_and_that_is_told(
    harm: Callable[[Path], None], tmp_path: Path, renewed: list[str]
) -> None:
    path = tmp_path / "m.sqlite"
    filled(path)
    harm(path)
    memory = Memory(path)
    try:
        with memory.turn():
            pass
    except TransientError:
        pass  # the next turn goes on
    with memory.turn() as contents:
        contents["1-head"] = content(1)
    memory.close()
    with memory.turn() as contents:
        assert set(contents) == {"1-head"}
    memory.close()
    assert renewed == [str(path)]


def test_a_memory_that_another_process_holds_is_an_outage_and_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.siem.tail.memory._WAIT_SECONDS", 0.05)
    path = tmp_path / "m.sqlite"
    filled(path, 3)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    memory = Memory(path)
    with pytest.raises(TransientError, match=r"remembering files in .*m\.sqlite: database is locked"), memory.turn():
        pass
    other.execute("ROLLBACK")
    other.close()
    with memory.turn() as contents:
        assert len(contents) == 3
    memory.close()


def test_a_full_disk_is_an_outage_that_keeps_what_was_known(tmp_path: Path) -> None:
    path = tmp_path / "m.sqlite"
    filled(path, 3)
    memory = Memory(path)
    with memory.turn():
        pass
    memory._opened().execute("PRAGMA max_page_count = 3")
    with pytest.raises(TransientError, match="full"), memory.turn() as contents:
        contents.update({content(number).identity: content(number) for number in range(1000)})
    assert len(memory.known) == 3
    memory.close()
    with memory.turn() as contents:
        assert len(contents) == 3
    memory.close()


def test_a_memory_of_the_version_before_is_carried_over(tmp_path: Path, renewed: list[str]) -> None:
    path = tmp_path / "m.sqlite"
    filled(path, 3)
    database = sqlite3.connect(path)
    database.executescript("ALTER TABLE contents DROP COLUMN moved; PRAGMA user_version = 1")
    database.close()
    memory = Memory(path)
    with memory.turn() as contents:
        assert contents == {content(number).identity: content(number) for number in range(3)}
    memory.close()
    assert renewed == []
