"""What analysts are asked: within the budget, never twice, and no more once it is known; and that the SIEM sees it."""

from __future__ import annotations

import math
import signal
from datetime import timedelta
from functools import partial
from pathlib import Path
from string import ascii_lowercase

import pytest
from msgspec.structs import replace

from connector.learn.review import candidates
from connector.learn.review.candidates import Seen, distinct, worth_reading
from connector.learn.review.job import WHY
from connector.resources import shipped
from connector.settings import RetentionSettings
from connector.types import ModelRef
from tests.learn.export.test_kill import dying_at, in_a_child
from tests.learn.review.desk import IMAGES, Desk, started
from tests.ledger.make import event, verdict

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


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


def test_as_many_are_asked_as_the_budget_allows_and_each_event_once_until_all_were(desk: Desk) -> None:
    desk.events()
    seen: set[str] = set()
    for expected in (3, 3, 2, 0):
        assert (desk.queue.run(), desk.queue.run()) == (expected, 0)
        seen |= {one.event_id for one in desk.asked()}
        desk.clock.advance(DAY - MINUTE)
        assert desk.queue.run() == 0
        desk.clock.advance(MINUTE)
    assert len(seen) == len(IMAGES)
    for review in desk.asked():
        desk.answer(review, "other")
    desk.events("excel.exe", "tool-1.exe", "tool-2.exe")  # a copy, and two near-duplicates
    assert (desk.queue.run(), [one.reason for one in desk.asked()]) == (1, ["next to a threshold"])
    desk.events("tool-3.exe")  # and a near-duplicate of what was asked
    assert desk.queue.run() == 0


def test_what_was_asked_takes_no_place_among_what_is_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "READ", 2)
    desk.events()
    for _ in range(4):
        assert desk.queue.run() == 2
        desk.clock.advance(DAY)


def test_what_a_person_labelled_is_not_asked_nor_are_its_copies_and_what_a_machine_closed_is(desk: Desk) -> None:
    desk.events("excel.exe", "excel.exe", "net.exe", "net.exe", "whoami.exe", "backup.exe")
    by_image = desk.by_image()
    desk.say(by_image["excel.exe"][0], "false_positive")
    desk.say(by_image["net.exe"][0], "false_positive", analyst="closer")
    desk.say(by_image["whoami.exe"][0], "true_positive")
    desk.say(by_image["whoami.exe"][0], None, status="open")
    desk.say(by_image["backup.exe"][0], "other")
    assert desk.queue.run() == 3
    images = {image for image, ids in by_image.items() for one in desk.asked() if one.event_id in ids}
    assert images == {"net.exe", "whoami.exe", "backup.exe"}


def test_a_copy_of_what_was_labelled_long_ago_is_not_asked_nor_a_near_duplicate(desk: Desk) -> None:
    desk.events("excel.exe", "tool-1.exe")
    for [one] in desk.by_image().values():
        desk.say(one, "false_positive")
    desk.clock.advance(6 * DAY)  # outside of the window
    desk.events("excel.exe", "tool-2.exe")
    assert desk.queue.run() == 0


def test_near_duplicates_are_those_of_the_export_which_names_do_not_tell_apart(desk: Desk) -> None:
    desk.take(*(started("net.exe", f"net user {name} /add") for name in ("alice", "robert")))
    assert desk.queue.run() == 1
    [review] = desk.asked()
    desk.answer(review)
    assert [row.group for row in desk.rows()] == [review.group]


def test_a_label_given_elsewhere_and_a_snapshot_that_expired_withdraw_a_question_for_good(desk: Desk) -> None:
    desk.events("excel.exe", "net.exe", "whoami.exe")
    desk.queue.run()
    labelled, closed, waits = desk.asked()
    desk.say(labelled.event_id, "benign_positive")
    desk.say(closed.event_id, "false_positive", analyst="closer")
    desk.queue.run()
    assert [one.id for one in desk.asked()] == [closed.id, waits.id]
    desk.say(labelled.event_id, None, status="open")
    desk.clock.advance(2 * DAY)
    assert desk.queue.run() == 0
    keep = RetentionSettings(snapshots=timedelta(days=1))
    desk.app.ledger.retain(keep, desk.clock())
    desk.queue.run()
    assert [(one.state, one.outcome) for one in desk.app.ledger.reviews()] == [
        ("withdrawn", "labelled in the SIEM"),
        *[("withdrawn", "its snapshot has expired")] * 2,
    ]
    assert desk.answer(waits).state == "withdrawn"
    assert desk.app.ledger.review(waits.id) == desk.answer(waits)


def test_with_the_shipped_bundle_the_rare_are_those_unlike_all_that_was_asked_before(tmp_path: Path) -> None:
    desk = Desk(tmp_path, store=shipped("model_store"))
    tasks = [started("schtasks.exe", f"schtasks /create /tn {letter * 4} /tr calc") for letter in ascii_lowercase[:20]]
    desk.take(*tasks[:6])
    assert desk.queue.run() == 3
    desk.clock.advance(DAY)
    desk.take(*tasks[6:], started("svchost.exe", "svchost.exe -k netsvcs -p"))  # which scores lowest of all
    assert desk.queue.run() == 3
    [odd] = desk.by_image()["svchost.exe"]
    assert [one.reason for one in desk.asked() if one.event_id == odd] == [WHY["rare"]]
    desk.app.close()


def test_old_verdicts_and_those_of_another_bundle_or_of_a_list_are_not_asked_about() -> None:
    model = ModelRef(name="tiny", version="2", attack_version="18.1")
    good = verdict(event(1), model=model, confidence=0.3, fingerprint="a" * 64)
    others = [
        replace(good, model=replace(model, version="1"), fingerprint="b" * 64),
        replace(good, scored="malicious", fingerprint="c" * 64),
        replace(good, confidence=None, fingerprint="d" * 64),
    ]
    [found] = distinct([good, *others, replace(good, event_id=event(2))], model, (0.3, 0.9), ())
    assert (found.event_id, found.copies, found.margin) == (event(1), 2, 0.0)
    assert distinct([good, replace(good, event_id=event(2))], model, (0.3, 0.9), {good.fingerprint}) == []


def test_members_are_as_far_apart_as_their_own_votes_and_where_one_alone_has_a_view_nothing_is_known() -> None:
    for members, expected in (
        ({"text": 0.25, "rules": 0.75, "flow": None}, 0.5),
        ({"text": 0.25, "rules": None}, math.nan),
        ({"text": 0.25, "rules": None, "meta": 0.75}, math.nan),
        ({}, math.nan),
    ):
        one = verdict(event(1), members=members)
        [found] = distinct([one], one.model, (0.3, 0.9), ())
        assert found.disagreement == pytest.approx(expected, nan_ok=True)


def test_of_very_many_the_nearest_to_a_threshold_and_the_rarest_are_read() -> None:
    def seen(name: str, margin: float, copies: int) -> Seen:
        return Seen(name, name, 0.5, math.nan, margin, copies)

    many = [seen(f"common-{n:03}", 5.0 + n, 90) for n in range(200)]
    many += [seen("rare", 99.0, 1), seen("near", 0.1, 90), seen("both", 0.2, 1)]
    assert [one.event_id for one in worth_reading(many, 4)] == ["near", "both", "rare", "common-000"]


def killed_at_each_step(desk: Desk) -> int:
    """Runs the queue in processes that are killed at its first step, at its second, and so on; how many there were."""

    def run(at: int) -> object:
        return Desk(desk.dir, clock=desk.clock, steps=dying_at(at)).queue.run()

    killed = 0
    while in_a_child(partial(run, killed + 1)) == -signal.SIGKILL:
        killed += 1
    return killed


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_kill_at_each_step_asks_and_tells_nothing_twice_and_loses_nothing(desk: Desk) -> None:
    desk.events()
    assert killed_at_each_step(desk) == 3
    first, second, third = desk.asked()
    assert len(desk.told()) == 3
    desk.answer(first)
    desk.say(second.event_id, "true_positive")
    assert killed_at_each_step(desk) == 3
    assert [one["triaged"]["needs_label"] for one in desk.told()] == [True] * 3 + [False] * 2
    assert desk.asked() == [third]
