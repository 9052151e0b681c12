"""How search heads are reached: verified, signed, within time, and past those that are down."""

from __future__ import annotations

import socket
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import IncompleteRead
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connector.errors import ConfigError, TransientError
from connector.siem.splunk.client import Splunk, path_of
from connector.siem.splunk.connection import Connection
from connector.testing import ManualClock
from connector.transport import Transport
from tests.splunkd import Splunkd, User
from tests.splunkd.tls import context

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def splunkd(clock: ManualClock) -> Iterator[Splunkd]:
    with Splunkd(clock=clock) as server:
        yield server


def connected(*hosts: str, **more: Any) -> Splunk:
    return Splunk(Connection.model_validate({"hosts": hosts, **({"token": "t"} if not more else {}), **more}))


def by_password(server: Splunkd) -> dict[str, str]:
    return {"username": server.username, "password": server.password}


def info(splunk: Splunk) -> Any:
    return splunk.request("asking", "GET", "/services/server/info", query={"output_mode": "json"}).json()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"hosts": ["https://a"]}, "one way of authentication"),
        ({"hosts": ["https://a"], "token": "t", "username": "u", "password": "p"}, "one way of authentication"),
        ({"hosts": ["https://a"], "username": "u"}, "belong together"),
        ({"hosts": ["http://sh.example:8089"], "token": "t"}, "in the open"),
        ({"hosts": ["https://u:secret@sh.example"], "token": "t"}, "credentials do not belong"),
        ({"hosts": ["sh.example:8089"], "token": "t"}, "no address"),
        ({"hosts": ["https://sh.example/en-US"], "token": "t"}, "no address"),
        ({"hosts": [], "token": "t"}, "at least 1"),
        ({"hosts": ["https://a"], "token": "t", "app": "../x"}, "no app"),
        ({"hosts": ["https://a"], "token": "t", "client_key": "k"}, "client_cert"),
    ],
)
def test_a_connection_that_cannot_be_safe_is_refused_and_no_secret_is_told(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        Connection.model_validate(table)
    assert "secret" not in str(caught.value.errors(include_input=False, include_url=False))


@pytest.mark.parametrize("way", ["token", "session_key"])
def test_a_secret_loses_the_space_around_it_and_one_that_fits_into_no_header_is_refused_unquoted(way: str) -> None:
    connection = Connection.model_validate({"hosts": ["https://a"], way: " s3cr3t\r\n"})
    assert getattr(connection, way).get_secret_value() == "s3cr3t"
    for bad in ("s3cr3t\nX: y", "s3cr3t\0", "s3cr3t \u00e9", "\n"):
        with pytest.raises(ValidationError, match="cannot stand in a header") as caught:
            Connection.model_validate({"hosts": ["https://a"], way: bad})
        assert "s3cr3t" not in str(caught.value.errors(include_input=False, include_url=False))


@pytest.mark.parametrize("value", ["Splunk s3cr3t\n", "Splunk s3cr3t\u2026"])
def test_a_header_that_cannot_be_sent_is_told_without_its_value(splunkd: Splunkd, value: str) -> None:
    with pytest.raises(ConfigError, match="cannot be made") as caught:
        Transport(timeout=5).send("GET", splunkd.url, {"Authorization": value})
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))


def test_an_address_has_the_management_port_unless_it_says_otherwise() -> None:
    connection = Connection.model_validate({"hosts": ["https://a", "https://b:9999/", "https://[::1]"], "token": "t"})
    assert connection.hosts == ("https://a:8089", "https://b:9999", "https://[::1]:8089")


def test_a_token_a_session_and_a_password_open_it(splunkd: Splunkd) -> None:
    session = connected(splunkd.url, **by_password(splunkd)).ask("in", lambda service: service.login().token)
    ways: list[dict[str, str]] = [
        {"token": splunkd.token},
        by_password(splunkd),
        {"session_key": session.removeprefix("Splunk ")},
    ]
    for way in ways:
        assert b"lastrow" in connected(splunkd.url, **way).export("searching", "search index=main").read()


@pytest.mark.parametrize("way", [{"token": "wrong"}, {"username": "admin", "password": "no"}, {"session_key": "x"}])
def test_what_opens_nothing_is_a_persons_to_mend(splunkd: Splunkd, way: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="credentials") as caught:
        connected(splunkd.url, **way).export("searching", "search index=main")
    assert not any(value in str(caught.value) for value in way.values() if len(value) > 3)


def test_a_session_that_expired_is_renewed_in_the_same_call(splunkd: Splunkd) -> None:
    splunk = connected(splunkd.url, **by_password(splunkd))
    for _ in range(3):
        assert info(splunk)
        splunk.export("searching", "search index=main").close()
        splunkd.forget_sessions()
    assert len(splunkd.asked("auth/login")) == 3


def test_a_session_that_expires_by_time_is_renewed(splunkd: Splunkd, clock: ManualClock) -> None:
    splunkd.faults.session_s = 60
    splunk = connected(splunkd.url, **by_password(splunkd))
    for _ in range(3):
        splunk.export("searching", "search index=main").close()
        clock.advance(120)
    assert len(splunkd.asked("auth/login")) == 3


def test_a_password_that_was_changed_is_told(splunkd: Splunkd) -> None:
    splunk = connected(splunkd.url, **by_password(splunkd))
    info(splunk)
    splunkd.users[splunkd.username] = User("another")
    splunkd.forget_sessions()
    with pytest.raises(ConfigError, match="credentials"):
        splunk.export("searching", "search index=main")


def test_a_search_head_that_is_down_is_passed_over_and_the_one_that_answers_stays_first(splunkd: Splunkd) -> None:
    splunk = connected(NOBODY, splunkd.url, token=splunkd.token)
    assert info(splunk)
    assert splunk.address == splunkd.url
    assert info(splunk)


def test_a_search_goes_to_the_next_search_head_even_if_one_has_received_it(
    splunkd: Splunkd, clock: ManualClock
) -> None:
    with Splunkd(clock=clock) as other:
        for how in (0, 503):
            splunkd.refuse(how, "jobs/export")
            splunk = connected(splunkd.url, other.url, token=other.token)
            assert b"lastrow" in splunk.export("searching", "search index=main").read()
            assert splunk.address == other.url


def test_what_changes_something_is_sent_to_one_search_head_only(splunkd: Splunkd, clock: ManualClock) -> None:
    with Splunkd(clock=clock) as other:
        splunkd.refuse(503, "notable_update")
        splunk = connected(splunkd.url, other.url, token=other.token)
        with pytest.raises(TransientError) as caught:
            splunk.request("updating", "POST", "/services/notable_update", form={"ruleUIDs": ["a", "b"]})
        assert caught.value.sent
        assert other.asked("notable_update") == []
        assert splunk.address == other.url


def test_where_no_search_head_listens_nothing_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.retries.SECONDS", 0)
    splunk = connected(NOBODY, "http://127.0.0.1:10", token="t")
    with pytest.raises(TransientError) as caught:
        splunk._anywhere("asking", lambda service: service.get("/services/server/info"), harmless=True)
    assert not caught.value.sent


def test_a_server_that_keeps_silent_is_waited_for_only_so_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        splunk = connected(f"http://127.0.0.1:{listening.getsockname()[1]}", token="t", timeout=0.2)
        with pytest.raises(TransientError) as caught:
            info(splunk)
        assert caught.value.sent


@contextmanager
def answering(said: bytes) -> Iterator[str]:
    """The address of something that says this, once, whatever it is asked."""

    def answer(listening: socket.socket) -> None:
        peer, _ = listening.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(said)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, args=(listening,))
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def test_something_else_that_listens_there_is_told() -> None:
    with answering(b"SSH-2.0-OpenSSH_9.6\r\n") as url, pytest.raises(ConfigError, match="management port"):
        info(connected(url, token="t"))


@pytest.mark.parametrize(
    "said",
    [
        b"Content-Length: 100\r\n\r\nabc\nde",
        b"Transfer-Encoding: chunked\r\n\r\n6\r\nabc\nde\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n64\r\nabc\nde",
    ],
)
def test_a_stream_that_stops_before_its_announced_end_gives_what_came_and_says_so(said: bytes) -> None:
    with answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + said) as url:
        body = Transport(timeout=5).send("GET", url, {}).body
        lines = body.lines()
        assert next(lines) == b"abc"
        with pytest.raises(IncompleteRead):
            list(lines)
        body.close()


@pytest.mark.parametrize(
    ("version", "api", "path"),
    [
        ("9.4.3", "auto", "search/v2/jobs/export"),
        ("8.2.0", "auto", "search/jobs/export"),
        ("9.4.3", "v1", "search/jobs/export"),
        ("9.4.3", "v2", "search/v2/jobs/export"),
    ],
)
def test_the_endpoints_are_those_of_the_servers_version_or_of_the_settings(version: str, api: str, path: str) -> None:
    with Splunkd(version=version) as splunkd:
        connected(splunkd.url, token=splunkd.token, api=api).export("searching", "search index=main").close()
        assert [request.path.strip("/") for request in splunkd.asked("export")] == [path]


def test_searches_use_the_knowledge_of_the_app_that_is_named(splunkd: Splunkd) -> None:
    connected(splunkd.url, token=splunkd.token, app="SA-Own").export("searching", "search index=main").close()
    assert [(request.owner, request.app) for request in splunkd.asked("export")] == [("nobody", "SA-Own")]


def test_the_time_is_the_search_heads_own(splunkd: Splunkd, clock: ManualClock) -> None:
    splunkd.faults.clock_skew_s = -3600
    now = connected(splunkd.url, token=splunkd.token).now()
    assert (clock() - now).total_seconds() == 3600


def test_a_name_in_a_path_stays_one_part_whatever_stands_in_it() -> None:
    assert path_of("a", "../b?c#d", "..", "x/y") == "/a/..%2Fb%3Fc%23d/%2E%2E/x%2Fy"


def test_a_certificate_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ca_certs: no file"):
        connected("https://sh.example", token="t", ca_certs=str(tmp_path / "none.pem"))


def test_a_certificate_is_verified_by_authority_and_by_name(tmp_path: Path) -> None:
    served, authority = context(tmp_path)
    with Splunkd(tls=served) as splunkd:
        trusted = {"token": splunkd.token, "ca_certs": str(authority)}
        assert info(connected(splunkd.url, **trusted))
        with pytest.raises(ConfigError, match="ca_certs"):
            info(connected(splunkd.url, token=splunkd.token))
        assert connected(splunkd.url, **trusted)._transport._context.check_hostname
