"""Which bytes of an event are its payload: every product's documented event, through the normaliser, to the table's pieces."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from connector.events.normalise import to_ecs
from connector.models.payload import parts
from connector.models.payload.parts import MOST_PIECES, MOST_READ, Piece, pieces, table

SQL = "1' or '1'='1"
WIRE = b"POST /login.php?next=%2Fhome HTTP/1.1\r\nHost: shop.example\r\n\r\nuser=admin&pass=1%27+or+1%3D1"


def _suricata(**more: Any) -> dict[str, Any]:
    """The alert of Suricata's own page on EVE, with what ``payload`` and ``http-body`` add."""
    return {
        "timestamp": "2017-04-07T22:24:37.251547+0100", "flow_id": 586497171462735, "event_type": "alert",
        "src_ip": "192.168.2.14", "src_port": 50096, "dest_ip": "209.53.113.5", "dest_port": 80, "proto": "TCP",
        "alert": {"action": "allowed", "signature_id": 2018358, "signature": "A signature", "severity": 2},
        "app_proto": "http", **more,
    }  # fmt: skip


def _zeek(**more: Any) -> dict[str, Any]:
    ends = {"id.orig_h": "10.0.0.5", "id.orig_p": 50000, "id.resp_h": "10.0.0.80", "id.resp_p": 80}
    return {"ts": 1300475168.0, "uid": "CHhAvVGS1DHFjwGM9", **ends, **more}


EXAMPLES: dict[str, tuple[dict[str, Any], set[tuple[str, bytes]]]] = {
    "suricata payload in base64": (
        _suricata(payload=base64.b64encode(WIRE).decode(), payload_printable="not read beside the other"),
        {
            ("suricata.eve.payload", b"/login.php"),
            ("suricata.eve.payload", b"%2Fhome"),
            ("suricata.eve.payload", b"admin"),
            ("suricata.eve.payload", b"1%27 or 1%3D1"),
        },
    ),
    "suricata printable payload": (
        _suricata(payload_printable="SSH-2.0-client"),
        {("suricata.eve.payload_printable", b"SSH-2.0-client")},
    ),
    "suricata http request body": (
        _suricata(
            http={
                "hostname": "shop.example",
                "url": "/search?q=%27--",
                "http_method": "POST",
                "http_request_body": base64.b64encode(b"name=<script>&page=2").decode(),
            }
        ),
        {
            ("url.original", b"/search"),
            ("url.original", b"%27--"),
            ("suricata.eve.http.http_request_body", b"<script>"),
            ("suricata.eve.http.http_request_body", b"2"),
        },
    ),
    "suricata printable body": (
        _suricata(http={"url": "/", "http_request_body_printable": '{"q": {"like": "a;id"}}'}),
        {("url.original", b"/"), ("suricata.eve.http.http_request_body_printable", b"a;id")},
    ),
    "zeek http": (
        _zeek(trans_depth=1, method="GET", host="shop.example", uri=f"/item?id={SQL}&x", post_body="a=b%3Bid"),
        {("url.original", b"/item"), ("url.original", SQL.encode()), ("url.original", b"x"), ("zeek.http.post_body", b"b%3Bid")},
    ),
    "zeek conn": (
        _zeek(proto="tcp", conn_state="SF", orig_payload=base64.b64encode(b"\x05\x00\x0b\x03" * 8).decode()),
        {("zeek.connection.orig_payload", b"\x05\x00\x0b\x03" * 8)},
    ),
    "packetbeat": (
        {
            "@timestamp": "2026-01-01T00:00:00Z",
            "event": {"dataset": "http", "kind": "event"},
            "ecs": {"version": "8.11.0"},
            "url": {"path": "/a/../../etc/passwd", "query": "q=1+2", "full": "http://h.example/a/../../etc/passwd?q=1+2"},
            "http": {"request": {"method": "post", "body": {"content": f"id={SQL}", "bytes": 20}}},
            "query": "POST /a",
        },
        {
            ("url.path", b"/a/../../etc/passwd"),
            ("url.query", b"1 2"),
            ("http.request.body.content", SQL.encode()[: SQL.index("=")] + b"='1"),
        },
    ),
    "packetbeat's whole request": (
        {"event": {"dataset": "http"}, "ecs": {"version": "1.5.0"}, "request": WIRE.decode()},
        {("request", b"/login.php"), ("request", b"%2Fhome"), ("request", b"admin"), ("request", b"1%27 or 1%3D1")},
    ),
    "aws waf": (
        {
            "timestamp": 1576280412771, "webaclId": "arn:aws:wafv2:x", "action": "BLOCK",
            "httpRequest": {"clientIp": "203.0.113.9", "uri": "/get", "args": "a=%3Cscript", "httpMethod": "GET"},
        },
        {("url.path", b"/get"), ("url.query", b"%3Cscript")},
    ),
    "splunk stream in _raw": (
        {
            "sourcetype": "stream:http",
            "_raw": json.dumps({
                "endtime": "2026-01-01T00:00:00Z", "http_method": "POST", "uri_path": "/login", "uri_query": "next=/x",
                "form_data": "user=a|id", "src_content": WIRE.decode(), "dest_content": "<script>answers are not read",
            }),
        },
        {
            ("splunk.uri_path", b"/login"),
            ("splunk.uri_query", b"/x"),
            ("splunk.form_data", b"a|id"),
            ("splunk.src_content", b"/login.php"),
            ("splunk.src_content", b"%2Fhome"),
            ("splunk.src_content", b"admin"),
            ("splunk.src_content", b"1%27 or 1%3D1"),
        },
    ),
    "splunk fields of the web data model": (
        {"_time": "1", "sourcetype": "stream:http", "http_method": "POST", "uri_path": "/a", "uri_query": "id=7", "form_data": "x=a;id"},
        {("url.path", b"/a"), ("url.query", b"7"), ("splunk.form_data", b"a;id")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_documented_event_gives_the_pieces_of_its_payload(name: str) -> None:
    raw, wanted = EXAMPLES[name]

    assert {(piece.where, piece.data) for piece in pieces(to_ecs(raw)[1])} == wanted


def test_every_path_of_the_table_is_read_from_some_documented_event() -> None:
    seen = {piece.where for raw, _ in EXAMPLES.values() for piece in pieces(to_ecs(raw)[1])}
    also = {"url.full", "http.request.params"}  # said by url.path and url.query too; of a beat that is no longer made

    assert {path for part in table() for path in (*part.paths, *filter(None, [part.text]))} - also == seen


def test_bytes_that_are_no_text_are_told_apart() -> None:
    binary, text = bytes(range(128, 160)), b"GET-like text"

    for data, raw in ((binary, True), (text, False)):
        document = {"suricata": {"eve": {"payload": base64.b64encode(data).decode()}}}
        assert pieces(document) == (Piece("suricata.eve.payload", data, raw),)


def test_an_event_without_a_payload_has_no_pieces() -> None:
    assert (
        pieces({"process": {"command_line": "whoami"}, "url": {"domain": "a.example"}, "http": "x", "splunk": 1}) == ()
    )


def test_what_is_read_is_bounded_and_the_piece_with_most_signs_is_kept() -> None:
    many = "&".join(f"p{number}=word{number}" for number in range(5_000))
    found = pieces({"url": {"query": f"{many}&last={SQL}"[-MOST_READ:]}})

    assert len(found) == MOST_PIECES
    assert found[0].data == SQL.encode()
    assert sum(len(piece.data) for piece in pieces({"url": {"query": "a" * (2 * MOST_READ)}})) == MOST_READ


@given(st.text(alphabet="aB1'<&&&==;+% \n", max_size=400))
@settings(max_examples=100)
def test_the_pieces_of_a_query_are_those_with_most_signs_of_all_its_values(query: str) -> None:
    values = []
    for pair in query.encode().split(b"&"):
        name, mark, value = pair.partition(b"=")
        values.append((value if mark and b";" not in name else pair).replace(b"+", b" "))
    every = sorted(dict.fromkeys(filter(bytes.strip, values)), key=lambda value: -sum(b in b"'<=;%\n" for b in value))

    assert [piece.data for piece in pieces({"url": {"query": query}})] == every[:MOST_PIECES]


def test_no_more_pieces_are_made_of_a_field_than_an_event_may_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def counted(where: str, data: bytes) -> Piece:
        made.append(data)
        return Piece(where, data)

    monkeypatch.setattr(parts, "Piece", counted)
    many = [f"{number:x}" for number in range(6_000)]
    pieces({"url": {"query": "&".join(many)}, "http": {"request": {"body": {"content": json.dumps(many)}}}})

    assert len(made) == 2 * MOST_PIECES


def test_junk_around_the_attack_in_a_json_body_does_not_hide_it() -> None:
    junk = [{"word": f"word{number}", "inner": [number, None]} for number in range(400)]
    attack = [[[[{"deep": {"er": SQL}}]]]]
    for body in ([*junk, attack], [attack, *junk], [*junk, attack, *junk]):
        text = json.dumps(body)
        assert len(text) < MOST_READ

        found = pieces({"http": {"request": {"body": {"content": text}}}})
        assert (len(found), found[0].data) == (MOST_PIECES, SQL.encode())


def test_a_json_body_nested_beyond_reason_is_read_as_it_stands() -> None:
    nested = "[" * 20_000 + "]" * 20_000

    assert pieces({"http": {"request": {"body": {"content": nested}}}})[0].data == nested.encode()


@pytest.mark.parametrize("length", [MOST_READ - 2, MOST_READ - 1, MOST_READ, MOST_READ + 1, 3 * MOST_READ])
@pytest.mark.parametrize("line", [0, 76])
def test_base64_is_decoded_up_to_the_limit_and_beyond_it_as_far_as_is_read(length: int, line: int) -> None:
    sent = (b"some text; and more\n" * length)[:length]
    packed = base64.b64encode(sent).decode()
    packed = "\r\n".join(packed[at : at + line] for at in range(0, len(packed), line)) if line else packed
    (found,) = pieces({"suricata": {"eve": {"payload": packed}}})

    assert found.data == sent[: MOST_READ - 1]
    assert not found.raw


def test_white_space_of_any_script_in_base64_raises_nothing() -> None:
    (found,) = pieces({"suricata": {"eve": {"payload": "dGV4dDsg\u2003dGV4dDsg"}}})

    assert found.data == b"text; text; "


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "url": st.dictionaries(st.sampled_from(["query", "path", "full", "original"]), st.text(max_size=40)),
            "http": st.recursive(
                st.none() | st.text(max_size=9) | st.integers(),
                lambda inner: st.dictionaries(st.sampled_from(["request", "body", "content"]), inner, max_size=2),
            ),
            "suricata": st.fixed_dictionaries({"eve": st.dictionaries(st.just("payload"), st.text(max_size=40))}),
            "request": st.text(max_size=60) | st.lists(st.text(max_size=4), max_size=2),
        },
    )
)
@settings(max_examples=50)
def test_no_document_raises(document: dict[str, Any]) -> None:
    assert all(piece.data for piece in pieces(document))


def test_the_page_shows_the_table() -> None:
    page = (Path(__file__).parents[3] / "docs" / "payload.md").read_text("utf-8")
    shown = [
        line
        for line in page.splitlines()
        if line.endswith(("`query` |", "`path` |", "`target` |", "body` |", "`wire` |", "`bytes` |"))
    ]

    assert shown == [f"| `{part.paths[0]}` | {part.products} | `{part.form}` |" for part in table()]
