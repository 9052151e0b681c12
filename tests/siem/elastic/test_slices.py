"""Slices change how a page is asked for, and nothing of what is read, in which order, and what is proven."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from connector.siem.elastic.hits import Hit, Hits, SearchReply, Shards
from connector.siem.elastic.slices import Part, place, sliced, together
from connector.siem.elastic.source import ElasticSource, ElasticSourceConfig
from connector.types import Batch, RawEvent
from tests.servers.process import Server
from tests.siem.elastic.asked import ask
from tests.siem.elastic.beds import index
from tests.siem.elastic.test_elastic_source import EVER, YEAR_2026, ids, lose, pages, whole

Make = Callable[..., ElasticSource]
MOST = 10_001
COUNTED = {
    "properties": {
        "n": {"type": "integer"},
        "@timestamp": {"type": "date"},
        "event": {"properties": {"ingested": {"type": "date"}}},
    }
}


def hit(number: int, moment: int) -> Hit:
    return Hit(index="i", id=str(number), sort=(moment, number))


def reply(*hits: Hit, **more: Any) -> SearchReply:
    return SearchReply(hits=Hits(hits=hits), **more)


@settings(max_examples=200)
@given(
    moments=st.lists(st.integers(0, 3), max_size=40),
    slices=st.integers(1, 5),
    wanted=st.integers(1, 12),
    dice=st.randoms(use_true_random=False),
)
def test_pages_of_slices_are_the_pages_of_the_whole_however_unevenly_it_is_cut(moments, slices, wanted, dice) -> None:
    held = sorted((hit(number, moment) for number, moment in enumerate(moments)), key=place)
    cut = {one.id: dice.randrange(slices) for one in held}
    read: list[Hit] = []
    ended = False
    while not ended:
        rest = held if not read else [one for one in held if place(one) > place(read[-1])]
        parts = []
        for number in range(slices):
            size = dice.randint(1, wanted)  # smaller where a document cannot be decoded
            parts.append(Part(reply(*[one for one in rest if cut[one.id] == number][:size]), size))
        page, ended = together(parts, "pit", wanted)
        assert ended or page.hits.hits
        assert len(page.hits.hits) <= wanted
        read += page.hits.hits
    assert read == held


def test_what_one_slice_lacks_the_page_lacks_and_the_newest_name_of_the_point_in_time_is_kept() -> None:
    broken = reply(hit(2, 0), pit_id="old", shards=Shards(total=2, successful=1, failed=1))
    page, _ = together([Part(reply(hit(1, 0), pit_id="new"), 5), Part(broken, 5)], "old", 10)
    assert page.lacks() == "1 of 2 shards did not answer"
    assert page.pit_id == "new"
    assert [one.id for one in page.hits.hits] == ["1", "2"]


def test_all_slices_ask_the_same_and_each_for_its_own_part() -> None:
    asked = sliced({"query": {}, "size": 5}, 3)
    assert [one.pop("slice") for one in asked] == [{"field": "_seq_no", "id": n, "max": 3} for n in range(3)]
    assert asked == [{"query": {}, "size": 5}] * 3


@pytest.fixture(scope="module", params=[2, pytest.param(5, marks=pytest.mark.full)], ids="{} shards".format)
def counted(search_server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """An index of documents with numbers, a hundred of which share each millisecond; one in five has the fallback alone."""
    name = f"slices-{uuid.uuid4().hex[:12]}"
    shards = {"number_of_shards": request.param, "number_of_replicas": 0}
    ask(search_server, "PUT", f"/{name}", {"mappings": COUNTED, "settings": shards})
    times = [
        {"@timestamp": YEAR_2026 + n // 100} | ({"event": {"ingested": YEAR_2026 + n // 100}} if n % 5 else {})
        for n in range(MOST)
    ]
    index(search_server, name, [{"n": n} | moment for n, moment in enumerate(times)])
    yield name
    ask(search_server, "DELETE", f"/{name}")


@pytest.fixture
def source(search_server: Server, counted: str) -> Iterator[Make]:
    made: list[ElasticSource] = []

    def make(count: int = MOST, **more: Any) -> ElasticSource:
        server = {"flavour": search_server.flavour, "hosts": [search_server.url]}
        query = {"range": {"n": {"lt": count}}}
        table = {
            "type": "elastic",
            "deployment": "d",
            "index": [counted],
            "settle": 0,
            "query": query,
            **server,
            **more,
        }
        made.append(ElasticSource("s", ElasticSourceConfig.model_validate(table), None))
        return made[-1]

    yield make
    for one in made:
        one.close()


def told(batches: list[Batch[RawEvent]]) -> list[tuple[str, Any]]:
    return [(raw.ref.id, raw.position) for batch in batches for raw in batch.items]


@pytest.mark.parametrize("count", [0, 1, pytest.param(9_999, marks=pytest.mark.full), 10_000, MOST])
def test_slices_read_the_same_in_the_same_order_as_one_search(source: Make, count: int) -> None:
    one, three = source(count, page=10_000), source(count, page=10_000, slices=3)
    start = one.read(EVER, None, 0).cursor  # a point in time that both read
    alone, side_by_side = (pages(reader, limit=50_000, after=start) for reader in (one, three))
    assert told(side_by_side) == told(alone)
    assert len(ids(alone)) == count
    assert whole(side_by_side)
    assert three.count(EVER) == one.count(EVER) == count


def test_cursors_of_one_search_and_of_slices_are_the_same_ones(source: Make) -> None:
    readers = source(1000, page=40), source(1000, page=40, slices=4)
    start = readers[0].read(EVER, None, 0).cursor
    alone = pages(readers[0], limit=70, after=start)
    turns: list[Batch[RawEvent]] = []
    while not turns or not turns[-1].done:
        turns.append(readers[len(turns) % 2].read(EVER, turns[-1].cursor if turns else start, 70))
    assert told(turns) == told(alone)


def test_slices_go_on_at_the_last_millisecond_where_the_point_in_time_is_gone(
    search_server: Server, source: Make
) -> None:
    reader = source(1000, slices=3)
    batch = reader.read(EVER, None, 170)
    seen = [raw.ref.id for raw in batch.items]
    while not batch.done:
        assert batch.cursor is not None
        lose(search_server, batch.cursor)
        batch = reader.read(EVER, batch.cursor, 170)
        assert batch.complete
        seen += [raw.ref.id for raw in batch.items]
    assert set(seen) == {f"{number:06d}" for number in range(1000)}
