"""A simulation is decide and admit under the clock of then: today's policy gives exactly what the daemon did."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings, strategies as st

from connector.policy import Policy
from connector.types import DispositionChange
from tests.pipeline.watch import Watch, event, prediction
from tests.policy.cases import contain, policy as built, rule

HOSTS = ("a", "b", "c")
WIDE = {"max_age": "1d", "cooldown": "1s", "rate": {"runs": 1000, "per": "1h"}}


def policy(*rules: dict[str, Any], **more: Any) -> Policy:
    return built(*rules, soar="soar", **more)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watch]]:
    made: list[Watch] = []

    def make(in_force: Policy, **more: Any) -> Watch:
        made.append(Watch(tmp_path, in_force, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


durations = st.sampled_from(["1m", "5m", "20m", "2h"])
caps = st.fixed_dictionaries({"runs": st.integers(1, 3), "per": durations})
rules = st.fixed_dictionaries(
    {
        "min_confidence": st.sampled_from([0.0, 0.5, "malicious", "trigger"]),
        "mode": st.sampled_from(["auto", "auto", "approve", "suggest"]),
        "cooldown": durations,
        "rate": caps,
        "max_age": durations,
    },
    optional={
        "techniques": st.sampled_from([["T1003"], ["T1059"]]),
        "hysteresis": st.sampled_from([0.05, 0.3]),
        "group": durations,
        "entity_rate": caps,
        "quorum": st.integers(1, 2),
    },
)
contained = rules.map(lambda keys: {name: value for name, value in keys.items() if name != "group"})
"""Containment is not grouped."""

tickets = st.tuples(st.just("ticket"), rules)
policies = st.lists(st.one_of(tickets, tickets, st.tuples(st.just("contain"), contained)), min_size=1, max_size=3)
sights = st.tuples(
    st.just("see"),
    st.sampled_from(HOSTS),
    st.sampled_from([0.1, 0.45, 0.55, 0.75, 0.9]),
    st.sampled_from(["T1003", "T1059"]),
)
steps = st.one_of(
    sights,
    sights,
    sights,
    st.tuples(st.just("approve"), st.booleans(), st.integers(1, 90)),
    st.tuples(st.just("switch"), st.sampled_from(["kill", "rule:r0", "playbook:isolate-host", "drift"]), st.booleans()),
    st.tuples(
        st.just("silence"),
        st.sampled_from(["*", "rule:r1", "entity:host:a", "entity:agent:agent-b"]),
        st.integers(1, 60),
    ),
)
streams = st.lists(st.tuples(st.integers(1, 2000), steps), min_size=5, max_size=25)


def lived(one: Watch, stream: list[tuple[int, tuple[Any, ...]]]) -> None:
    """What happens to a daemon: events, and what people do meanwhile."""
    for number, (seconds, step) in enumerate(stream):
        one.pass_time(seconds)
        if step[0] == "see":
            _, host, p, technique = step
            # two at once, so that what one batch does to itself is seen too
            one.see(*((event(f"{number}-{n}", host), prediction(p, technique)) for n in range(2)))
        elif step[0] == "approve":
            waiting = one.ledger.waiting(1)
            if waiting:
                state = "approved" if step[1] else "rejected"
                expires = one.clock() + timedelta(minutes=step[2])
                one.ledger.set_approval(waiting[0][0].key, state, "ana", expires_at=expires)
        elif step[0] == "switch":
            one.ledger.set_switch(step[1], on=step[2], who="ana")
        else:
            one.ledger.add_silence(step[1], one.clock() + timedelta(minutes=step[2]), "ana", "noisy")
    one.pass_time(1000)


def compared(directory: Path, tables: list[tuple[str, dict[str, Any]]], stream: list[Any]) -> None:
    made = {"ticket": rule, "contain": contain}
    of_rules = [made[tier](f"r{number}", **keys) for number, (tier, keys) in enumerate(tables)]
    in_force = policy(*of_rules, protected={"hosts": ["c"]})
    one = Watch(directory, in_force)
    try:
        lived(one, stream)
        before = one.content()
        report = one.simulate(in_force)
        assert report.record.other == {}, report.record
        assert (report.record.unknown, report.record.only_recorded) == (0, 0)
        assert report.today == report.new
        assert (report.gained, report.lost, report.moved, report.examples) == (0, 0, 0, ())
        assert report.today.runs == len(one.runs()) == sum(one.runs().values())
        assert one.content() == before, "a simulation writes nothing"
    finally:
        one.close()
        one.path.unlink()


SEEN = ("see", "a", 0.9, "T1003")
DECISIVE = {
    "a switch": ({"max_age": "5m"}, [(1, ("switch", "kill", True)), (1, SEEN), (600, ("switch", "kill", False))]),
    "a person": ({"mode": "approve", "max_age": "2h"}, [(1, SEEN), (60, ("approve", True, 90))]),
    "a silence": ({}, [(1, ("silence", "*", 5)), (1, SEEN), (600, ("see", "b", 0.9, "T1003"))]),
    "a hovering score": (
        {"min_confidence": 0.5, "hysteresis": 0.3, "cooldown": "20m"},
        [(1, SEEN), (600, ("see", "a", 0.45, "T1003")), (900, SEEN)],
    ),
}
"""What alone decides of an action, each in a stream whose outcome is another one without it."""


@pytest.mark.parametrize("what", DECISIVE)
def test_what_alone_decides_of_an_action_decides_in_the_simulation_too(tmp_path, what) -> None:
    keys, stream = DECISIVE[what]
    compared(tmp_path, [("ticket", keys)], stream)


QUICKLY = (Phase.explicit, Phase.reuse, Phase.generate)
"""A stream that fails is short enough to be read as it is; to shrink it takes many minutes."""

SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]


@settings(max_examples=8, deadline=None, phases=QUICKLY, suppress_health_check=SLOW)
@given(tables=policies, stream=streams)
def test_todays_policy_simulated_is_exactly_what_the_daemon_did(tmp_path, tables, stream) -> None:
    compared(tmp_path, tables, stream)


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("quarter", range(4))
def test_todays_policy_simulated_is_exactly_what_the_daemon_did_a_thousand_times(tmp_path, quarter) -> None:
    @seed(quarter)
    @settings(max_examples=250, deadline=None, database=None, phases=QUICKLY, suppress_health_check=SLOW)
    @given(tables=policies, stream=streams)
    def live(tables, stream) -> None:
        compared(tmp_path, tables, stream)

    live()


def close(one: Watch, *event_ids: str, disposition: str = "true_positive", **more: Any) -> None:
    """An analyst closes the alert of these events."""
    said = {"status": "closed", "disposition": disposition, "changed_at": one.clock(), "observed_at": one.clock()}
    change = DispositionChange(**{"alert_id": f"a-{event_ids[0]}", "event_ids": event_ids, **said, **more})
    one.ledger.record_dispositions("h", [change], None)


def test_confirmed_true_positives_that_a_stricter_policy_would_lose_are_named(watch) -> None:
    one = watch(policy(rule("r", min_confidence=0.5, **WIDE)))
    low, high, reopened, false, machine = (
        one.see((event(name, name), prediction(p)))[0]
        for name, p in (("low", 0.55), ("high", 0.9), ("again", 0.55), ("false", 0.55), ("machine", 0.55))
    )
    one.pass_time(60)
    close(one, low)
    close(one, high)
    close(one, false, disposition="false_positive")
    close(one, machine, machine=True)
    close(one, reopened)
    one.pass_time(60)
    close(one, reopened, disposition=None, status="open")
    report = one.simulate(policy(rule("r", min_confidence=0.8, **WIDE)))
    assert [change.event_id for change in report.lost_true_positives] == [low]
    assert (report.lost, report.gained, report.new.runs) == (4, 0, 1)
    assert report.today.analysts == {"true_positive": 2, "false_positive": 1}
    assert report.new.analysts == {"true_positive": 1}


def test_a_run_that_becomes_a_question_to_a_person_is_lost_until_they_say_yes(watch) -> None:
    one = watch(policy(rule("r", **WIDE)))
    (seen,) = one.see((event("1", "a"), prediction(0.9)))
    one.pass_time(60)
    close(one, seen)
    asked = policy(rule("r", mode="approve", **WIDE))
    (lost,) = one.simulate(asked).lost_true_positives
    assert (lost.today.outcome, lost.new.outcome, lost.new.reason) == ("ran", "waiting", "waits for approval")
    one.pass_time(2 * 86_400)
    (lost,) = one.simulate(asked).lost_true_positives
    assert (lost.new.outcome, lost.new.reason.partition(" (")[0]) == ("refused", "older than max_age")


def test_a_looser_policy_gains_runs_and_its_own_cool_down_counts_them(watch) -> None:
    one = watch(policy(rule("r", min_confidence=0.8, **WIDE)))
    for number in range(6):
        one.see((event(str(number), "a"), prediction(0.7)))
        one.pass_time(600)
    report = one.simulate(policy(rule("r", min_confidence=0.5, max_age="1d", cooldown="25m")))
    assert (report.gained, report.lost, report.today.runs, report.new.runs) == (2, 0, 0, 2)
    assert report.new.refusals == {"r": {"cool-down": 4}}
    assert report.new.entities == {"agent:agent-a": 2}


def test_what_is_parked_because_the_soar_is_full_is_told_apart(watch) -> None:
    one = watch(policy(rule("r", mode="approve", **WIDE)), max_pending=2)
    one.see(*((event(str(number), str(number)), prediction(0.9)) for number in range(5)))
    report = one.simulate(one.policy)
    assert report.today.rules["r"] == {"waiting": 2, "parked": 3}
    assert len(one.ledger.waiting()) == 2


def test_what_joined_a_group_is_lost_where_the_groups_action_does_not_run(watch) -> None:
    grouped = {**WIDE, "group": "1h"}
    one = watch(policy(rule("r", **grouped)))
    seen = one.see(*((event(str(number), "a"), prediction(0.9)) for number in range(3)))
    one.pass_time(60)
    seen += one.see((event("3", "a"), prediction(0.9)))
    close(one, *seen)
    report = one.simulate(policy(rule("r", **grouped)))
    assert (report.new.rules["r"], report.lost_true_positives_count) == ({"ran": 1, "joined": 3}, 0)
    waits = one.simulate(policy(rule("r", mode="approve", **grouped)))
    assert waits.new.rules["r"] == {"waiting": 4}
    assert {change.event_id for change in waits.lost_true_positives} == set(seen)
    one.pass_time(2 * 86_400)
    refused = one.simulate(policy(rule("r", mode="approve", **grouped)))
    assert (refused.new.rules["r"], refused.lost_true_positives_count) == ({"refused": 4}, 4)
    one.room["soar"] = 0
    assert one.simulate(policy(rule("r", **grouped))).new.rules["r"] == {"parked": 4}


def test_a_soar_for_which_sources_pause_parks_nothing(watch) -> None:
    one = watch(policy(rule("r", mode="approve", **WIDE)))
    one.see(*((event(str(number), str(number)), prediction(0.9)) for number in range(5)))
    del one.room["soar"]
    assert one.simulate(one.policy).today.rules["r"] == {"waiting": 5}


def test_a_group_takes_one_place_in_its_soar_however_many_events_join_it(watch) -> None:
    one = watch(policy(rule("r", mode="approve", group="1h", **WIDE)), max_pending=2)
    one.see(*((event(str(number), "a"), prediction(0.9)) for number in range(5)), (event("5", "b"), prediction(0.9)))
    assert sorted(action.entity.host for action, _ in one.ledger.waiting()) == ["a", "b"]
    assert one.ledger.dead_letters() == []


def test_what_was_counted_before_the_stretch_counts_in_it(watch) -> None:
    one = watch(policy(rule("r", cooldown="2h")))
    one.see((event("1", "a"), prediction(0.9)))
    one.pass_time(3600)
    one.start = one.clock()
    one.pass_time(1)
    one.see((event("2", "a"), prediction(0.9)))
    report = one.simulate(one.policy)
    assert (report.verdicts, report.today.rules["r"]) == (1, {"refused": 1})
    assert report.record.other == {}


def test_memory_stays_flat_while_the_stream_grows(watch) -> None:
    peaks = []
    one = watch(policy(rule("r", cooldown="1s", max_age="1m", rate={"runs": 1000, "per": "1m"})))
    for _ in range(2):
        for _ in range(3):
            names = [f"{one.clock().timestamp()}-{number}" for number in range(300)]
            one.see(*((event(name, "a"), prediction(0.1 if number % 50 else 0.9)) for number, name in enumerate(names)))
            one.pass_time(120)
        tracemalloc.start()
        one.simulate(one.policy)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]
