"""Promise 1 on the in-memory SIEM: what is lost, partial or late is either classified or reported, and nothing else is."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

from connector.identity import event_id
from connector.pipeline import microseconds, spans, verify

LOOKBACK = timedelta(minutes=10)
SOURCE = {"lookback": LOOKBACK, "settle": timedelta(0), "start": "beginning", "batch": 7}


def gaps(house):
    lookback = microseconds(LOOKBACK)
    heads = [spans.proof_due(head, lookback) for head in house.source.heads()]
    return house.ledger.gaps("lab", house.source.query_digest, lookback, heads)


def test_lost_rows_partial_reads_and_events_after_the_lookback_are_found_and_nothing_else(house, tmp_path):
    house = house(source={**SOURCE, "start": "now"})
    house.ingest.poll()
    house.run(600)
    for minute in range(12):
        house.put(*(f"early-{minute}-{n}.exe" for n in range(3)))
        house.run(60)
    lost_at = house.clock()
    house.put("lost.exe")
    house.run(1800)
    partial_from = house.clock()
    house.put("unseen.exe")
    house.siem.answer_partially(partial_from, partial_from + timedelta(seconds=1), reads=10_000, hide=["unseen.exe"])
    house.run(1800)
    late_at = house.clock()
    house.put("in-time.exe", searchable_at=late_at + LOOKBACK - timedelta(seconds=1))
    house.run(1800)
    run_to_just_before_the_end_of_a_proving_span(house)
    too_late_at = house.clock()
    house.put("too-late.exe", searchable_at=too_late_at + LOOKBACK + timedelta(seconds=1))
    house.clock.advance(0.5)
    house.ingest.poll()
    house.run(3600)
    house.deliver.drain()

    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        lost = bytes.fromhex(event_id("lab", "lost.exe").replace("-", ""))
        gone = connection.execute("DELETE FROM verdicts WHERE record_id = ?", (lost,)).rowcount
        assert gone == 1

    micros = house.clock.micros
    found = gaps(house)
    assert len(found) == 2
    first, second = found
    assert first.start <= offset(lost_at) < first.stop
    assert "no verdict" in first.reason
    assert second.start <= offset(partial_from) < second.stop
    assert "incomplete" in second.reason
    assert second.stop - second.start < micros() // 1000

    doubts = list(verify("lab", house.source, house.ledger, microseconds(LOOKBACK)))
    places = [(d.kind, d.span.start <= offset(too_late_at) < d.span.stop) for d in doubts]
    assert ("gap", True) in places
    assert [d.kind for d in doubts] == ["gap"] * len(doubts)
    assert {name for name in ("in-time.exe",) if house.verdicts().get(name) == 1} == {"in-time.exe"}
    assert "too-late.exe" not in house.verdicts()


def run_to_just_before_the_end_of_a_proving_span(house):
    """Half a second before a place where a span of ``reread-0`` will end: it is read exactly when its lookback ends."""
    width = microseconds(LOOKBACK) // spans.STEP
    proving = house.ledger.reader("lab", house.source.query_digest, "", "reread-0")
    while (proving.offset - house.clock.micros()) % width != 30_000_000:
        house.run(30)
        proving = house.ledger.reader("lab", house.source.query_digest, "", "reread-0")
    house.clock.advance(29.5)


def offset(moment):
    return int(moment.timestamp() * 1_000_000)


def test_a_server_that_cannot_count_is_read_id_by_id(house):
    house = house(source=SOURCE)
    house.put(*(f"a{n}.exe" for n in range(20)))
    house.run(1800)
    house.siem.countable = False
    assert list(verify("lab", house.source, house.ledger, microseconds(LOOKBACK))) == []
    house.put("b.exe", at=house.clock() - timedelta(minutes=29), searchable_at=house.clock())
    (doubt,) = verify("lab", house.source, house.ledger, microseconds(LOOKBACK))
    assert (doubt.kind, doubt.by) == ("gap", "ids")


def test_what_the_server_has_deleted_is_expired_and_no_gap(house):
    house = house(source=SOURCE)
    house.put(*(f"a{n}.exe" for n in range(20)))
    house.run(1800)
    house.siem._events.pop()
    assert {d.kind for d in verify("lab", house.source, house.ledger, microseconds(LOOKBACK))} == {"expired"}


def test_a_server_that_answers_in_part_is_told_apart_from_one_whose_retention_has_passed(house):
    house = house(source=SOURCE)
    at = house.clock()
    house.put(*(f"a{n}.exe" for n in range(20)))
    house.run(1800)
    house.siem.countable = False
    house.siem.answer_partially(at, at + timedelta(seconds=1), reads=1000, hide=["a3.exe"])
    assert {d.kind for d in verify("lab", house.source, house.ledger, microseconds(LOOKBACK))} == {"unverifiable"}
