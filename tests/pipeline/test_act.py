"""Promise 3: a playbook runs at most once per action key, as far as the platform allows, whatever is lost on the way."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest

from connector.errors import ConfigError, PermanentError, TransientError
from connector.policy import Decision
from connector.types import RunStatus
from tests.daemon.site import process_start
from tests.ledger.make import action, event, verdict

SOURCE = {"lookback": timedelta(minutes=10), "settle": timedelta(seconds=5), "start": "beginning"}
CONTAIN = """
soar = "soar"
accept = "a containment may run a second time"
[[rules]]
name = "contain"
min_confidence = 0.0
mode = "approve"
tier = "contain"
playbook = "isolate-host"
"""
COOLING = """
soar = "soar"
[[rules]]
name = "everything"
min_confidence = 0.0
mode = "auto"
tier = "ticket"
playbook = "notify-on-call"
cooldown = "1h"
"""


GROUPED = """
soar = "soar"
[[rules]]
name = "everything"
min_confidence = 0.0
mode = "auto"
tier = "ticket"
playbook = "notify-on-call"
cooldown = "1s"
group = "1d"
"""


class Died(BaseException):
    """The process ended here."""


def settle(house, minutes=30):
    """Lets time pass until nothing moves any more."""
    for _ in range(minutes * 4):
        house.clock.advance(15)
        house.act.drain()


def one_event(house, **options):
    made = house(source=SOURCE, **options)
    made.put("a.exe")
    made.run(60)
    return made


@pytest.mark.parametrize("uniqueness", ["key", "search", "none"])
def test_an_undisturbed_action_runs_once_and_its_end_is_written_back(house, uniqueness):
    house = one_event(house, soar={"uniqueness": uniqueness})
    settle(house, 2)
    house.deliver.drain()
    assert len(house.platform.runs) == 1
    states = {
        d["triaged"]["run_status"]["state"]
        for d in house.siem.documents.values()
        if d["triaged"].get("record") == "run_status"
    }
    assert states == {"running", "succeeded"}


@pytest.mark.parametrize(("uniqueness", "most"), [("key", 1), ("search", 1), ("none", 2)])
def test_a_lost_answer_leads_to_at_most_one_more_run(house, uniqueness, most):
    house = one_event(house, soar={"uniqueness": uniqueness, "index_delay": 20.0})
    house.platform.lose_answers()
    settle(house)
    assert len(house.platform.runs) == most
    assert house.ledger.pending("soar") == 0


@pytest.mark.parametrize(("uniqueness", "most"), [("key", 1), ("search", 1), ("none", 2)])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_around_the_send_leads_to_at_most_one_more_run(house, uniqueness, most, moment):
    house = one_event(house, soar={"uniqueness": uniqueness})

    def die(at, _):
        if at == moment:
            house.platform.hook = lambda *_: None
            raise Died

    house.platform.hook = die
    with pytest.raises(Died):
        house.act.drain()
    settle(house)
    assert 1 <= len(house.platform.runs) <= (most if moment == "after" else 1)


def test_a_send_that_stays_doubtful_on_a_blind_platform_ends_as_a_dead_letter(house):
    house = one_event(house, soar={"uniqueness": "none"})
    house.platform.lose_answers(100)
    settle(house)
    assert len(house.platform.runs) == 2
    assert [letter.reason.partition(":")[0] for letter in house.ledger.dead_letters()] == ["outcome unknown"]


def test_containment_is_never_sent_twice_to_a_blind_platform(house):
    house = house(source=SOURCE, soar={"uniqueness": "none"}, policy=CONTAIN)
    house.put("mimikatz.exe")
    house.run(60)
    (claimed,) = house.ledger.verdicts(limit=10)
    assert claimed.policy is not None
    from connector.identity import action_key

    house.ledger.set_approval(action_key(claimed.event_id, "contain"), "approved", "a person")
    house.platform.lose_answers(100)
    settle(house)
    assert len(house.platform.runs) == 1
    assert [letter.reason for letter in house.ledger.dead_letters()] == ["outcome unknown"]


def test_a_platform_that_is_down_is_tried_again_and_nothing_runs_twice(house):
    house = one_event(house)
    house.platform.faults.add("run", times=3)
    settle(house)
    assert len(house.platform.runs) == 1


def test_the_kill_switch_stops_what_is_queued_and_what_was_admitted(house):
    house = one_event(house)
    house.ledger.set_switch("kill", True, "a person")
    settle(house, 5)
    assert house.platform.runs == []
    house.ledger.set_switch("kill", False, "a person")
    settle(house, 5)
    assert len(house.platform.runs) == 1


def test_a_switch_thrown_after_admission_still_stops_the_send(house):
    house = one_event(house)

    def throw(step):
        if step == "act.admitted":
            house.ledger.set_switch("kill", True, "a person")

    house.at_step = throw
    settle(house, 5)
    assert house.platform.runs == []
    assert house.ledger.pending("soar") == 1


def test_lifting_a_switch_does_not_release_what_is_older_than_its_max_age(house):
    house = one_event(house)
    house.ledger.set_switch("kill", True, "a person")
    house.clock.advance(timedelta(hours=2))
    house.act.drain()
    house.ledger.set_switch("kill", False, "a person")
    settle(house, 5)
    assert house.platform.runs == []


def test_two_replicas_racing_on_one_ledger_start_one_run_an_action(house):
    one = house(source=SOURCE)
    other = house(source=SOURCE, beside=one)
    one.put(*(f"{n}.exe" for n in range(10)))
    one.run(60)
    one.at_step = lambda step: other.act.drain() if step == "act.admitted" else None
    one.act.drain()
    assert len({run.key for run in one.platform.runs}) == len(one.platform.runs) == 10


def test_a_run_that_fails_is_followed_to_its_failure(house):
    house = one_event(house)
    house.platform.duration = 10_000
    house.act.drain()
    house.platform.finish("run-1", "failed")
    house.act.drain()
    house.deliver.drain()
    found = [d["triaged"]["run_status"]["state"] for d in house.siem.documents.values() if "run_status" in d["triaged"]]
    assert sorted(found) == ["failed", "running"]
    assert RunStatus in house.deliver.writer.accepts


def test_an_unanswered_status_is_asked_again(house):
    house = one_event(house)
    house.platform.faults.add("status", times=2, error=lambda: TransientError("down"))
    settle(house, 2)
    assert house.ledger.open_runs("soar", 10) == []


def letters(house):
    return [letter.reason for letter in house.ledger.dead_letters()]


def states(house):
    house.deliver.drain()
    found = [d["triaged"]["run_status"]["state"] for d in house.siem.documents.values() if "run_status" in d["triaged"]]
    return sorted(found)


def test_a_run_that_cannot_be_asked_about_has_failed_and_holds_up_no_other(house):
    house = house(source=SOURCE)
    house.put("a.exe", "b.exe")
    house.run(60)
    house.platform.duration = 100
    house.act.drain()
    house.platform.faults.add("status", error=lambda: PermanentError("no such run"))
    settle(house, 5)
    assert states(house) == ["failed", "running", "running", "succeeded"]


@pytest.mark.parametrize("error", [TransientError("down"), KeyError("an answer that nobody expected")])
def test_the_others_are_asked_about_though_one_run_never_answers(house, error):
    house = house(source=SOURCE)
    house.put("a.exe", "b.exe", "c.exe")
    house.run(60)
    house.platform.duration = 10_000
    house.act.drain()
    asked = []
    real = house.act.soar.status

    def status(run, action):
        asked.append(run.run_id)
        if run.run_id == "run-1":
            raise error
        return real(run, action)

    house.act.soar.status = status
    for _ in range(4):
        house.clock.advance(1)
        try:
            house.act.follow()
        except KeyError:
            continue
    assert {"run-1", "run-2", "run-3"} <= set(asked)


@pytest.mark.parametrize(
    "error", [None, TransientError("down"), ConfigError("no rights"), KeyError("an answer that nobody expected")]
)
def test_a_run_is_over_when_its_time_is_whatever_the_platform_says_or_does_not_say(house, error):
    house = one_event(house, soar={"run_timeout": timedelta(hours=2)})
    house.platform.duration = 1_000_000

    def status(run, action):
        if error is not None:
            raise error
        return real(run, action)

    real, house.act.soar.status = house.act.soar.status, status
    anyway(house.act.drain)
    for minutes, open_runs in ((119, 1), (2, 0)):
        house.clock.advance(timedelta(minutes=minutes))
        anyway(house.act.follow)
        assert len(house.ledger.open_runs("soar", 10)) == open_runs
    assert states(house) == ["running", "timed_out"]


def anyway(look):
    with suppress(ConfigError, KeyError):
        look()


def test_nothing_is_started_so_late_that_its_claim_could_end_before_it_is_answered(house):
    house = one_event(house, soar={"uniqueness": "search", "index_delay": 20.0, "max_attempts": 1})
    waits = [31, 29]  # a lease of 60 s, less 10 s for a call and 20 s until a run is found
    house.at_step = lambda step: house.clock.advance(waits.pop(0)) if step == "act.admitted" else None
    house.act.drain()
    assert house.platform.runs == []
    assert house.ledger.pending("soar") == 1
    house.clock.advance(60)
    house.act.drain()
    assert len(house.platform.runs) == 1
    assert letters(house) == []


def test_a_request_that_cannot_be_shown_is_not_sent(house):
    house = one_event(house)
    house.act.soar.preview = lambda action: {"a": object()}
    with pytest.raises(TypeError):
        house.act.drain()
    assert house.platform.runs == []


@pytest.mark.parametrize(("uniqueness", "found"), [("key", True), ("search", True), ("none", False)])
def test_what_may_have_run_is_looked_for_and_never_recorded_as_refused(house, uniqueness, found):
    house = one_event(house, soar={"uniqueness": uniqueness})
    house.platform.lose_answers()
    house.act.drain()
    house.clock.advance(timedelta(hours=2))
    settle(house, 1)
    assert len(house.platform.runs) == 1
    assert states(house) == (["running", "succeeded"] if found else ["failed"])
    assert [reason.startswith("outcome unknown: older than max_age") for reason in letters(house)] == [True] * (
        not found
    )


def test_a_search_without_an_answer_is_made_again_and_counts_as_no_send(house):
    house = one_event(house, soar={"uniqueness": "search", "max_attempts": 3})
    house.platform.lose_answers()
    house.act.drain()
    house.platform.faults.add("find", times=5, error=lambda: TransientError("cut off", sent=True))
    settle(house)
    assert len(house.platform.runs) == 1
    assert letters(house) == []
    assert states(house) == ["running", "succeeded"]


def test_an_outage_of_most_of_an_hour_uses_up_no_attempts(house):
    house = one_event(house, soar={"max_attempts": 2})
    house.platform.faults.add("run", times=1000)
    settle(house, 50)
    assert letters(house) == []
    house.platform.faults._waiting.clear()
    settle(house, 9)
    assert len(house.platform.runs) == 1


def test_a_soar_that_refuses_us_leaves_no_doubt_behind(house):
    house = one_event(house, soar={"uniqueness": "none"})
    house.platform.faults.add("run", times=3, error=lambda: ConfigError("the token has expired"))
    for _ in range(3):
        with pytest.raises(ConfigError):
            house.act.drain()
        house.clock.advance(60)
    settle(house, 1)
    assert len(house.platform.runs) == 1
    assert letters(house) == []


def test_a_send_that_always_ends_in_a_bug_ends_as_a_dead_letter(house):
    house = one_event(house, soar={"max_attempts": 3})

    def run(_):
        raise KeyError("id")

    house.act.soar.run = run
    for _ in range(3):
        with pytest.raises(KeyError):
            house.act.drain()
        house.clock.advance(60)
    house.act.drain()
    assert letters(house) == ["outcome unknown: every attempt ended without an outcome"]


def test_a_flood_of_waiting_actions_does_not_keep_open_runs_from_being_asked_about(house, monkeypatch):
    monkeypatch.setattr("connector.pipeline.act.ADMISSIONS", 5)
    house = one_event(house)
    house.act.drain()
    house.ledger.set_switch("kill", True, "a person")
    house.put(*(f"{n}.exe" for n in range(20)))
    house.run(60)
    looks = []
    real = house.act.follow
    house.act.follow = lambda: looks.append(house.ledger.waiting()) or real()
    house.act.drain()
    assert len(looks) == 5


def test_an_action_that_the_platform_rejected_cools_nothing_down(house):
    house = house(source=SOURCE, policy=COOLING)
    house.put("a.exe")
    house.run(60)
    house.platform.faults.add("run", error=lambda: PermanentError("no such playbook"))
    house.act.drain()
    house.siem.put([process_start("a.exe")] * 2, ids=["again", "and again"])
    house.run(60)
    settle(house, 1)
    assert len(house.platform.runs) == 1  # the third is refused: the second cools it down


def test_a_worker_that_lost_its_claim_tells_nothing(house):
    one = one_event(house, soar={"uniqueness": "none"})
    other = house(source=SOURCE, soar={"uniqueness": "none"}, beside=one)

    def refused(_):
        one.clock.advance(61)
        other.act.drain()
        raise PermanentError("too late")

    one.act.soar.run = refused
    one.act.drain()
    assert states(one) == ["running", "succeeded"]


def test_an_action_is_not_dropped_where_nobody_could_run_it(house):
    proposed = Decision(verdict=verdict(event(1)), actions=(action(1, soar="a SOAR that is not configured"),))
    with pytest.raises(KeyError):
        house().routes.rows("lab", [proposed])


def test_a_grouped_run_tells_how_many_events_it_was_for(house):
    house = house(source=SOURCE, policy=GROUPED)
    house.siem.put([process_start("a.exe")] * 2, ids=["1", "2"])
    house.run(60)
    house.platform.duration = 100
    house.act.drain()
    house.siem.put([process_start("a.exe")], ids=["3"])
    house.run(60)
    settle(house, 2)
    house.deliver.drain()
    assert len(house.platform.runs) == 1
    found = [d["triaged"]["run_status"] for d in house.siem.documents.values() if "run_status" in d["triaged"]]
    assert {status["state"]: status["detail"] for status in found} == {"running": "", "succeeded": "for 3 events"}


HOVERING = """
soar = "soar"
[[rules]]
name = "everything"
min_confidence = 0.0
mode = "auto"
tier = "ticket"
playbook = "notify-on-call"
cooldown = "2m"
"""


@pytest.mark.parametrize(("hysteresis", "runs"), [("", 3), ("hysteresis = 0.1", 1)])
def test_what_comes_close_to_a_rule_keeps_its_cool_down_going(house, hysteresis, runs):
    house = house(source=SOURCE, policy=HOVERING + hysteresis)
    for number in range(6):
        house.siem.put([process_start("a.exe")], ids=[str(number)])
        house.run(60)
        house.act.drain()
    assert len(house.platform.runs) == runs
