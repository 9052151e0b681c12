"""What a request may cost: bytes, unpacked bytes, events, time; and what waits is bounded."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
import zlib
from contextlib import ExitStack, contextmanager

import pytest

from connector.api import bodies, gate, server
from connector.api.refusal import Refusal
from tests.api.house import TOKENS, event, opened


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("small"), "max_body = 2048\nmax_events = 3") as found:
        yield found


def send(house, head: str, body: bytes = b"", *, wait: bool = True) -> bytes:
    """A request written by hand."""
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(30)
        raw.connect(str(house.call.path))
        raw.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        return b"".join(iter(lambda: raw.recv(65536), b"")) if wait else raw.recv(65536)


HEAD = f"POST /v1/classify HTTP/1.1\nHost: x\nConnection: close\nAuthorization: Bearer {TOKENS['search']}"


def test_a_body_that_says_it_is_too_long_is_refused_unread(small):
    assert b"413" in send(small, f"{HEAD}\nContent-Length: 2049", wait=False).split(b"\r\n")[0]


def test_a_body_that_turns_out_too_long_is_refused(small):
    chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
    assert b" 413 " in send(small, f"{HEAD}\nTransfer-Encoding: chunked", chunk * 3 + b"0\r\n\r\n")[:20]


def test_a_body_that_unpacks_to_too_much_is_refused_before_it_has(small):
    bomb = gzip.compress(b" " * 1_500_000)
    assert len(bomb) < 2048
    answer = small.call("POST", "/v1/classify", bomb, token="search", headers={"Content-Encoding": "gzip"})
    assert (answer.status, answer.json) == (413, {"error": "the body unpacks to more than 2048 bytes"})


def test_a_packed_body_is_unpacked_with_all_its_members(small):
    packed = gzip.compress(b'{"events":[') + gzip.compress(b'{"data":"x"}]}')
    answer = small.call("POST", "/v1/classify", packed, token="search", headers={"Content-Encoding": "GZIP"})
    assert (answer.status, len(answer.json["verdicts"])) == (200, 1)


def test_a_packed_body_has_no_more_members_than_a_hundred():
    member = gzip.compress(b"x")
    assert bodies.unpacked(member * 100, "gzip", 2048) == b"x" * 100
    with pytest.raises(Refusal, match="100 members") as refused:
        bodies.unpacked(member * 101, "gzip", 2048)
    assert refused.value.status == 413


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("gzip", b"no gzip", 400),
        ("gzip", gzip.compress(b'{"events":[]}', mtime=0)[:-5], 400),
        ("gzip", gzip.compress(b'{"events":[]}', mtime=0) + b"rest", 400),
        ("deflate", zlib.compress(b'{"events":[]}'), 415),
        ("gzip, gzip", b"", 415),
    ],
)
def test_a_body_that_is_not_packed_as_it_says_is_refused(small, encoding, body, status):
    answer = small.call("POST", "/v1/classify", body, token="search", headers={"Content-Encoding": encoding})
    assert answer.status == status


@pytest.mark.parametrize(("path", "token"), [("/v1/classify", "search"), ("/v1/events", "push")])
def test_more_events_than_a_request_may_hold_are_refused(small, path, token):
    events = [{"id": f"{n}", "data": "x"} for n in range(4)]
    assert small.call("POST", path, {"events": events}, token=token).status == 413
    assert small.call("POST", path, {"events": events[:3]}, token=token).status in {200, 202}
    assert small.call("POST", "/services/collector", b'{"event":"x"}' * 4, token="push").status == 413


@pytest.mark.parametrize("read", [bodies.classify, bodies.push])
@pytest.mark.parametrize("events", [b'{"data":0},' * 30, b'{"d\\u0061ta":{"a":[{},{}]}},' * 30], ids=["flat", "nested"])
def test_events_far_beyond_the_limit_are_not_decoded(read, events):
    with pytest.raises(Refusal, match="may hold 3 events"):
        read(b'{"events":[' + events + b"nonsense", 3)


def test_what_events_hold_counts_as_no_event():
    request = b'{"deployment":"{","events":[{"data":{"a":[{},{},[{}]]}},{"data":"' + b"{" * 20 + b'"}]}'
    assert len(bodies.classify(request, 2).events) == 2


def test_nobody_unknown_gets_to_send_a_body(small):
    head = "POST /v1/classify HTTP/1.1\nHost: x\nContent-Length: 2000"
    assert b"401" in send(small, head, wait=False).split(b"\r\n")[0]


def test_a_client_that_sends_its_body_too_slowly_is_let_go(house, monkeypatch):
    monkeypatch.setattr(gate, "BODY_SECONDS", 0.2)
    assert b"408" in send(house, f"{HEAD}\nContent-Length: 10", b"{", wait=False).split(b"\r\n")[0]


def test_a_connection_that_never_says_what_it_wants_is_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "QUIET_SECONDS", 0.3)
    with opened(tmp_path) as house, socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(20)
        raw.connect(str(house.call.path))
        raw.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        assert raw.recv(100) == b""


def test_a_client_that_does_not_read_its_answer_is_let_go(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "QUIET_SECONDS", 0.2)
    with opened(tmp_path) as house, socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(30)
        raw.connect(str(house.call.path))
        body = json.dumps({"events": [{"data": "x"}] * 3000}).encode()
        head = HEAD.replace("Connection: close\n", "").replace("\n", "\r\n")
        raw.sendall(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        first = raw.recv(4096)
        time.sleep(1.5)  # several times as long as anybody may be silent
        rest = b"".join(iter(lambda: raw.recv(65536), b""))
        length = int(first.split(b"content-length: ")[1].split(b"\r\n")[0])
        assert len(first + rest) < length


def test_requests_beyond_what_may_wait_are_told_to_come_again_and_probes_still_answer(house, monkeypatch):
    free, begun = threading.Event(), threading.Event()
    predict = house.app.bundle.predict_without_state

    def slow(events):
        begun.set()
        assert free.wait(30)
        return predict(events)

    monkeypatch.setattr(house.app.bundle, "predict_without_state", slow)
    allowed = house.app.settings.api.workers * gate.WAITING_A_WORKER
    answers = []

    def ask():
        answers.append(house.call("POST", "/v1/classify", {"events": [{"data": event(1)}]}, token="search"))

    askers = [threading.Thread(target=ask) for _ in range(allowed + 3)]
    for asker in askers:
        asker.start()
    assert begun.wait(30)
    end = time.monotonic() + 30
    while len(answers) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    assert house.call("GET", "/readyz").status == 200
    assert house.push({"id": "a", "data": event(1)}).status == 202
    free.set()
    for asker in askers:
        asker.join(30)
    busy = [answer for answer in answers if answer.status == 503]
    assert len(busy) == 3
    assert {answer.headers["retry-after"] for answer in busy} == {"1"}
    assert [answer.status for answer in answers].count(200) == allowed


@contextmanager
def half_sent(house, bodies):
    """Requests that wait for the rest of their bodies."""
    with ExitStack() as open_:
        for body in bodies:
            raw = open_.enter_context(socket.socket(socket.AF_UNIX))
            raw.settimeout(30)
            raw.connect(str(house.call.path))
            raw.sendall(f"{HEAD}\nContent-Length: 2048\n\n".replace("\n", "\r\n").encode() + body)
        yield


def eventually(house, status):
    """The answer to a request that is whole, once it has this status or ten seconds have passed."""
    end = time.monotonic() + 10
    while True:
        answer = house.call("POST", "/v1/classify", {"events": [{"data": "x" * 300}]}, token="search")
        if answer.status == status or time.monotonic() > end:
            return answer
        time.sleep(0.02)


def test_bodies_that_are_slow_to_come_take_nobodys_place(tmp_path):
    many = [b"{"] * (gate.WAITING_A_WORKER + 2)
    with opened(tmp_path, "max_body = 2048\nworkers = 1") as house, half_sent(house, many):
        time.sleep(0.3)
        assert house.call("POST", "/v1/classify", {"events": []}, token="search").status == 200


def test_of_bodies_that_are_slow_to_come_no_more_is_held_than_of_those_that_wait(tmp_path):
    with opened(tmp_path, "max_body = 2048\nworkers = 1") as house:
        with half_sent(house, [b" " * 2040] * gate.WAITING_A_WORKER):
            assert eventually(house, 503).status == 503
        assert eventually(house, 200).status == 200, "the room of clients that have gone is free again"


def test_what_a_person_decides_waits_for_no_look_up(tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "LOOKERS", 1)
    with opened(tmp_path) as house:
        free = threading.Event()
        newest = house.app.ledger.newest
        monkeypatch.setattr(house.app.ledger, "newest", lambda ids: free.wait(30) and newest(ids))
        answers = []

        def look():
            answers.append(house.call("POST", "/v1/verdicts", {"ids": []}, token="search").status)

        lookers = [threading.Thread(target=look) for _ in range(gate.WAITING_A_WORKER + 1)]
        for looker in lookers:
            looker.start()
        end = time.monotonic() + 30
        while not answers and time.monotonic() < end:
            time.sleep(0.01)
        assert answers == [503]
        assert house.call("POST", "/v1/actions/x/approve", b"", token="chief").status == 404
        free.set()
        for looker in lookers:
            looker.join(30)
