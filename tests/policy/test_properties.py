"""Whatever policy and whatever stream: what admission promises holds, over two replicas, crashes and restarts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings, strategies as st

from tests.policy.streams import MACHINES, Site, World

SECOND_RUN = "a containment may run a second time"
STEPS = ("act.admitted", "platform.before", "platform.after", "act.sent", "act.marked")
CLOSE = (0.3, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95)
"""Scores around the floors that rules have here."""

GUARDS = {
    "succeeded": "runs",
    "protected asset": "protected assets",
    "containment needs a collector-attested identity": "unattested identities",
    "automatic containment of agent 'agent-4', maybe protected": "unknown agents",
    "automatic containment of agent 'agent-7', maybe protected": "agents without a host",
    "automatic containment of agent 'agent-8', maybe protected": "agents without an address",
    "the host of the event has 256 addresses or more": "hosts with too many addresses",
    "outcome unknown": "runs that nobody can tell of",
    "automatic containment needs two members with a view; this verdict has 1": "lonely votes",
    "silenced": "silences",
    "rejected by a person": "rejections",
    "cool-down": "cool-downs",
    "older than max_age": "what is too old",
    "died": "crashes",
    "stopped midway": "switches between admission and send",
}
"""By the beginning of the reason: what a set of streams must have met, or it would prove little."""

WAITS = {"rate cap", "waits for approval", "the kill switch is on", "the approval has expired"}

minutes = st.sampled_from([1, 2, 5, 10, 20])
durations = st.sampled_from(["10m", "20m", "40m"])
caps = st.fixed_dictionaries({"runs": st.integers(1, 3), "per": durations})


BITING: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "cooldown": st.fixed_dictionaries({"cooldown": durations}),
    "hysteresis": st.fixed_dictionaries({"cooldown": durations, "hysteresis": st.sampled_from([0.1, 0.2])}),
    "rate": st.fixed_dictionaries({"rate": caps}),
    "entity_rate": st.fixed_dictionaries({"entity_rate": caps}),
    "group": st.fixed_dictionaries({"group": st.sampled_from(["15m", "40m"])}),
    "max_age": st.just({"max_age": "10m"}),
    "approve": st.just({"mode": "approve"}),
    "contain": st.just({"tier": "contain", "playbook": "isolate-host"}),
}
"""What can hold a rule back, each with what it makes of the rule."""

EASY = {"mode": "auto", "cooldown": "1s", "rate": {"runs": 100}, "max_age": "2h"}
QUIET = [{"tier": "ticket", "playbook": "collect-triage-package"}, {"tier": "note", "playbook": "notify-on-call"}]


def _fit(guards: list[str]) -> bool:
    """Containment cannot be grouped."""
    return not {"contain", "group"} <= set(guards)


@st.composite
def rules(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A rule a floor, the highest first, so that each of them can be reached.

    Few guards bite at once: one behind another that always bites would never be seen to fail. Rules that share a capped
    playbook have no other guard at all: it is theirs together that must not run too often.
    """
    floors = draw(st.sampled_from([(0.5,), (0.5,), (0.7, 0.5), (0.9, 0.7, 0.5)]))
    shared = {**draw(st.sampled_from(QUIET)), **draw(BITING["rate"])} if draw(st.integers(0, 3)) == 3 else None
    made = []
    for place, floor in enumerate(floors):
        rule = {"name": f"r{place}", "min_confidence": floor, **EASY, **(shared or draw(st.sampled_from(QUIET)))}
        guards = st.lists(st.sampled_from(sorted(BITING)), min_size=1, max_size=2, unique=True).filter(_fit)
        for guard in draw(guards) if shared is None else ():
            rule |= draw(BITING[guard])
        made.append(rule)
    return made


POLICIES = st.fixed_dictionaries(
    {
        "rules": rules(),
        "policy": st.sampled_from([{}, {"accept": SECOND_RUN}]),
        "uniqueness": st.sampled_from(["key", "key", "key", "search", "none"]),
    }
)
replicas = st.integers(0, 1)
events = st.tuples(
    st.just("event"),
    st.sampled_from([0, 0, 0, 0, 1, 1, *range(len(MACHINES))]),
    st.sampled_from(CLOSE),
    st.sampled_from([1, 2, 2]),
    st.sampled_from([0, 1, None]),
)
turns = st.tuples(st.just("drain"), replicas)
passing = st.tuples(st.just("passes"), minutes)
scopes = st.sampled_from(["*", "rule:r0", "entity:host:ws-0", "entity:host:WS-*", "entity:agent:agent-1"])
switches = st.sampled_from(["kill", "rule:r0", "playbook:isolate-host", "soar:soar", "drift"])
trouble = st.one_of(
    st.tuples(st.just("race"), replicas, st.sampled_from(STEPS)),
    st.tuples(st.just("dies"), replicas, st.sampled_from(STEPS)),
    st.tuples(st.just("restart"), replicas),
    st.tuples(st.just("loses"), replicas),
    st.tuples(st.just("stops"), switches, minutes),
    st.tuples(st.just("switch_midway"), replicas),
    st.tuples(st.just("silence"), scopes, st.sampled_from([1, 5, 15])),
    st.tuples(
        st.just("decide"), st.integers(0, 5), st.sampled_from([True, True, False]), st.one_of(minutes, st.just(0.01))
    ),
)
HAPPENINGS = {"event": events, "turn": turns, "passing": passing, "trouble": trouble}
OFTEN = ["event"] * 8 + ["turn"] + ["passing"] * 5 + ["trouble"] * 3
STREAMS = st.lists(st.sampled_from(OFTEN).flatmap(HAPPENINGS.__getitem__), min_size=25, max_size=70)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    opened = Site(tmp_path)
    yield opened
    opened.close()


def holds(examples: int, site: Site, start: int = 0) -> Counter[str]:
    """Plays so many policies and streams; returns how often each reason was met."""
    met: Counter[str] = Counter()

    @seed(start)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(POLICIES, STREAMS)
    def play(drawn: dict[str, Any], stream: list[tuple[Any, ...]]) -> None:
        world = World(site, drawn)
        for what, *how in stream:
            getattr(world, what)(*how)
        world.ends()
        met.update(world.met)

    play()
    return met


def test_a_sample_of_policies_and_streams_breaks_no_promise(site: Site) -> None:
    holds(15, site)


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("quarter", [1, 2, 3, 4])
def test_a_thousand_policies_and_streams_break_no_promise(site: Site, quarter: int) -> None:
    met = holds(250, site, quarter)
    assert {what for reason, what in GUARDS.items() if not met[reason]} == set()
    assert {reason for reason in WAITS if not met[reason]} == set()
