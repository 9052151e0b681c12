"""The report tells, per host, what was found; text from events stays text."""

from __future__ import annotations

from typing import Any

import msgspec

from connector.demo.paths import FILE_SERVER, WORKSTATION
from connector.demo.report import Finding, Ran, incident, ran, render, strongest, summary
from connector.demo.truth import Planted, steps_found
from connector.pipeline.entities import IncidentState, Step
from connector.types import Entity


def finding(**changes: Any) -> Finding:
    fields = {
        "host": "LMR-WS-0147",
        "technique": "T1059.001",
        "name": "PowerShell",
        "confidence": 0.91,
        "event": "powershell.exe -enc aQ==",
        "at": "2026-03-17T09:47:41Z",
        "playbook": "Notify the analyst",
    }
    return Finding(**{**fields, **changes})


def test_each_host_has_one_row_a_technique_with_its_most_confident_event() -> None:
    found = strongest([finding(confidence=0.6, event="weak"), finding(event="strong"), finding(host="LMR-FS-02")])
    assert list(found) == ["LMR-FS-02", "LMR-WS-0147"]
    (row,) = found["LMR-WS-0147"]
    assert (row.best.event, row.events) == ("strong", 2)


def test_techniques_stand_in_the_order_in_which_they_were_seen() -> None:
    late, early = finding(technique="T1003.001", at="2"), finding(technique="T1566.001", at="1")
    assert [row.best.technique for row in strongest([late, early])["LMR-WS-0147"]] == ["T1566.001", "T1003.001"]


def test_the_report_names_technique_confidence_event_and_playbook() -> None:
    text = render([finding()], width=140)
    for part in ("LMR-WS-0147", "T1059.001", "PowerShell", "0.91", "powershell.exe -enc aQ==", "Notify the analyst"):
        assert part in text


def test_how_sure_the_verdict_is_stands_beside_how_likely_the_technique_is() -> None:
    (row,) = [line for line in render([finding(probability=0.34)]).splitlines() if "T1059.001" in line]
    assert row.split("│")[2:4] == [" 0.91 ", "   0.34 "]
    (row,) = [line for line in render([finding()]).splitlines() if "T1059.001" in line]
    assert row.split("│")[3].strip() == "-"


def test_each_members_vote_stands_with_the_verdict_and_a_lone_members_does_not() -> None:
    shown = render([finding(votes={"text": 0.4, "rules": None, "meta": 0.91})])
    assert "votes: text 0.4, meta 0.91" in shown
    assert "without a vote: rules." in shown
    assert "votes" not in render([finding(votes={"text": 0.91})])
    six = dict.fromkeys(("text", "rules", "sequence", "payload", "flow", "meta"), 0.57)
    narrow = render([finding(votes=six)], width=80)
    assert narrow.count("0.57") == len(six), "whatever the terminal's width"


def test_the_plain_form_has_no_escape_sequence_and_the_terminal_form_has_colour() -> None:
    assert "\x1b" not in render([finding()])
    assert "\x1b[" in render([finding()], color=True)


def test_text_from_events_is_neither_markup_nor_control_characters() -> None:
    text = render([finding(event="[bold]run\x1b]0;owned\x07\u202e me[/bold]\nnext")], width=160)
    assert "[bold]run]0;owned me[/bold] next" in text


def test_nothing_found_is_said() -> None:
    assert "Nothing was found." in render([])


def test_planted_steps_are_counted_once_however_many_events_show_them() -> None:
    def planted(line: int, step: str, *techniques: str) -> Planted:
        return Planted(
            file="f", line=line, host="h", channel="c", record=line, code=1, techniques=techniques, step=step
        )

    events = [planted(1, "a", "T1003.001"), planted(2, "a", "T1003.001"), planted(3, "b", "T1490")]
    assert steps_found(events, {"f:2": ["T1003"], "f:3": ["T1070.001"]}) == (1, 2)
    assert steps_found(events, {}) == (0, 2)


def test_a_summary_prefers_the_command_line_and_is_one_line() -> None:
    ecs = {"event": {"code": "1"}, "winlog": {"event_data": {"CommandLine": "whoami\n /all", "Image": "x"}}}
    assert summary(ecs) == "1: whoami /all"
    assert summary({"message": "m" * 300}) == "m" * 200
    assert (
        summary({"event": {"code": "1102"}, "winlog": {"user_data": {"SubjectUserName": "SYSTEM"}}}) == "1102: SYSTEM"
    )


def test_scenario_files_keep_the_names_that_the_truth_uses() -> None:
    assert {WORKSTATION.name, FILE_SERVER.name} == {"lmr-ws-0147.winlogbeat.jsonl.gz", "lmr-fs-02.splunk.jsonl.gz"}


def test_every_playbook_that_a_techniques_events_run_is_named_once() -> None:
    found = [
        finding(playbook="a"),
        finding(confidence=0.5, playbook="b"),
        finding(playbook="a"),
        finding(playbook=None),
    ]
    assert strongest(found)["LMR-WS-0147"][0].playbooks == ("a", "b")
    text = render(found)
    assert text.count("→ a") == 1
    assert "→ b" in text


def test_an_incident_tells_whose_it_is_and_how_it_went_on_and_names_stay_text() -> None:
    def step(technique: str, first: int) -> Step:
        return Step(
            technique=technique, points=1.0, at=first, event="e", first=first, first_event="e", last=first, entity="h"
        )

    found = IncidentState(
        id="the-id", opener="h", entities=(("h", Entity(host="WS\x1b[31m")), ("u", Entity(user="alice"))),
        steps=(step("T1566", 1), step("T1003", 2)), opened=1, newest=2, until=3, peak=120.4, events=7,
    )  # fmt: skip
    text = incident(found).plain
    for part in ("the-id", "WS[31m, alice", "risk 120", "Initial Access → Credential Access", "T1566 → T1003"):
        assert part in text


def test_a_playbook_that_ran_is_told_with_its_rule_how_sure_the_verdict_was_and_each_vote() -> None:
    found = Ran(
        playbook="isolate\x1b[31m", rule="ransomware", host="WS", event="1: vssadmin", confidence=0.98,
        votes={"text": 0.4, "sequence": 0.97, "flow": None},
    )  # fmt: skip
    assert ran(found).plain.splitlines() == [
        "Playbook isolate[31m ran on WS: rule 'ransomware', 0.98 sure",
        "  1: vssadmin",
        "  votes: text 0.4, sequence 0.97",
    ]
    lone = msgspec.structs.replace(found, votes={"text": 0.98})
    assert ran(lone).plain.splitlines()[1:] == ["  1: vssadmin"]
