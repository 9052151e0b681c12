"""Each switch does what it says, and nothing of it without the switch."""

from __future__ import annotations

import http.client
import ssl
import time
from dataclasses import fields
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import splunklib.client
from splunklib.binding import AuthenticationError, HTTPError

from connector.testing import ManualClock
from tests.splunkd import Cut, Faults, Splunkd, User, tls
from tests.splunkd.asking import Client, ask


def _handler(url: str, message: dict[str, Any], **_: Any) -> dict[str, Any]:
    """splunklib's own one leaves the connection of a refused request open."""
    place = urlsplit(url)
    path = f"{place.path}?{place.query}"
    body = message.get("body") or b""
    raw = body.encode() if isinstance(body, str) else body
    reply = ask(url, message["method"], path, body=raw, headers=dict(message["headers"]))
    return {"status": reply.status, "reason": "", "headers": list(reply.headers.items()), "body": BytesIO(reply.body)}


def _connect(splunkd: Splunkd, **more: object) -> splunklib.client.Service:
    settings = {
        "username": splunkd.username,
        "password": splunkd.password,
        "autologin": True,
        "handler": _handler,
        **more,
    }
    return splunklib.client.connect(host=splunkd.host, port=splunkd.port, scheme="http", **settings)


def _filled(splunkd: Splunkd, count: int = 6) -> None:
    for number in range(count):
        splunkd.put(str(number), time=number)


def test_every_switch_is_off_at_first_and_explained() -> None:
    source = (Path(__file__).parent / "faults.py").read_text()
    for one in fields(Faults):
        assert not getattr(Faults(), one.name) or one.name in {"peer_message", "acks"}
        assert f"{one.name}: " in source
        assert source.partition(f"    {one.name}: ")[2].partition("\n")[2].lstrip().startswith('"""'), one.name


def test_a_session_ends_and_is_opened_again(splunkd: Splunkd, clock: ManualClock) -> None:
    splunkd.faults.session_s = 60
    service = _connect(splunkd)
    clock.advance(59)
    assert service.info["version"]
    clock.advance(1)
    assert service.jobs.list() == []
    assert len(splunkd.asked("auth/login")) == 2
    with pytest.raises(AuthenticationError):
        _connect(splunkd, password="wrong")


def test_a_token_does_not_end_with_sessions(splunkd: Splunkd, client: Client) -> None:
    splunkd.forget_sessions()
    assert client.get("/services/server/info").status == 200
    assert Client(splunkd, "Bearer nonsense").get("/services/server/info").status == 401
    assert Client(splunkd, f"Splunk {splunkd.token}").get("/services/server/info").status == 200


def test_a_request_is_refused_once_where_its_path_fits(splunkd: Splunkd, client: Client) -> None:
    splunkd.refuse(503, "jobs/export", retry_after=7)
    assert client.get("/services/server/info").status == 200
    reply = client.export("search index=main")
    assert (reply.status, reply.headers["retry-after"]) == (503, "7")
    assert client.export("search index=main").status == 200
    splunkd.refuse(0, "server/info")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        client.get("/services/server/info")


def test_an_answer_may_be_slow(splunkd: Splunkd, client: Client) -> None:
    splunkd.faults.slow_s, splunkd.faults.slow_path = 0.2, "export"
    began = time.monotonic()
    client.get("/services/server/info")
    assert time.monotonic() - began < 0.2
    client.export("search index=main")
    assert time.monotonic() - began >= 0.2


def test_an_indexer_that_is_down_is_missed_in_a_message_alone(splunkd: Splunkd, client: Client) -> None:
    _filled(splunkd)
    splunkd.faults.peers_down = {"idx1"}
    reply = client.export("search index=main")
    assert reply.status == 200
    assert {line["result"]["splunk_server"] for line in reply.lines() if "result" in line} == {"idx2"}
    [(kind, text)] = client.told("search index=main")
    assert kind == "WARN"
    assert "idx1" in text
    splunkd.faults.peers_down = set()
    assert len(client.rows("search index=main")) == 6
    assert client.told("search index=main") == []


def test_messages_of_a_search_stand_together_in_one_line(splunkd: Splunkd, client: Client) -> None:
    splunkd.faults.peers_down, splunkd.faults.messages = {"idx1"}, [("INFO", "Nothing to see.")]
    lines = [line for line in client.export("search index=main").lines() if "messages" in line]
    assert [[one["type"] for one in line["messages"]] for line in lines] == [["WARN", "INFO"]]


def test_a_search_too_many_is_refused(splunkd: Splunkd, client: Client) -> None:
    splunkd.faults.quota = 0
    reply = client.export("search index=main")
    assert reply.status == 503
    assert "concurrent" in reply.json()["messages"][0]["text"]
    splunkd.faults.quota = 1
    assert client.export("search index=main").status == 200
    assert client.export("search index=main").status == 200


def test_previews_stand_before_the_final_rows(splunkd: Splunkd, client: Client) -> None:
    _filled(splunkd)
    splunkd.faults.previews = 2
    lines = client.export("search index=main").lines()
    assert [line["preview"] for line in lines] == [True] * 2 + [False] * 6
    assert [line.get("lastrow", False) for line in lines if not line["preview"]] == [False] * 5 + [True]


def test_a_stream_may_break_or_end_without_its_last_row(splunkd: Splunkd, client: Client) -> None:
    _filled(splunkd)
    splunkd.faults.cuts.extend([Cut(3, "quiet"), Cut(3, "told"), Cut(3, "broken"), Cut(99, "broken")])
    quiet = client.export("search index=main").lines()
    assert (len(quiet), any(line.get("lastrow") for line in quiet)) == (3, False)
    told = client.export("search index=main").lines()
    assert (len(told), told[-1]["messages"][0]["type"]) == (4, "WARN")
    for _ in range(2):
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            client.export("search index=main")
    assert len(client.rows("search index=main")) == 6


def test_an_export_without_rows_says_that_it_is_whole(client: Client) -> None:
    assert client.export("search index=main").lines() == [{"preview": False, "lastrow": True}]


def test_a_search_may_give_too_few_rows_and_say_so(splunkd: Splunkd, client: Client) -> None:
    _filled(splunkd)
    splunkd.faults.most_rows = 4
    assert len(client.rows("search index=main")) == 4
    assert "truncated" in client.told("search index=main")[0][1]


def test_a_job_takes_its_time_and_may_fail_or_be_gone(splunkd: Splunkd, clock: ManualClock) -> None:
    _filled(splunkd)
    service = _connect(splunkd)
    splunkd.faults.job_polls = 3
    job = service.jobs.create("search index=main")
    seen = [job.is_done() for _ in range(4)]
    assert seen == [False, False, False, True]
    assert job["resultCount"] == "6"
    splunkd.faults.job_polls, splunkd.faults.job_fails = 0, "it broke"
    failed = service.jobs.create("search index=main")
    failed.refresh()
    assert (failed["dispatchState"], failed["messages"]["fatal"]) == ("FAILED", ["it broke"])
    splunkd.faults.job_s = 10
    clock.advance(10)
    with pytest.raises(HTTPError) as caught:
        job.results(output_mode="json")
    assert caught.value.status == 404


def test_results_come_in_pages_and_a_running_job_has_none(splunkd: Splunkd, client: Client) -> None:
    _filled(splunkd, 250)
    base = "/services/search/v2/jobs"
    splunkd.faults.job_polls = 1
    sid = client.post(base, search="search index=main", output_mode="json").json()["sid"]
    assert client.get(f"{base}/{sid}/results", output_mode="json").status == 204
    client.get(f"{base}/{sid}"), client.get(f"{base}/{sid}")
    page = client.get(f"{base}/{sid}/results", output_mode="json").json()
    assert (len(page["results"]), page["init_offset"], page["preview"]) == (100, 0, False)
    assert len(client.get(f"{base}/{sid}/results", output_mode="json", count=0).json()["results"]) == 250
    last = client.get(f"{base}/{sid}/results", output_mode="json", count=100, offset=200).json()
    assert [row["_raw"] for row in last["results"]][-1] == "0"
    assert client.get(f"{base}/nosuch/results", output_mode="json").status == 404


def test_clocks_of_indexers_may_be_apart(splunkd: Splunkd, clock: ManualClock) -> None:
    splunkd.faults.indexer_skew_s = {"idx2": -30}
    now = int(splunkd.now())
    assert {(event.peer, event.indextime - now) for event in splunkd.put("a", "b")} == {("idx1", 0), ("idx2", -30)}


def test_what_arrives_is_found_later_where_the_switch_says_so(
    splunkd: Splunkd, clock: ManualClock, client: Client
) -> None:
    splunkd.faults.search_delay_s = 5
    splunkd.put("a", time=1)
    assert client.rows("search index=main") == []
    clock.advance(5)
    assert len(client.rows("search index=main")) == 1


def test_a_user_sees_its_own_indexes_and_does_what_it_may(clock: ManualClock) -> None:
    least = User("p", ("t",), frozenset({"search"}), ("main",))
    with Splunkd(clock=clock, users={"least": least}) as splunkd:
        splunkd.put("a", index="main", time=1)
        splunkd.put("b", index="secret", time=1)
        client = Client(splunkd, "Bearer t")
        assert [row["index"] for row in client.rows("search index=*")] == ["main"]
        assert client.rows("search index=secret") == []
        assert client.post("/services/notable_update", ruleUIDs="x", comment="y").status == 403
        assert client.get("/services/storage/passwords").status == 403
        context = client.get("/services/authentication/current-context", output_mode="json").json()
        assert context["entry"][0]["content"]["capabilities"] == ["search"]
        assert [one["name"] for one in client.get("/services/data/indexes", output_mode="json").json()["entry"]] == [
            "main"
        ]


def test_a_second_search_head_has_the_same_indexers(splunkd: Splunkd, clock: ManualClock) -> None:
    splunkd.put("a", time=1)
    with Splunkd(clock=clock, beside=splunkd) as other:
        assert len(Client(other).rows("search index=main")) == 1
        assert other.url != splunkd.url


def test_a_server_that_stops_answers_no_more_and_starts_again_at_its_port(splunkd: Splunkd, client: Client) -> None:
    splunkd.put("a", time=1)
    splunkd.stop()
    with pytest.raises(ConnectionError):
        client.get("/services/server/info")
    splunkd.start()
    assert len(client.rows("search index=main")) == 1


def test_every_answer_says_what_becomes_of_the_connection(splunkd: Splunkd, client: Client) -> None:
    for reply in (
        client.get("/services/server/info"),
        client.get("/services/nosuch"),
        client.export("search index=main"),
    ):
        assert reply.headers["connection"] == "Keep-Alive"


def test_tls_is_spoken_where_a_certificate_is_given(tmp_path: Path, clock: ManualClock) -> None:
    context, authority = tls.context(tmp_path)
    with Splunkd(clock=clock, tls=context) as splunkd:
        assert splunkd.url.startswith("https://")
        trusting = ssl.create_default_context(cafile=str(authority))
        connection = http.client.HTTPSConnection(splunkd.host, splunkd.port, timeout=10, context=trusting)
        connection.request("GET", "/services/server/info", headers={"Authorization": f"Bearer {splunkd.token}"})
        assert connection.getresponse().status == 200
        connection.close()
        stranger = http.client.HTTPSConnection(
            splunkd.host, splunkd.port, timeout=10, context=ssl.create_default_context()
        )
        with pytest.raises(ssl.SSLCertVerificationError):
            stranger.request("GET", "/")
        stranger.close()
