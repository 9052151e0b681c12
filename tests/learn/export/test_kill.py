"""A process that is killed at any step of an export loses nothing, and the next one ends where an undisturbed one would."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from connector.errors import ConfigError, TransientError
from connector.learn.export import Folder, job
from connector.learn.export.folder import Steps
from tests.learn.export.make import House, process, scored


def day_one(house: House) -> None:
    one, other = house.events(2)
    house.said("A-1", [one], disposition="false_positive")
    house.said("A-2", [other], disposition="true_positive", comment=f"seen by ihalvorsen on {other}")


def day_two(house: House) -> None:
    events = [row.event_id for row in house.rows()]
    house.clock.advance(timedelta(days=1))
    house.said("A-1", events[:1], "open")
    house.said(
        "A-3", [*events[:1], *house.score(scored("late", process(7)))], disposition="benign_positive", analyst="ben"
    )


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def in_a_child(work: Callable[[], object]) -> int:
    """The signal that ended the child; 0: it came through."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def dying_at(number: int) -> Steps:
    left = [number]

    def step(_: str) -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    return step


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("days", [1, 2])
def test_a_kill_at_each_step_loses_nothing(tmp_path: Path, days: int) -> None:
    (tmp_path / "before").mkdir()
    grown = House(tmp_path / "before")
    day_one(grown)
    if days == 2:
        grown.clock.advance(timedelta(days=2))
        grown.export(parquet=True).run()
        day_two(grown)
    grown.close()

    def again(name: str) -> House:
        """The same house, two days later."""
        if not (tmp_path / name).exists():
            shutil.copytree(grown.dir, tmp_path / name)
        house = House(tmp_path / name)
        house.clock.advance(timedelta(days=2))
        return house

    def exported(house: House, steps: Steps) -> dict[str, bytes]:
        house.export(steps, parquet=True).run()
        house.close()
        return held(house.folder)

    taken: list[str] = []
    expected = exported(again("whole"), taken.append)
    for number in range(1, len(taken) + 1):
        name = f"killed-{number}"
        assert in_a_child(lambda name=name, number=number: exported(again(name), dying_at(number))) == -signal.SIGKILL
        found = held(tmp_path / name / "export")
        if days == 2:  # what counts is what counted before, or all that is new
            assert found["manifest.json"] in {held(grown.folder)["manifest.json"], expected["manifest.json"]}
        assert exported(again(name), lambda _: None) == expected
    assert {"written events.jsonl", "written facts.jsonl", "renamed labels", "written manifest", "committed"} <= set(
        taken
    )


@pytest.mark.parametrize("commits", [1, 2, 9])
def test_changes_count_part_by_part_and_a_run_that_ends_between_them_is_gone_on_with(
    house: House, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    monkeypatch.setattr(job, "_AT_ONCE", 1)
    events = house.events(3)
    for number, event in enumerate(events):
        house.said(f"A-{number}", [event], disposition="false_positive")
    taken: list[str] = []

    def ending(step: str) -> None:
        taken.append(step)
        if taken.count("committed") == commits:
            raise InterruptedError

    if commits < 3:
        with pytest.raises(InterruptedError):
            house.export(ending).run()
        counts = Folder(house.folder, house.export().pseudonyms.check).manifest
        assert (counts.facts.rows, counts.events.rows, counts.labels) == (commits, commits, None)
        assert house.export().run().facts == 3 - commits
    else:
        assert house.export(ending).run().facts == 3
        assert taken.count("written events.jsonl") == taken.count("committed") == 3
    assert house.labels() == dict.fromkeys(events, "false_positive")
    assert not house.export().run().changed


def test_two_exports_at_once_do_not_meet(house: House) -> None:
    day_one(house)
    folder = Folder(house.folder, house.export().pseudonyms.check)
    with folder.alone(), pytest.raises(TransientError, match="another process exports"):
        house.export().run()
    assert house.export().run().changed


def test_a_reader_gets_the_labels_of_one_run_though_an_export_ends_meanwhile(house: House) -> None:
    first, second = house.events(2)
    house.said("A-1", [first], disposition="false_positive")
    house.export().run()
    reader = Folder(house.folder)
    house.said("A-2", [second], disposition="false_positive")
    house.export().run()
    assert {row.event_id for row in reader.labels()} == {first, second}
    next(house.folder.glob("labels-*.jsonl")).unlink()
    with pytest.raises(ConfigError, match="is missing"):
        Folder(house.folder).labels()
