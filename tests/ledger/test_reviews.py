"""Questions to analysts: asked once and within a budget, closed once, and every answer a change that is kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import msgspec
import pytest

from connector.ledger import REVIEW, Ledger, Review, open_ledger, reviews as room
from connector.settings import RetentionSettings
from connector.types import DispositionChange
from tests.ledger.make import MINUTE, TTL, FakeClock, batch, event, events, note_row

DAY = timedelta(days=1)


def question(number: int, clock: FakeClock) -> Review:
    return Review(
        id=event(f"question-{number}"),
        event_id=event(number),
        reason="uncertain",
        fingerprint=f"print-{number}",
        group=f"group-{number}",
        asked_at=clock.now,
    )


def said(
    review: Review, clock: FakeClock, disposition: str = "false_positive", analyst: str = "ana"
) -> DispositionChange:
    return DispositionChange(
        alert_id=review.id,
        event_ids=(review.event_id,),
        status="closed",
        disposition=disposition,
        changed_at=clock.now,
        observed_at=clock.now,
        analyst=analyst,
    )


def ask(ledger: Ledger, clock: FakeClock, *numbers: int, budget: int = 9) -> list[str]:
    """The events that were asked about; each question is told to one target."""
    asked = [question(number, clock) for number in numbers]
    rows = [note_row(one.event_id) for one in asked]
    return [one.event_id for one in ledger.ask_reviews(asked, rows, budget)]


def test_a_question_is_asked_and_told_once_and_never_beyond_the_days_budget(ledger: Ledger, clock: FakeClock) -> None:
    assert ask(ledger, clock, 1, 2, budget=3) == [event(1), event(2)]
    assert ask(ledger, clock, 1, 2, 3, 4, budget=3) == [event(3)]
    assert ledger.pending("siem") == 3
    assert {claim.record.cause for claim in ledger.claim("siem", "w", 9, TTL)} == set(events(3, 1))  # type: ignore[union-attr]
    assert (ledger.review_room(3), ask(ledger, clock, 4, budget=3)) == (0, [])
    clock.advance(DAY + MINUTE)
    assert (ledger.review_room(3), ask(ledger, clock, 4, budget=3)) == (3, [event(4)])


def test_of_near_duplicates_one_is_asked_about(ledger: Ledger, clock: FakeClock) -> None:
    ask(ledger, clock, 1)
    other = msgspec.structs.replace(question(2, clock), group="group-1")
    assert ledger.ask_reviews([other], [], 9) == []


def test_replicas_that_ask_at_once_share_one_budget(url: str, clock: FakeClock) -> None:
    replicas = [open_ledger(url, clock) for _ in range(4)]
    together = Barrier(len(replicas))

    def asking(number: int) -> list[str]:
        replicas[number].reviews()  # so that it is connected
        together.wait()
        return ask(replicas[number], clock, *range(number, number + 4), budget=4)

    with ThreadPoolExecutor(len(replicas)) as pool:
        asked = [event_id for found in pool.map(asking, range(len(replicas))) for event_id in found]
    assert len(asked) == len(set(asked)) == 4
    assert {one.event_id for one in replicas[0].reviews()} == set(asked)
    for one in replicas:
        one.close()


def test_nobody_is_asked_more_while_a_weeks_questions_wait(ledger: Ledger, clock: FakeClock) -> None:
    for day in range(9):
        ask(ledger, clock, day, budget=1)
        clock.advance(DAY + MINUTE)
    waiting = ledger.reviews(only_open=True)
    assert [one.event_id for one in waiting] == events(room.MOST_OPEN)
    ledger.answer_review(waiting[0].id, said(waiting[0], clock), "ana")
    assert ask(ledger, clock, 8, budget=1) == [event(8)]


def test_an_answer_is_a_change_that_closes_the_question_and_said_again_it_is_none(
    ledger: Ledger, clock: FakeClock
) -> None:
    ask(ledger, clock, 1)
    [review] = ledger.reviews()
    clock.advance(MINUTE)
    for _ in range(2):
        held = ledger.answer_review(review.id, said(review, clock), "api:desk")
        assert held is not None
        assert (held.state, held.outcome, held.analyst, held.closed_at) == (
            "answered", "false_positive", "ana", clock.now,
        )  # fmt: skip
        assert ledger.review(review.id) == held
    [change] = ledger.dispositions(REVIEW)
    assert (change.event_ids, change.changed_at, change.observed_at) == ((event(1),), clock.now, clock.now)
    [entry] = ledger.audit_entries()
    assert (entry.actor, entry.what) == ("api:desk", "review answered")


def test_changed_minds_and_other_analysts_are_changes_after_the_ones_before(ledger: Ledger, clock: FakeClock) -> None:
    ask(ledger, clock, 1)
    [review] = ledger.reviews()
    for disposition, analyst in (
        ("false_positive", "ana"),
        ("true_positive", "ben"),
        ("true_positive", "ben"),  # his answer came again: it stands already
        ("false_positive", "ana"),
        ("benign_positive", "ana"),
    ):
        ledger.answer_review(review.id, said(review, clock, disposition, analyst), analyst)
    changes = sorted(ledger.dispositions(REVIEW), key=lambda one: one.changed_at)
    said_in_turn = ["false_positive", "true_positive", "false_positive", "benign_positive"]
    assert [one.disposition for one in changes] == said_in_turn
    assert len({one.changed_at for one in changes}) == 4
    held = ledger.review(review.id)
    assert held is not None
    assert (held.outcome, held.analyst) == ("benign_positive", "ana")


def test_what_was_withdrawn_takes_no_answer_and_what_was_answered_is_not_withdrawn(
    ledger: Ledger, clock: FakeClock
) -> None:
    ask(ledger, clock, 1, 2)
    first, second = ledger.reviews()
    ledger.answer_review(first.id, said(first, clock), "ana")
    assert ledger.withdraw_reviews({first.id: "labelled", second.id: "labelled", event("none"): "labelled"}) == 1
    assert [one.state for one in ledger.reviews()] in (["answered", "withdrawn"], ["withdrawn", "answered"])
    held = ledger.answer_review(second.id, said(second, clock), "ana")
    assert held is not None
    assert (held.state, held.outcome) == ("withdrawn", "labelled")
    assert len(list(ledger.dispositions(REVIEW))) == 1
    assert ledger.answer_review(event("none"), said(first, clock), "ana") is None


def test_an_end_is_told_once_and_only_of_what_has_ended(ledger: Ledger, clock: FakeClock) -> None:
    ask(ledger, clock, 1, 2)
    first, second = ledger.reviews()
    ledger.withdraw_reviews({first.id: "labelled"})
    rows = [note_row(first.event_id, "closed"), note_row(second.event_id, "closed")]
    for _ in range(2):
        ledger.tell_reviews([first, second], rows)
        assert ledger.pending("siem") == 3
        found = {one.id: one.told for one in ledger.reviews()}
        assert found == {first.id: True, second.id: False}
    while claims := ledger.claim("siem", "w", 9, TTL):
        ledger.settle("siem", [(claim, "delivered", "", None) for claim in claims])
    ledger.tell_reviews([first], rows)
    assert ledger.pending("siem") == 0


def test_events_with_snapshots_are_read_newest_first_in_pages_as_many_as_wanted(
    ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_PAGE", 2)
    for number in range(4):
        ids = [event(number), event(f"same-{number}"), event(f"bare-{number}")]
        ledger.commit(batch(ids, start=10 * number, snapshots=dict.fromkeys(ids[:2], b"{}")))
        clock.advance(MINUTE)
    found = [one.event_id for one in ledger.with_snapshots(clock.now - 3 * MINUTE, 99)]
    assert len(found) == len(set(found)) == 6
    assert {found[0], found[1]} == {event(3), event("same-3")}
    assert found == [one.event_id for one in ledger.with_snapshots(clock.now - DAY, 6)]


def test_a_question_is_remembered_as_long_as_its_event_could_be_scored_anew(ledger: Ledger, clock: FakeClock) -> None:
    ask(ledger, clock, 1)
    keep = RetentionSettings(verdicts=10 * DAY, snapshots=5 * DAY, tombstones=30 * DAY)
    clock.advance(29 * DAY)
    assert ledger.retain(keep, clock.now)["reviews"] == 0
    assert ask(ledger, clock, 1) == []
    clock.advance(2 * DAY)
    assert ledger.retain(keep, clock.now)["reviews"] == 1
    assert ledger.reviews() == []


def test_a_question_is_stored_whole(ledger: Ledger, clock: FakeClock) -> None:
    one = msgspec.structs.replace(question(1, clock), reason="a reason of any length " * 40)
    ledger.ask_reviews([one], [], 1)
    assert ledger.reviews() == [one]
