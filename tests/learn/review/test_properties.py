"""Whatever happens between runs of the queue, and however often they are killed, its rules hold."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings, strategies as st

from tests.learn.review.desk import Desk, started

DAY = timedelta(days=1)
NAMES = ("whoami.exe", "excel.exe", "tool-1.exe", "tool-2.exe", "net.exe", "backup.exe")

USERS = ("alice", "robert", "triaged", "true_positive", "other")
ANALYSTS = ("ana", "ben", "triaged")

steps = st.one_of(
    st.tuples(
        st.just("events"), st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(USERS)), min_size=1, max_size=4)
    ),
    st.tuples(
        st.just("answer"),
        st.tuples(st.sampled_from(["true_positive", "false_positive", "other"]), st.sampled_from(ANALYSTS)),
    ),
    st.tuples(st.just("label"), st.sampled_from(["ana", "closer"])),
    st.tuples(st.just("later"), st.sampled_from([1, 12, 25, 200])),
    st.tuples(st.just("run"), st.sampled_from(["", "review.withdrawn", "review.told", "review.asked"])),
)


class EndedError(Exception):
    """A run that ends where a kill would end it: between two transactions."""


def does(desk: Desk, what: str, how: object) -> None:
    """One step of a site's life."""
    if what == "events":
        desk.take(*(started(image, f"{image} /user:{user} /add") for image, user in how))  # type: ignore[attr-defined]
    elif what == "later":
        desk.clock.advance(timedelta(hours=how))  # type: ignore[arg-type]
    elif what == "answer" and desk.asked():
        disposition, analyst = how  # type: ignore[misc]
        with suppress(ValueError) if analyst == "triaged" else nullcontext():
            desk.answer(desk.asked()[0], disposition, analyst)
    elif what == "label" and (found := [one.event_id for one in desk.app.ledger.verdicts()]):
        desk.say(min(found), "benign_positive", analyst=str(how))
    elif what == "run":
        waiting = desk.app.ledger.reviews()
        labelled = {row.group for row in desk.rows() if row.stands}

        def step(done: str) -> None:
            if done == how:
                raise EndedError

        desk.queue._steps = step
        with suppress(EndedError):
            desk.queue.run()
        fresh = desk.app.ledger.reviews()[len(waiting) :]
        assert not labelled & {one.group for one in fresh}, "a copy of a labelled event was asked about"


def holds(desk: Desk) -> None:
    """The rules of the queue."""
    asked = desk.app.ledger.reviews()
    assert max(Counter(one.group for one in asked).values(), default=0) <= 1
    for one in asked:
        near = [other for other in asked if timedelta(0) <= other.asked_at - one.asked_at < DAY]
        assert len(near) <= 3
    told = Counter((one["triaged"]["cause"], one["triaged"]["needs_label"]) for one in desk.told())
    assert set(told.values()) <= {1}
    assert {cause for cause, is_open in told if is_open} == {one.event_id for one in asked}
    assert {cause for cause, is_open in told if not is_open} == {one.event_id for one in asked if one.told}
    answered = {one.id for one in asked if one.state == "answered"}
    assert {one.alert_id for one in desk.app.ledger.dispositions("review")} == answered


def lives(life: list[tuple[str, object]]) -> None:
    with TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        for what, how in [*life, ("run", "")]:
            does(desk, what, how)
            holds(desk)
        rows = desk.rows()
        said = {one.id: one.outcome for one in desk.app.ledger.reviews() if one.state == "answered"}
        assert {row.alert: row.disposition for row in rows if row.alert in said} == said  # the last of each
        labelled = {row.event_id for row in rows if row.stands}
        assert not labelled & {one.event_id for one in desk.asked()}
        assert all(one.told for one in desk.app.ledger.reviews() if one.state != "open")
        desk.app.close()


@settings(max_examples=3, deadline=None)
@given(st.lists(steps, min_size=3, max_size=12))
def test_the_rules_hold_through_any_life(life: list[tuple[str, object]]) -> None:
    lives(life)


@pytest.mark.full
@settings(max_examples=100, deadline=None)
@given(st.lists(steps, min_size=5, max_size=30))
def test_the_rules_hold_through_any_long_life(life: list[tuple[str, object]]) -> None:
    lives(life)
