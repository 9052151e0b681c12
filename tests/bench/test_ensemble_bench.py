"""The bench of whole bundles tells the text member's cost from that of all members."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from connector.models import Store
from connector.models.bundle import Bundle
from connector.models.sequence import vocabulary
from connector.models.sequence.testbed import lay_sequence_member, sequence_spec
from connector.models.sequence.window import unpacked
from connector.models.testbed import lay_bundle
from connector.ports import State
from connector.types import Event, Scores, StateChange
from tests.bench.ensemble import distinct, measure, replay
from tests.bench.ensemble_daemon import alone, spent
from tests.bench.streams import scenario_lines
from tests.models.members import Fixed
from tests.models.whole import whole_store

SPENT = 0.002
"""CPU seconds an event."""


class Busy(Fixed):
    """Takes its time for every event, remembered or not."""

    def score(self, events: Sequence[Event], views: Mapping[str, Scores], state: State) -> tuple[Scores, StateChange]:
        until = time.process_time() + SPENT * len(events)
        while time.process_time() < until:
            pass
        return super().score(events, views, state)


def test_a_member_that_takes_its_time_lowers_the_ratio_by_it(tmp_path: Path) -> None:
    lay_bundle(tmp_path)
    bundle = Store(tmp_path).open("tiny/1", threads=1)
    lines = list(scenario_lines())[:200]
    try:
        whole = Bundle(bundle.manifest, [*bundle.members.values(), Busy("slow", 0.1, cached=False)])
        cost = measure(whole, lines, 1)
    finally:
        bundle.close()
    assert cost.events == len(lines)
    assert cost.whole >= SPENT * len(lines)
    assert cost.ratio == pytest.approx(cost.text / cost.whole)
    assert cost.ratio < 1


def test_what_a_member_costs_a_distinct_text_is_told_of_each_text_once(tmp_path: Path) -> None:
    lay_bundle(tmp_path)
    bundle = Store(tmp_path).open("tiny/1", threads=1)
    lines = list(scenario_lines())[:50]
    try:
        busy = Busy("slow", 0.1)
        texts, spent = distinct(Bundle(bundle.manifest, [*bundle.members.values(), busy]), lines * 2, 2)
    finally:
        bundle.close()
    assert 0 < texts < 50
    assert len(busy.scored) == 2 * texts
    assert SPENT * texts <= spent["slow"]


def test_the_windows_of_the_sequence_member_fill_as_they_do_on_a_site(tmp_path: Path) -> None:
    folder = tmp_path / "tiny" / "1" / "sequence"
    lay_sequence_member(folder)
    lay_bundle(tmp_path, members=[sequence_spec()])
    bundle = Store(tmp_path).open("tiny/1", threads=1)
    try:
        *_, states = replay(bundle, list(scenario_lines())[:200])
    finally:
        bundle.close()
    windows = [unpacked(row, vocabulary.read(folder).digest) for _, row in states["sequence"].values()]
    assert max(len(window.tokens) for window in windows if window is not None) > 1


def test_the_daemon_runs_with_the_text_member_alone_at_its_own_levels(tmp_path: Path) -> None:
    whole = Store(whole_store(tmp_path / "whole"))
    store = Store(alone(whole, "tiny/1", tmp_path / "alone"))

    assert store.verify("tiny/1") == ()
    assert [spec.name for spec in store.manifest("tiny/1").members] == ["text"]
    assert store.manifest("tiny/1").thresholds == whole.manifest("tiny/1").thresholds_alone
    named = f'store = "{tmp_path / "alone"}"\n'
    assert spent(list(scenario_lines())[:40], named, tmp_path / "run") > 0
