"""The tables of the event collector's answers: each line of them, and whatever else may come."""

from __future__ import annotations

from typing import Any

import pytest

from connector.errors import ConfigError, PermanentError, TransientError
from connector.siem.splunk.outcomes import CODES, LONGEST_REASON, STATUSES, BadEventError, BusyError, fault

THREE = (TransientError, PermanentError, ConfigError)


@pytest.mark.parametrize("code", CODES)
def test_each_code_has_the_reaction_that_the_table_gives_it_whatever_the_status(code: int) -> None:
    for status in (400, 403, 500, 503):
        error = fault(status, {"text": "why", "code": code}, "sending")
        assert type(error) is CODES[code].kind
        assert CODES[code].advice in str(error)
        assert "sending" in str(error)
        assert "why" in str(error)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("body", [None, {"text": "why"}, {"text": "why", "code": 4711}, "a proxy's page", [1]])
def test_without_a_known_code_the_status_decides(status: int, body: Any) -> None:
    error = fault(status, body, "sending")
    assert type(error) is STATUSES[status].kind
    assert str(status) in str(error)


def test_whatever_is_answered_is_one_of_the_three() -> None:
    for status in (200, 204, *range(300, 600)):
        for body in (None, {}, {"code": "text"}, {"code": 0}, {"code": -1, "text": {"a": 1}}):
            assert isinstance(fault(status, body, "x"), THREE)


def test_an_answer_that_something_else_gave_is_told_to_a_person() -> None:
    assert isinstance(fault(200, {"hello": "world"}, "x"), ConfigError)
    assert isinstance(fault(302, None, "x"), ConfigError)


def test_what_was_refused_after_it_was_sent_is_told_as_sent() -> None:
    for status, body in ((503, {"code": 9}), (500, {"code": 8}), (502, None)):
        error = fault(status, body, "x")
        assert isinstance(error, TransientError)
        assert error.sent


def test_a_busy_collector_is_told_apart_since_another_one_may_have_room() -> None:
    assert isinstance(fault(503, {"code": 9, "invalid-event-number": 3}, "x"), BusyError)
    assert not isinstance(fault(500, {"code": 8}, "x"), BusyError)


@pytest.mark.parametrize(("number", "told"), [(3, 3), (None, None), ("3", None), (True, True)])
def test_the_number_of_the_event_to_blame_is_kept(number: Any, told: Any) -> None:
    error = fault(400, {"text": "Invalid data format", "code": 6, "invalid-event-number": number}, "x")
    assert isinstance(error, BadEventError)
    assert error.number == told


def test_a_servers_long_words_are_cut() -> None:
    assert len(str(fault(400, {"text": "w " * 10_000, "code": 6}, "x"))) < LONGEST_REASON + 100
