"""How an event is known: by its place, and where it has none by all that it is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from connector.siem.splunk.identity import index_of, is_placed, native_id

ROW = {
    "_bkt": "main~5~0A1B2C3D-0000-4000-8000-000000000001",
    "_cd": "5:12345",
    "_time": "2026-01-05T12:00:00.250+00:00",
    "host": "web-1",
    "source": "/var/log/x",
    "sourcetype": "x",
    "_raw": "user=bob",
    "index": "main",
}
UNPLACED = {name: value for name, value in ROW.items() if name not in {"_bkt", "_cd"}}


def test_an_event_is_known_by_its_bucket_and_its_place_in_it() -> None:
    assert native_id(ROW) == "main~5~0A1B2C3D-0000-4000-8000-000000000001:5:12345"
    assert is_placed(native_id(ROW))


@pytest.mark.parametrize("lacking", ["_bkt", "_cd"])
@pytest.mark.parametrize("value", [None, "", ["a", "b"]])
def test_without_a_place_it_is_known_by_a_digest(lacking: str, value: Any) -> None:
    found = native_id({**ROW, lacking: value})
    assert found == native_id(UNPLACED)
    assert len(found) == 5 + 64
    assert not is_placed(found)


@pytest.mark.parametrize("name", ["_time", "host", "source", "sourcetype", "_raw"])
def test_each_part_of_the_digest_tells_events_apart(name: str) -> None:
    other = "2026-01-05T12:00:00.251+00:00" if name == "_time" else "other"
    assert native_id({**UNPLACED, name: other}) != native_id(UNPLACED)


@pytest.mark.parametrize(
    "time", ["2026-01-05T13:00:00.250+01:00", "2026-01-05T12:00:00.250Z", "1767614400.250", 1767614400.25]
)
def test_the_same_moment_is_the_same_event_in_whatever_zone_it_is_shown(time: Any) -> None:
    assert native_id({**UNPLACED, "_time": time}) == native_id(UNPLACED)


@given(st.lists(st.text(max_size=5), min_size=4, max_size=4), st.lists(st.text(max_size=5), min_size=4, max_size=4))
def test_no_two_events_that_differ_have_one_digest(first: list[str], second: list[str]) -> None:
    names = ("host", "source", "sourcetype", "_raw")
    one, other = (native_id(dict(zip(names, values, strict=True))) for values in (first, second))
    assert (one == other) == (first == second)


def test_an_index_is_that_of_the_bucket_whatever_the_event_says() -> None:
    assert index_of({**ROW, "index": ["evil", "main"]}) == "main"
    assert index_of({"index": "main"}) == "main"
    assert index_of({"index": ["main", "evil"]}) == "main"
    assert index_of({}) == ""
