"""Every change of what is in production is written down once, whatever is killed between, and roll-backs go one step each."""

from __future__ import annotations

import msgspec
import pytest

from connector.errors import ConfigError
from connector.models import Store
from connector.models.promotions import HISTORY, PRODUCTION
from connector.models.testbed import lay_bundle


@pytest.fixture
def three(tmp_path) -> Store:
    for version in "123":
        lay_bundle(tmp_path, version=version)
    store = Store(tmp_path)
    store.promote("tiny/1", who="ann", why="first")
    store.promote("tiny/2", who="bob", why="better", gate="ab" * 32)
    store.promote("tiny/3", who="eve", why="cannot wait", override=True)
    return store


def test_the_history_says_who_promoted_what_why_and_by_which_report(three):
    told = [(c.number, c.action, c.bundle, c.before, c.who, c.why, c.gate, c.override) for c in three.history()]
    assert told == [
        (1, "promote", "tiny/1", None, "ann", "first", None, False),
        (2, "promote", "tiny/2", "tiny/1", "bob", "better", "ab" * 32, False),
        (3, "promote", "tiny/3", "tiny/2", "eve", "cannot wait", None, True),
    ]


def test_each_roll_back_goes_one_promotion_further_back_and_the_last_is_refused(three):
    assert [three.rollback(why="worse"), three.rollback()] == ["tiny/2", "tiny/1"]
    with pytest.raises(ConfigError, match=r"nothing was in production before tiny/1"):
        three.rollback()
    assert three.production() == "tiny/1"
    three.promote("tiny/3")
    assert three.rollback() == "tiny/1"  # and not to 2, which was taken back


def test_promoting_what_is_in_production_is_no_change(three):
    three.promote("tiny/3", why="again")
    assert len(three.history()) == 3


def test_a_store_of_an_earlier_release_rolls_back_to_what_it_names(three, tmp_path):
    (tmp_path / HISTORY).unlink()
    (tmp_path / PRODUCTION).write_text('{"bundle":"tiny/2","previous":"tiny/1"}')
    assert three.history() == []
    assert three.rollback() == "tiny/1"
    assert [change.before for change in three.history()] == ["tiny/2"]


def test_a_roll_back_goes_to_what_another_release_put_in_production(three, tmp_path):
    lay_bundle(tmp_path, version="4")
    (tmp_path / PRODUCTION).write_text('{"bundle":"tiny/4","previous":"tiny/2"}')
    three.promote("tiny/1")
    assert [three.rollback(), three.rollback()] == ["tiny/4", "tiny/3"]


def test_after_a_roll_back_past_another_release_the_next_goes_further_back(three, tmp_path):
    lay_bundle(tmp_path, version="4")
    (tmp_path / PRODUCTION).write_text('{"bundle":"tiny/4","previous":"tiny/2"}')
    assert [three.rollback(), three.rollback()] == ["tiny/2", "tiny/1"]


def test_a_lost_history_is_gone_on_with_and_no_change_is_lost(three, tmp_path):
    (tmp_path / HISTORY).unlink()
    three.promote("tiny/1")
    three.promote("tiny/2")
    assert [(change.number, change.bundle) for change in three.history()] == [
        (3, "tiny/3"),
        (4, "tiny/1"),
        (5, "tiny/2"),
    ]


def test_what_was_judged_against_another_bundle_is_not_promoted(three):
    with pytest.raises(ConfigError, match="meanwhile tiny/3"):
        three.promote("tiny/1", expected="tiny/2")
    assert three.production() == "tiny/3"
    three.promote("tiny/1", expected="tiny/3")
    assert three.production() == "tiny/1"


@pytest.mark.parametrize("kept", ["nothing", "half a line", "all but the line break"])
def test_a_change_that_a_kill_kept_out_of_the_history_is_told_and_then_written_once(three, tmp_path, kept):
    path = tmp_path / HISTORY
    lines = path.read_bytes().splitlines(keepends=True)
    torn = {"nothing": b"", "half a line": lines[2][:20], "all but the line break": lines[2][:-1]}[kept]
    path.write_bytes(b"".join(lines[:2]) + torn)
    assert [change.number for change in three.history()] == [1, 2, 3]
    assert three.rollback() == "tiny/2"
    written = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    assert [(entry["number"], entry["bundle"]) for entry in written] == [
        (1, "tiny/1"),
        (2, "tiny/2"),
        (3, "tiny/3"),
        (4, "tiny/2"),
    ]


def test_a_roll_back_to_a_damaged_bundle_is_refused_and_changes_nothing(three, tmp_path):
    (tmp_path / "tiny" / "2" / "README.md").write_text("changed")
    with pytest.raises(ConfigError, match="not put back"):
        three.rollback()
    assert (three.production(), len(three.history())) == ("tiny/3", 3)


def test_a_damaged_history_is_said_and_never_built_upon(three, tmp_path):
    (tmp_path / HISTORY).write_text("not json\n")
    with pytest.raises(ConfigError, match="no history of promotions"):
        three.promote("tiny/1")
    assert three.production() == "tiny/3"


def test_a_store_that_cannot_be_written_is_said(three, tmp_path):
    (tmp_path / HISTORY).unlink()
    (tmp_path / HISTORY).mkdir()
    with pytest.raises(ConfigError, match="cannot be changed"):
        three.promote("tiny/1")
    assert three.production() == "tiny/3"
