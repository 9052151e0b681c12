"""The ingest loop: late, reordered, duplicated and same-timestamp events get exactly one verdict or one dead letter."""

from __future__ import annotations

import json
import random
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from connector import identity
from connector.errors import ConfigError, LostLeaseError, TransientError
from connector.ledger import proven
from connector.models import Store
from connector.pipeline import replay, spans
from connector.pipeline.suspicion import QUARANTINE_ATTEMPTS, is_poison, limit
from connector.policy import record_document
from connector.types import Batch, Cursor, Position, RawEvent, SourceRef
from tests.daemon.site import process_start
from tests.models.tiny import tiny_store
from tests.pipeline.cases import RECORDS
from tests.pipeline.house import House

SOURCE = {"lookback": timedelta(minutes=10), "settle": timedelta(seconds=5), "start": "beginning", "batch": 5}


@pytest.mark.parametrize("examples", [4, pytest.param(60, marks=pytest.mark.full)])
def test_events_that_are_late_reordered_duplicated_or_simultaneous_get_one_verdict_each(
    tmp_path_factory, bundle, examples
):
    @settings(max_examples=examples, deadline=None)
    @given(data=st.data())
    def run(data):
        one_verdict_each(tmp_path_factory, bundle, data)

    run()


def one_verdict_each(tmp_path_factory, bundle, data):
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


def test_a_mark_copied_from_a_record_of_ours_hides_no_event_that_says_anything(house):
    house = house(source=SOURCE)
    mark = identity.origin_mark(b"key", "some-record")
    evil = {**process_start("mimikatz.exe"), "triaged": {"origin": mark}}
    generic = {"event": {"kind": "enrichment"}, "message": "mimikatz.exe", "triaged": {"origin": mark}}
    action = {"event": {"kind": "enrichment", "action": "user-added-to-group"}, "triaged": {"origin": mark}}
    house.siem.put([evil, generic, action], ids=["evil", "generic", "action"])
    house.run(60)
    house.deliver.drain()
    assert house.verdicts() == {"evil": 1, "generic": 1, "action": 1}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_every_kind_of_record_of_ours_is_known_again(house, record):
    house = house(source=SOURCE)
    record = msgspec.structs.replace(record, origin=identity.origin_mark(b"key", record.record_id))
    house.siem.put([json.loads(msgspec.json.encode(record_document(record)))], ids=["ours"])
    house.run(60)
    house.deliver.drain()
    assert house.verdicts() == {}
    assert house.ledger.status().tombstones == 1


def test_what_cannot_be_encoded_dies_alone_and_the_rest_goes_on(house):
    house = house(source=SOURCE)
    deep = "\ud800"
    for _ in range(150):
        deep = {"a": deep}
    strange = {("no", "text"): 1}
    house.siem.put([deep, {"n": 10**5000, "m": deep}, strange], ids=["deep", "long", "strange"])
    house.siem.put([{"message": "x \ud800"}], ids=["odd\udcff"])
    house.put("good.exe")
    house.run(60)
    house.deliver.drain()
    assert house.verdicts()["good.exe"] == 1
    assert len(house.verdicts()) + len(house.ledger.dead_letters()) == 5


def test_who_learns_from_events_sees_each_once_after_its_commit_and_fails_no_verdict(house):
    seen = []

    def learns(events, predictions, bundle):
        assert len(events) == len(predictions)
        seen.extend(event.id for event in events)
        raise OverflowError

    def outage(step):
        if step == "ingest.decide":
            house.at_step = lambda _: None
            raise TransientError("down")

    house = house(source=SOURCE, seen=learns)
    house.put("a.exe", "b.exe")
    house.at_step = outage
    house.clock.advance(30)
    with pytest.raises(TransientError):
        house.ingest.poll()
    assert seen == []
    house.run(60)
    house.deliver.drain()
    assert house.verdicts() == {"a.exe": 1, "b.exe": 1}
    assert len(seen) == len(set(seen)) == 2


def test_an_outage_quarantines_nothing_however_long(house):
    house = house(source={**SOURCE, "batch": 64})
    house.put(*(f"{n}.exe" for n in range(12)))
    house.clock.advance(60)
    store = house.ledger.commit

    def full(commit):
        raise TransientError("the ledger's disk is full")

    house.ledger.commit = full
    for _ in range(20):
        with pytest.raises(TransientError):
            house.ingest.poll()
    house.ledger.commit = store
    assert {reader.attempts for reader in house.ledger.readers("lab")} == {0}
    house.run(60)
    house.deliver.drain()
    assert len(house.verdicts()) == 12
    assert not house.ledger.dead_letters()


def test_attempts_from_before_make_batches_small_and_are_soon_forgotten(house):
    house = house(source={**SOURCE, "batch": 64})
    house.put(*(f"{n:03}.exe" for n in range(100)))
    house.ingest.poll()
    (forward,) = (r for r in house.ledger.readers("lab") if r.purpose == spans.FORWARD)
    house.ledger.put_reader(msgspec.structs.replace(forward, attempts=5))
    house.run(60)
    house.deliver.drain()
    assert len(house.verdicts()) == 100
    assert not house.ledger.dead_letters()
    assert {reader.attempts for reader in house.ledger.readers("lab")} == {0}


def test_poison_is_found_where_the_source_repeats_events_and_the_next_one_too(house):
    house = house(source={**SOURCE, "batch": 8})
    house.siem.repeat = True
    house.put("a.exe", "poison-1.exe", "b.exe", "poison-2.exe", "c.exe")
    house.clock.advance(60)
    honest = house.bundle

    class Deadly:
        def __getattr__(self, name):
            return getattr(honest, name)

        def predict(self, events, states):
            if any("poison" in str(e.ecs) for e in events):
                raise MemoryError("poison")
            return honest.predict(events, states)

    house.bundle = Deadly()
    for _ in range(30):
        try:
            house.ingest.poll()
        except MemoryError:
            continue
        break
    house.deliver.drain()
    assert house.verdicts() == {"a.exe": 1, "b.exe": 1, "c.exe": 1}
    assert len(house.ledger.dead_letters()) == 2


def test_a_worker_that_is_told_to_stop_begins_no_other_span(house):
    house = house(source=SOURCE)
    house.put("a.exe")
    house.clock.advance(7200)
    house.at_step = lambda step: house.stopping.set() if step == "ingest.committed" else None
    house.ingest.poll()
    assert house.steps.count("ingest.begun") == 1


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 8, 64, 500, 1000, 10_000])
def test_only_what_has_failed_alone_three_times_is_poison(batch):
    alone = next(n for n in range(20) if limit(batch, n) == 1)
    assert not is_poison(batch, alone + QUARANTINE_ATTEMPTS - 1)
    assert is_poison(batch, alone + QUARANTINE_ATTEMPTS)


class Files:
    """A source of several partitions: each is a list of names, at offsets of their index."""

    deployment = "lab"

    def __init__(self, digest="one", **files):
        self.query_digest = digest
        self.files = files
        self.reads = []

    def heads(self):
        return [Position(partition=name, offset=len(lines)) for name, lines in self.files.items()]

    def read(self, span, after, limit):
        start = span.start if after is None else int(after.token)
        stop = min(start + limit, span.stop)
        self.reads.append(span.partition)
        ref = SourceRef(siem="lab", index="files", id="x")
        items = tuple(
            RawEvent(
                deployment="lab",
                native_id=f"{span.partition}:{place}",
                ref=msgspec.structs.replace(ref, id=self.files[span.partition][place]),
                data=process_start(self.files[span.partition][place]),
                position=Position(partition=span.partition, offset=place),
            )
            for place in range(start, stop)
        )
        return Batch(items=items, cursor=Cursor(token=str(stop)), done=stop == span.stop)

    def count(self, span):
        return None


def with_files(house, **options):
    return house(source={"lookback": timedelta(0), "start": "now", "batch": 2, **options}, reading=Files())


def test_a_file_that_appears_in_a_folder_that_was_empty_is_read_from_its_start(house):
    house = with_files(house)
    house.ingest.poll()
    house.source.files["late"] = ["a.exe", "b.exe"]
    house.ingest.poll()
    house.deliver.drain()
    assert house.verdicts() == {"a.exe": 1, "b.exe": 1}


def test_files_that_are_there_at_the_first_poll_are_read_from_now(house):
    house = with_files(house)
    house.source.files |= {"one": ["old.exe"], "two": ["older.exe"]}
    house.ingest.poll()
    house.source.files["two"].append("new.exe")
    house.ingest.poll()
    house.deliver.drain()
    assert house.verdicts() == {"new.exe": 1}


def test_a_changed_query_goes_on_where_the_one_before_stood(house):
    house = with_files(house)
    house.source.files["log"] = ["old.exe"]
    house.ingest.poll()
    house.source.files["log"] += ["between.exe"]
    house.source.query_digest = "two"
    house.ingest.poll()
    house.deliver.drain()
    assert house.verdicts() == {"between.exe": 1}


def test_one_long_file_leaves_the_others_their_turn(house):
    house = with_files(house, start="beginning")
    house.source.files |= {"long": [f"{n}.exe" for n in range(150)], "short": ["s.exe"]}
    house.ingest.poll()
    reads = house.source.reads
    assert reads.index("short") < len(reads) - 1 - reads[::-1].index("long")


def test_a_reader_is_not_set_by_a_worker_whose_lease_is_lost(house):
    house = house(source=SOURCE)
    lease = house.ledger.acquire("source:lab", "one", timedelta(seconds=1))
    house.clock.advance(5)
    house.ledger.acquire("source:lab", "two", timedelta(seconds=60))
    with pytest.raises(LostLeaseError):
        house.ledger.put_reader(spans.seen("lab", 0), lease)
    assert not house.ledger.readers("lab")


def test_a_letter_that_was_unreadable_or_kept_in_part_is_not_pushed_again(house):
    house = house(source=SOURCE)
    ref = SourceRef(siem="lab", index="i", id="1")
    house.ingest.batch([RawEvent(deployment="lab", native_id="1", ref=ref, data=b"{}", error="bad record")])
    house.ingest.batch([RawEvent(deployment="lab", native_id="2", ref=ref, data=[1, 2])])
    letters = house.ledger.dead_letters()
    with pytest.raises(ConfigError, match=r"replayed 1; 1 could not be replayed: .*bad record"):
        replay([letter.id for letter in letters], house.ledger, {"lab": house.ingest}, "ana")
    after = {letter.id: letter.attempts for letter in house.ledger.dead_letters()}
    assert after == {letters[0].id: 1, letters[1].id: 2}


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
