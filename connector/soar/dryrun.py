"""The dry-run SOAR: renders a playbook for a verdict and records the run. Nothing outside its own file is touched.

Its store is an SQLite file of its own, apart from the ledger, with the action key as primary key: ``uniqueness`` is
``key``, and what it counts is what happened, not what the ledger believes. A run is committed to disk before ``run``
answers, so that a process killed after the answer has lost nothing, and one killed before it is told of the run when
it asks again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

import msgspec
from pydantic import Field

from connector import identity
from connector.errors import ConfigError, PermanentError, TransientError, TriagedError
from connector.policy.playbooks import load_playbooks
from connector.policy.render import RenderedStep, render
from connector.ports import Clock, SoarPlugin
from connector.resources import shipped
from connector.retries import retrying
from connector.settings import SoarSettings
from connector.types import Action, Noun, RunRef, RunStatus

SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    key TEXT PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, playbook TEXT NOT NULL, title TEXT NOT NULL,
    rule TEXT NOT NULL, tier TEXT NOT NULL, verdict_id TEXT NOT NULL, event_id TEXT NOT NULL, host TEXT,
    steps BLOB NOT NULL, started_at TEXT NOT NULL, requests INTEGER NOT NULL DEFAULT 1
) STRICT
"""
COLUMNS = "key, run_id, playbook, title, rule, tier, verdict_id, event_id, host, steps, started_at, requests"
BUSY_SECONDS = 5.0

ERRORS: Mapping[type[sqlite3.Error], type[TriagedError]] = {
    sqlite3.IntegrityError: PermanentError,
    sqlite3.DatabaseError: ConfigError,  # not a database, damaged, a folder: a person must look
}
"""What SQLite says → what it means here, unless it passes; the first class that fits."""

PASSING = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
"""Primary codes of what may work next time."""

_STEPS: Final = msgspec.json.Decoder(tuple[RenderedStep, ...])


class DryRunSettings(SoarSettings):
    """The table of a dry-run SOAR."""

    type: Literal["dryrun"] = "dryrun"
    path: Path = Field(Path("triaged-data/dryrun.sqlite"), description="the file that records the runs")
    playbooks: Path | None = Field(None, description="a folder of CACAO playbooks; absent: the shipped ones")


class DryRun(Noun, frozen=True, kw_only=True):
    """One recorded run. ``requests`` counts how often it was asked for: a run asked for twice is still one run."""

    key: str
    run_id: str
    playbook: str
    title: str
    rule: str
    tier: str
    verdict_id: str
    event_id: str
    host: str | None
    steps: tuple[RenderedStep, ...]
    started_at: datetime
    requests: int


class DryRunSoar:
    """A SOAR that only writes down what it would do."""

    Config: ClassVar[type[SoarSettings]] = DryRunSettings
    uniqueness: Literal["key", "search", "none"] = "key"
    index_delay: float = 0.0

    def __init__(self, name: str, config: DryRunSettings, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._playbooks = load_playbooks(config.playbooks or shipped("playbooks"))
        self._path = config.path
        self._lock = threading.Lock()
        self._store = retrying()(_opened, config.path)

    @retrying().wraps
    def run(self, action: Action) -> RunRef:
        """Records the rendered playbook, once a key. Raises ``PermanentError`` where it cannot be rendered."""
        playbook = self._playbooks.get(action.playbook)
        if playbook is None:
            known = ", ".join(self._playbooks) or "none"
            raise PermanentError(f"SOAR {self.name!r} has no playbook {action.playbook!r}; it has: {known}")
        run_id = identity.derive("dryrun", action.key)
        row = (
            action.key,
            run_id,
            action.playbook,
            playbook.name,
            action.rule,
            action.tier,
            action.verdict.record_id,
            action.verdict.event_id,
            action.entity.host,
            msgspec.json.encode(render(playbook, action)),
            self._clock().isoformat(),
        )
        with self._lock, _mapped(self._path), self._store:
            self._store.execute(
                f"INSERT INTO runs ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1) "  # noqa: S608 (constants)
                "ON CONFLICT (key) DO UPDATE SET requests = requests + 1",
                row,
            )
        return RunRef(soar=self.name, run_id=run_id)

    @retrying().wraps
    def find(self, key: str) -> RunRef | None:
        """The run recorded under this action key."""
        with self._lock, _mapped(self._path):
            row = self._store.execute("SELECT run_id FROM runs WHERE key = ?", (key,)).fetchone()
        return None if row is None else RunRef(soar=self.name, run_id=row[0])

    @retrying().wraps
    def status(self, run: RunRef, action: Action) -> RunStatus:
        """Always succeeded: to write a run down is all that it takes. Raises ``PermanentError`` for an unknown run."""
        with self._lock, _mapped(self._path):
            row = self._store.execute("SELECT title, started_at FROM runs WHERE run_id = ?", (run.run_id,)).fetchone()
        if row is None:
            raise PermanentError(f"SOAR {self.name!r} has no run {run.run_id!r}")
        return RunStatus(
            record_id=identity.follow_up_id(action.cause, "run_status", f"{action.key}:succeeded"),
            cause=action.cause,
            action_key=action.key,
            playbook=action.playbook,
            state="succeeded",
            detail=f"dry run of {row[0]!r}: rendered and recorded, nothing was carried out",
            at=datetime.fromisoformat(row[1]),
            run_id=run.run_id,
        )

    def close(self) -> None:
        """Closes the store."""
        with self._lock:
            self._store.close()


def recorded(path: Path) -> tuple[DryRun, ...]:
    """Every run that a dry-run SOAR has recorded in this file, oldest first; none where there is no file yet."""
    if not path.is_file():
        return ()
    with closing(retrying()(_opened, path)) as store, _mapped(path):
        rows = store.execute(f"SELECT {COLUMNS} FROM runs ORDER BY started_at, rowid").fetchall()  # noqa: S608
    names = COLUMNS.split(", ")
    return tuple(_run(dict(zip(names, row, strict=True))) for row in rows)


def _run(row: dict[str, Any]) -> DryRun:
    steps = _STEPS.decode(row.pop("steps"))
    return DryRun(**row | {"steps": steps, "started_at": datetime.fromisoformat(row["started_at"])})


def _opened(path: Path) -> sqlite3.Connection:
    """The store, with its table. ``TransientError`` where it is in use: SQLite waits for no reader to switch to its log."""
    with _mapped(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        store = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
        try:
            store.execute("PRAGMA journal_mode = WAL")
            store.execute("PRAGMA synchronous = FULL")
            with store:
                store.execute(SCHEMA)
        except BaseException:
            store.close()
            raise
        return store


def _meaning(error: sqlite3.Error) -> type[TriagedError]:
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in PASSING:  # what follows says more than the primary code
        return TransientError
    return next((ours for theirs, ours in ERRORS.items() if isinstance(error, theirs)), TransientError)


@contextmanager
def _mapped(path: Path) -> Iterator[None]:
    """Turns what SQLite and the file system raise into the three errors. Nothing has left: ``sent`` stays false."""
    try:
        yield
    except sqlite3.Error as error:
        raise _meaning(error)(f"dry-run store {path}: {error}") from error
    except OSError as error:
        raise ConfigError(f"dry-run store {path}: {error.strerror}") from error


class DryRunTestbed:
    """Stands the dry-run SOAR up for the contract suite."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "dryrun.sqlite"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing is left running."""

    def soar_config(self) -> Mapping[str, Any]:
        """The settings table."""
        return {"type": "dryrun", "path": str(self.path)}

    def runs(self) -> Mapping[str, int]:
        """Effective runs by action key."""
        found: dict[str, int] = {}
        for run in recorded(self.path):
            found[run.key] = found.get(run.key, 0) + 1
        return found


plugin = SoarPlugin(soar=DryRunSoar, testbed="connector.soar.dryrun:DryRunTestbed")
