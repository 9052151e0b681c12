"""Root causes and the scorecard: each number is what a person would count by hand."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from connector.cli import app
from connector.learn.causes import UNEXPLAINED, causes
from connector.learn.periods import By, name_of
from connector.learn.scorecard import scorecard
from tests.learn.closures import AT, label
from tests.learn.export.make import House

WEEK = timedelta(days=7)


def test_a_cause_is_counted_in_the_period_and_kind_of_its_decision_and_no_cause_is_said_to_be_none():
    rows = [
        label(0, malicious=False, cause="administration"),
        label(1, malicious=False, cause="administration", changed_at=AT + WEEK, kind="windows-4688"),
        label(2, malicious=False),
        label(3, malicious=True),
    ]
    found = causes(rows)
    assert (found.closures, found.harmless) == (4, 3)
    assert found.causes == {"administration": 2, UNEXPLAINED: 1}
    assert found.periods == {"2026-W02": {"administration": 1, UNEXPLAINED: 1}, "2026-W03": {"administration": 1}}
    assert found.kinds == {"sysmon-1": {"administration": 1, UNEXPLAINED: 1}, "windows-4688": {"administration": 1}}


def test_what_comes_back_most_is_named_first_with_its_usual_cause():
    rows = [label(n, malicious=False, group="twice", cause="test") for n in range(2)]
    rows += [label(10 + n, malicious=False, group="often", changed_at=AT + n * WEEK) for n in range(3)]
    rows += [label(20, malicious=False, group="once")]
    first, second = causes(rows).recurring
    assert (first.group, first.closures, first.first, first.last) == ("often", 3, "2026-01-05", "2026-01-19")
    assert (second.group, second.cause) == ("twice", "test")


@pytest.mark.parametrize("report", [causes, scorecard])
def test_what_was_superseded_and_what_labels_nothing_is_not_counted(report):
    rows = [
        label(0, malicious=False),
        label(1, malicious=False, superseded_by="fact-9"),
        msgspec.structs.replace(label(2, malicious=False), status="reopened", malicious=None),
    ]
    found = report(rows)
    assert (found.closures if report is causes else found.closed) == 1


def test_precision_at_each_threshold_is_of_what_was_flagged_and_missed_is_of_what_was_malicious():
    rows = [
        label(0, malicious=True, verdict="malicious", confidence=0.9),
        label(1, malicious=False, verdict="malicious", confidence=0.8),
        label(2, malicious=True, verdict="suspicious", confidence=0.4),
        label(3, malicious=True, verdict="benign", confidence=0.1),
        label(4, malicious=True, verdict="abstain", confidence=None),
        label(5, malicious=False, verdict="benign", confidence=0.0, model="triaged/gone"),
    ]
    found = scorecard(rows, {"triaged/1": 0.85})
    assert (found.closed, found.abstained) == (6, 1)
    told = {name: (one.closed, one.flagged, one.right, one.missed) for name, one in found.levels.items()}
    assert told == {"suspicious": (6, 3, 2, 2), "malicious": (6, 2, 1, 3), "trigger": (5, 1, 1, 3)}
    assert found.levels["suspicious"].precision.value == pytest.approx(2 / 3)
    assert [(cut, one.flagged, one.right) for cut, one in found.curve] == [
        (0.0, 5, 3),
        (0.1, 4, 3),
        (0.4, 3, 2),
        (0.8, 2, 1),
        (0.9, 1, 1),
    ]


def test_no_opinion_is_not_flagged_at_any_threshold_however_high_the_confidence_that_was_kept():
    rows = [label(0, malicious=False, verdict="abstain", confidence=0.99), label(1, malicious=True, confidence=0.95)]
    found = scorecard(rows, {"triaged/1": 0.9})
    assert (found.abstained, found.levels["trigger"].flagged) == (1, 1)
    assert [(cut, one.flagged) for cut, one in found.curve] == [(0.95, 1)]


@pytest.mark.parametrize("events", [1, 19, 20, 21, 39, 41])
def test_the_curve_has_no_more_than_twenty_thresholds(events):
    found = scorecard([label(n, malicious=n % 2 == 0, confidence=n / 50) for n in range(events)])
    assert min(events, 10) <= len(found.curve) <= 20


def test_copies_of_one_event_do_not_make_precision_look_sure():
    alone = scorecard([label(n, malicious=n % 2 == 0, verdict="suspicious") for n in range(40)])
    copied = scorecard([label(n, malicious=n % 2 == 0, group=f"{n % 4}", verdict="suspicious") for n in range(40)])
    widths = [
        card.levels["suspicious"].precision.high - card.levels["suspicious"].precision.low for card in (alone, copied)
    ]
    assert widths[0] < widths[1] / 2


def test_nothing_flagged_has_no_precision():
    assert math.isnan(scorecard([label(0, malicious=True, verdict="benign")]).levels["malicious"].precision.value)


def test_a_technique_is_judged_only_where_people_named_techniques():
    rows = [
        label(0, malicious=True, techniques=("T1059.001", "T1105"), passed=("T1059",)),
        label(1, malicious=True, techniques=("T1003",), passed=("T1059", "T1059.001")),
        label(2, malicious=True, passed=("T1059",)),
        label(3, malicious=True, techniques=("T1059",), verdict="abstain", confidence=None),
    ]
    found = scorecard(rows).techniques
    assert {name: (one.named, one.told, one.both) for name, one in found.items()} == {
        "T1003": (1, 0, 0),
        "T1059": (1, 2, 1),
        "T1105": (1, 0, 0),
    }


def test_sources_and_periods_stand_apart():
    rows = [
        label(0, malicious=True, verdict="suspicious"),
        label(1, malicious=True, verdict="benign", siem="splunk", scored_at=AT + WEEK),
    ]
    found = scorecard(rows)
    assert {name: one.missed for name, one in found.sources.items()} == {"site/logs": 0, "splunk/logs": 1}
    assert {name: one.missed for name, one in found.periods.items()} == {"2026-W02": 0, "2026-W03": 1}


@pytest.mark.parametrize(("by", "name"), [(By.DAY, "2027-01-01"), (By.WEEK, "2026-W53"), (By.MONTH, "2027-01")])
def test_a_week_belongs_to_the_year_that_iso_8601_gives_it(by, name):
    assert name_of(datetime(2027, 1, 1), by) == name  # noqa: DTZ001


def test_both_commands_read_an_export_and_print_json(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    house = House(tmp_path)
    ids = house.events(3)
    house.said("A0", ids[:1], disposition="true_positive")
    house.said("A1", ids[1:2], disposition="false_positive", tags=("cause:admin",))
    house.said("A2", ids[2:], disposition="false_positive")
    house.export().run()
    house.close()
    told = {}
    for command in ("causes", "scorecard"):
        done = CliRunner().invoke(app, [command, "--export", str(house.folder), "--json"])
        assert done.exit_code == 0, done.output
        told[command] = json.loads(done.stdout)
    assert told["causes"]["causes"] == {"administration": 1, UNEXPLAINED: 1}
    assert told["scorecard"]["closed"] == 3
    assert told["scorecard"]["levels"]["suspicious"]["right"] == 1
    plain = CliRunner().invoke(app, ["scorecard", "--export", str(house.folder), "--by", "month"])
    assert "2026-" in plain.stdout
