"""Whatever comes in, an event or a ``PermanentError`` with its reason comes out."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from connector.errors import PermanentError
from connector.events import decode, normalise
from connector.identity import event_id
from connector.types import Event, RawEvent, SourceRef
from tests.events import strategies

REF = SourceRef(siem="test", index="i", id="1")


def _raw(data: Any, **fields: Any) -> RawEvent:
    return RawEvent(deployment="d", native_id="n", ref=REF, data=data, **fields)


@settings(max_examples=300, deadline=None)
@given(strategies.VALUES)
def test_any_json_becomes_an_event_or_a_permanent_error(value: Any) -> None:
    try:
        event = normalise(_raw(json.dumps(value)))
    except PermanentError:
        assert not isinstance(value, dict)
    else:
        assert isinstance(event, Event)
        assert isinstance(value, dict)
        assert len(event.fingerprint) == 64


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "Event",
                "winlog",
                "EventID",
                "Channel",
                "event",
                "_raw",
                "result",
                "message",
                "log_name",
                "event_id",
                "process",
                "sourcetype",
                "event_data",
                "_source",
                "winlog.channel",
                "a.b.c",
            ]
        ),
        strategies.VALUES,
        max_size=6,
    )
)
def test_any_decoded_object_becomes_an_event(document: dict[str, Any]) -> None:
    assert normalise(_raw(document)).canonical[0][0] == "kind"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_any_bytes_become_an_event_or_a_permanent_error(data: bytes | str) -> None:
    with contextlib.suppress(PermanentError):
        assert normalise(_raw(data)).fingerprint


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"\xff\xfe\x00", "undecodable"),
        (b"\xc3\x28", "undecodable: not utf-8 at byte 0"),
        (b'{"a": "\xc3\x28"}', "undecodable: not utf-8 at byte 7"),
        ("[1]", "array"),
        ('"text"', "string"),
        ("12", "number"),
        ("1.5", "number"),
        ("true", "boolean"),
        ("null", "null"),
        ('{"a":', "malformed JSON"),
        ('{"a": NaN}', "malformed JSON"),
        ('{"a": 1e999}', "malformed JSON"),
        ('{"a": ' + "9" * 5000 + "}", "malformed JSON"),
        ('{"a":' * 200 + "1" + "}" * 200, "nested"),
        ('{"a":' * 20000, "nested"),
        ('{"a":' + "[" * 200 + "]" * 200 + "}", "nested"),
        ("<Event><System>", "malformed XML"),
        ("<?xml version='1.0'?><a/>", "XML of a"),
        ("<!DOCTYPE a [<!ENTITY x 'y'>]><Event/>", "document type"),
        ("<?xml version='1.0'?><!DOCTYPE a SYSTEM 'file:///etc/passwd'><Event/>", "document type"),
        ("<Event>" + "<a>" * 200 + "</a>" * 200 + "</Event>", "nested"),
        ("<Event>&bomb;</Event>", "malformed XML"),
        ("a\0b", "binary"),
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused_with_its_reason(data: bytes | str, reason: str) -> None:
    with pytest.raises(PermanentError, match=reason):
        normalise(_raw(data))


@pytest.mark.parametrize(
    "document",
    [
        {"a": [[[]]] * 1000},
        {"Event": {"System": {"EventID": 10**400}}},
        {"EventID": 10**400, "Channel": "x"},
    ],
    ids=["wide", "huge code", "huge flat code"],
)
def test_a_strange_document_is_still_an_event(document: dict[str, Any]) -> None:
    assert normalise(_raw(document)).kind == "generic"


def test_an_integer_that_nothing_can_print_is_refused() -> None:
    with pytest.raises(PermanentError, match="digits"):
        normalise(_raw({"n": 10**5000}))


def test_an_event_can_always_be_encoded_again() -> None:
    event = normalise(_raw({"ecs": {}, "a\ud800": ["\udfff", {"b": "\ud83d\ude00"}]}))
    assert json.loads(msgspec.json.encode(event.ecs)) == {"ecs": {}, "a\ufffd": ["\ufffd", {"b": "😀"}]}


def test_a_deep_document_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"a": deep}
    with pytest.raises(PermanentError, match="nested"):
        normalise(_raw(deep))


def test_a_record_that_the_source_found_unreadable_keeps_its_reason() -> None:
    with pytest.raises(PermanentError, match="truncated"):
        normalise(_raw("{}", error="truncated gzip member"))


def test_a_plain_line_is_a_generic_event_with_its_message() -> None:
    event = normalise(_raw("[2024-03-05] ERROR disk full"))
    assert (event.kind, event.ecs["message"]) == ("generic", "[2024-03-05] ERROR disk full")


def test_lone_surrogates_and_byte_order_marks_are_read() -> None:
    assert normalise(_raw('{"message": "a\\ud800b"}')).canonical == (("kind", "generic"), ("message", "a\ufffdb"))
    line = '\ufeff{"message": "x"}'
    for data in (line, line.encode(), line.encode("utf-16-le"), line.encode("utf-16-be")):
        assert decode(data) == {"message": "x"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "no-such-encoding"])
def test_what_decoded_xml_says_of_its_encoding_is_past(encoding: str) -> None:
    event = f"<?xml version='1.0' encoding='{encoding}'?><Event><System><Computer>É€</Computer></System></Event>"
    for data in (event, event.encode(), event.encode("utf-16")):
        assert decode(data) == {"Event": {"System": {"Computer": "É€"}}}


def test_the_event_keeps_where_it_came_from_and_has_the_derived_id() -> None:
    event = normalise(_raw({"message": "x"}, place="f:1"))
    assert (event.id, event.ref, event.place) == (event_id("d", "n"), REF, "f:1")


@pytest.mark.parametrize(
    "wrapped",
    [
        {"_index": "i", "_id": "1", "_source": {"message": "x", "ecs": {"version": "8"}}},
        {"preview": False, "result": {"_raw": '{"message": "x"}'}},
        {"result": {"message": "x"}},
        {"event": "x", "sourcetype": "st", "time": 1.5},
        {"event": {"message": "x"}, "sourcetype": "st"},
        {"event": '{"message": "x"}', "sourcetype": "st"},
    ],
)
def test_an_event_is_taken_out_of_what_carries_it(wrapped: dict[str, Any]) -> None:
    assert normalise(_raw(wrapped)).canonical == (("kind", "generic"), ("message", "x"))


@pytest.mark.timeout(120)  # a hang guard: a quadratic way would take an hour
def test_many_dotted_names_cost_no_more_than_their_number() -> None:
    document = {f"winlog.event_data.k{index}": index for index in range(200_000)}
    event = normalise(_raw(document))
    assert event.ecs["winlog"]["event_data"]["k199999"] == 199_999
