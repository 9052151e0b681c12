"""A site's own words for statuses and dispositions, as the words that every history uses."""

from __future__ import annotations

from typing import Any

import pytest

from connector.siem.splunk.statuses import SHIPPED, of_site


def entry(name: str, label: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "content": {"label": label, "status_type": "notable", **more}}


@pytest.mark.parametrize(
    ("number", "word"),
    [
        ("0", "unassigned"),
        ("1", "new"),
        ("2", "in_progress"),
        ("4", "resolved"),
        ("5", "closed"),
        ("77", "77"),
        ("", ""),
    ],
)
def test_a_shipped_status_has_its_word_and_an_unknown_one_its_number(number: str, word: str) -> None:
    assert SHIPPED.status(number) == word


@pytest.mark.parametrize(
    ("number", "decided"),
    [
        ("disposition:0", None),
        ("disposition:1", "true_positive"),
        ("disposition:2", "benign_positive"),
        ("disposition:3", "false_positive"),
        ("disposition:4", "false_positive"),
        ("disposition:5", "other"),
        ("disposition:6", None),
        ("", None),
    ],
)
def test_what_was_decided_counts_while_the_review_is_over(number: str, decided: str | None) -> None:
    assert SHIPPED.disposition(number, "5") == decided
    assert SHIPPED.disposition(number, "4") == decided
    assert SHIPPED.disposition(number, "2") is None


def test_a_status_of_the_sites_own_ends_a_review_where_its_entry_says_so() -> None:
    site = of_site([entry("10", "Archived / done", end="1"), entry("11", "With the vendor"), entry("5", "Zu", end="1")])
    assert (site.status("10"), site.status("11"), site.status("5")) == ("closed", "with_the_vendor", "closed")
    assert site.disposition("disposition:1", "10") == "true_positive"
    assert site.disposition("disposition:1", "11") is None


def test_a_disposition_goes_by_how_its_label_begins() -> None:
    site = of_site(
        [
            entry("disposition:7", "True Positive - Red Team", status_type="disposition"),
            entry("disposition:8", "Duplicate", status_type="disposition"),
            entry("disposition:3", "Benign Positive: we renamed it", status_type="disposition"),
            entry("disposition:9", "Undetermined", status_type="disposition"),
        ]
    )
    found = [site.disposition(f"disposition:{number}", "5") for number in (7, 8, 3, 9, 1)]
    assert found == ["true_positive", "duplicate", "benign_positive", None, "true_positive"]


@pytest.mark.parametrize("entries", [[], [{}], [{"name": "5"}], [{"name": "5", "content": {"label": 7}}]])
def test_an_entry_that_says_nothing_changes_nothing(entries: list[dict[str, Any]]) -> None:
    assert of_site(entries) == SHIPPED
