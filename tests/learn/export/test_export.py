"""What an export holds: the right labels, each once, with where they come from, and nothing that a machine decided."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from connector.errors import ConfigError
from connector.learn.export.folder import FACTS, MANIFEST, Folder, Journal
from connector.learn.export.rows import Row
from tests.learn.export.make import House, process, scored

HOUR = timedelta(hours=1)
MARK = "triaged 7b1c0a52-5f0e-5d0a-9c57-3f2f4f6a9e11"
"""As our own changes of alerts carry it."""


def test_a_closure_is_a_row_with_its_event_its_label_and_where_it_comes_from(house: House) -> None:
    [event] = house.events(1)
    house.said(
        "A-1", [event], disposition="true_positive", tags=("attack.t1033",), comment="seen it", techniques=("T1059",)
    )
    done = house.export().run()
    [row] = house.rows()
    assert (done.facts, done.events, done.labels.standing) == (1, 1, {"true_positive": 1})
    assert (row.disposition, row.malicious, row.techniques, row.technique_basis) == (
        "true_positive",
        True,
        ("T1033",),
        "tag",
    )
    assert (row.siem, row.index, row.source_id, row.alert, row.history, row.run) == (
        "site",
        "logs",
        "e0",
        "A-1",
        "siem",
        1,
    )
    assert (row.kind, row.verdict, row.model, row.status) == ("sysmon-1", "suspicious", "triaged/1", "closed")
    assert row.text.startswith("process start | tool-0.exe")
    assert json.loads(bytes(row.event))["winlog"]["event_data"]["Image"] == "C:\\Tools\\tool-0.exe"
    assert house.export().pseudonyms.reveal(row.analyst or "") == ("user", "ana")


def test_exporting_twice_changes_no_file(house: House) -> None:
    house.said("A-1", house.events(1), disposition="false_positive")
    assert house.export().run().changed
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in house.folder.iterdir()}
    house.clock.advance(HOUR)
    again = house.export().run()
    assert not again.changed
    del before[".lock"]
    assert {
        p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in house.folder.iterdir() if p.name != ".lock"
    } == before


def test_no_file_of_an_export_is_ever_open_to_others(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.said("A-1", house.events(1), disposition="false_positive")
    monkeypatch.setattr(Path, "chmod", lambda *_: pytest.fail("a mode that is set afterwards comes too late"))
    before = os.umask(0)
    try:
        house.export(parquet=True).run()
    finally:
        os.umask(before)
    assert {
        path.name: path.stat().st_mode & 0o077 for path in house.folder.iterdir() if path.stat().st_mode & 0o077
    } == {}


def test_changed_minds_re_opens_and_late_news_are_rows_and_the_last_word_stands(house: House) -> None:
    [event] = house.events(1)
    told = [("closed", "false_positive"), ("open", None), ("closed", "true_positive"), ("closed", "benign_positive")]
    for status, disposition in told:
        house.clock.advance(HOUR)
        house.said("A-1", [event], status, disposition)
        house.export().run()
    rows = house.rows()
    assert [(row.status, row.disposition) for row in rows] == [
        ("closed", "false_positive"),
        ("reopened", None),
        ("closed", "true_positive"),
        ("closed", "benign_positive"),
    ]
    assert [row.superseded_by for row in rows] == [*(later.fact for later in rows[1:]), None]
    assert [row.run for row in rows] == [1, 2, 3, 4]
    assert house.labels() == {event: "benign_positive"}
    # a change that was made before the last one, and is observed after it, does not stand
    house.said("A-1", [event], "closed", "duplicate", changed_at=house.clock() - HOUR / 2, observed_at=house.clock())
    house.export().run()
    assert house.labels() == {event: "benign_positive"}


def test_analysts_who_disagree_about_an_event_are_told_and_the_later_one_stands(house: House) -> None:
    one, other = house.events(2)
    house.said("A-1", [one, other], disposition="true_positive", analyst="ana")
    house.clock.advance(HOUR)
    house.said("A-2", [one], disposition="benign_positive", analyst="ben")
    done = house.export().run()
    assert house.labels() == {one: "benign_positive", other: "true_positive"}
    by_alert = {(row.alert, row.event_id): row for row in house.rows()}
    assert by_alert["A-1", one].superseded_by == by_alert["A-2", one].fact
    assert {key for key, row in by_alert.items() if row.conflict} == {("A-1", one), ("A-2", one)}
    assert done.labels.conflicts == 2
    house.clock.advance(HOUR)
    house.said("A-2", [one], "open", analyst="ben")
    house.export().run()
    assert house.labels() == {one: "true_positive", other: "true_positive"}


@pytest.mark.parametrize(
    ("reason", "more"),
    [
        ("marked by the SIEM", {"machine": True}),
        ("service account", {"analyst": "svc-soar"}),
        ("service account", {"analyst": "SPLUNK-system-user"}),
        ("names nobody", {"analyst": None}),
        ("automated closure", {"disposition": "automated_closure"}),
        ("own playbook", {"comment": f"isolated\n{MARK.capitalize()}"}),
    ],
)
def test_a_closure_that_no_person_made_labels_nothing_and_takes_no_persons_label_away(
    house: House, reason: str, more: dict[str, object]
) -> None:
    one, other = house.events(2)
    house.said("A-1", [one], disposition="false_positive")
    house.clock.advance(HOUR)
    for alert, event in (("A-1", one), ("A-2", other)):
        house.said(alert, [event], **{"disposition": "true_positive", **more})
    done = house.export().run()
    assert house.labels() == {one: "false_positive"}
    assert done.labels.left_out == {reason: 2}


@pytest.mark.parametrize("command", ["curl -u {name}:Winter26! http://x", "curl -u bob:{name} http://x"])
def test_no_account_and_no_password_of_an_event_takes_away_what_a_closure_says(house: House, command: str) -> None:
    """Whoever calls an account as our own mark would make our closures a person's otherwise."""
    names = ("triaged", "true_positive", "false_positive", "test", "auto", "T1105", "closed", "integration", MARK[8:])
    commands = "; ".join(command.format(name=name) for name in names)
    events = house.score(*(scored(f"e{n}", process(n, commands, user="integration")) for n in range(4)))
    house.said("A", events[:1], disposition="true_positive", tags=("attack.t1105",), comment="technique: T1033, T1105")
    house.said("B", events[1:2], disposition="false_positive", tags=("cause:test",), comment="integration tried")
    house.said("C", events[2:3], disposition="false_positive", comment=f"closed by {MARK}", analyst="integration")
    house.said("D", events[3:], disposition="x", tags=("auto-closed",))
    done = house.export().run()
    rows = {row.event_id: row for row in house.rows()}
    assert done.labels.left_out == {"automated closure": 1, "own playbook": 1}
    attack, alarm = rows[events[0]], rows[events[1]]
    assert (attack.malicious, attack.techniques) == (True, ("T1033", "T1105"))
    assert (alarm.malicious, alarm.cause, alarm.tags) == (False, "test", ("cause:test",))
    assert "integration" not in alarm.comment


def test_our_mark_counts_wherever_it_stands_in_a_comment(house: House) -> None:
    house.said("A", house.events(1), disposition="false_positive", comment=f"{'x ' * 4000}{MARK}")
    house.export().run()
    assert house.rows() == []


def test_what_an_earlier_release_took_out_of_a_journal_is_read_with_the_names_behind_it(house: House) -> None:
    first, second = house.events(2)
    house.said("A", [first], disposition="false_positive", comment="x")
    house.said("B", [second], disposition="x", tags=("cause:x",))
    export = house.export()
    export.run()
    folder, user = Folder(house.folder), partial(export.pseudonyms.of, "user")
    ours, alarm = folder.facts()
    ours = msgspec.structs.replace(ours, comment=MARK.replace("triaged", user("triaged")))
    alarm = msgspec.structs.replace(alarm, disposition=user("false_positive"), tags=(f"cause:{user('test')}",))
    facts = folder.grown(FACTS, Journal(), [msgspec.json.encode(fact) for fact in (ours, alarm)])
    folder.commit(msgspec.structs.replace(folder.manifest, facts=facts, rules="of an earlier release"))
    export.run()
    [row] = house.rows()
    assert (row.event_id, row.malicious, row.cause) == (second, False, "test")
    assert row.tags == alarm.tags


def test_closures_faster_than_a_person_decides_label_nothing_once_they_are_that_many(house: House) -> None:
    events = house.events(8)
    for number, event in enumerate(events):
        house.clock.advance(10 if number < 7 else 3600)
        house.said(f"A-{number}", [event], disposition="false_positive")
        house.export(closures=4).run()
        if number == 3:
            assert len(house.labels()) == 4
    assert house.labels() == {events[7]: "false_positive"}
    house.clock.advance(5)
    house.said("A-8", [events[0]], disposition="true_positive", analyst="ben")
    assert house.export(closures=4).run().labels.left_out == {"bulk closure": 7}
    assert house.labels() == {events[7]: "false_positive", events[0]: "true_positive"}


def test_what_has_no_event_or_no_snapshot_is_counted_and_becomes_a_row_when_it_is_there(house: House) -> None:
    late = scored("late", process(9))
    house.said("A-1", [late.id], disposition="true_positive")
    house.said("A-2", [], disposition="true_positive")
    done = house.export().run()
    assert (done.labels.rows, done.labels.left_out) == (0, {"about no event": 1, "no snapshot of the event": 1})
    house.clock.advance(HOUR)
    house.score(late)
    assert house.export().run().events == 1
    assert house.labels() == {late.id: "true_positive"}
    as_of = house.dir / "then"
    then = house.export().as_of(house.clock() - HOUR / 2, as_of)
    assert (house.labels(as_of), then.labels.left_out) == ({}, {"about no event": 1, "scored later": 1})


def test_what_retention_has_forgotten_in_the_ledger_stays_in_the_export(house: House) -> None:
    [event] = house.events(1)
    house.said("A-1", [event], disposition="true_positive")
    house.export().run()
    house.ledger.redact_snapshot(event, b"gone")
    house.clock.advance(HOUR)
    house.said("A-1", [event], disposition="false_positive")
    house.export().run()
    assert house.labels() == {event: "false_positive"}


def test_near_duplicates_share_a_group_and_others_do_not(house: House) -> None:
    same = [scored(f"s{n}", process(3, f"backup.exe --job {n}0{n} --out C:\\Temp\\{n}.log")) for n in range(3)]
    other = scored("o", process(3, "backup.exe --delete"))
    house.said("A", house.score(*same, other), disposition="benign_positive")
    house.export().run()
    groups = {row.event_id: row.group for row in house.rows()}
    assert len({groups[event.id] for event in same}) == 1
    assert groups[other.id] != groups[same[0].id]


def test_parquet_and_json_lines_hold_the_same_rows(house: House) -> None:
    house.said("A-1", house.events(3), disposition="false_positive", comment="scheduled maintenance")
    house.export(parquet=True).run()
    [path] = house.folder.glob("*.parquet")
    table = pq.read_table(path)
    assert table.schema.metadata[b"triaged.export.schema"] == b"1"
    read = [msgspec.convert({**row, "event": None}, dict) for row in table.to_pylist()]
    for row, written in zip(house.rows(), read, strict=True):
        assert [
            written[name] for name in Row.__struct_fields__ if name not in {"event", "techniques", "tags", "passed"}
        ] == [
            getattr(row, name)
            for name in Row.__struct_fields__
            if name not in {"event", "techniques", "tags", "passed"}
        ]
    assert not house.export(parquet=True).run().changed


def test_another_key_a_damaged_journal_and_a_newer_schema_are_refused(house: House) -> None:
    house.said("A-1", house.events(1), disposition="false_positive")
    house.export().run()
    with pytest.raises(ConfigError, match=r"another export\.key"):
        house.export(key=b"another key that is long").run()
    facts = house.folder / "facts.jsonl"
    whole = facts.read_bytes()
    facts.write_bytes(whole.replace(b"false_positive", b"truee_positive"))
    with pytest.raises(ConfigError, match="is not the journal"):
        house.export().run()
    facts.write_bytes(whole)
    manifest = house.folder / MANIFEST
    manifest.write_text(manifest.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(ConfigError, match="schema 2"):
        house.export().run()


def test_labels_of_another_time_do_not_go_where_an_export_lies(house: House, tmp_path: Path) -> None:
    house.said("A-1", house.events(1), disposition="false_positive")
    house.export().run()
    with pytest.raises(ConfigError, match="an export of its own"):
        house.export().as_of(house.clock(), house.folder)
