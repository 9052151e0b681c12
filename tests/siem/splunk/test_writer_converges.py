"""Write-back into what is polled: nothing excluded, everything read back, and the loop comes to rest all the same."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from pathlib import Path

import pytest

from connector import telemetry
from connector.identity import event_id
from connector.testing import ManualClock
from tests.daemon.site import process_start
from tests.siem.splunk.site import SplunkSite, source
from tests.siem.splunk.test_writer_delivery import faults_at_random
from tests.siem.splunk.writing import table
from tests.splunkd import Splunkd

LOOKBACK = timedelta(minutes=30)


def own() -> float:
    return telemetry.SIGNALS.labels(event="ingest.own_record", subject="splunk")._value.get()


def judged(splunkd: Splunkd) -> set[str]:
    """The events that have a verdict in Splunk."""
    documents = [json.loads(event.raw) for event in splunkd.events if event.sourcetype == "triaged:verdict"]
    return {document["event"]["id"] for document in documents}


@pytest.mark.parametrize(
    "faulty", [pytest.param(False, marks=pytest.mark.full, id="well"), pytest.param(True, id="faulty")]
)
def test_records_written_into_what_is_polled_are_known_as_ours_and_the_loop_ends(tmp_path: Path, faulty: bool) -> None:
    dice, clock, before = random.Random(3), ManualClock(), own()
    with Splunkd(clock=clock) as splunkd:
        more = {"ack_wait": "PT0.02S", "ack_sends": 1000, "max_attempts": 1000}
        tables = {
            "sources.splunk": source(
                splunkd, search="index=*", exclude=[], settle=2, lookback=LOOKBACK.total_seconds()
            ),
            "targets.splunk": table(splunkd, **more),
        }
        with SplunkSite(tmp_path, splunkd, clock, tables) as site:
            issued = set()
            for number in range(4):
                events = [process_start(f"tool-{number}-{n}.exe") for n in range(10)]
                issued |= {event_id("site", f"{e.bkt}:{e.cd}") for e in splunkd.put(*events, sourcetype="_json")}
                if faulty:
                    faults_at_random(splunkd, dice)
                clock.advance(20)
                site.turn()
            splunkd.faults.__init__()
            for _ in range(14):
                clock.advance(LOOKBACK / 4)
                site.turn()
            at_rest = len(splunkd.events)
            for _ in range(3):
                clock.advance(LOOKBACK / 4)
                assert site.turn() == 0
            assert len(splunkd.events) == at_rest
            assert judged(splunkd) == issued
            assert site.app.ledger.dead_letters() == []
            assert site.app.ledger.pending("splunk") == 0
    assert own() - before >= len(issued), "our own records came back, and were known"
