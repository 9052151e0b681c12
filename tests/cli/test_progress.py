"""Long work shows how far it is: plain lines where nobody watches a terminal, and never on standard output."""

from __future__ import annotations

import pytest

from connector.cli import progress


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)


def test_progress_is_plain_lines_on_standard_error_without_a_terminal(capsys):
    with progress.progress("events") as advance:
        advance(3)
        advance(4)
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(" in ")[0] for line in err.splitlines()] == ["events: 3", "events: 7"]


def test_only_committed_batches_count(capsys):
    with progress.batches("backfill") as step:
        for name in ("ingest.read", "ingest.committed", "deliver.written", "ingest.committed"):
            step(name)
    assert [line.split(" in ")[0] for line in capsys.readouterr().err.splitlines()] == [
        "backfill: batches: 1",
        "backfill: batches: 2",
    ]
