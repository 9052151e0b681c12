"""What a search says beside its rows: nothing that tells of a loss is taken for a whole answer."""

from __future__ import annotations

import pytest

from connector.errors import ConfigError, TransientError
from connector.siem.splunk.faults import Fault
from connector.siem.splunk.messages import Message, meaning, told

PARTIAL = [
    (
        "Unable to distribute to peer named idx2 at uri=idx2:8089 using the uri-scheme=https because peer has status=Down. "
        "Verify uri-scheme, connectivity to the search peer, that the search peer is up."
    ),
    (
        "Timed out waiting for peer idx2. Search results might be incomplete! If this occurs frequently, receiveTimeout in "
        "distsearch.conf might need to be increased."
    ),
    "Reading error while waiting for peer idx2. Search results might be incomplete!",
    "Unknown error for indexer: idx2. Search Results might be incomplete! If this occurs frequently, check on the peer.",
    "Search results might be incomplete: the search process on the peer:idx2 ended prematurely.",
    "Search auto-finalized after time limit (60 seconds) reached.",
    "Search auto-finalized after disk usage limit (100MB) reached.",
    "The search was cancelled by the user.",
    "The search results were truncated to 50000 rows.",
    "Your timerange was substituted based on your search string",
    "1 of 12 buckets could not be opened: rawdata is corrupt",
]
HARMLESS = [
    (
        "The term 'a*b' contains a wildcard in the middle of a word or string. This might cause inconsistent results if the "
        "characters that the wildcard represents include punctuation."
    ),
    "Events might not be returned in sub-second order due to search memory limits.",
    "Field extractor name=x is unusually slow (max single event time=1077ms, probes=4, warning max=1000ms)",
]


@pytest.mark.parametrize("text", PARTIAL)
@pytest.mark.parametrize("level", ["INFO", "DEBUG", "WARN", "ERROR", "FATAL"])
def test_what_tells_of_missing_rows_makes_the_answer_partial_whatever_its_level(text: str, level: str) -> None:
    assert meaning(Message(level, text)) == "partial"


@pytest.mark.parametrize("text", HARMLESS)
@pytest.mark.parametrize("level", ["INFO", "WARN", "ERROR"])
def test_what_takes_no_row_away_is_harmless(text: str, level: str) -> None:
    assert meaning(Message(level, text)) == "harmless"


@pytest.mark.parametrize(("level", "means"), [("WARN", "partial"), ("ERROR", "partial"), ("INFO", "harmless")])
def test_what_nobody_knows_counts_as_a_loss_unless_it_is_only_told(level: str, means: str) -> None:
    assert meaning(Message(level, "Something unheard of.")) == means


def test_a_site_may_know_a_message_to_be_harmless() -> None:
    said = Message("ERROR", "[idx1] Could not load lookup=LOOKUP-action")
    assert meaning(said) == "partial"
    for known in ("Could not load lookup=LOOKUP-action", "[idx2] Could not load lookup"):
        assert meaning(said, [known]) == "harmless"
    assert meaning(said, ["lookup"]) == "partial"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Error in 'where' command: The expression is malformed.", ConfigError),
        ("Unknown search command 'wher'.", ConfigError),
        ("Search not executed: The minimum free disk space (5000MB) reached for /opt/splunk/var/run.", TransientError),
    ],
)
def test_a_search_that_failed_as_a_whole_says_what_to_do(text: str, kind: type[Exception]) -> None:
    found = meaning(Message("FATAL", text))
    assert isinstance(found, Fault)
    assert found.kind is kind


def test_a_long_message_is_cut_and_stands_on_one_line() -> None:
    text = told(Message("WARN", "a\nb" * 10_000))
    assert len(text) < 1000
    assert "\n" not in text
