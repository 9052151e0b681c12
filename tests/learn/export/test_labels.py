"""What words, tags and comments of analysts mean."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from connector.learn.dataset import split_of
from connector.learn.export import LabelMap, training
from connector.learn.export.rows import Fact
from connector.testing.clock import START
from tests.learn.export.make import House, process, scored


def fact(**more: Any) -> Fact:
    base: dict[str, Any] = {
        "id": "f", "history": "siem", "alert": "A", "event_ids": ("e",), "status": "closed", "disposition": None,
        "changed_at": START, "observed_at": START, "analyst": None, "comment": "", "tags": (), "techniques": (),
        "machine": False, "query": "", "run": 1,
    }  # fmt: skip
    return Fact(**base | more)


SITE = LabelMap({"Harmless": "benign_positive"}, {"patch-day": "administration"}, {"*quarterly scan*": "test"})


@pytest.mark.parametrize(
    ("word", "tags", "disposition", "malicious"),
    [
        ("True Positive - Suspicious Activity", (), "true_positive", True),
        ("benign_positive", (), "benign_positive", False),
        ("False Positive", (), "false_positive", False),
        ("false_positive", ("disposition:3",), "false_positive_logic", False),
        ("false_positive", ("disposition:4",), "false_positive_data", False),
        ("true_positive", ("disposition:4",), "true_positive", True),
        ("false_positive", ("true_positive",), "false_positive", False),
        ("Duplicate", (), "duplicate", None),
        ("closed as told by Bob", (), "other", None),
        ("harmless", (), "benign_positive", False),
        (None, ("x", "False Positive"), "false_positive", False),
        (None, (), None, None),
    ],
)
def test_a_word_is_what_the_site_or_the_siem_means_by_it(
    word: str | None, tags: tuple[str, ...], disposition: str | None, malicious: bool | None
) -> None:
    meaning = SITE.meaning(fact(disposition=word, tags=tags))
    assert (meaning.disposition, meaning.malicious) == (disposition, malicious)
    assert SITE.unmapped(fact(disposition=word)) == (word == "closed as told by Bob")


@pytest.mark.parametrize(
    ("more", "techniques", "basis"),
    [
        ({"comment": "Technique: t1059.001, T1105 and more"}, ("T1059.001", "T1105"), "analyst"),
        ({"comment": "techniques = T1033", "tags": ("attack.t1059",), "techniques": ("T1105",)}, ("T1033",), "analyst"),
        ({"comment": "technique: none", "tags": ("attack.t1059",)}, (), "analyst"),
        ({"comment": "see T1033", "tags": ("attack.t1059", "T1105", "x")}, ("T1059", "T1105"), "tag"),
        ({"techniques": ("T1105", "T9999")}, ("T1105",), "alert"),
        ({"techniques": ("T9999",)}, (), None),
    ],
)
def test_techniques_are_the_analysts_then_the_tags_then_the_alerts(
    more: dict[str, Any], techniques: tuple[str, ...], basis: str | None
) -> None:
    for word in ("true_positive", "benign_positive"):
        meaning = SITE.meaning(fact(disposition=word, **more))
        assert (meaning.techniques, meaning.technique_basis) == (techniques, basis)
    false = SITE.meaning(fact(disposition="false_positive", **more))
    assert (false.techniques, false.technique_basis) == ((techniques, basis) if basis == "analyst" else ((), None))


@pytest.mark.parametrize(
    ("more", "cause", "basis"),
    [
        ({"tags": ("administration",)}, "administration", "tag"),
        ({"tags": ("cause:pentest",)}, "test", "tag"),
        ({"tags": ("Patch Day",)}, "administration", "tag"),
        ({"tags": ("stale-ti",), "comment": "red team"}, "stale_intelligence", "tag"),
        ({"tags": ("cause:other",)}, "other", "tag"),
        ({"comment": "the Quarterly Scan again"}, "test", "comment"),
        ({"comment": "sensor was misconfigured"}, "misconfigured_source", "comment"),
        ({"comment": "no idea", "tags": ("other",)}, None, None),
        ({"tags": ("benign-software",), "history": "review"}, "benign_software", "review"),
    ],
)
def test_causes_of_false_positives_are_told_by_review_tag_or_comment(
    more: dict[str, Any], cause: str | None, basis: str | None
) -> None:
    meaning = SITE.meaning(fact(disposition="false_positive", **more))
    assert (meaning.cause, meaning.cause_basis) == (cause, basis)
    assert SITE.meaning(fact(disposition="true_positive", **more)).cause is None


def test_answers_to_our_questions_are_in_our_words_whatever_a_site_means_by_them() -> None:
    site = LabelMap({"other": "false_positive", "false_positive": "other"}, {"test": "administration"})
    said = fact(disposition="other", history="review")
    assert (site.meaning(said).malicious, site.meaning(fact(disposition="other")).malicious) == (None, False)
    alarm = fact(disposition="false_positive", history="review", tags=("cause:test",))
    assert (site.meaning(alarm).malicious, site.meaning(alarm).cause) == (False, "test")


def test_a_dataset_reads_the_labels_that_stand_and_nothing_else(house: House) -> None:
    first, copy, other, named = (
        scored("1", process(1)),
        scored("2", process(1)),
        scored("3", process(3, "ping x")),
        scored("4", process(4, "run-T1059.001")),
    )
    house.score(first, copy, other, named)
    house.said("A", [first.id], disposition="true_positive", tags=("attack.t1033",))
    house.said("B", [copy.id], disposition="benign_positive")
    house.said("C", [other.id, named.id], disposition="false_positive")
    house.clock.advance(timedelta(hours=1))
    house.said("D", [named.id], disposition="duplicate")
    house.export().run()
    rows = {row.fingerprint: row for row in training.rows(house.rows())}
    assert rows.keys() == {first.fingerprint, other.fingerprint}
    assert (rows[first.fingerprint].malicious, rows[first.fingerprint].techniques) == (None, ("T1033",))
    assert (rows[other.fingerprint].malicious, rows[other.fingerprint].basis) == (False, "analyst")
    assert all(row.split == split_of(training.SOURCE, row.group, 1) for row in rows.values())
