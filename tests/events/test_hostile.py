"""No reader is brought down by what an attacker writes into an event: every family, every field, every shape."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from connector.errors import PermanentError
from connector.events import decode, normalise
from connector.events.decode import checked
from connector.events.families import FAMILIES
from connector.events.family import Family
from connector.events.masks import scrub
from connector.types import RawEvent
from tests.events.places import at, places, with_value
from tests.fuzz import shapes, vocabulary
from tests.fuzz.contract import LONGEST_REASON, REF, judged
from tests.fuzz.shapes import Draw

RECORDS = {name: raw for name, raw in vocabulary.golden("raw").items() if isinstance(raw, dict)}
LINES = {name: raw for name, raw in vocabulary.golden("raw").items() if isinstance(raw, str)}
READERS = [family for family in FAMILIES if family.read is not None]
TEXT_READERS = [family for family in FAMILIES if family.read_text is not None]
RECIPES = st.binary(max_size=300)
MEGABYTE = 1 << 20

VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 1 << 63, -(10**30), 10**4000, "", " ", "-", "\0", "\ud800", "é\u2028", "NaN", "0x", "[", '{"a":',
    "2024-02-30T25:61:61Z", "::1%", "<Event>", "9" * 5000, "=" * 300, "\\" * 50, [], [[]], [None], [{}], {}, {"": {}},
    ["a", 1, None, {"b": []}], {"name": []}, {"ip": {"a": "b"}}, {"#text": None}, {"#attributes": []}, [["x"]] * 20,
)  # fmt: skip
"""What may stand where a reader expects something else."""


def _named(families: list[Family]) -> Any:
    return pytest.mark.parametrize("family", families, ids=lambda family: family.name)


def _read_without_trace(family: Family, record: dict[str, Any]) -> None:
    assert family.read is not None
    try:
        record = dict(checked(record))
    except PermanentError:
        return  # too deep, or with too long a number: no family is asked
    before = repr(record)
    found = family.read(record)
    assert found is None or type(found) is dict
    assert repr(record) == before


@_named(READERS)
@settings(max_examples=50, deadline=None)
@given(recipe=RECIPES)
def test_a_family_reads_any_object_or_leaves_it_and_changes_none(family: Family, recipe: bytes) -> None:
    _read_without_trace(family, shapes.record(Draw(recipe)))


@pytest.mark.full
@_named(READERS)
@settings(max_examples=5000, deadline=None)
@given(recipe=RECIPES)
def test_a_family_reads_any_object_at_length(family: Family, recipe: bytes) -> None:
    _read_without_trace(family, shapes.record(Draw(recipe)))


@_named(TEXT_READERS)
@settings(max_examples=50, deadline=None)
@given(text=RECIPES.map(lambda recipe: shapes.line(Draw(recipe))) | st.text())
def test_a_family_reads_any_text_or_leaves_it(family: Family, text: str) -> None:
    assert family.read_text is not None
    found = family.read_text(scrub(text))
    assert found is None or type(found) is dict


@settings(max_examples=300, deadline=None)
@given(recipe=RECIPES)
def test_any_record_near_a_known_one_is_judged_or_refused(recipe: bytes) -> None:
    judged(shapes.record(Draw(recipe)))


@pytest.mark.full
@settings(max_examples=20_000, deadline=None)
@given(recipe=RECIPES)
def test_any_record_near_a_known_one_is_judged_or_refused_at_length(recipe: bytes) -> None:
    judged(shapes.record(Draw(recipe)))


@settings(max_examples=200, deadline=None)
@given(recipe=RECIPES)
def test_any_line_near_a_known_one_is_judged(recipe: bytes) -> None:
    judged(shapes.line(Draw(recipe)))


@pytest.mark.parametrize("name", RECORDS)
def test_a_strange_value_anywhere_in_a_known_record_is_read(name: str) -> None:
    """Each place of the record takes one of the strange values; together the records take all of them."""
    for number, place in enumerate(places(RECORDS[name])):
        judged(with_value(RECORDS[name], place, VALUES[(len(name) + number) % len(VALUES)]))


@pytest.mark.full
@pytest.mark.parametrize("name", RECORDS)
def test_every_strange_value_everywhere_in_a_known_record_is_read(name: str) -> None:
    for place in places(RECORDS[name]):
        for value in VALUES:
            judged(with_value(RECORDS[name], place, value))


@pytest.mark.parametrize("name", RECORDS)
def test_a_known_record_may_lack_anything(name: str) -> None:
    record = RECORDS[name]
    for place in places(record):
        *parents, last = place
        parent = record
        for key in parents:
            parent = parent[key]
        rest = {k: v for k, v in parent.items() if k != last} if isinstance(parent, dict) else parent[:last]
        whole = with_value(record, tuple(parents), rest)
        if whole:
            judged(whole)


@pytest.mark.parametrize("name", RECORDS)
def test_a_megabyte_in_any_field_is_cut_for_the_model_and_kept_in_the_event(name: str) -> None:
    record = RECORDS[name]
    texts = [place for place in places(record) if isinstance(at(record, place), str)]
    for place in texts[:: max(1, len(texts) // 3)]:
        event = judged(with_value(record, place, "ab \\" * (MEGABYTE // 4)))
        if event is not None:
            assert sum(len(value) for _, value in event.canonical) < 200_000


@pytest.mark.parametrize("name", LINES)
def test_a_line_may_end_anywhere(name: str) -> None:
    for end in range(len(LINES[name])):
        judged(LINES[name][:end])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [('{"a": 1, "a": 2}', 2), ('{"a": {"x": 1}, "a": {"y": 2}}', {"y": 2}), ('{"a": "\\ud800", "a": 3}', 3)],
)
def test_of_two_keys_of_one_name_the_last_one_wins(text: str, wanted: Any) -> None:
    assert decode(text) == decode(text.encode()) == {"a": wanted}


def test_of_two_carriers_of_one_name_the_last_one_wins() -> None:
    event = normalise(_raw('{"_raw": "{\\"message\\": \\"first\\"}", "_raw": "{\\"message\\": \\"last\\"}"}'))
    assert ("message", "last") in event.canonical


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_numbers_that_json_has_not_are_refused(constant: str) -> None:
    with pytest.raises(PermanentError, match="malformed JSON"):
        normalise(_raw(f'{{"a": {constant}}}'))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_has_not_in_a_decoded_document_give_an_event_or_a_reason(value: float) -> None:
    judged({"event": {"code": value}, "winlog": {"channel": "Security"}, "x": [value]})


@pytest.mark.parametrize(
    "document",
    [
        {"message": "a\0b"},
        {"\0": "\0", "EventID": "1\0", "Channel": "\0"},
        {"ecs": {"version": "8"}, "process": {"command_line": "a\0b" * 1000}},
        {"EventID": 1, "Channel": "Microsoft-Windows-Sysmon/Operational", "Image": "\0" * 5000},
    ],
)
def test_nul_inside_json_text_is_read(document: dict[str, Any]) -> None:
    assert judged(document) is not None
    assert judged(json.dumps(document)) is not None


NESTS = {
    "objects": ('{"a":', "1", "}"),
    "lists": ('{"a":' + "[", "", "]"),
    "both": ('{"a":[', "1", "]}"),
}


@pytest.mark.parametrize("shape", NESTS)
@pytest.mark.parametrize("depth", [101, 1000, 100_000])
@pytest.mark.parametrize(
    "carrier", ["{}", '{"_source": {}}', '{"sourcetype": "x", "event": {}}', '{"message": {}, "x": [{}]}']
)
def test_a_thousand_levels_are_refused_whatever_carries_them(shape: str, depth: int, carrier: str) -> None:
    start, middle, end = NESTS[shape]
    deep = start * depth + middle + end * depth if shape != "lists" else '{"a":' + "[" * depth + "]" * depth + "}"
    with pytest.raises(PermanentError, match="nested deeper than 100 levels"):
        normalise(_raw(carrier.replace("{}", deep, 1)))


def test_a_carried_text_that_is_too_deep_leaves_the_fields_around_it_to_speak() -> None:
    event = normalise(_raw({"_raw": '{"a":' * 5000, "message": "around"}))
    assert ("message", "around") in event.canonical


BOMBS = {
    "billion laughs": "<!DOCTYPE l [<!ENTITY a 'ha'>" + "".join(f"<!ENTITY {b} '&{a};&{a};'>" for a, b in zip("abcdef", "bcdefg", strict=True)) + "]><Event>&g;</Event>",
    "external entity": "<!DOCTYPE e [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><Event>&x;</Event>",
    "external document type": "<!DOCTYPE Event SYSTEM 'http://127.0.0.1:1/e.dtd'><Event/>",
    "parameter entity": "<!DOCTYPE e [<!ENTITY % x SYSTEM 'file:///etc/passwd'> %x;]><Event/>",
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("prologue", ["", "<?xml version='1.0'?>", "<?xml version='1.0' standalone='no'?>\n"])
def test_xml_entities_are_never_expanded(bomb: str, prologue: str) -> None:
    with pytest.raises(PermanentError, match="document type"):
        normalise(_raw(prologue + BOMBS[bomb]))


@pytest.mark.parametrize(
    "xml",
    [
        "<Event><" + "a" * MEGABYTE + "/></Event>",
        "<Event " + " ".join(f"a{n}='x'" for n in range(50_000)) + "/>",
        "<Event><EventData>" + "<Data Name='a'>x</Data>" * 50_000 + "</EventData></Event>",
        "<Event><System>" + "<Data/>" * 50_000 + "</System></Event>",
        "<Event><#attributes>x</#attributes></Event>",
        "<Event><System><Provider Name='#text'/></System><EventData><Data Name='Data'>x</Data><Data>y</Data></EventData></Event>",
        "<" + "a" * MEGABYTE + "/>",
        "<?xml version='1.0'?><" + "a" * MEGABYTE + ">",
    ],
    ids=lambda xml: xml[:30],
)
def test_strange_xml_is_an_event_or_refused_in_few_words(xml: str) -> None:
    judged(xml)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 100,
        b'{"a": "\xff"}',
        "x" * 100 + "\0",
        '{"' + "k" * MEGABYTE,
        "<" + "?xml" + "x" * MEGABYTE,
        {"n": 10**5000},
    ],
    ids=["bytes", "json", "nul", "key", "xml", "number"],
)
def test_a_refusal_is_short(data: Any) -> None:
    with pytest.raises(PermanentError) as refused:
        normalise(_raw(data))
    assert len(str(refused.value)) <= LONGEST_REASON


@pytest.mark.parametrize(
    "record",
    [
        {"EventID": 1, "Channel": "Security", "EventType": []},
        {"EventID": 1, "Channel": "Security", "EventType": {"a": 1}, "Keywords": []},
        {"event_type": "alert", "alert": {"action": []}, "flow_id": 1},
        {"_path": "conn", "conn_state": ["S0"], "uid": "C1", "id.orig_h": "10.0.0.1"},
        {**RECORDS["github.raw.json"], "@timestamp": 10**4000},
    ],
    ids=["NXLog list", "NXLog object", "Suricata", "Zeek", "endless time"],
)
def test_a_value_of_another_type_costs_no_event(record: dict[str, Any]) -> None:
    assert judged(record) is not None


def test_a_name_full_of_dots_that_a_family_takes_over_gives_no_endless_nest() -> None:
    parameters = [{"name": "a." * 20_000, "value": "x"}]
    record = json.loads(json.dumps(RECORDS["google_workspace-admin.raw.json"]))
    event = judged(
        {**record, "events": [{"name": "x", "type": "y", "parameters": parameters}]}
        if "events" in record
        else {**record, "parameters": parameters}
    )
    assert event is not None


def test_undecodable_bytes_cost_a_reason_and_nothing_else() -> None:
    for data in (
        b"\x80",
        b'{"a": "\xed\xa0\x80"}',
        b"\xfe\xff\xd8",
        b"\xff\xfe\x00\xd8\x00\x00",
        b"\xef\xbb\xbf",
        b"\xc0\x80",
    ):
        with suppress(PermanentError):
            normalise(_raw(data))


def _raw(data: Any) -> RawEvent:
    return RawEvent(deployment="d", native_id="n", ref=REF, data=data)
