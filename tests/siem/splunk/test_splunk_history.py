"""What an alert history promises, on the stand-in of Enterprise Security."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.errors import ConfigError, TransientError
from connector.identity import event_id
from connector.siem.splunk import plugin
from connector.siem.splunk.history import SplunkHistory, SplunkHistoryConfig
from connector.siem.splunk.reviews import FINDINGS, REVIEWS
from connector.testing import ManualClock, check_history
from connector.types import Batch, Cursor, DispositionChange
from tests.splunkd import Cut, Event, Refusal, Splunkd

Make = Callable[..., SplunkHistory]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def splunkd(clock: ManualClock) -> Iterator[Splunkd]:
    with Splunkd(clock=clock) as server:
        yield server


@pytest.fixture
def history(splunkd: Splunkd, clock: ManualClock) -> Make:
    def make(**more: Any) -> SplunkHistory:
        table = {"hosts": [splunkd.url], "token": splunkd.token, "deployment": "d", "settle": 0}
        return SplunkHistory("h", SplunkHistoryConfig.model_validate(table | more), clock)

    return make


@pytest.fixture(params=["incident_review", "findings"])
def either(request: pytest.FixtureRequest, history: Make) -> Make:
    return lambda **more: history(reads=request.param, **more)


def notable(splunkd: Splunkd, source: str = "Endpoint - Odd - Rule", **fields: Any) -> tuple[Event, str]:
    [event] = splunkd.put({"search_name": source, **fields}, index="notable", source=source, sourcetype="stash")
    return event, splunkd.review.event_id(event)


def scored(event: Event) -> str:
    return event_id("d", f"{event.bkt}:{event.cd}")


def read(history: SplunkHistory, after: Cursor | None = None, limit: int = 100) -> list[Batch[DispositionChange]]:
    found: list[Batch[DispositionChange]] = []
    while not found or not found[-1].done:
        found.append(history.dispositions(found[-1].cursor if found else after, limit))
    return found


def changes(batches: list[Batch[DispositionChange]]) -> list[DispositionChange]:
    return [change for batch in batches for change in batch.items]


def test_the_contract_holds(tmp_path: Path) -> None:
    check_history(plugin, tmp_path)


def test_each_change_is_told_with_who_made_it_and_a_re_open_takes_the_decision_away(
    splunkd: Splunkd, clock: ManualClock, history: Make
) -> None:
    event, name = notable(splunkd)
    for change in (
        {"status": "2", "owner": "ana"},
        {"status": "5", "disposition": "disposition:3", "comment": "a scanner"},
        {"status": "2"},
    ):
        clock.advance(60)
        splunkd.review.add(name, user="ana", **change)
    found = changes(read(history()))
    assert [(one.status, one.disposition) for one in found] == [
        ("in_progress", None),
        ("closed", "false_positive"),
        ("in_progress", None),
    ]
    assert {one.alert_id for one in found} == {name}
    assert {one.event_ids for one in found} == {(scored(event),)}
    assert [one.comment for one in found] == ["", "a scanner", ""]
    assert {(one.analyst, one.assignees, one.machine) for one in found} == {("ana", ("ana",), False)}
    assert [one.changed_at for one in found] == sorted(one.changed_at for one in found)
    assert all(one.observed_at == clock() for one in found)


def test_the_present_state_of_findings_is_a_change_where_it_differs_from_what_was_seen(
    splunkd: Splunkd, clock: ManualClock, history: Make
) -> None:
    reader = history(reads="findings")
    event, name = notable(splunkd)
    notable(splunkd, other=1)
    clock.advance(5)
    first = read(reader)
    assert changes(first) == []
    splunkd.review.add(name, status="5", disposition="disposition:1", owner="ana")
    clock.advance(5)
    [closed] = changes(second := read(reader, first[-1].cursor))
    assert (closed.status, closed.disposition, closed.event_ids) == ("closed", "true_positive", (scored(event),))
    assert changes(read(reader, second[-1].cursor)) == []
    splunkd.review.add(name, status="1", disposition="disposition:6", owner="unassigned")
    clock.advance(5)
    [opened] = changes(third := read(reader, second[-1].cursor))
    assert (opened.status, opened.disposition) == ("new", None)
    assert changes(read(reader, third[-1].cursor)) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_of_any_size_give_each_change_once(
    splunkd: Splunkd, clock: ManualClock, either: Make, limit: int
) -> None:
    names = [notable(splunkd, number=number)[1] for number in range(7)]
    for name in names:
        splunkd.review.add(name, status="5", disposition="disposition:1")  # all at one time
    clock.advance(5)
    batches = read(either(), limit=limit)
    assert sorted(change.alert_id for change in changes(batches)) == sorted(names)
    assert all(len(batch.items) <= limit for batch in batches)
    assert changes(read(either(), batches[-1].cursor)) == []


def test_findings_fill_several_pages_of_the_server(splunkd: Splunkd, clock: ManualClock, history: Make) -> None:
    for number in range(230):
        name = notable(splunkd, number=number)[1]
        if number % 60 == 0:
            splunkd.review.add(name, status="5", disposition="disposition:1")
    clock.advance(5)
    assert len(changes(read(history(reads="findings")))) == 4
    assert len(splunkd.asked("findings")) == 3


def test_findings_beyond_those_that_are_read_are_told_of(
    splunkd: Splunkd, clock: ManualClock, history: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.siem.splunk.reviews._MOST_PAGES", 1)
    for number in range(101):
        name = notable(splunkd, number=number)[1]
        clock.advance(1)
    splunkd.review.add(name, status="5", disposition="disposition:1")
    clock.advance(5)
    [batch] = read(history(reads="findings"))
    assert (batch.items, batch.complete) == ((), False)
    assert "newest may be missing" in batch.reason


def test_findings_older_than_a_day_are_read_too(splunkd: Splunkd, clock: ManualClock, either: Make) -> None:
    _, name = notable(splunkd)
    clock.advance(20 * 86_400)
    splunkd.review.add(name, status="5", disposition="disposition:2")
    clock.advance(5)
    [change] = changes(read(either()))
    assert change.disposition == "benign_positive"
    assert change.event_ids


def test_a_sites_own_lists_are_looked_up_each_time(splunkd: Splunkd, clock: ManualClock, either: Make) -> None:
    splunkd.review.dispositions["disposition:9"] = "False Positive - Noise"
    splunkd.review.statuses["5"] = "Erledigt"
    _, name = notable(splunkd)
    splunkd.review.add(name, status="5", disposition="disposition:9")
    clock.advance(5)
    [change] = changes(read(either()))
    assert (change.status, change.disposition) == ("closed", "false_positive")


def test_a_notable_of_our_own_searches_is_about_the_event_that_it_names_and_no_other_is(
    splunkd: Splunkd, clock: ManualClock, either: Make
) -> None:
    _, ours = notable(splunkd, "Triaged - Malicious verdicts", triaged_event_id="the-event")
    other, forged = notable(splunkd, "Endpoint - Odd - Rule", triaged_event_id="the-event")
    several, many = notable(splunkd, "Triaged - Many", triaged_event_id=["a", "b"])
    for name in (ours, forged, many):
        splunkd.review.add(name, status="5", disposition="disposition:1")
    clock.advance(5)
    found = {change.alert_id: change.event_ids for change in changes(read(either()))}
    assert found == {ours: ("the-event",), forged: (scored(other),), many: (scored(several),)}


def test_a_decision_about_a_notable_that_is_gone_labels_nothing(
    splunkd: Splunkd, clock: ManualClock, history: Make
) -> None:
    splunkd.review.add('gone" | delete | x="', status="5", disposition="disposition:1")
    clock.advance(5)
    [batch] = read(history())
    assert [change.event_ids for change in batch.items] == [()]
    assert batch.complete


def test_changes_of_services_are_a_machines(splunkd: Splunkd, clock: ManualClock, history: Make) -> None:
    _, name = notable(splunkd)
    for user in ("splunk-system-user", "svc-triaged", "ana"):
        clock.advance(1)
        splunkd.review.add(name, user=user, status="5")
    found = changes(read(history(service_users=["splunk-system-user", "svc-triaged"])))
    assert [change.machine for change in found] == [True, True, False]


def test_what_is_younger_than_settle_waits(splunkd: Splunkd, clock: ManualClock, history: Make) -> None:
    _, name = notable(splunkd)
    splunkd.review.add(name, status="5")
    clock.advance(10)
    reader = history(settle=30)
    assert changes(waiting := read(reader)) == []
    clock.advance(30)
    assert len(changes(read(reader, waiting[-1].cursor))) == 1


def test_a_peer_that_is_down_is_told_of(splunkd: Splunkd, clock: ManualClock, either: Make) -> None:
    _, name = notable(splunkd, peer="x")
    splunkd.review.add(name, status="5")
    clock.advance(5)
    splunkd.faults.messages = [("WARN", "Timed out waiting for peer idx2. Search results might be incomplete!")]
    [batch] = read(either())
    assert not batch.complete
    assert "idx2" in batch.reason


def test_a_decision_about_a_notable_on_a_peer_that_is_down_waits(
    splunkd: Splunkd, clock: ManualClock, history: Make
) -> None:
    event, name = notable(splunkd)
    splunkd.review.add(name, status="5", disposition="disposition:1")
    clock.advance(5)
    reader = history()
    splunkd.faults.peers_down = {event.peer}
    with pytest.raises(TransientError, match="1 of 1 were not found"):
        reader.dispositions(None, 10)
    splunkd.faults.peers_down.clear()
    assert [change.event_ids for change in changes(read(reader))] == [(scored(event),)]


def test_a_stream_that_is_cut_takes_no_join_away(splunkd: Splunkd, clock: ManualClock, either: Make) -> None:
    event, name = notable(splunkd)
    splunkd.review.add(name, status="5")
    clock.advance(5)
    splunkd.faults.cuts.append(Cut(0, "quiet"))
    reader = either()
    with pytest.raises(TransientError):
        reader.dispositions(None, 10)
    assert [change.event_ids for change in changes(read(reader))] == [(scored(event),)]


def test_times_as_text_are_told_of_and_not_passed_over(splunkd: Splunkd, clock: ManualClock, history: Make) -> None:
    row = splunkd.review.add("a", status="5")
    row["time"] = "1767614400.5"
    clock.advance(5)
    [batch] = read(history())
    assert not batch.complete
    assert "text" in batch.reason


def test_a_splunk_without_enterprise_security_is_told(splunkd: Splunkd, either: Make) -> None:
    for path in (REVIEWS, FINDINGS):
        splunkd.faults.refuse.append(Refusal(404, path.rpartition("/")[2], "Could not find object."))
    with pytest.raises(ConfigError, match="installed"):
        either().dispositions(None, 10)


@pytest.mark.parametrize("token", ["", "7", "[1]", '["a","b"]', '{"a":1}'])
def test_a_cursor_of_nobody_begins_anew(splunkd: Splunkd, clock: ManualClock, either: Make, token: str) -> None:
    _, name = notable(splunkd)
    splunkd.review.add(name, status="5")
    clock.advance(5)
    assert len(changes(read(either(), Cursor(token=token)))) == 1
