"""What a source promises, on both real servers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connector.errors import ConfigError
from connector.siem.elastic import plugin
from connector.siem.elastic.reader import EMPTY
from connector.siem.elastic.source import ElasticSource, ElasticSourceConfig, Place
from connector.testing import check_source
from connector.types import Batch, Cursor, RawEvent, Span
from tests.servers.process import Server
from tests.siem.elastic.asked import ask
from tests.siem.elastic.beds import TIMES, index

MS = 1000
EVER = Span(partition="", start=0, stop=4 * 10**15)
YEAR_2026 = 1_767_225_600_000
Make = Callable[..., ElasticSource]


@pytest.fixture
def name(search_server: Server) -> Iterator[str]:
    made = f"src-{uuid.uuid4().hex[:12]}"
    ask(search_server, "PUT", f"/{made}", TIMES)
    yield made
    ask(search_server, "DELETE", f"/{made}")


@pytest.fixture
def source(search_server: Server, name: str) -> Iterator[Make]:
    made: list[ElasticSource] = []

    def make(**more: Any) -> ElasticSource:
        table = {
            "type": "elastic",
            "deployment": "d",
            "flavour": search_server.flavour,
            "hosts": [search_server.url],
            "index": [name],
            "settle": 0,
            **more,
        }
        made.append(ElasticSource("s", ElasticSourceConfig.model_validate(table), None))
        return made[-1]

    yield make
    for one in made:
        one.close()


def at(ms: int, **more: Any) -> dict[str, Any]:
    return {"event": {"ingested": YEAR_2026 + ms}, **more}


def pages(
    source: ElasticSource, span: Span = EVER, limit: int = 1000, after: Cursor | None = None
) -> list[Batch[RawEvent]]:
    found: list[Batch[RawEvent]] = []
    while not found or not found[-1].done:
        found.append(source.read(span, found[-1].cursor if found else after, limit))
    return found


def ids(batches: list[Batch[RawEvent]]) -> list[str]:
    return [raw.ref.id for batch in batches for raw in batch.items]


def whole(batches: list[Batch[RawEvent]]) -> bool:
    return all(batch.complete for batch in batches)


def test_the_contract_holds_on_opensearch_too(tmp_path: Path, opensearch: Server) -> None:
    check_source(msgspec.structs.replace(plugin, testbed="tests.siem.elastic.beds:OpenSearchTestbed"), tmp_path)


@pytest.mark.parametrize(
    "count",
    [0, 1, pytest.param(9_999, marks=pytest.mark.full), 10_000, 10_001, pytest.param(50_000, marks=pytest.mark.full)],
)
def test_every_hit_is_read_once_however_many_pages_they_fill(
    search_server: Server, name: str, source: Make, count: int
) -> None:
    index(search_server, name, [at(number // 100) for number in range(count)])
    read = pages(source(page=10_000), limit=50_000)
    assert sorted(ids(read)) == [f"{number:06d}" for number in range(count)]
    assert whole(read)
    assert source().count(EVER) == count


def test_a_limit_above_what_a_search_may_give_is_met_by_several_searches(
    search_server: Server, name: str, source: Make
) -> None:
    index(search_server, name, [at(7) for _ in range(250)])
    read = pages(source(page=50), limit=200)
    assert [len(batch.items) for batch in read] == [200, 50]
    assert len(set(ids(read))) == 250


def test_documents_without_an_ingest_time_are_read_by_their_timestamp(
    search_server: Server, name: str, source: Make
) -> None:
    both, one = at(1, **{"@timestamp": YEAR_2026 - 10**9}), {"@timestamp": YEAR_2026 + 5}
    index(search_server, name, [both, one])
    read = pages(source(), limit=1)
    offsets = {raw.ref.id: raw.position.offset for batch in read for raw in batch.items if raw.position}
    assert offsets == {"000000": (YEAR_2026 + 1) * MS, "000001": (YEAR_2026 + 5) * MS}
    assert whole(read)
    assert source().count(EVER) == 2


def test_where_the_settings_refuse_the_fallback_nothing_is_proven_while_there_is_one_that_needs_it(
    search_server: Server, name: str, source: Make
) -> None:
    index(search_server, name, [at(1), {"@timestamp": YEAR_2026}])
    [batch] = pages(source(missing="refuse"))
    assert [raw.ref.id for raw in batch.items] == ["000000"]
    assert not batch.complete
    assert "1 documents" in batch.reason
    assert "event.ingested" in batch.reason


@pytest.mark.parametrize("stray", [{}, {"event": {"ingested": -1}}, {"event": {"ingested": 4 * 10**12}}])
def test_a_document_that_no_span_can_hold_keeps_every_span_unproven_and_is_told_of(
    search_server: Server, name: str, source: Make, stray: dict[str, Any]
) -> None:
    index(search_server, name, [at(1), stray])
    [batch] = pages(source(), Span(partition="", start=0, stop=(YEAR_2026 + 2) * MS))
    assert [raw.ref.id for raw in batch.items] == ["000000"]
    assert not batch.complete
    assert "1 documents" in batch.reason


def test_a_document_with_several_times_lies_at_its_first_one_alone_and_is_not_counted_by_the_server(
    search_server: Server, name: str, source: Make
) -> None:
    index(search_server, name, [{"event": {"ingested": [YEAR_2026 + 100, YEAR_2026 + 1]}}])
    first, second = Span(partition="", start=0, stop=(YEAR_2026 + 50) * MS), EVER
    assert ids(pages(source(), first)) == ["000000"]
    later = Span(partition="", start=first.stop, stop=second.stop)
    assert ids(pages(source(), later)) == []
    assert source().count(first) is None


def test_spans_meet_within_a_millisecond_whatever_the_resolution_of_the_index(
    search_server: Server, name: str, source: Make
) -> None:
    nanos = f"{name}-nanos"
    ask(search_server, "PUT", f"/{nanos}", {"mappings": {"properties": {"event.ingested": {"type": "date_nanos"}}}})
    try:
        index(search_server, name, [at(0), at(1), at(2)])
        times = [f"2026-01-01T00:00:00.00{ms}{micro:03d}500Z" for ms in (0, 1) for micro in (0, 400, 999)]
        index(search_server, nanos, [{"event": {"ingested": moment}} for moment in times])
        reader = source(index=[f"{name}*"])
        everything = {raw.native_id for batch in pages(reader) for raw in batch.items}
        assert len(everything) == 9
        start = YEAR_2026 * MS
        for cut in (start, start + 1, start + 400, start + 1000, start + 1400, start + 1999):
            left = pages(reader, Span(partition="", start=0, stop=cut))
            right = pages(reader, Span(partition="", start=cut, stop=EVER.stop))
            found = [raw for batch in left + right for raw in batch.items]
            assert sorted(raw.native_id for raw in found) == sorted(everything), cut
            assert all(raw.position.offset < cut for batch in left for raw in batch.items if raw.position)
            counted = [reader.count(Span(partition="", start=a, stop=b)) for a, b in ((0, cut), (cut, EVER.stop))]
            assert counted == [len(ids(left)), len(ids(right))]
    finally:
        ask(search_server, "DELETE", f"/{nanos}")


def pit_of(cursor: Cursor) -> Place:
    return msgspec.json.decode(cursor.token, type=Place)


def lose(server: Server, cursor: Cursor) -> None:
    """The server gives the point in time up, as when it expires."""
    path, key = ("/_pit", "id") if server.flavour == "elasticsearch" else ("/_search/point_in_time", "pit_id")
    pit = pit_of(cursor).pit
    answer = ask(server, "DELETE", path, {key: pit if key == "id" else [pit]})
    assert "refused" not in answer


def test_reading_goes_on_at_the_last_millisecond_where_the_point_in_time_is_gone(
    search_server: Server, name: str, source: Make
) -> None:
    documents = [at(number // 4) for number in range(20)] + [
        {"@timestamp": YEAR_2026 + number // 4} for number in range(20)
    ]
    index(search_server, name, documents)
    reader = source()
    seen: list[str] = []
    batch = reader.read(EVER, None, 6)
    while not batch.done:
        seen += [raw.ref.id for raw in batch.items]
        assert batch.complete
        assert batch.cursor is not None
        lose(search_server, batch.cursor)
        batch = reader.read(EVER, batch.cursor, 6)
    seen += [raw.ref.id for raw in batch.items]
    assert set(seen) == {f"{number:06d}" for number in range(40)}
    assert len(seen) < 80


def test_points_in_time_that_are_lost_within_one_millisecond_never_hold_reading_up(
    search_server: Server, name: str, source: Make
) -> None:
    index(search_server, name, [at(0) for _ in range(30)])
    reader = source()
    batch, reads = reader.read(EVER, None, 6), 1
    complete = True
    while not batch.done:
        assert batch.cursor is not None
        lose(search_server, batch.cursor)
        batch, reads = reader.read(EVER, batch.cursor, 6), reads + 1
        complete &= batch.complete
        assert reads < 30
    assert not complete


def test_what_comes_after_the_point_in_time_was_opened_belongs_to_a_later_read(
    search_server: Server, name: str, source: Make
) -> None:
    index(search_server, name, [at(5), at(6), at(7)])
    reader = source()
    first = reader.read(EVER, None, 2)
    index(search_server, name, [at(6)], first=3)
    assert ids(pages(reader, after=first.cursor)) == ["000002"]
    assert len(ids(pages(reader))) == 4


def test_a_cursor_of_nobody_begins_the_span_anew(search_server: Server, name: str, source: Make) -> None:
    index(search_server, name, [at(5)])
    for token in ("", "17", '["x"', "[1,2]"):
        assert ids(pages(source(), after=Cursor(token=token))) == ["000000"]


def test_a_shard_that_is_nowhere_makes_every_batch_incomplete_and_stops_no_other(
    search_server: Server, name: str, source: Make
) -> None:
    nowhere = f"{name}-nowhere"
    settings = {"settings": {"number_of_replicas": 0, "index.routing.allocation.require.nothing": "x"}, **TIMES}
    ask(search_server, "PUT", f"/{nowhere}?timeout=1s&wait_for_active_shards=0", settings)
    try:
        index(search_server, name, [at(number) for number in range(5)])
        reader = source(index=[f"{name}*"])
        assert reader.heads()
        read = pages(reader, limit=2)
        assert set(ids(read)) == {f"{number:06d}" for number in range(5)}
        assert not any(batch.complete for batch in read)
        assert "1 of 2 shards" in read[-1].reason
        assert reader.count(EVER) is None
    finally:
        ask(search_server, "DELETE", f"/{nowhere}")


def test_an_index_that_is_deleted_while_it_is_read_takes_only_its_own_documents_along(
    search_server: Server, name: str, source: Make
) -> None:
    other = f"{name}-other"
    ask(search_server, "PUT", f"/{other}", TIMES)
    index(search_server, name, [at(number) for number in range(10)])
    index(search_server, other, [at(number) for number in range(10)])
    reader = source(index=[f"{name}*"])
    first = reader.read(EVER, None, 4)
    ask(search_server, "DELETE", f"/{other}")
    rest = pages(reader, limit=4, after=first.cursor)
    held = {raw.native_id for batch in [first, *rest] for raw in batch.items if raw.ref.index == name}
    assert len(held) == 10
    assert whole(rest)


def test_a_data_stream_is_read_across_its_rollover(search_server: Server, name: str, source: Make) -> None:
    stream = f"stream-{name}"
    template = {"index_patterns": [f"{stream}*"], "data_stream": {}, "template": TIMES, "priority": 500}
    ask(search_server, "PUT", f"/_index_template/{stream}", template)
    try:
        rows = [({"create": {}}, {"@timestamp": YEAR_2026, **at(number)}) for number in range(6)]
        lines = [line for row in rows for line in row]
        assert not ask(search_server, "POST", f"/{stream}/_bulk?refresh=true", lines)["errors"]
        reader = source(index=[stream])
        first = reader.read(EVER, None, 4)
        assert ask(search_server, "POST", f"/{stream}/_rollover")["rolled_over"]
        assert not ask(search_server, "POST", f"/{stream}/_bulk?refresh=true", lines)["errors"]
        assert len(ids(pages(reader, after=first.cursor))) == 2
        raws = [raw for batch in pages(reader, limit=5) for raw in batch.items]
        assert len({raw.native_id for raw in raws}) == 12
        assert len({raw.ref.index for raw in raws}) == 2
        assert reader.count(EVER) == 12
    finally:
        ask(search_server, "DELETE", f"/_data_stream/{stream}")
        ask(search_server, "DELETE", f"/_index_template/{stream}")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("message:yes", ["000000"]),
        ({"term": {"message": "no"}}, ["000001"]),
        (None, ["000000", "000001", "000002"]),
        ("NOT message:yes", ["000001", "000002"]),
    ],
)
def test_a_query_is_a_query_string_or_query_dsl(
    search_server: Server, name: str, source: Make, query: Any, found: list[str]
) -> None:
    ask(search_server, "PUT", f"/{name}/_mapping", {"properties": {"message": {"type": "keyword"}}})
    index(search_server, name, [at(0, message="yes"), at(1, message="no"), at(2)])
    assert ids(pages(source(query=query))) == found
    assert source(query=query).count(EVER) == len(found)


def test_an_event_id_is_the_identity_where_the_settings_say_so_and_an_event_has_one(
    search_server: Server, name: str, source: Make
) -> None:
    ask(
        search_server,
        "PUT",
        f"/{name}/_mapping",
        {"properties": {"event": {"properties": {"id": {"type": "keyword"}}}}},
    )
    twice = [{"event": {"ingested": YEAR_2026 + number, "id": "same"}} for number in range(2)]
    index(search_server, name, [*twice, at(3)])
    reader = source(identity="event.id")
    assert [raw.native_id for batch in pages(reader) for raw in batch.items] == ["same", f"{name}/000002"]
    assert reader.count(EVER) is None


def test_indices_of_our_own_are_left_out_by_their_names(search_server: Server, name: str, source: Make) -> None:
    index(search_server, name, [at(0)])
    assert ids(pages(source(exclude=[f"{name[:6]}*"]))) == []
    assert source(exclude=[f"{name[:6]}*"]).count(EVER) == 0


def test_heads_are_the_servers_clock_and_wait_for_settle(search_server: Server, name: str, source: Make) -> None:
    before = time.time_ns() // 1000
    [head] = source().heads()
    [behind] = source(settle=60).heads()
    after = time.time_ns() // 1000
    assert before - 2000 <= head.offset <= after
    assert before - 60_002_000 <= behind.offset <= after - 60_000_000


def test_a_pattern_that_matches_nothing_yet_has_no_head_and_reads_nothing(source: Make) -> None:
    reader = source(index=["nothing-of-this-name-*"])
    assert list(reader.heads()) == []
    [batch] = pages(reader)
    assert (batch.items, batch.complete) == ((), True)
    assert batch.cursor is not None
    assert reader.count(EVER) == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"index": ["no-such-index"]}, "no such index"),
        ({"query": "message:(open"}, "Cannot parse"),
        ({"query": {"mtach": {"a": 1}}}, "mtach"),
    ],
)
def test_what_only_a_person_can_mend_is_told_before_anything_is_read(source: Make, more: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        source(**more).heads()


def test_a_time_field_that_is_text_in_one_of_the_indices_is_told_with_the_index(
    search_server: Server, name: str, source: Make
) -> None:
    text = f"{name}-text"
    ask(search_server, "PUT", f"/{text}", {"mappings": {"properties": {"event.ingested": {"type": "text"}}}})
    try:
        with pytest.raises(ConfigError, match=f"event.ingested is mapped as text in {text}"):
            source(index=[f"{name}*"]).heads()
    finally:
        ask(search_server, "DELETE", f"/{text}")


def test_a_document_that_no_decoder_reads_takes_no_other_of_its_page_with_it(
    search_server: Server, name: str, source: Make
) -> None:
    index(search_server, name, [at(0, message="\ud800"), at(1), at(2, n=10**400)])
    assert ids(pages(source())) == ["000000", "000001", "000002"]


def test_a_query_has_a_digest_and_what_says_nothing_of_documents_has_none(source: Make) -> None:
    digest = source().query_digest
    assert {source(page=7, keep_alive=60, every=3).query_digest} == {digest}
    others = [{"query": "a"}, {"index": ["x-*"]}, {"missing": "refuse"}, {"time_field": "t"}, {"identity": "event.id"}]
    assert len({digest, *(source(**other).query_digest for other in others)}) == 6


def test_points_in_time_do_not_pile_up(search_server: Server, name: str, source: Make) -> None:
    index(search_server, name, [at(0)])

    def contexts() -> int:
        stats = ask(search_server, "GET", f"/{name}/_stats/search")
        return int(stats["_all"]["total"]["search"]["open_contexts"])

    reader = source(keep_alive=timedelta(minutes=5).total_seconds())
    for _ in range(20):
        pages(reader)
    assert contexts() <= 1
    reader.close()
    assert contexts() == 0
    assert EMPTY
