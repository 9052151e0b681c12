"""An answer is a closing like any other: the export labels by it, and says so."""

from __future__ import annotations

from typing import Any

import pytest

from connector.learn.review import Answer
from connector.learn.review.answers import change_of
from tests.learn.review.desk import Desk


@pytest.fixture
def asked(desk: Desk) -> Desk:
    desk.events()
    desk.queue.run()
    return desk


def test_an_answer_enters_the_next_export_with_cause_techniques_and_who_said_it(asked: Desk) -> None:
    first, second, third = asked.asked()
    asked.answer(first, "false_positive", cause="administration", techniques=("t1105", "T1059.001"), comment="T1003 no")
    asked.answer(second, "true_positive", techniques=())
    asked.answer(third, "duplicate")
    rows = {row.event_id: row for row in asked.rows()}
    found = rows[first.event_id]
    assert (found.history, found.alert, found.malicious, found.stands) == ("review", first.id, False, True)
    assert (found.cause, found.cause_basis) == ("administration", "review")
    assert (found.techniques, found.technique_basis) == (("T1059.001", "T1105"), "analyst")
    assert asked.app.export is not None
    assert asked.app.export.pseudonyms.reveal(found.analyst or "") == ("user", "ana")
    attack, closed = rows[second.event_id], rows[third.event_id]
    assert (attack.malicious, attack.techniques, attack.technique_basis) == (True, (), "analyst")
    assert (closed.disposition, closed.malicious) == ("duplicate", None)


def test_the_last_answer_stands_the_others_stay_and_analysts_who_disagree_are_a_conflict(asked: Desk) -> None:
    review = asked.asked()[0]
    asked.answer(review, "true_positive")
    asked.rows()
    asked.answer(review, "false_positive", analyst="ben")
    asked.answer(review, "false_positive", analyst="ben")  # said again: it stands already
    first, last = sorted(asked.rows(), key=lambda row: row.changed_at)
    assert (first.superseded_by, last.stands, last.malicious) == (last.fact, True, False)
    assert first.conflict
    assert last.conflict
    again = asked.answer(review, "true_positive")
    assert (again.outcome, again.analyst) == ("true_positive", "ana")
    assert [row.malicious for row in asked.rows() if row.stands] == [True]


@pytest.mark.parametrize("account", ["triaged", "svc-triage", " Closer"])
def test_an_answer_that_would_label_nothing_for_who_gives_it_is_refused(asked: Desk, account: str) -> None:
    review = asked.asked()[0]
    with pytest.raises(ValueError, match="a service account's answer labels nothing"):
        asked.answer(review, "false_positive", analyst=account)
    assert asked.asked()[0] == review


@pytest.mark.parametrize(
    ("said", "analyst", "why"),
    [
        ({"techniques": ("T1059", "T9999")}, "ana", r"no ATT&CK technique has the id 'T9999'"),
        ({"disposition": "true_positive", "cause": "administration"}, "ana", "a cause is of false alarms"),
        ({}, " ", "names its analyst"),
    ],
)
def test_what_no_export_could_read_is_refused_and_says_why(
    asked: Desk, said: dict[str, Any], analyst: str, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        change_of(asked.asked()[0], Answer(**{"disposition": "false_positive", **said}), analyst)
