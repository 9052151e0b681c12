"""The ingest loop: late, reordered, duplicated and same-timestamp events get exactly one verdict or one dead letter."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from connector import identity
from connector.errors import LostLeaseError, TransientError
from connector.ledger import proven
from connector.models import Store
from connector.pipeline import spans
from connector.pipeline.ingest import QUARANTINE_ATTEMPTS
from tests.models.tiny import tiny_store
from tests.pipeline.house import House

SOURCE = {"lookback": timedelta(minutes=10), "settle": timedelta(seconds=5), "start": "beginning", "batch": 5}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_events_that_are_late_reordered_duplicated_or_simultaneous_get_one_verdict_each(tmp_path_factory, bundle, data):
    house = House(tmp_path_factory.mktemp("house"), bundle, source=SOURCE)
    house.siem.repeat = data.draw(st.booleans())
    house.siem.shuffled = random.Random(data.draw(st.integers()))
    expected = set()
    for step in range(8):
        names = [f"{step}-{n}.exe" for n in range(data.draw(st.integers(0, 12)))]
        delay = timedelta(seconds=data.draw(st.integers(0, 599)))
        house.put(*names, searchable_at=house.clock() + delay)
        expected.update(names)
        house.run(data.draw(st.integers(1, 200)), every=20)
    house.run(1200)
    house.deliver.drain()
    found = house.verdicts()
    house.close()
    assert found == dict.fromkeys(expected, 1)


def test_an_event_that_cannot_be_read_becomes_one_dead_letter_and_the_rest_goes_on(house):
    house = house(source=SOURCE)
    house.put("a.exe", "b.exe")
    house.siem.put([[1, 2, 3]], ids=["bad"])
    house.run(120)
    house.deliver.drain()
    assert house.verdicts() == {"a.exe": 1, "b.exe": 1}
    (letter,) = house.ledger.dead_letters()
    assert letter.subject == identity.event_id("lab", "bad")
    house.run(1200)
    assert len(house.ledger.dead_letters()) == 1


def test_a_failing_server_costs_no_event_and_counts_no_attempt(house):
    house = house(source=SOURCE)
    house.put(*(f"{n}.exe" for n in range(12)))
    house.clock.advance(60)
    house.siem.faults.add("read", times=3)
    for _ in range(3):
        with pytest.raises(TransientError):
            house.ingest.poll()
    readers = house.ledger.readers("lab")
    assert {reader.attempts for reader in readers} == {0}
    house.run(60)
    house.deliver.drain()
    assert len(house.verdicts()) == 12


def test_an_event_that_kills_every_attempt_is_quarantined_alone(house):
    house = house(source={**SOURCE, "batch": 64})
    house.put(*(f"{n:02}.exe" for n in range(40)), "poison.exe", *(f"x{n:02}.exe" for n in range(40)))
    house.clock.advance(60)
    honest = house.bundle

    class Deadly:
        """A bundle with a bug: it dies of one event."""

        def __getattr__(self, name):
            return getattr(honest, name)

        def predict(self, events, states):
            if any("poison" in str(e.ecs) for e in events):
                raise MemoryError("poison")
            return honest.predict(events, states)

    house.bundle = Deadly()
    for _ in range(60):
        try:
            house.ingest.poll()
        except MemoryError:
            continue
        break
    house.deliver.drain()
    assert len(house.verdicts()) == 80
    (letter,) = house.ledger.dead_letters()
    assert letter.subject == identity.event_id("lab", "poison.exe")
    assert str(QUARANTINE_ATTEMPTS) in letter.reason


def test_a_record_of_ours_that_comes_back_is_not_read_and_a_forged_mark_hides_nothing(house):
    house = house(source=SOURCE)
    ours, forged = ({"event": {"kind": "enrichment"}, "triaged": {}} for name in ("ours", "forged"))
    ours["triaged"]["origin"] = identity.origin_mark(b"key", "some-record")
    forged["triaged"]["origin"] = identity.origin_mark(b"another key", "some-record")
    house.siem.put([ours, forged], ids=["ours", "forged"])
    house.run(1800)
    house.deliver.drain()
    assert house.verdicts() == {"forged": 1}
    found = house.ledger.gaps("lab", house.source.query_digest, 600_000_000, [])
    assert not [gap for gap in found if "no verdict" in gap.reason]


def test_two_replicas_on_one_ledger_give_each_event_one_verdict(house):
    one = house(source=SOURCE)
    other = house(source=SOURCE, beside=one)
    for step in range(10):
        one.put(*(f"{step}-{n}.exe" for n in range(9)))
        one.clock.advance(30)
        (one if step % 2 else other).ingest.poll()
    one.run(60)
    one.deliver.drain()
    other.deliver.drain()
    assert len(one.verdicts()) == 90
    assert set(one.siem.deliveries.values()) == {1}


def test_a_worker_whose_lease_was_taken_over_writes_nothing(house):
    one = house(source=SOURCE)
    other = house(source=SOURCE, beside=one)
    one.put(*(f"{n}.exe" for n in range(3)))
    one.clock.advance(60)

    def overtaken(step):
        if step == "ingest.scored":
            one.clock.advance(120)
            one.at_step = lambda _: None
            other.ingest.poll()

    one.at_step = overtaken
    with pytest.raises(LostLeaseError):
        one.ingest.poll()
    one.deliver.drain()
    assert sorted(one.verdicts().values()) == [1, 1, 1]


def test_a_full_target_pauses_its_source_and_parks_playbooks(house):
    house = house(source=SOURCE, target={"max_pending": 8}, soar={"max_pending": 3})
    house.put(*(f"{n}.exe" for n in range(30)))
    house.run(300)
    assert 8 <= house.ledger.pending("siem") <= 8 + 30
    before = house.ledger.pending("siem")
    house.put("later.exe")
    house.run(120)
    assert house.ledger.pending("siem") == before
    assert house.ledger.pending("soar") == 3
    parked = [letter for letter in house.ledger.dead_letters() if letter.source == "soar"]
    assert len(parked) == before - 3
    house.deliver.drain()
    house.run(120)
    house.deliver.drain()
    assert "later.exe" in house.verdicts()


def test_the_first_sighting_wins_and_a_second_source_on_the_same_siem_counts_a_duplicate(house):
    one = house(source=SOURCE)
    one.put("a.exe")
    one.run(60)
    again = one.siem.search(0, 10**18)
    outcome = one.ingest.batch([one.source._raw(event) for event in again])
    assert (outcome.verdicts, outcome.known) == (0, 1)


def test_a_backfill_reads_a_past_stretch_beside_what_is_new_and_proves_it(house):
    house = house(source={**SOURCE, "start": "now"})
    past = house.clock()
    house.put(*(f"old-{n:03}.exe" for n in range(400)))
    house.clock.advance(7200)
    house.ingest.poll()
    (head,) = house.source.heads()
    start = int(past.timestamp() * 1e6)
    forward = house.ledger.reader("lab", house.source.query_digest, "", spans.FORWARD)
    house.ledger.put_reader(spans.backfill(forward, start, start + 60_000_000, head, 600_000_000))
    house.put("new.exe")
    house.run(60)
    house.deliver.drain()
    assert len(house.verdicts()) == 401
    (interval,) = [i for i in house.ledger.intervals("lab", house.source.query_digest, "") if i.start == start]
    assert proven(interval, 600_000_000)
    assert interval.matched == 400


def test_a_swapped_bundle_scores_what_is_new_and_changes_no_verdict(house, tmp_path):
    house = house(source=SOURCE)
    house.put("whoami.exe")
    house.run(60)
    house.bundle = Store(tiny_store(tmp_path / "store", version="2")).open(None, threads=1)
    house.put("other.exe")
    house.run(1200)
    versions = {v.source.id: v.model.version for v in house.ledger.verdicts(limit=10)}
    assert versions == {"whoami.exe": "1", "other.exe": "2"}
