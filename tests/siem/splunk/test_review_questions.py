"""Questions to analysts as a Splunk shows them: the documented search finds those that are still open."""

from __future__ import annotations

from connector.testing import ManualClock
from connector.types import ReviewRequest
from tests.docs.examples import block
from tests.siem.splunk.writing import DELIVERED, writing
from tests.splunkd import Splunkd
from tests.splunkd.asking import Client


def test_the_documented_search_finds_the_questions_that_are_still_open() -> None:
    clock = ManualClock()
    asked = [
        ReviewRequest(record_id=f"q{number}", cause=f"v{number}", reason="rare", at=clock()) for number in range(3)
    ]
    clock.advance(3600)
    ended = ReviewRequest(record_id="end", cause="v1", reason="answered", at=clock(), open=False)
    with Splunkd(clock=clock) as splunkd:
        with writing(splunkd, clock=clock) as writer:
            assert writer.write([ended, *asked]) == [DELIVERED] * 4
        clock.advance(60)
        rows = Client(splunkd).rows(f"search {block('review.md', 'spl')}".strip())
    assert {row["triaged.cause"] for row in rows} == {"v0", "v2"}
