"""Splunk's HTTP Event Collector, as its clients know it: its bodies, its codes, its health."""

from __future__ import annotations

import gzip
import itertools
import json

import pytest

from connector import identity
from tests.api.house import TOKENS, event

SPLUNK = {"Authorization": f"Splunk {TOKENS['push']}"}


class Part:
    """What one test sees of the shared house: its own events, told apart from others by their source."""

    numbers = itertools.count()

    def __init__(self, shared):
        self.call = shared.call
        self.ledger = shared.app.ledger
        self.source = f"test {next(self.numbers)}"
        self._before = self.verdicts(), self.letters()

    def verdicts(self):
        return sum(1 for _ in self.ledger.verdicts())

    def letters(self):
        return len(self.ledger.dead_letters())

    def stored(self):
        return self.verdicts() - self._before[0]

    def dead(self):
        return self.letters() - self._before[1]


@pytest.fixture
def house(shared):
    return Part(shared)


def send(house, *envelopes, between=b"", **headers):
    body = between.join(
        e if isinstance(e, bytes) else json.dumps({"source": house.source, **e}).encode() for e in envelopes
    )
    return house.call("POST", "/services/collector/event", body, headers={**SPLUNK, **headers})


def newest(house, count=1):
    return list(house.ledger.verdicts(limit=count))


@pytest.mark.parametrize("between", [b"", b"\n", b"\r\n \t"])
def test_events_come_one_after_another_with_or_without_anything_between(house, between):
    answer = send(house, {"event": "a", "time": 1}, {"event": {"b": 1}, "time": 1}, between=between)
    assert (answer.status, answer.json) == (200, {"text": "Success", "code": 0})
    assert house.stored() == 2


@pytest.mark.parametrize("path", ["/services/collector", "/services/collector/event", "/services/collector/event/1.0"])
def test_every_path_that_clients_use_takes_events(shared, path):
    assert shared.call("POST", path, json.dumps({"event": path}).encode(), headers=SPLUNK).status == 200


def test_an_event_looks_as_it_does_when_it_is_polled_from_splunk(house):
    send(house, {"event": event(1), "time": 1772359200, "host": "collector", "sourcetype": "xml", "index": "win"})
    (verdict,) = newest(house)
    assert (verdict.kind, verdict.entity.host) == ("sysmon-1", "ws-01")
    assert (verdict.source.siem, verdict.source.index) == ("lab", "win")


@pytest.mark.parametrize("time", [1772359200, 1772359200.0, "1772359200", "1772359200.000"])
def test_a_line_of_text_has_the_time_and_the_host_of_its_envelope(house, time):
    send(house, {"event": "sshd: Failed password for root", "time": time, "host": "web-1"})
    (verdict,) = newest(house)
    assert (verdict.timestamp, verdict.entity.host) == ("2026-03-01T10:00:00.000Z", "web-1")


@pytest.mark.parametrize("time", ["soon", 1e300, -1e300, ""])
def test_what_is_no_time_costs_no_event(house, time):
    assert send(house, {"event": "x", "time": time}).status == 200
    assert newest(house)[0].timestamp is None


def test_a_batch_that_is_sent_again_is_known(house):
    batch = [{"event": "same", "time": 1}, {"event": "same", "time": 1}, {"event": "same", "time": 2}]
    for _ in range(3):
        assert send(house, *batch).status == 200
    assert house.stored() == 3


def test_events_that_differ_in_one_thing_alone_are_two(house):
    plain = {"event": "same", "time": 1}
    others = [{"event": "other"}, {"time": 2}, {"host": "h"}, {"sourcetype": "s"}, {"index": "i"}]
    fields = [{"fields": {"color": "red"}}, {"fields": {"color": "blue"}}, {"fields": {"red": "color"}}]
    for other in ({}, *others, *fields):
        for _ in range(2):
            send(house, {**plain, **other})
    assert house.stored() == 1 + len(others) + len(fields)


def test_with_a_key_a_batch_is_known_by_it_and_by_nothing_else(house):
    for _ in range(2):
        send(house, {"event": "no time"}, **{"Idempotency-Key": "one"})
    send(house, {"event": "no time"}, **{"Idempotency-Key": "two"})
    assert house.stored() == 2


def test_an_event_without_time_and_key_is_another_one_each_time_as_in_splunk(house):
    for _ in range(2):
        send(house, {"event": "tick"})
    assert house.stored() == 2


def test_packed_bodies_are_unpacked(house):
    body = gzip.compress(b'{"event":"packed"}')
    answer = house.call("POST", "/services/collector/event", body, headers={**SPLUNK, "Content-Encoding": "gzip"})
    assert (answer.status, house.stored()) == (200, 1)


REFUSED = [
    (b"", 400, {"code": 5}),
    (b"  \n", 400, {"code": 5}),
    (b'{"event":"a"}{"time":1}', 400, {"code": 12, "invalid-event-number": 1}),
    (b'{"event":null}', 400, {"code": 12, "invalid-event-number": 0}),
    (b'{"event":""}', 400, {"code": 13, "invalid-event-number": 0}),
    (b'{"event":"a"}nonsense', 400, {"code": 6, "invalid-event-number": 1}),
    (b'[{"event":"a"}]', 400, {"code": 6, "invalid-event-number": 0}),
    (b'{"event":"a","host":[]}', 400, {"code": 6, "invalid-event-number": 0}),
    (b'{"event":"a"', 400, {"code": 6}),
    (b'{"event":"a}', 400, {"code": 6}),
]


@pytest.mark.parametrize(("body", "status", "told"), REFUSED, ids=[str(row[0]) for row in REFUSED])
def test_a_body_that_it_would_refuse_is_refused_whole_with_its_code(house, body, status, told):
    answer = house.call("POST", "/services/collector/event", body, headers=SPLUNK)
    assert answer.status == status
    assert told.items() <= answer.json.items()
    assert answer.json["text"]
    assert house.stored() == 0


@pytest.mark.parametrize(
    "hostile",
    [b'{"a":' * 3000 + b"1" + b"}" * 3000, b'{"a":"\\ud800"}', b'"\xff"', b'"{\\"event\\":[[[["'],
    ids=["deep", "a lone surrogate", "no UTF-8", "brackets in a string"],
)
def test_whatever_an_event_holds_the_others_are_taken(house, hostile):
    odd = b'{"event":%b,"fields":%b,"source":"%b"}' % (hostile, hostile, house.source.encode())
    answer = send(house, {"event": "good", "time": 1}, odd)
    assert (answer.status, answer.json["code"]) == (200, 0)
    assert house.stored() + house.dead() == 2


def test_indexed_fields_cannot_take_the_place_of_the_event(house):
    send(house, {"event": event(1), "time": 1, "fields": {"_raw": "nothing to see", "sourcetype": "x", "color": "red"}})
    assert newest(house)[0].kind == "sysmon-1"


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [(None, 401, 2), ("Basic eDp0b2tlbg==", 401, 3), ("Splunk " + "x" * 40, 403, 4)],
)
def test_tokens_are_refused_with_its_codes(shared, header, status, code):
    headers = {} if header is None else {"Authorization": header}
    answer = shared.call("POST", "/services/collector", b'{"event":"x"}', headers=headers)
    assert (answer.status, answer.json["code"]) == (status, code)


def test_it_is_healthy_and_acknowledges_by_answering(shared):
    for path in ("/services/collector/health", "/services/collector/health/1.0"):
        answer = shared.call("GET", path)
        assert (answer.status, answer.json) == (200, {"text": "HEC is healthy", "code": 17})
    ack = shared.call("POST", "/services/collector/ack", b'{"acks":[0]}', headers=SPLUNK)
    assert (ack.status, ack.json) == (400, {"text": "ACK is disabled", "code": 14})


def test_an_id_of_this_door_is_none_of_another(house):
    send(house, {"event": "x", "time": 1})
    (verdict,) = newest(house)
    assert verdict.source.id.startswith("hec:")
    assert verdict.event_id == identity.event_id("lab", verdict.source.id)
