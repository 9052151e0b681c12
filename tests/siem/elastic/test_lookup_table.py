"""The table of frequent fingerprints: what goes into it, and when a new one is worth replacing the old one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.events import CANONICAL_VERSIONS
from connector.siem.elastic.table import chosen, dated, gained

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MODEL = {"name": "m", "version": "1", "attack_version": "18.1"}
VERSION = CANONICAL_VERSIONS["sysmon-1"]


def entry(**changed: Any) -> dict[str, Any]:
    return {
        "canonical_version": VERSION,
        "model": MODEL,
        "verdict": "benign",
        "confidence": 0.1,
        "techniques": [],
        "expires_at": (NOW + timedelta(days=9)).isoformat(),
        **changed,
    }


def table(counts: list[tuple[str, int]], found: dict[str, Any], **limits: int) -> dict[str, Any]:
    return chosen(counts, found, MODEL, NOW, **{"most": 10, "size": 10_000, **limits})


def test_the_most_frequent_fingerprints_are_chosen_up_to_the_number_of_entries() -> None:
    found = {name: entry() for name in "abc"}
    assert list(table([("b", 9), ("a", 5), ("c", 1)], found, most=2)[VERSION]) == ["b", "a"]


def test_the_table_stays_below_its_size() -> None:
    import json

    found = {f"{n:064x}": entry() for n in range(200)}
    counts = [(name, 1) for name in found]
    made = table(counts, found, most=1000, size=8000)
    assert 20 < len(made[VERSION]) < 200
    assert len(json.dumps(made)) <= 8000


@pytest.mark.parametrize(
    "changed",
    [
        {"model": {**MODEL, "version": "2"}},
        {"model": {**MODEL, "name": "other"}},
        {"canonical_version": "0" * 64},
        {"expires_at": NOW.isoformat()},
    ],
    ids=["version", "name", "canonical", "expired"],
)
def test_an_entry_of_another_model_or_form_or_that_is_over_is_left_out(changed: dict[str, Any]) -> None:
    assert table([("a", 1)], {"a": entry(**changed)}) == {}


def test_what_is_not_known_leaves_its_place_to_others() -> None:
    assert list(table([("x", 9), ("a", 1)], {"a": entry()}, most=1)[VERSION]) == ["a"]


def test_a_table_that_answers_for_too_few_more_events_is_not_published() -> None:
    counts = [("a", 970), ("b", 30)]
    before = table(counts, {"a": entry()})
    after = table(counts, {"a": entry(), "b": entry()})
    assert gained(counts, after, before, NOW, 0.03)
    assert not gained(counts, after, before, NOW, 0.031)
    assert not gained(counts, before, before, NOW, 0.0)
    assert gained(counts, before, {}, NOW, 0.9)


def test_a_table_of_an_older_version_of_the_assets_answers_for_nothing() -> None:
    counts = [("a", 1)]
    wanted = table(counts, {"a": entry()})
    old = {VERSION: {"a": {key: value for key, value in wanted[VERSION]["a"].items() if key != "until"}}}
    assert gained(counts, wanted, old, NOW, 0.5)


def test_a_table_of_an_older_version_of_the_assets_goes_on_answering_once_its_ends_are_told_in_milliseconds() -> None:
    wanted = table([("a", 1), ("b", 1)], {"a": entry(), "b": entry(verdict="malicious")})
    old = {VERSION: {name: {**row} for name, row in wanted[VERSION].items()}}
    for row in old[VERSION].values():
        del row["until"]
    assert dated(old) == wanted
    assert dated(wanted) == wanted


@pytest.mark.parametrize(
    "broken", [None, {"v": 1}, {"v": {"f": "text"}}, {"v": {"f": {}}}, {"v": {"f": {"expires_at": "soon"}}}]
)
def test_a_table_that_somebody_broke_stops_no_installation(broken: Any) -> None:
    assert dated(broken) == broken


def test_only_entries_that_are_not_benign_hold_techniques() -> None:
    found = {"a": entry(), "b": entry(verdict="suspicious")}
    rows = table([("a", 2), ("b", 1)], found)[VERSION]
    assert ["techniques" in row for row in rows.values()] == [False, True]


def test_an_entry_that_says_something_else_or_soon_ends_counts_as_gained() -> None:
    counts = [("a", 1)]
    before, other = table(counts, {"a": entry()}), table(counts, {"a": entry(verdict="malicious")})
    assert gained(counts, other, before, NOW, 0.5)
    later = table(counts, {"a": entry(expires_at=(NOW + timedelta(days=16)).isoformat())})
    assert not gained(counts, later, before, NOW, 0.5)
    assert gained(counts, later, before, NOW + timedelta(days=8, hours=1), 0.5)
