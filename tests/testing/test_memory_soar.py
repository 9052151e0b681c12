"""The in-memory SOAR offers each degree of uniqueness, and loses answers when asked to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.errors import TransientError
from connector.testing import MemorySoar, examples
from connector.testing.soar import MemorySoarClient
from connector.types import Action


@pytest.fixture
def soar(tmp_path: Path) -> Iterator[MemorySoar]:
    yield MemorySoar.named(str(tmp_path))
    MemorySoar.forget(str(tmp_path))


def client(tmp_path: Path, **options: Any) -> MemorySoarClient:
    config: Any = MemorySoarClient.Config.model_validate({"type": "memory", "instance": str(tmp_path)} | options)
    return MemorySoarClient("soar", config, MemorySoar.named(str(tmp_path)).clock)


@pytest.mark.parametrize(("uniqueness", "runs"), [("key", 1), ("search", 2), ("none", 2)])
def test_a_second_run_is_prevented_by_a_key_alone(soar: MemorySoar, tmp_path: Path, uniqueness: str, runs: int) -> None:
    one = client(tmp_path, uniqueness=uniqueness)
    one.run(examples.action(1))
    one.run(examples.action(1))
    assert len(soar.runs) == runs


def test_a_run_is_found_only_after_the_index_delay(soar: MemorySoar, tmp_path: Path) -> None:
    one = client(tmp_path, uniqueness="search", index_delay=30)
    run = one.run(examples.action(1))
    assert one.find(examples.action(1).key) is None
    soar.clock.advance(30)
    assert one.find(examples.action(1).key) == run


def test_a_lost_answer_leaves_the_run_behind(soar: MemorySoar, tmp_path: Path) -> None:
    soar.lose_answers()
    one = client(tmp_path)
    with pytest.raises(TransientError) as raised:
        one.run(examples.action(1))
    assert raised.value.sent
    assert one.run(examples.action(1)).run_id == soar.runs[0].run_id
    assert len(soar.runs) == 1


@pytest.mark.parametrize(("moment", "runs"), [("before", 0), ("after", 1)])
def test_a_crash_before_or_after_the_effect_is_told_apart(
    soar: MemorySoar, tmp_path: Path, moment: str, runs: int
) -> None:
    def crash(reached: str, action: Action) -> None:
        if reached == moment:
            raise KeyboardInterrupt

    soar.hook = crash
    with pytest.raises(KeyboardInterrupt):
        client(tmp_path).run(examples.action(1))
    assert len(soar.runs) == runs


def test_a_run_goes_on_for_its_duration_and_ends_as_arranged(soar: MemorySoar, tmp_path: Path) -> None:
    soar.duration = 60
    one = client(tmp_path)
    first, second = one.run(examples.action(1)), one.run(examples.action(2))
    soar.finish(second.run_id, "failed")
    assert one.status(first, examples.action(1)).state == "running"
    soar.clock.advance(60)
    assert one.status(first, examples.action(1)).state == "succeeded"
    assert one.status(second, examples.action(2)).state == "failed"
