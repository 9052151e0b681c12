"""Adding verdicts to one entity: what counts, how it decays, and that the order in which they come does not matter."""

from __future__ import annotations

import itertools
import random

import msgspec
import pytest

from connector.pipeline.entities.chain import tactics_of, techniques_of
from connector.pipeline.entities.fold import MOST_STEPS, WINDOW, Contribution, add
from connector.pipeline.entities.nouns import EntityState
from connector.pipeline.entities.points import HALF_LIFE, MOST_POINTS, falls_to, points_of, risk_at
from connector.types import Entity

HOST = ("host:ws1", Entity(host="WS1"))
EMPTY = EntityState(key=HOST[0], entity=HOST[1], newest=0)
MINUTE = 60_000_000
DAY = HALF_LIFE // (HALF_LIFE / 86_400_000_000)
START = 10 * DAY


def seen(at: int, *techniques: str, points: float = 40.0, event: str | None = None) -> Contribution:
    return Contribution(event=event or f"e{at}", at=at, points=points, techniques=techniques, whose=(HOST,))


def after(*contributions: Contribution) -> EntityState:
    state = EMPTY
    for contribution in contributions:
        state = add(state, contribution).state
    return state


def now(state: EntityState) -> float:
    return risk_at(state.steps, state.newest)


def test_points_grow_with_the_odds_from_the_suspicious_level_on() -> None:
    assert points_of(0.01, 0.01) == 0.0
    assert points_of(0.5, 0.2) == pytest.approx(30.0)  # odds 1/4 to 1: two doublings
    assert points_of(0.999, 0.01) == MOST_POINTS
    assert points_of(1.0, 0.01) == MOST_POINTS
    assert points_of(float("nan"), 0.01) == 0.0


def test_points_halve_with_each_half_life_of_event_time() -> None:
    state = after(seen(START, "T1003"), seen(START + DAY, points=0.0))
    assert now(state) == pytest.approx(20.0)
    assert falls_to(40.0, 10.0, START) == START + 2 * DAY
    assert falls_to(40.0, 50.0, START) == START


def test_to_repeat_what_a_host_did_adds_nothing_and_another_technique_does() -> None:
    once = after(seen(START, "T1003"))
    again = add(once, seen(START, "T1003", event="copy"))
    other = add(once, seen(START, "T1059", event="other"))
    assert (again.points, again.new, now(again.state)) == (0.0, (), 40.0)
    assert (other.points, other.new, now(other.state)) == (40.0, ("T1059",), 80.0)
    assert again.state.steps[0].count == 2


def test_an_event_adds_its_points_once_and_shows_all_of_its_techniques() -> None:
    state = after(seen(START, "T1003", "T1055", "T1059"))
    assert now(state) == 40.0
    assert set(techniques_of(state.steps)) == {"T1003", "T1055", "T1059"}


def test_events_without_a_known_technique_count_together_and_stand_in_no_chain() -> None:
    state = after(seen(START), seen(START + 1, points=50.0))
    assert now(state) == pytest.approx(50.0)
    assert techniques_of(state.steps) == ()


def test_within_the_window_the_order_in_which_verdicts_come_changes_nothing() -> None:
    draw = random.Random(7)
    span = WINDOW // (HALF_LIFE / DAY)
    events = [
        seen(START + draw.randrange(int(span)), *draw.sample(["T1003", "T1059", "T1021", "T1078"], draw.randint(0, 3)),
             points=draw.choice([0.0, 10.0, 70.0]), event=f"e{number}")
        for number in range(12)
    ]  # fmt: skip
    expected = after(*sorted(events, key=lambda each: each.at))
    for _ in range(50):
        draw.shuffle(events)
        assert after(*events) == expected


def test_what_is_older_than_the_window_adds_nothing_and_steps_that_old_are_dropped() -> None:
    late = START + 8 * DAY
    state = after(seen(START, "T1003"), seen(late, "T1059"))
    assert techniques_of(state.steps) == ("T1059",)
    added = add(state, seen(START, "T1021"))
    assert (added.state, added.points, added.new) == (state, 0.0, ())


def test_a_flood_of_techniques_keeps_the_row_small_and_what_counts_most() -> None:
    names = (f"T{number}" for number in itertools.count(1000))
    flood = [seen(START + place, next(names), points=1.0) for place in range(500)]
    state = after(seen(START, "T9999", points=90.0), *flood)
    assert len(state.steps) == MOST_STEPS
    assert "T9999" in techniques_of(state.steps)
    assert len(msgspec.json.encode(state)) < 8_000


def test_tactics_come_in_the_order_in_which_techniques_reach_them() -> None:
    # T1078 serves four tactics: it proves none that the chain has not reached but its first
    state = after(seen(START, "T1003"), seen(START + MINUTE, "T1059"), seen(START + 2 * MINUTE, "T1547"))
    assert tactics_of(state.steps) == ("TA0006", "TA0002", "TA0003")
    assert tactics_of(add(state, seen(START + 3 * MINUTE, "T1078")).state.steps) == ("TA0006", "TA0002", "TA0003")
    assert tactics_of(after(seen(START, "T1078")).steps) == ("TA0001",)
