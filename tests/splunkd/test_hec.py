"""The HTTP event collector: what it takes, what it refuses with which code, and what becomes of acknowledgements."""

from __future__ import annotations

import gzip
import http.client
import json

import pytest

from connector.testing import ManualClock
from tests.splunkd import HecToken, Splunkd
from tests.splunkd.asking import Client, Hec


def test_events_are_indexed_with_what_their_envelope_says(hec: Hec, splunkd: Splunkd) -> None:
    envelope = {
        "time": 1000.25,
        "host": "h",
        "source": "s",
        "sourcetype": "t",
        "index": "triaged",
        "fields": {"team": "red", "n": [1, 2]},
    }
    assert hec.event({**envelope, "event": {"b": 1, "a": "ö"}}, {"event": "text"}).json() == {
        "text": "Success",
        "code": 0,
    }
    first, second = splunkd.events
    assert (first.raw, first.time, first.index) == ('{"b": 1, "a": "\\u00f6"}', 1000.25, "triaged")
    assert (first.host, first.source, first.sourcetype) == ("h", "s", "t")
    assert first.indexed == {"team": "red", "n": ["1", "2"]}
    assert (second.raw, second.index, second.sourcetype) == ("text", "main", "httpevent")
    assert first.indextime == second.indextime == int(splunkd.now()) == second.time


def test_a_packed_body_is_unpacked(hec: Hec, splunkd: Splunkd) -> None:
    body = gzip.compress(b'{"event":"a"}\n{"event":"b"}')
    assert hec.post("/services/collector/event", body, **{"Content-Encoding": "gzip"}).status == 200
    assert [event.raw for event in splunkd.events] == ["a", "b"]


def test_raw_text_is_an_event_a_line(hec: Hec, splunkd: Splunkd) -> None:
    assert hec.post("/services/collector/raw?index=main&sourcetype=plain&time=5", b"one\ntwo\n").status == 200
    assert [(event.raw, event.sourcetype, event.time) for event in splunkd.events] == [
        ("one", "plain", 5.0),
        ("two", "plain", 5.0),
    ]


@pytest.mark.parametrize(
    ("body", "status", "code", "event"),
    [
        (b"", 400, 5, None),
        (b"   ", 400, 5, None),
        (b"{", 400, 6, 0),
        (b'{"event":"a"}nonsense', 400, 6, 1),
        (b'{"event":"a"}{"time":1}', 400, 12, 1),
        (b'{"event":null}', 400, 12, 0),
        (b'{"event":""}', 400, 13, 0),
        (b'{"event":"a","time":"soon"}', 400, 6, 0),
        (b'{"event":"a","index":"nosuch"}', 400, 7, 0),
        (b'{"event":"a","fields":{"a":{"b":1}}}', 400, 15, 0),
        (b'{"event":"a","fields":[1]}', 400, 15, 0),
        (b'{"event":"\xff"}', 400, 6, 0),
    ],
)
def test_a_bad_body_is_refused_with_its_code_and_the_number_of_the_event(
    hec: Hec, body: bytes, status: int, code: int, event: int | None
) -> None:
    reply = hec.post("/services/collector/event", body)
    assert (reply.status, reply.json()["code"], reply.json().get("invalid-event-number")) == (status, code, event)


def test_events_before_an_invalid_one_are_indexed(hec: Hec, splunkd: Splunkd) -> None:
    assert hec.event({"event": "good"}, {"event": ""}, {"event": "never read"}).status == 400
    assert [event.raw for event in splunkd.events] == ["good"]


@pytest.mark.parametrize(("token", "status", "code"), [("", 401, 2), ("unknown", 403, 4), ("off", 403, 1)])
def test_a_token_is_needed(clock: ManualClock, token: str, status: int, code: int) -> None:
    with Splunkd(clock=clock, hec_tokens={"off": HecToken(disabled=True)}) as splunkd:
        reply = Hec(splunkd, token).event({"event": "a"})
        assert (reply.status, reply.json()["code"]) == (status, code)


def test_a_token_may_write_its_own_indexes_alone(clock: ManualClock) -> None:
    with Splunkd(clock=clock, hec_tokens={"own": HecToken("triaged", ("triaged",))}) as splunkd:
        assert Hec(splunkd, "own").event({"event": "a"}).status == 200
        assert Hec(splunkd, "own").event({"event": "a", "index": "main"}).json()["code"] == 7
        assert [event.index for event in splunkd.events] == ["triaged"]


def test_an_acknowledgement_is_told_once_and_then_forgotten(acked: Hec) -> None:
    assert [acked.event({"event": str(number)}).json()["ackId"] for number in range(3)] == [0, 1, 2]
    assert acked.acks(0, 2, 7) == {"0": True, "2": True, "7": False}
    assert acked.acks(0, 1, 2) == {"0": False, "1": True, "2": False}


def test_each_channel_has_numbers_of_its_own(splunkd: Splunkd, acked: Hec) -> None:
    other = Hec(splunkd, splunkd.hec_ack_token, "0aaaaaaa-0000-4000-8000-000000000002")
    assert acked.event({"event": "a"}).json()["ackId"] == 0
    assert other.event({"event": "b"}).json()["ackId"] == 0
    assert other.acks(0) == {"0": True}
    assert acked.acks(0) == {"0": True}


def test_a_channel_is_needed_for_acknowledgement_and_must_be_a_guid(splunkd: Splunkd, hec: Hec) -> None:
    assert Hec(splunkd, splunkd.hec_ack_token).event({"event": "a"}).json() == {
        "text": "Data channel is missing",
        "code": 10,
    }
    assert Hec(splunkd, splunkd.hec_ack_token, "nonsense").event({"event": "a"}).json()["code"] == 11
    assert hec.post("/services/collector/ack", b'{"acks":[0]}').json() == {"text": "ACK is disabled", "code": 14}
    assert splunkd.events == []


def test_a_reset_forgets_what_waits_and_numbers_begin_again(splunkd: Splunkd, acked: Hec) -> None:
    acked.event({"event": "a"})
    splunkd.reset_channels()
    assert acked.acks(0) == {"0": False}
    assert acked.event({"event": "b"}).json()["ackId"] == 0


def test_acknowledgements_that_wait_are_told_when_they_no_longer_do(splunkd: Splunkd, acked: Hec) -> None:
    splunkd.faults.acks = "pending"
    acked.event({"event": "a"})
    assert acked.acks(0) == {"0": False}
    splunkd.faults.acks = "told"
    assert acked.acks(0) == {"0": True}


@pytest.mark.parametrize(
    ("how", "indexed", "told"), [("lost", 0, [False, False]), ("never", 1, [False, False]), ("twice", 1, [True, True])]
)
def test_acknowledgements_go_wrong_as_the_switch_says(
    splunkd: Splunkd, acked: Hec, how: str, indexed: int, told: list[bool]
) -> None:
    splunkd.faults.acks = how  # type: ignore[assignment]
    acked.event({"event": "a"})
    assert len(splunkd.events) == indexed
    assert [acked.acks(0)["0"] for _ in range(2)] == told


def test_what_was_lost_stays_lost_when_the_switch_is_off_again(splunkd: Splunkd, acked: Hec) -> None:
    splunkd.faults.acks = "lost"
    acked.event({"event": "a"})
    splunkd.faults.acks = "told"
    assert acked.acks(0) == {"0": False}
    assert splunkd.events == []


def test_an_acknowledgement_may_take_several_questions(splunkd: Splunkd, acked: Hec) -> None:
    splunkd.faults.ack_polls = 2
    acked.event({"event": "a"})
    assert [acked.acks(0)["0"] for _ in range(3)] == [False, False, True]


def test_a_busy_collector_indexes_nothing_and_says_so(splunkd: Splunkd, acked: Hec) -> None:
    splunkd.faults.hec_busy = 1
    reply = acked.event({"event": "a"})
    assert (reply.status, reply.json()["code"]) == (503, 9)
    assert acked.event({"event": "b"}).json()["ackId"] == 0
    splunkd.faults.ack_busy = 1
    assert acked.post("/services/collector/ack", b'{"acks":[0]}').json()["code"] == 9
    assert acked.acks(0) == {"0": True}
    assert [event.raw for event in splunkd.events] == ["b"]


def test_an_answer_may_be_lost_after_indexing(splunkd: Splunkd, acked: Hec) -> None:
    splunkd.faults.hec_no_answer = 1
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        acked.event({"event": "a"})
    assert [event.raw for event in splunkd.events] == ["a"]
    assert acked.event({"event": "a"}).json()["ackId"] == 1


def test_a_body_that_is_too_large_is_refused_whole(splunkd: Splunkd, hec: Hec) -> None:
    splunkd.faults.hec_max_bytes = 40
    assert hec.event({"event": "a"}, {"event": "b" * 40}).status == 413
    assert splunkd.events == []


def test_health_needs_no_token(splunkd: Splunkd) -> None:
    assert Hec(splunkd, "").post("/services/collector/health", b"").json()["code"] == 17
    splunkd.faults.hec_busy = 1
    assert Hec(splunkd, "").post("/services/collector/health", b"").status == 503


def test_what_the_collector_took_a_search_finds(splunkd: Splunkd, hec: Hec, client: Client, clock: ManualClock) -> None:
    hec.event({"event": {"user": "bob"}, "index": "triaged", "fields": {"team": "red"}})
    clock.advance(1)
    [row] = client.rows("search index=triaged user=bob team=red")
    assert json.loads(row["_raw"]) == {"user": "bob"}
