"""Telemetry: one call logs and counts; no secret, no local variable and no escape sequence reaches the log."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from prometheus_client import REGISTRY

from connector import telemetry
from connector.telemetry import Signal, emit


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = structlog.get_config()
    handlers = logging.getLogger().handlers[:]
    yield
    structlog.configure(**before)
    logging.getLogger().handlers[:] = handlers


def counted(event: str, subject: str) -> float:
    return REGISTRY.get_sample_value("triaged_signals_total", {"event": event, "subject": subject}) or 0.0


def test_one_call_writes_a_json_line_and_counts_it():
    stream = io.StringIO()
    telemetry.configure("auto", "info", stream)
    before = counted("daemon.started", "x")
    emit(Signal.STARTED, "x", targets=["a"])
    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"], line["subject"], line["targets"]) == ("daemon.started", "info", "x", ["a"])
    assert counted("daemon.started", "x") == before + 1


def test_what_is_below_the_level_is_counted_and_not_written():
    stream = io.StringIO()
    telemetry.configure("json", "warning", stream)
    before = counted("ingest.poll_done", "x")
    emit(Signal.POLL_DONE, "x")
    assert stream.getvalue() == ""
    assert counted("ingest.poll_done", "x") == before + 1


@pytest.mark.parametrize("format_", ["json", "console"])
def test_a_traceback_carries_no_local_variable(format_):
    stream = io.StringIO()
    telemetry.configure(format_, "info", stream)

    def fail() -> None:
        password = "hunter2"
        raise ValueError(f"a bug of {len(password)}")

    try:
        fail()
    except ValueError as error:
        emit(Signal.JOB_FAILED, "x", error=error)
    assert "a bug of 7" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_fields_that_are_named_like_secrets_are_masked():
    stream = io.StringIO()
    telemetry.configure("json", "info", stream)
    emit(Signal.STARTED, api_token="abc", origin_key="def", Authorization="ghi")
    assert not {"abc", "def", "ghi"} & set(json.loads(stream.getvalue()).values())


def test_an_event_cannot_send_escape_sequences_to_a_terminal():
    stream = Terminal()
    telemetry.configure("auto", "info", stream)
    emit(Signal.DEAD_LETTER, reason="\x1b]0;owned\x07")
    assert "\x1b]0;owned" not in stream.getvalue()
    assert "owned" in stream.getvalue()


def test_what_libraries_log_comes_in_our_format():
    stream = io.StringIO()
    telemetry.configure("json", "info", stream)
    logging.getLogger("some.package").warning("careful with %s", "this")
    logging.getLogger("apscheduler.scheduler").warning("still running")
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert (line["event"], line["logger"], line["message"]) == ("library", "some.package", "careful with this")
