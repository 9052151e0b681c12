"""What adapters share of a run: texts that stay short and on their line, times as platforms write them, and a limit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from connector.errors import TransientError
from connector.soar import runs
from connector.testing import examples
from connector.types import Entity
from tests.soar.test_splunk_soar import ACTION, KEY, SplunkSoarPlatform, soar as splunk_soar
from tests.soar.test_xsoar import XsoarPlatform, soar as xsoar

replace = msgspec.structs.replace
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_a_title_names_what_passed_and_the_best_name_that_there_is() -> None:
    action = examples.action(0)
    assert runs.title(action) == "Triaged: malicious, T1059, T1059.001 on host-1"
    nameless = replace(action, entity=Entity(), verdict=replace(action.verdict, passed=()))
    assert runs.title(nameless) == "Triaged: malicious, example on 0"
    long = runs.title(replace(action, entity=Entity(host="a\r\nb\u202e" + "x" * 1000)))
    assert long.isprintable()
    assert len(long) == runs.LONGEST_LINE


def test_texts_are_cut_where_they_are_too_long_or_no_text_at_all() -> None:
    long = "é" * 5000
    assert runs.cut({"a": [long, ("\ud800", 1.5, None)]}) == {"a": ["é" * runs.LONGEST_TEXT, ["?", 1.5, None]]}


def test_an_address_that_is_none_is_no_target() -> None:
    action = replace(examples.action(0), entity=Entity(host="h", address="$(evil)"))
    assert runs.evidence(action)["entity"] == {"host": "h", "user": None, "address": None, "agent_id": None}


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-21T12:00:00.000000Z", NOW),
        ("2026-11-21T12:00:00.123456789Z", NOW + timedelta(microseconds=123456)),
        ("2026-11-21T13:00:00+01:00", NOW),
        ("2026-11-21T12:00:00", NOW),
        ("0001-01-01T00:00:00Z", None),
        ("yesterday", None),
        (None, None),
        (7, None),
    ],
)
def test_times_are_read_as_platforms_write_them(text: object, moment: datetime | None) -> None:
    assert runs.moment_in(text) == moment
    assert runs.is_overdue(text, NOW + timedelta(hours=2), timedelta(hours=1)) is (moment is not None)
    assert not runs.is_overdue(text, NOW, timedelta(hours=1))


def test_what_comes_before_a_start_may_not_take_the_time_in_which_it_must_be_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SplunkSoarPlatform(tmp_path) as splunk, XsoarPlatform(tmp_path) as cortex:
        for start, platform in ((splunk_soar, splunk), (xsoar, cortex)):
            monkeypatch.setattr(runs, "SECONDS", 0.0)
            with pytest.raises(TransientError, match="too slow") as late:
                start(platform).run(ACTION)
            assert not late.value.sent
            assert platform.runs() == {}
            monkeypatch.undo()
            start(platform).run(ACTION)
            assert platform.runs() == {KEY: 1}
