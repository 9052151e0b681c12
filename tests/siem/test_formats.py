"""Every format gives the same events, and what is broken costs no event before it."""

from __future__ import annotations

import builtins
import gzip
import io
import json
import lzma
import zipfile
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from connector.errors import ConfigError
from connector.siem.formats import Limits, records, sniff
from connector.siem.formats.reader import Item
from connector.siem.formats.streams import PIECE
from tests.siem.packing import EVENTS, FORMS, JSONL, XML_EVENTS, tarred, zipped

EVTX_HEADER = b"ElfFile\x00" + bytes(34) + (1).to_bytes(2, "little") + bytes(4096 - 44)


def read(data: bytes, name: str = "events.json", **limits: int) -> list[Item]:
    return list(records(io.BufferedReader(io.BytesIO(data), PIECE), name, Limits(**limits)))


def decoded(items: list[Item]) -> list[Any]:
    assert [error for _, _, error in items if error] == []
    return [json.loads(data) for data, _, _ in items]


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_events_in_order(name: str) -> None:
    assert decoded(read(FORMS[name], name)) == EVENTS


@pytest.mark.parametrize("name", FORMS)
def test_an_event_says_its_file_member_and_line(name: str) -> None:
    places = [place for _, place, _ in read(FORMS[name], name)]
    assert all(place.startswith(name) for place in places)
    assert len(set(places)) == len(places) or name in {"array.json", "concatenated.json"}


def test_places_in_nested_archives_name_every_layer() -> None:
    assert read(FORMS["zips-in.tar"], "zips-in.tar")[4][1] == "zips-in.tar!a.zip!a.json:5"


def test_a_pretty_document_says_the_line_that_an_event_begins_in() -> None:
    lines = FORMS["pretty-array.json"].splitlines()
    for _, place, _ in read(FORMS["pretty-array.json"]):
        assert lines[int(place.rpartition(":")[2]) - 1].strip() == b"{"


@pytest.mark.parametrize(
    "document",
    [
        b"\n".join(XML_EVENTS),
        b"".join(XML_EVENTS),
        b'<?xml version="1.0"?>\n<Events>' + b"\n".join(XML_EVENTS) + b"</Events>",
        (b'<?xml version="1.0" encoding="utf-16"?><Events>' + b"".join(XML_EVENTS) + b"</Events>")
        .decode()
        .encode("utf-16"),
    ],
)
def test_xml_events_are_found_whatever_stands_around_them(document: bytes) -> None:
    assert [data for data, _, _ in read(document, "export.xml")] == XML_EVENTS


def test_lines_of_plain_text_become_messages() -> None:
    items = read(b"<34>Oct 11 22:14:15 host su: 'su root' failed\n\n[x] caf\xe9\n", "syslog.1")
    assert [data for data, _, _ in items] == [
        {"message": "<34>Oct 11 22:14:15 host su: 'su root' failed"},
        {"message": "[x] caf�"},
    ]


def test_what_is_no_json_in_a_json_file_stays_bytes_for_the_decoder_to_refuse() -> None:
    data = b'{"a": 1}\nnot json\n{"torn": \n{"a": 2}\n'
    assert [item[0] for item in read(data)] == [b'{"a": 1}', b"not json", b'{"torn":', b'{"a": 2}']
    assert [item[0] for item in read(b"not json\n{}\n", "a.jsonl")] == [b"not json", b"{}"]


def test_a_torn_first_line_does_not_make_a_file_of_lines_one_document() -> None:
    assert [item[0] for item in read(b'{"torn": "x\n{"a": 1}\n{"a": 2}\n')] == [
        b'{"torn": "x',
        b'{"a": 1}',
        b'{"a": 2}',
    ]


def test_a_line_beyond_the_limit_is_one_error_and_the_next_line_is_read() -> None:
    items = read(b'{"a": 1}\n{"a": "' + b"x" * 5000 + b'"}\n{"a": 2}\n', max_event=1024)
    assert [(place, error is None) for _, place, error in items] == [
        ("events.json:1", True),
        ("events.json:2", False),
        ("events.json:3", True),
    ]


def test_a_line_of_exactly_the_limit_is_read() -> None:
    line = b'{"a": "' + b"x" * (1024 - 9) + b'"}'
    assert [(data, error) for data, _, error in read(line + b"\n" + line, max_event=1024)] == [(line, None)] * 2


def test_an_element_beyond_the_limit_ends_the_document_with_an_error() -> None:
    *before, last = read(b'[{"a": 1}, {"a": "' + b"x" * PIECE * 3 + b'"}]', max_event=PIECE)
    assert [data for data, _, _ in before] == [b'{"a": 1}']
    assert last[2]
    assert "longer than" in last[2]


@pytest.mark.parametrize(
    ("document", "errors"),
    [
        (b'[{"a": 1}, {"a": 2}', 1),
        (b'[{"a": 1}, {"a": 2}, {"a":', 1),
        (b'[{"a": 1}, 17, {"a": 2}]', 1),
        (b'[{"a": 1}, {"a": 2}] trailing', 1),
        (b'[{"a": 1}, {"a": 2, "b": "no end', 1),
        (b'[{"a": 1}]\n[{"a": 2}]', 0),
    ],
)
def test_a_broken_document_gives_its_whole_events_and_one_error(document: bytes, errors: int) -> None:
    items = read(document)
    whole = [data for data, _, error in items if error is None]
    assert whole[0] == b'{"a": 1}'
    assert len([error for _, _, error in items if error]) == errors


@pytest.mark.parametrize("codec", ["gzip", "xz"])
def test_what_a_cut_stream_still_holds_is_read_and_its_end_is_an_error(codec: str) -> None:
    packed = gzip.compress(JSONL) if codec == "gzip" else lzma.compress(JSONL * 2000)
    *before, last = read(packed[:-20], "cut.jsonl")
    assert before
    assert [error for _, _, error in before if error] == []
    assert last[2] == f"ends in the middle of its {codec} data"


@pytest.mark.parametrize("name", ["array.json", "pretty.json"])
def test_every_whole_event_of_a_cut_document_is_read(name: str) -> None:
    packed = gzip.compress(FORMS[name])
    *before, last = read(packed[: len(packed) * 3 // 4], "cut.json.gz")
    assert 5 < len(before) < len(EVENTS)
    assert decoded(before) == EVENTS[: len(before)]
    assert last[2] == "ends in the middle of its gzip data"


def test_every_byte_before_a_wrong_checksum_is_read() -> None:
    packed = bytearray(gzip.compress(JSONL))
    packed[-6] ^= 1
    *before, last = read(bytes(packed), "wrong.jsonl.gz")
    assert decoded(before) == EVENTS
    assert last[2]
    assert "incorrect data check" in last[2]


def test_a_damaged_member_costs_only_itself() -> None:
    packed = bytearray(zipped({"a.json": JSONL, "b.json": JSONL, "c.json": JSONL}))
    second = packed.find(b"b.json")
    packed[second + 30 : second + 60] = bytes(30)
    items = read(bytes(packed), "damaged.zip")
    assert {place.partition(":")[0] for _, place, error in items if error} == {"damaged.zip!b.json"}
    sound = [json.loads(data) for data, place, error in items if not error and "!b" not in place]
    assert sound == EVENTS * 2


def test_an_encrypted_member_is_one_error() -> None:
    packed = bytearray(zipped({"a.json": JSONL, "b.json": JSONL}))
    for at in (packed.find(b"PK\x03\x04") + 6, packed.find(b"PK\x01\x02") + 8):
        packed[at] |= 1
    first, *rest = read(bytes(packed), "secret.zip")
    assert first[1] == "secret.zip!a.json"
    assert first[2]
    assert "encrypted" in first[2]
    assert decoded(rest) == EVENTS


def test_a_cut_tar_is_one_error_after_its_whole_events() -> None:
    whole = tarred({"a.json": JSONL, "b.json": JSONL})
    items = read(whole[: 512 + 1024 + 512 + len(JSONL)], "cut.tar")
    errors = [error for _, _, error in items if error]
    assert decoded(items[: len(EVENTS)]) == EVENTS
    assert errors == ["the tar ends in the middle of a member"]


def test_a_stream_that_unpacks_too_far_stops_with_one_error() -> None:
    bomb = gzip.compress(b'{"a": 1}\n' * 100_000)
    items = read(tarred({"a.json.gz": bomb, "b.json.gz": bomb, "c.json.gz": bomb}), "bomb.tar", max_unpacked=50_000)
    assert [error for _, _, error in items if error] == ["unpacks to more than 50000 bytes; the rest is not read"]
    assert len(items) < 50_000 / len(b'{"a": 1}\n') + 1


def test_archives_within_archives_end_at_the_allowed_depth() -> None:
    packed = JSONL
    for _ in range(6):
        packed = zipped({"a.json": packed})
    (only,) = read(packed, "deep.zip", max_depth=4)
    assert only[2] == "more than 4 containers stand inside one another"


def test_a_zip_with_too_many_members_is_refused_before_its_directory_is_read() -> None:
    packed = bytearray(zipped({"a.json": JSONL}))
    end = packed.rfind(b"PK\x05\x06")
    packed[end + 8 : end + 12] = b"\xff" * 4
    (only,) = read(bytes(packed), "many.zip")
    assert only[2]
    assert "65535 members" in only[2]


def test_an_xz_stream_that_wants_too_much_memory_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 28}]
    greedy = lzma.LZMACompressor(filters=filters)
    (only,) = read(greedy.compress(JSONL) + greedy.flush(), "greedy.xz")
    assert only[2]
    assert "Memory" in only[2]


def test_a_member_that_names_a_path_outside_is_read_and_nothing_is_written(tmp_path: Any) -> None:
    items = read(zipped({"../../outside.json": JSONL, "/etc/outside.json": JSONL}), "slip.zip")
    assert decoded(items) == EVENTS * 2
    assert list(tmp_path.iterdir()) == []


def test_binary_of_no_known_format_is_one_error() -> None:
    (only,) = read(b"\x7fELF\x00\x01\x02\x03" * 100, "program.log")
    assert only[2] == "is binary and in no known format"


def test_an_event_log_that_is_none_is_one_error() -> None:
    (only,) = read(b"ElfFile\x00" + bytes(10), "short.evtx")
    assert only[2]
    assert only[2].startswith("is not a readable event log")


def test_a_cut_event_log_says_so() -> None:
    items = read(EVTX_HEADER, "cut.evtx")
    assert items[-1][2]
    assert "holds 0 of 1 chunks" in items[-1][2]


def test_event_logs_without_their_package_are_a_config_error_that_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "evtx":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"triaged\[evtx\]"):
        read(EVTX_HEADER, "a.evtx")


@given(cut=st.integers(0, len(JSONL)))
def test_a_file_of_lines_keeps_its_format_while_it_grows(cut: int) -> None:
    assert sniff(JSONL[: max(cut, JSONL.index(b"\n") + 1)], "grows.log") == "records"


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(sorted(FORMS)), data=st.data())
def test_no_damage_raises(name: str, data: st.DataObject) -> None:
    damaged = bytearray(FORMS[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        if not damaged:
            return
    for content, place, error in read(bytes(damaged), name, max_event=1 << 20):
        assert place.startswith(name)
        assert content or error


def test_memory_stays_flat_over_a_stream_that_unpacks_large() -> None:
    import tracemalloc

    packed = zipped({"a.jsonl": JSONL * 4000}, zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    try:
        count = sum(1 for _ in records(io.BufferedReader(io.BytesIO(packed), PIECE), "large.zip", Limits()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == len(EVENTS) * 4000
    assert peak < 4 << 20
