"""What a source promises, on the stand-in of splunkd."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connector.errors import ConfigError, TransientError
from connector.identity import origin_mark
from connector.siem.splunk import plugin
from connector.siem.splunk.client import Splunk
from connector.siem.splunk.connection import Connection
from connector.siem.splunk.source import SplunkSource, SplunkSourceConfig
from connector.siem.splunk.window import Windows
from connector.testing import ManualClock, check_source
from connector.types import Batch, Cursor, RawEvent, Span
from tests.splunkd import Cut, Splunkd

SECOND = 1_000_000
START = 1_767_614_400
"""Where the stand-in's clock begins: 2026-01-05 12:00 UTC."""

EVER = Span(partition="", start=0, stop=4 * 10**15)
Make = Callable[..., SplunkSource]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def splunkd(clock: ManualClock) -> Iterator[Splunkd]:
    with Splunkd(clock=clock) as server:
        yield server


@pytest.fixture
def source(splunkd: Splunkd, clock: ManualClock) -> Make:
    def make(**more: Any) -> SplunkSource:
        table = {"hosts": [splunkd.url], "token": splunkd.token, "deployment": "d", "search": "index=main", "settle": 0}
        return SplunkSource("s", SplunkSourceConfig.model_validate(table | more), clock)

    return make


def pages(
    reader: SplunkSource, span: Span = EVER, limit: int = 1000, after: Cursor | None = None
) -> list[Batch[RawEvent]]:
    found: list[Batch[RawEvent]] = []
    while not found or not found[-1].done:
        found.append(reader.read(span, found[-1].cursor if found else after, limit))
    return found


def ids(batches: list[Batch[RawEvent]]) -> list[str]:
    return [raw.native_id for batch in batches for raw in batch.items]


def held(splunkd: Splunkd, index: str = "main") -> list[str]:
    return sorted(f"{one.bkt}:{one.cd}" for one in splunkd.events if one.index == index)


def between(start: float, stop: float) -> Span:
    return Span(partition="", start=int(start * SECOND), stop=int(stop * SECOND))


def test_the_contract_holds(tmp_path: Path) -> None:
    check_source(plugin, tmp_path)


@pytest.mark.parametrize("skew", [-(10**9), -86_400, 86_400, 3 * 365 * 86_400])
def test_an_event_is_found_by_when_it_was_indexed_whatever_its_own_time_is(
    splunkd: Splunkd, source: Make, skew: int
) -> None:
    splunkd.put("a", time=START + skew)
    [batch] = pages(source(), between(START, START + 1))
    assert ids([batch]) == held(splunkd)
    assert pages(source(), between(START + 1, START + 10))[0].items == ()
    [asked] = splunkd.asked("export")[:1]
    assert {name: asked.get(name) for name in ("earliest_time", "latest_time", "index_earliest", "index_latest")} == {
        "earliest_time": "1",
        "latest_time": "4102444800",
        "index_earliest": str(START),
        "index_latest": str(START + 1),
    }


@pytest.mark.parametrize("cut", [0, 1, 400_000, 999_999, SECOND, SECOND + 1])
def test_a_second_belongs_to_one_of_two_spans_that_meet(splunkd: Splunkd, source: Make, cut: int) -> None:
    for second in range(3):
        splunkd.put("a", indextime=START + second)
    middle = START * SECOND + cut
    left, right = Span(partition="", start=0, stop=middle), Span(partition="", start=middle, stop=EVER.stop)
    reader = source()
    found = [pages(reader, span) for span in (left, right)]
    assert sorted(ids(found[0]) + ids(found[1])) == held(splunkd)
    assert [reader.count(span) for span in (left, right)] == [len(ids(one)) for one in found]
    for batch in found[0]:
        assert all(raw.position.offset < middle for raw in batch.items if raw.position)


@pytest.mark.parametrize(("page", "limit"), [(1, 1), (1, 1000), (5, 2), (7, 13), (10_000, 9)])
def test_one_second_with_more_events_than_fit_is_read_whole_and_in_one_order(
    splunkd: Splunkd, source: Make, page: int, limit: int
) -> None:
    splunkd.put(*("x" * (n % 5 + 1) for n in range(24)), indextime=START)
    splunkd.put("before", indextime=START - 1)
    splunkd.put("after", indextime=START + 1)
    read = pages(source(page=page), limit=limit)
    assert ids(read) == ids(pages(source()))
    assert sorted(ids(read)) == held(splunkd)
    assert all(batch.complete for batch in read)


def test_any_cursor_goes_on_in_another_process(splunkd: Splunkd, source: Make) -> None:
    for second in range(3):
        splunkd.put(*"abcdefg", indextime=START + second * 1000)
    whole = ids(pages(source()))
    seen = 0
    for batch in pages(source(page=5), limit=4):
        seen += len(batch.items)
        assert ids(pages(source(page=3), limit=11, after=batch.cursor)) == whole[seen:]


def test_a_page_that_follows_asks_the_server_nothing(splunkd: Splunkd, source: Make) -> None:
    splunkd.put(*"abcdefgh")
    reader = source()
    pages(reader, between(START, START + 1), limit=2)
    assert len(splunkd.asked("export")) == 1


def test_a_span_that_is_read_anew_is_asked_for_anew(splunkd: Splunkd, source: Make) -> None:
    splunkd.put("a")
    reader = source()
    first = reader.read(between(START, START + 1), None, 10)
    splunkd.put("b", indextime=START)
    assert len(first.items) == 1
    assert len(reader.read(between(START, START + 1), None, 10).items) == 2


def test_a_cursor_of_nobody_begins_the_span_anew(splunkd: Splunkd, source: Make) -> None:
    splunkd.put("a")
    for token in ("", "17", '["x"]', "{}"):
        assert len(ids(pages(source(), after=Cursor(token=token)))) == 1


def test_a_head_is_the_end_of_a_second_on_the_search_heads_clock(
    splunkd: Splunkd, clock: ManualClock, source: Make
) -> None:
    clock.advance(0.9)
    splunkd.faults.clock_skew_s = 100
    assert [head.offset for head in source().heads()] == [(START + 100) * SECOND]
    assert [head.offset for head in source(settle=2.5).heads()] == [(START + 97) * SECOND]


def test_an_indexer_whose_clock_is_behind_stamps_seconds_that_were_read(splunkd: Splunkd, source: Make) -> None:
    splunkd.faults.indexer_skew_s = {"idx1": -90.0, "idx2": 45.0}
    splunkd.put("a", peer="idx1")
    splunkd.put("b", peer="idx2")
    offsets = sorted(raw.position.offset for batch in pages(source()) for raw in batch.items if raw.position)
    assert offsets == [(START - 90) * SECOND, (START + 45) * SECOND]


@pytest.mark.parametrize("level", ["WARN", "ERROR"])
def test_a_peer_that_is_down_leaves_the_span_unproven_and_its_count_unknown(
    splunkd: Splunkd, source: Make, level: Any
) -> None:
    splunkd.put("a", peer="idx1")
    splunkd.put("b", peer="idx2")
    splunkd.faults.peers_down, splunkd.faults.peer_message = {"idx2"}, level
    [batch] = pages(source(), between(START, START + 1))
    assert len(batch.items) == 1
    assert not batch.complete
    assert "idx2" in batch.reason
    assert source().count(EVER) is None
    splunkd.faults.peers_down.clear()
    assert len(ids(pages(source()))) == 2


def test_truncated_results_leave_the_span_unproven(splunkd: Splunkd, source: Make) -> None:
    splunkd.put(*"abcdef")
    splunkd.faults.most_rows = 3
    [batch] = pages(source(), between(START, START + 1))
    assert (len(batch.items), batch.complete) == (3, False)


def test_a_message_that_is_not_known_leaves_the_span_unproven_unless_the_site_knows_it(
    splunkd: Splunkd, source: Make
) -> None:
    splunkd.put("a")
    splunkd.faults.messages = [("WARN", "[idx1] Our scripted input is odd"), ("INFO", "hello")]
    assert not pages(source())[-1].complete
    assert pages(source(harmless=["[idx1] Our scripted"]))[-1].complete
    assert source().count(EVER) is None
    assert source(harmless=["[idx1] Our scripted"]).count(EVER) == 1


def test_preview_rows_are_no_events(splunkd: Splunkd, source: Make) -> None:
    splunkd.put(*"abc")
    splunkd.faults.previews = 5
    assert ids(pages(source())) == held(splunkd)


@pytest.mark.parametrize("how", ["broken", "reset", "quiet"])
def test_a_stream_that_is_cut_is_read_again_in_narrower_windows_and_whole(
    splunkd: Splunkd, source: Make, how: Any
) -> None:
    for second in range(4):
        splunkd.put("a", "b", indextime=START + second)
    splunkd.faults.cuts.extend([Cut(3, how)] * 3)
    read = pages(source(), between(START, START + 900))
    assert sorted(ids(read)) == held(splunkd)
    assert all(batch.complete for batch in read)


@pytest.mark.parametrize("how", ["broken", "reset", "quiet"])
def test_one_second_that_is_always_cut_is_handed_out_and_stays_unproven(
    splunkd: Splunkd, source: Make, how: Any
) -> None:
    splunkd.put(*"abcdef", indextime=START)
    splunkd.put("g", indextime=START + 1)
    splunkd.faults.cuts.append(Cut(2, how))
    first, *rest = pages(source(), between(START, START + 1))
    assert not rest
    assert len(first.items) == 2
    assert not first.complete
    assert ids(pages(source(), between(START + 1, START + 2)))


def test_a_truncation_that_is_told_is_one(splunkd: Splunkd, source: Make) -> None:
    splunkd.put(*"abcdef")
    splunkd.faults.cuts.append(Cut(2, "told"))
    [batch] = pages(source(), between(START, START + 1))
    assert (len(batch.items), batch.complete) == (2, False)


@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_an_outage_ends_the_read_and_the_next_one_goes_on_at_the_same_place(
    splunkd: Splunkd, source: Make, status: int
) -> None:
    for second in range(3):
        splunkd.put("a", indextime=START + 10_000 * second)
    reader = source(page=1)
    first = reader.read(EVER, None, 1)
    splunkd.refuse(status, "export")
    with pytest.raises(TransientError):
        reader.read(EVER, first.cursor, 1)
    assert len(ids([first, *pages(reader, after=first.cursor)])) == 3


def test_a_search_quota_is_an_outage_that_says_what_to_raise(splunkd: Splunkd, source: Make) -> None:
    splunkd.faults.quota = 0
    with pytest.raises(TransientError, match="quota"):
        source().read(EVER, None, 1)


@pytest.mark.parametrize(
    "search", ["index=main | where no_such_function(a)", "index=main | eval x=(1", "index=main foo=", "index=main NOT"]
)
def test_a_search_that_splunk_does_not_accept_is_told_before_anything_is_read(search: str, source: Make) -> None:
    with pytest.raises((ConfigError, ValidationError), match=r"search|bracket"):
        source(search=search).heads()


def test_commands_of_the_user_choose_events_and_leave_them_their_place(splunkd: Splunkd, source: Make) -> None:
    splunkd.put({"n": 1}, {"n": 2}, {"n": 3})
    reader = source(search='index=main | where n > 1 | eval team="blue"')
    read = pages(reader)
    assert [json.loads(raw.data)["team"] for batch in read for raw in batch.items] == ["blue"] * 2
    assert set(ids(read)) < set(held(splunkd))
    assert reader.count(EVER) == 2


def test_our_own_index_is_left_out_and_nothing_else_is_on_the_strength_of_a_mark(
    splunkd: Splunkd, source: Make
) -> None:
    ours = {"triaged": {"origin": origin_mark(b"a key for tests alone", "r")}}
    splunkd.put(ours, index="triaged")
    splunkd.put(ours, index="risk")
    splunkd.put({"index": "triaged"}, index="main")
    read = pages(source(search="index=*"))
    assert sorted(ids(read)) == sorted(held(splunkd, "risk") + held(splunkd, "main"))
    assert source(search="index=*").count(EVER) == 2


def test_fields_that_an_event_claims_move_it_to_no_other_place(splunkd: Splunkd, source: Make) -> None:
    splunkd.faults.shadows = True
    splunkd.put({"_cd": "1:1", "_bkt": "x~1~y", "_indextime": "5", "index": "other", "host": "evil"})
    [raw] = [raw for batch in pages(source()) for raw in batch.items]
    assert raw.native_id == held(splunkd)[0]
    assert raw.ref.index == "main"
    assert raw.position is not None
    assert raw.position.offset == START * SECOND


def test_a_row_that_says_of_itself_another_second_is_left_out_and_told(splunkd: Splunkd) -> None:
    splunkd.put({"n": 1}, {"n": 2}, indextime=START)
    splunk = Splunk(Connection.model_validate({"hosts": [splunkd.url], "token": splunkd.token}))
    search = "search index=main | eval _indextime=if(n=1, 5, _indextime)"
    window = Windows(splunk, search, harmless=()).read(START, START + 1, None, 10)
    assert len(window.rows) == 1
    assert "not indexed in the window" in window.reason


def test_rows_without_a_place_are_known_by_a_digest_and_not_counted(splunkd: Splunkd, source: Make) -> None:
    [placed] = splunkd.put("a")
    placed.cd = ""
    reader = source()
    [number] = ids(pages(reader))
    assert number.startswith("hash:")
    assert reader.count(EVER) is None


def test_notables_carry_the_name_by_which_they_are_updated(splunkd: Splunkd, source: Make) -> None:
    [notable] = splunkd.put(
        {"event_id": "somebody-elses", "search_name": "x"}, index="notable", source="A - Rule", sourcetype="stash"
    )
    reader = source(kind="notables", search="")
    [raw] = [raw for batch in pages(reader) for raw in batch.items]
    assert raw.ref.event_id == raw.ref.alert == splunkd.review.event_id(notable)
    assert raw.native_id == f"{notable.bkt}:{notable.cd}"


def test_an_events_own_event_id_names_no_notable(splunkd: Splunkd, source: Make) -> None:
    splunkd.put({"event_id": "somebody-elses"})
    [raw] = [raw for batch in pages(source()) for raw in batch.items]
    assert raw.ref.event_id is None
    assert raw.ref.alert is None


def test_a_query_has_a_digest_and_what_says_nothing_of_events_has_none(source: Make) -> None:
    digest = source().query_digest
    assert {source(page=7, every=3, fields=["a"], settle=9).query_digest} == {digest}
    others = [{"search": "index=x"}, {"exclude": ["x"]}, {"kind": "notables"}, {"search": "index=main | where a=1"}]
    assert len({digest, *(source(**other).query_digest for other in others)}) == 5


def test_large_events_fill_no_more_memory_than_a_page_may(splunkd: Splunkd, source: Make, monkeypatch: Any) -> None:
    monkeypatch.setattr("connector.siem.splunk.source._BATCH_BYTES", 3000)
    monkeypatch.setattr("connector.siem.splunk.window._SIZE", 5000)
    splunkd.put(*("x" * 1000 for _ in range(20)), indextime=START)
    read = pages(source(), between(START, START + 1))
    assert sorted(ids(read)) == held(splunkd)
    assert max(len(batch.items) for batch in read) < 5


def test_a_server_that_never_begins_to_answer_is_an_outage_and_no_second_is_passed(
    splunkd: Splunkd, source: Make
) -> None:
    splunkd.put("a", indextime=START)
    reader = source(timeout=0.2)
    reader.heads()
    splunkd.faults.slow_s, splunkd.faults.slow_path = 1.0, "export"
    with pytest.raises(TransientError):
        reader.read(between(START, START + 1), None, 5)
    splunkd.faults.slow_s = 0
    assert len(ids(pages(reader, between(START, START + 1)))) == 1
