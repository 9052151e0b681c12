"""What analysts are asked: within the budget, never twice, and no more once it is known; and that the SIEM sees it."""

from __future__ import annotations

from tests.learn.review.desk import Desk


def test_a_question_is_seen_in_the_siem_until_it_has_an_end(desk: Desk) -> None:
    desk.events()
    desk.queue.run()
    first, second, third = desk.asked()
    assert {(one["event"]["id"], one["triaged"]["cause"], one["triaged"]["needs_label"]) for one in desk.told()} == {
        (one.id, one.event_id, True) for one in (first, second, third)
    }
    desk.answer(first)
    desk.say(second.event_id, "true_positive")
    for _ in range(2):
        desk.queue.run()
        ends = {one["triaged"]["cause"]: one for one in desk.told()[3:]}
        assert {cause: one["triaged"]["review_request"]["reason"] for cause, one in ends.items()} == {
            first.event_id: "answered",
            second.event_id: "withdrawn: labelled in the SIEM",
        }
        assert not any(one["triaged"]["needs_label"] for one in ends.values())
    assert len(desk.told()) == 5
    assert desk.asked() == [third]
