"""The rules of Splunk's time range, which lose events for those who don't know them."""

from __future__ import annotations

import pytest

from connector.testing import ManualClock
from tests.splunkd import Splunkd
from tests.splunkd.asking import Client
from tests.splunkd.timerange import moment

ALWAYS = {"earliest_time": 1, "latest_time": 4102444800}


def _found(client: Client, search: str = "search index=main", **params: object) -> set[str]:
    return {row["_raw"] for row in client.rows(search, **params)}


def test_a_search_ends_at_now_by_event_time_unless_it_says_otherwise(client: Client, splunkd: Splunkd) -> None:
    now = splunkd.now()
    splunkd.put("past", time=now - 5)
    splunkd.put("ahead", time=now + 600)
    window = {"index_earliest": int(now), "index_latest": int(now) + 1}
    assert _found(client, **window) == {"past"}
    assert _found(client, **window, **ALWAYS) == {"past", "ahead"}


def test_index_times_are_whole_seconds_and_their_window_is_half_open(client: Client, splunkd: Splunkd) -> None:
    for second in (100, 101, 102):
        splunkd.put(str(second), time=1, indextime=second + 0.9)
    assert _found(client, index_earliest=100, index_latest=102) == {"100", "101"}
    assert _found(client, index_earliest=102, index_latest=103) == {"102"}
    assert _found(client, index_earliest=101, index_latest=101) == set()


def test_event_times_are_half_open(client: Client, splunkd: Splunkd) -> None:
    for second in (10.0, 10.5, 11.0):
        splunkd.put(str(second), time=second)
    assert _found(client, earliest_time=10, latest_time=11) == {"10.0", "10.5"}
    assert _found(client, earliest_time="10.5", latest_time="11.001") == {"10.5", "11.0"}


def test_modifiers_in_the_search_go_before_parameters(client: Client, splunkd: Splunkd) -> None:
    splunkd.put("early", time=50, indextime=100)
    splunkd.put("late", time=60, indextime=200)
    assert _found(client, "search index=main earliest=55 latest=65", earliest_time=1, latest_time=10) == {"late"}
    assert _found(client, "search index=main _index_earliest=100 _index_latest=101", **ALWAYS) == {"early"}


def test_events_come_newest_first_by_their_own_time(client: Client, splunkd: Splunkd) -> None:
    for number, time in enumerate((30, 10, 20, 20)):
        splunkd.put(str(number), time=time)
    assert [row["_raw"] for row in client.rows("search index=main")] == ["0", "3", "2", "1"]


def test_an_event_is_found_once_it_is_searchable_and_by_the_time_of_its_indexing(
    client: Client, clock: ManualClock, splunkd: Splunkd
) -> None:
    now = int(splunkd.now())
    splunkd.put("slow", delay_s=30)
    window = {"index_earliest": now, "index_latest": now + 1, **ALWAYS}
    assert _found(client, **window) == set()
    clock.advance(30)
    assert _found(client, **window) == {"slow"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("now", 1_000_000),
        ("-1h", 996_400),
        ("-1h@h", 993_600),
        ("@d", 950_400),
        ("+5m", 1_000_300),
        ("-2d@d", 777_600),
        ("@w", 864_000),
        ("123.5", 123.5),
        ("1970-01-02T00:00:00Z", 86400),
        ("1970-01-02T00:00:00.500+01:00", 82800.5),
    ],
)
def test_times_are_read_as_splunk_reads_them(text: str, seconds: float) -> None:
    assert moment(text, 1_000_000) == seconds


@pytest.mark.parametrize("text", ["yesterday", "-1fortnight", "12:30"])
def test_a_time_that_cannot_be_read_refuses_the_search(client: Client, text: str) -> None:
    reply = client.export("search index=main", earliest_time=text)
    assert reply.status == 400
    assert "Invalid time" in reply.json()["messages"][0]["text"]


def test_the_search_heads_date_is_its_clock(client: Client, splunkd: Splunkd) -> None:
    assert client.get("/services/server/info").headers["date"] == "Mon, 05 Jan 2026 12:00:00 GMT"
    splunkd.faults.clock_skew_s = 60
    assert client.get("/services/server/info").headers["date"] == "Mon, 05 Jan 2026 12:01:00 GMT"
