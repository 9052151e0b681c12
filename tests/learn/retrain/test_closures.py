"""Closures are split in time: nothing that was observed late is learnt from, and no group is on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from connector.errors import ConfigError
from connector.learn.training.retrain.closures import Closures, read
from tests.learn.export.make import House, process, scored

COMMANDS = ("whoami", "ipconfig", "netstat", "tasklist", "hostname", "systeminfo", "quser", "gpresult", "nltest", "arp")


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[House]:
    """Ten events of ten groups, closed an hour apart; then near-duplicates of the first, last of all."""
    events = [scored(f"e{n}", process(1, f"{COMMANDS[n]} /v")) for n in range(10)]
    copies = [scored(f"c{n}", process(1, f"{COMMANDS[0]}  /v ", user=f"someone{n}")) for n in range(2)]
    house = House(tmp_path)
    house.score(*events, *copies)
    for number, event in enumerate([*events, *copies]):
        house.clock.advance(timedelta(hours=1).total_seconds())
        house.said(f"A-{number}", [event.id], disposition="false_positive", changed_at=house.clock())
    house.export().run()
    yield house
    house.close()


def texts(rows: object) -> set[str]:
    return {next(name for name in COMMANDS if name in row.text) for row in rows}  # type: ignore[attr-defined]


def test_the_newest_groups_are_left_out_and_older_ones_learnt_from(closed: House) -> None:
    found = read(closed.folder, share=0.2)

    assert texts(found.learnt) == set(COMMANDS[:8])
    assert texts(found.newest) == set(COMMANDS[8:])
    assert {row.split for row in found.learnt} == {"train"}
    assert found.since is not None


def test_a_late_closure_of_an_old_group_is_neither_learnt_from_nor_judged_by(closed: House) -> None:
    found = read(closed.folder, share=0.2)

    assert found.left_out == {"of an old group, observed later than the first of the newest": 2}
    assert not {row.group for row in found.learnt} & {row.group for row in found.newest}
    assert found.since is not None
    times = {row.row: row.observed_at for row in closed.rows()}
    assert max(times[row.record] for row in found.learnt) < found.since
    assert min(times[row.record] for row in found.newest) == found.since


def test_a_label_that_is_excluded_or_taken_back_teaches_nothing(closed: House) -> None:
    unwanted = next(row for row in read(closed.folder).learnt if COMMANDS[3] in row.text)
    closed.said("A-4", [], status="open")
    closed.export().run()

    found = read(closed.folder, share=0.0, excluded={unwanted.record})

    assert texts(found.learnt) == {*COMMANDS} - {COMMANDS[3], COMMANDS[4]}
    assert found.left_out == {"excluded": 1}


def test_what_is_no_mail_is_left_out_where_mails_are_read(closed: House) -> None:
    mail = {
        "event": {"kind": "event", "category": ["email"]},
        "email": {"subject": "Your account is closed"},
        "message": "Dear customer, sign in at https://login.example/now to keep it.",
    }
    event = scored("mail", mail)
    closed.score(event)
    closed.said("A-99", [event.id], disposition="true_positive")
    closed.export().run()

    found = read(closed.folder, share=0.0, mails=True)

    assert [row.text for row in found.learnt] == ["your account is closed | dear customer, sign in at link to keep it."]
    assert found.left_out["no mail"] == len(read(closed.folder, share=0.0).learnt) - 1


def test_the_digest_is_of_what_is_learnt(closed: House) -> None:
    assert digest(read(closed.folder)) == digest(read(closed.folder)) != digest(read(closed.folder, share=0.5))


def digest(found: Closures) -> str:
    return found.digest


def test_a_share_that_leaves_nothing_to_learn_from_is_refused(closed: House) -> None:
    with pytest.raises(ConfigError, match="below 1"):
        read(closed.folder, share=1.0)
