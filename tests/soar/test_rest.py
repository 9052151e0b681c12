"""One way to ask a platform and one way to fail: every status and every break is one of three errors."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest
from pydantic import ValidationError

from connector.errors import ConfigError, PermanentError, TransientError, TriagedError
from connector.retries import SECONDS
from connector.soar import rest
from connector.soar.rest import Rest, RestSettings, path
from tests.splunkd.wire import Answer, CutOffError, Listener, Request, json_answer


@contextmanager
def platform(answer: Callable[[Request], Answer]) -> Iterator[Rest]:
    listener = Listener(answer)
    listener.start()
    try:
        yield Rest(RestSettings(type="rest", url=f"{listener.url}/base"), {"Authorization": "Bearer secret"})
    finally:
        listener.stop()


@pytest.mark.parametrize(
    ("status", "kind", "sent"),
    [
        *((status, ConfigError, None) for status in (300, 307, 308, 401, 403, 407)),
        *((status, PermanentError, None) for status in (400, 404, 405, 410, 413, 415, 422)),
        *((status, TransientError, True) for status in (301, 302, 303, 408, 409, 423, 425, 500, 502, 503, 504)),
    ],
)
def test_a_status_that_is_no_success_is_one_of_three_errors(
    status: int, kind: type[TriagedError], sent: bool | None
) -> None:
    with platform(lambda _: json_answer({"message": "no\r\nsuch thing"}, status)) as asked:
        with pytest.raises(kind, match=rf"POST /run on 127.0.0.1:\d+: HTTP {status}") as caught:
            asked.raw("POST", "/run", b"{}")
        assert caught.value.sent is sent if isinstance(caught.value, TransientError) else sent is None
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)
        assert ("such thing" in str(caught.value)) is (status not in rest.MOVED)
        assert asked.raw("POST", "/run", b"{}", allowed={status})[0] == status


def test_a_question_that_is_redirected_asked_at_the_wrong_place() -> None:
    with platform(lambda _: json_answer({}, 302)) as asked, pytest.raises(ConfigError, match="check `url`"):
        asked.raw("GET", "/run")


def test_a_platform_that_is_busy_did_nothing_and_is_asked_again_inside_the_call() -> None:
    answers = [json_answer({}, 429), json_answer({}, 429), json_answer({"id": "7"})]
    with platform(lambda _: answers.pop(0)) as asked:
        assert asked.raw("POST", "/run", b"{}") == (200, b'{"id":"7"}')


def test_a_platform_that_stays_busy_leaves_nothing_in_doubt() -> None:
    with platform(lambda _: json_answer({}, 429)) as asked, pytest.raises(TransientError, match="busy") as caught:
        asked.raw("POST", "/run", b"{}", seconds=0.01)
    assert not caught.value.sent


def test_a_lost_answer_is_in_doubt_and_asked_once() -> None:
    seen: list[str] = []

    def cut(request: Request) -> Answer:
        seen.append(request.method)
        raise CutOffError

    with platform(cut) as asked:
        with pytest.raises(TransientError) as caught:
            asked.raw("POST", "/run", b"{}")
        assert caught.value.sent
        assert seen == ["POST"]


@contextmanager
def trickling(said: bytes, *, steadily: bool) -> Iterator[str]:
    """The address of something that says this, once, whatever it is asked with ``{}``, and then hangs up or trickles on."""
    over = threading.Event()

    def answer(listening: socket.socket) -> None:
        peer, _ = listening.accept()
        with peer, suppress(OSError):
            heard = b""
            while not heard.endswith(b"{}"):  # what is hung up on while unread is a reset, and no end
                heard += peer.recv(4096) or b"{}"
            peer.sendall(said)
            while steadily and not over.wait(0.05):
                peer.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, args=(listening,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["headers", "body"])
def test_an_answer_that_trickles_is_waited_for_only_so_long(said: bytes) -> None:
    with trickling(said, steadily=True) as url, pytest.raises(TransientError, match=r"too long|timed out") as caught:
        Rest(RestSettings(type="rest", url=url, timeout=timedelta(seconds=0.3)), {}).raw("POST", "/run", b"{}")
    assert caught.value.sent


def test_an_answer_that_stops_before_its_announced_end_is_in_doubt() -> None:
    said = b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"id": 7}'
    with trickling(said, steadily=False) as url, pytest.raises(TransientError, match="2 more expected") as caught:
        Rest(RestSettings(type="rest", url=url), {}).raw("POST", "/run", b"{}")
    assert caught.value.sent


@pytest.mark.parametrize("url", ["https://soar..example", "https://so ar.example"])
def test_an_address_that_nothing_can_be_sent_to_is_a_persons_to_mend(url: str) -> None:
    with pytest.raises(ConfigError, match="no host and port"):
        Rest(RestSettings(type="rest", url=url), {}).raw("POST", "/run", b"{}", seconds=0.01)
    with platform(lambda _: json_answer({})) as asked, pytest.raises(ConfigError, match="cannot be made"):
        asked.raw("POST", "/a b", b"{}")


def test_where_nobody_listens_nothing_was_sent() -> None:
    asked = Rest(RestSettings(type="rest", url="http://127.0.0.1:9"), {})
    with pytest.raises(TransientError) as caught:
        asked.raw("POST", "/run", b"{}", seconds=0.01)
    assert not caught.value.sent


def test_a_call_tries_to_be_heard_no_longer_than_an_answer_may_take() -> None:
    asked = Rest(RestSettings(type="rest", url="http://127.0.0.1:9", timeout=timedelta(seconds=0.01)), {})
    began = time.monotonic()
    with pytest.raises(TransientError):
        asked.raw("POST", "/run", b"{}")
    assert time.monotonic() - began < SECONDS / 2


@pytest.mark.parametrize("text", [b"<html>", b"[" * 100_000, b'"\xff"'], ids=["html", "deep", "not UTF-8"])
def test_an_answer_that_is_not_json_leaves_open_whether_it_was_done(text: bytes) -> None:
    with pytest.raises(TransientError, match="not JSON") as caught:
        rest.decoded(text, "POST /run")
    assert caught.value.sent


def test_no_more_of_an_answer_is_read_than_an_answer_may_be_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "LONGEST_ANSWER", 10)
    with platform(lambda _: Answer(b" " * 99)) as asked:
        _, text = asked.raw("POST", "/run", b"{}")
    assert len(text) == 11
    with pytest.raises(TransientError, match="more than 10 bytes") as caught:
        rest.decoded(text, "POST /run")
    assert caught.value.sent


def test_no_part_of_a_path_can_leave_its_place() -> None:
    assert path("api", "a/b?c#d%2e", 7) == "/api/a%2Fb%3Fc%23d%252e/7"
    for part in ("", ".", ".."):
        with pytest.raises(PermanentError, match="no part of a path"):
            path("api", part)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://soar.example", "in the open"),
        ("https://user:pass@soar.example", "credentials do not belong"),
        ("ftp://soar.example", "is no address"),
        ("https://soar.example/?a=b", "is no address"),
        ("https://soar.example:84433", "Port out of range"),
        ("https://soar.example:0", "0 is no port"),
    ],
)
def test_an_address_without_tls_or_with_more_than_an_address_is_refused(url: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        RestSettings(type="rest", url=url)
    assert "user:pass" not in str(caught.value.errors(include_input=False))
