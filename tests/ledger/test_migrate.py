"""The schema: one migration path, the same tables as the code knows, and no opening of what is newer."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from connector.errors import ConfigError, TransientError
from connector.ledger import Ledger, migrate, open_ledger, upgrade
from connector.ledger.schema import metadata
from tests.ledger.make import FakeClock
from tests.ledger.postgres import Server


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(ledger: Ledger) -> None:
    with ledger._db.read() as tx:
        context = MigrationContext.configure(tx, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_sqlite_keeps_the_layout_that_the_hot_path_relies_on(tmp_path: Path) -> None:
    opened = open_ledger(f"sqlite:///{tmp_path / 'l.db'}", FakeClock())
    with opened._db.read() as tx:
        ddl = dict(tx.execute(sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'table'")).all())
    opened.close()
    assert "WITHOUT ROWID" in ddl["sightings"]
    assert "WITHOUT ROWID" in ddl["tombstones"]
    assert "AUTOINCREMENT" in ddl["outbox"]
    assert "AUTOINCREMENT" in ddl["dead_letters"]


def test_the_head_that_is_opened_without_alembic_is_the_last_migration(ledger: Ledger) -> None:
    with ledger._db.read() as tx:
        scripts = ScriptDirectory.from_config(upgrade.config(tx))
        assert scripts.get_current_head() == migrate.HEAD
        assert migrate.current(tx) == migrate.HEAD


def test_every_migration_can_be_undone_and_done_again(tmp_path: Path) -> None:
    opened = open_ledger(f"sqlite:///{tmp_path / 'l.db'}", FakeClock())
    with opened._db.write() as tx:
        command.downgrade(upgrade.config(tx), "base")
        assert set(sa.inspect(tx).get_table_names()) == {"alembic_version"}
        command.upgrade(upgrade.config(tx), "head")
    opened.close()


def test_a_ledger_of_a_newer_release_is_refused(ledger: Ledger, url: str, clock: FakeClock) -> None:
    with ledger._db.write() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    try:
        with pytest.raises(ConfigError, match="newer release"):
            open_ledger(url, clock)
    finally:
        with ledger._db.write() as tx:
            tx.execute(sa.text("UPDATE alembic_version SET version_num = :head"), {"head": migrate.HEAD})


def test_opening_again_finds_everything(ledger: Ledger, url: str, clock: FakeClock) -> None:
    ledger.set_switch("kill", on=True, who="ana")
    again = open_ledger(url, clock)
    assert again.switches() == {"kill": True}
    again.close()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nonsense", "not a database URL"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("mysql://h/d", "use sqlite"),
        ("sqlite:////no/such/folder/ledger.db", "No such file"),
    ],
)
def test_a_url_that_cannot_be_used_is_told(url: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        open_ledger(url, FakeClock())


def test_a_server_that_does_not_answer_may_do_so_later_and_is_told_without_its_password() -> None:
    with pytest.raises(TransientError, match="cannot open") as caught:
        open_ledger("postgresql+psycopg://u:secret@/d?host=/no/such/folder", FakeClock())
    assert "secret" not in str(caught.value)


def test_a_server_that_refuses_us_is_not_asked_again(postgres: Server) -> None:
    for url, told in (
        (postgres.url("nowhere"), 'database "nowhere" does not exist'),
        (postgres.url("ledger").replace("triaged@", "nobody@"), 'role "nobody" does not exist'),
    ):
        with pytest.raises(ConfigError, match=told):
            open_ledger(url, FakeClock())


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ('FATAL:  password authentication failed for user "u"', True),
        ("fe_sendauth: no password supplied", True),
        ('FATAL:  no pg_hba.conf entry for host "h", user "u"', True),
        ("FATAL:  the database system is starting up", False),
        ("FATAL:  sorry, too many clients already", False),
        ("Connection refused", False),
    ],
)
def test_only_a_refusal_that_stays_one_is_for_a_person(said: str, refused: bool) -> None:
    assert migrate._is_refusal(psycopg.OperationalError(f"connection failed: {said}")) is refused


def test_a_file_that_another_process_holds_may_be_opened_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.ledger.database._BUSY_SECONDS", 0.01)
    with closing(sqlite3.connect(tmp_path / "l.db", isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TransientError, match="locked"):
            open_ledger(f"sqlite:///{tmp_path / 'l.db'}", FakeClock())


def test_the_file_is_readable_to_its_owner_alone(tmp_path: Path) -> None:
    opened = open_ledger(f"sqlite:///{tmp_path / 'l.db'}", FakeClock())
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    opened.close()
    assert modes == {0o600}
