"""What reading costs grows as the input does, whatever an attacker writes into it.

The quick forms read one large input each: a way that is quadratic takes hours, and the hang guard ends it. The long forms
compare an input with one of twice its size.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from connector.events.families import FAMILIES
from tests import growth
from tests.events.places import at, places, with_value
from tests.fuzz import vocabulary
from tests.fuzz.contract import judged

RECORDS = {name: raw for name, raw in vocabulary.golden("raw").items() if isinstance(raw, dict)}
LINES = {name: raw for name, raw in vocabulary.golden("raw").items() if isinstance(raw, str)}
SOME = list(RECORDS)[:: max(1, len(RECORDS) // (2 * len(FAMILIES)))]
"""Records of about every family."""

LARGE = 1 << 18

WIDE = {
    "keys": lambda n: {f"k{i}": i for i in range(n)},
    "dotted keys": lambda n: {f"a.b{i}.c": i for i in range(n)},
    "one dotted key": lambda n: {"a." * n: 1},
    "list": lambda n: {"message": "x", "tags": ["y"] * n},
    "list of objects": lambda n: {"message": "x", "rows": [{"a": i} for i in range(n)]},
    "event data": lambda n: {"EventID": 1, "Channel": "Microsoft-Windows-Sysmon/Operational", **{f"d{i}": "v" for i in range(n)}},
    "ecs list": lambda n: {"ecs": {"version": "8"}, "process": {"args": ["--x"] * n}},
    "nested list": lambda n: {"a": [[i] for i in range(n)]},
    "surrogates": lambda n: {"message": "\ud800" * n},
    "spaces": lambda n: {"message": " \t" * n},
    "unnamed data": lambda n: {"Event": {"System": {"EventID": 1}, "EventData": {"Data": {"#text": ["x"] * n}}}},
    "json text": lambda n: {"_raw": '{"a": [' + "1," * n + "1]}"},
    "broken json text": lambda n: {"_raw": '{"a": [' + "1," * n},
}  # fmt: skip
"""Documents of a size."""


BLOWS = (
    *("a", "1", " ", "\t", "\\", "/", '"', "'", "=", "a=", 'a="', "a=b ", ":", "a:", "1.", "a.", "<", "<a>", "&", "(", "[", "[a ", "{"),
    *('\\"', '""', "\n", "\r\n", "|", ",", ";", "%", "%1", "$(", "0x", "a1", "A" * 31 + "1/", "\ud800", "é", "\\\\", ":\\users\\", "-"),
    *("parameterbinding(", "commandinvocation(", '"c:\\', "type=X msg=audit(1.2:3): ", "Oct 11 22:14:15 h a[1]: ", "1 - ", "<34>"),
)  # fmt: skip
"""Pieces that make a pattern begin again and again."""


@pytest.mark.parametrize("shape", WIDE)
@pytest.mark.timeout(120)  # the hang guard
def test_a_wide_event_is_read(shape: str) -> None:
    judged(WIDE[shape](100_000))


@pytest.mark.parametrize("name", LINES)
@pytest.mark.timeout(120)  # the hang guard
def test_a_quarter_megabyte_of_repeated_pieces_behind_a_known_line_is_read(name: str) -> None:
    piece = BLOWS[list(LINES).index(name) % len(BLOWS)]
    judged(LINES[name] + piece * (LARGE // len(piece)))


@pytest.mark.parametrize("name", SOME)
@pytest.mark.timeout(120)  # the hang guard
def test_a_quarter_megabyte_of_repeated_pieces_in_a_field_is_read(name: str) -> None:
    record = RECORDS[name]
    texts = _texts(record)
    for number, place in enumerate(texts[:: max(1, len(texts) // 3)], SOME.index(name)):
        piece = BLOWS[number % len(BLOWS)]
        judged(with_value(record, place, str(at(record, place)) + piece * (LARGE // len(piece))))


@pytest.mark.full
def test_millions_of_keys_are_read() -> None:
    assert judged({f"k{i}": None for i in range(2_000_000)}) is not None


@pytest.mark.full
@pytest.mark.parametrize("shape", WIDE)
@pytest.mark.timeout(120)
def test_a_wide_event_costs_what_its_size_costs(shape: str) -> None:
    assert growth.ratio(WIDE[shape], judged, 20_000) < growth.LINEAR


@pytest.mark.full
@pytest.mark.parametrize("name", LINES)
@pytest.mark.timeout(600)
def test_no_piece_repeated_behind_a_known_line_makes_reading_it_slow(name: str) -> None:
    for head in (LINES[name], LINES[name][: len(LINES[name]) // 2]):
        _grows_linearly((lambda text, head=head: head + text), BLOWS)


@pytest.mark.full
@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.timeout(1200)
def test_no_piece_repeated_in_any_field_makes_reading_it_slow(name: str) -> None:
    """Each field takes some of the pieces; together the fields take all of them many times."""
    record = RECORDS[name]
    for number, place in enumerate(_texts(record), len(name)):
        make = lambda text, place=place: with_value(record, place, str(at(record, place)) + text)
        _grows_linearly(make, BLOWS[number % 8 :: 8])


def _texts(record: Any) -> list[tuple[Any, ...]]:
    return [place for place in places(record) if isinstance(at(record, place), str)]


def _grows_linearly(make: Any, pieces: Iterable[str]) -> None:
    for piece in pieces:
        sized = lambda size, piece=piece: make(piece * (size // len(piece)))
        assert growth.ratio(sized, judged, 100_000) < growth.LINEAR, piece
