"""What an export reads: every change once, whatever its time; events with the verdict that was first."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.ledger import Commit, Ledger, closures
from connector.types import DispositionChange
from tests.ledger.make import MINUTE, FakeClock, event, verdict


def change(alert: str, clock: FakeClock, late: timedelta = timedelta()) -> DispositionChange:
    return DispositionChange(
        alert_id=alert,
        event_ids=(),
        status="closed",
        disposition=None,
        changed_at=clock.now - late,
        observed_at=clock.now,
    )


def test_changes_that_are_not_known_are_told_whatever_their_time_and_in_pages(
    ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closures, "_PAGE", 2)
    ledger.record_dispositions("h", [change(f"a{n}", clock) for n in range(5)], None)
    first = list(ledger.dispositions_beside(()))
    assert sorted(one.change.alert_id for one in first) == [f"a{n}" for n in range(5)]
    assert {one.history for one in first} == {"h"}
    ledger.record_dispositions("other", [change("early", clock, late=9 * MINUTE)], None)
    known = {one.id for one in first}
    assert [(one.history, one.change.alert_id) for one in ledger.dispositions_beside(known)] == [("other", "early")]


def test_a_scored_event_has_its_snapshot_and_its_first_verdict_and_one_without_either_is_none(
    ledger: Ledger, clock: FakeClock
) -> None:
    one, bare = event(1), event(2)
    ledger.commit(Commit(source="s", digest="", verdicts=[verdict(one), verdict(bare)], snapshots={one: b"then"}))
    written = clock.now
    clock.advance(MINUTE)
    ledger.commit(Commit(source="s", digest="", verdicts=[verdict(one, revision=2, verdict="malicious")]))
    found = ledger.scored([one, bare, event(3)])
    assert found.keys() == {one}
    assert (found[one].snapshot, found[one].at, found[one].verdict.revision) == (b"then", written, 1)
