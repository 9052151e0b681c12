"""One way to ask a platform and one way to fail: every status and every break is one of three errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from pydantic import ValidationError

from connector.errors import ConfigError, PermanentError, TransientError, TriagedError
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
        *((status, ConfigError, None) for status in (301, 302, 307, 401, 403, 407)),
        *((status, PermanentError, None) for status in (400, 404, 405, 410, 413, 415, 422)),
        *((status, TransientError, True) for status in (408, 409, 423, 425, 500, 502, 503, 504)),
    ],
)
def test_a_status_that_is_no_success_is_one_of_three_errors(
    status: int, kind: type[TriagedError], sent: bool | None
) -> None:
    with platform(lambda _: json_answer({"message": "no\r\nsuch thing"}, status)) as asked:
        with pytest.raises(kind, match=rf"POST /run on 127.0.0.1:\d+: HTTP {status} .*such thing") as caught:
            asked.post("/run", {"a": 1})
        assert caught.value.sent is sent if isinstance(caught.value, TransientError) else sent is None
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)
        assert asked.ask("POST", "/run", {}, allowed={status}).status == status


def test_a_platform_that_is_busy_did_nothing_and_is_asked_again_inside_the_call() -> None:
    answers = [json_answer({}, 429), json_answer({}, 429), json_answer({"id": "7"})]
    with platform(lambda _: answers.pop(0)) as asked:
        assert asked.post("/run", {}) == {"id": "7"}


def test_a_platform_that_stays_busy_leaves_nothing_in_doubt() -> None:
    with platform(lambda _: json_answer({}, 429)) as asked, pytest.raises(TransientError, match="busy") as caught:
        asked.ask("POST", "/run", {}, seconds=0.01)
    assert not caught.value.sent


def test_a_lost_answer_is_in_doubt_and_asked_once_unless_it_was_a_question() -> None:
    seen: list[str] = []

    def cut(request: Request) -> Answer:
        seen.append(request.method)
        raise CutOffError

    with platform(cut) as asked:
        with pytest.raises(TransientError) as caught:
            asked.post("/run", {})
        assert caught.value.sent
        assert seen == ["POST"]
        with pytest.raises(TransientError) as caught:
            asked.get("/run")
        assert not caught.value.sent


def test_where_nobody_listens_nothing_was_sent() -> None:
    asked = Rest(RestSettings(type="rest", url="http://127.0.0.1:9"), {})
    with pytest.raises(TransientError) as caught:
        asked.ask("POST", "/run", {}, seconds=0.01)
    assert not caught.value.sent


@pytest.mark.parametrize("text", [b"<html>", b"[" * 100_000, b'"\xff"'], ids=["html", "deep", "not UTF-8"])
def test_an_answer_that_is_not_json_leaves_open_whether_it_was_done(text: bytes) -> None:
    with platform(lambda _: Answer(text)) as asked, pytest.raises(TransientError, match="not JSON") as caught:
        asked.post("/run", {})
    assert caught.value.sent


def test_no_more_of_an_answer_is_read_than_an_answer_may_be_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "LONGEST_ANSWER", 10)
    with platform(lambda _: Answer(b" " * 11)) as asked, pytest.raises(PermanentError, match="more than 10 bytes"):
        asked.post("/run", {})


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
    ],
)
def test_an_address_without_tls_or_with_more_than_an_address_is_refused(url: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        RestSettings(type="rest", url=url)
    assert "user:pass" not in str(caught.value.errors(include_input=False))
