"""pySigma's SQLite backend as the second opinion: the same rules as SQL over a table of the same events."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from sigma.backends.sqlite.sqlite import sqliteBackend
from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaError
from sigma.pipelines.sysmon.sysmon import sysmon_pipeline
from sigma.pipelines.windows.windows import windows_audit_pipeline, windows_logsource_pipeline
from sigma.processing.pipeline import ProcessingPipeline

from connector.types import Event

LOGS = sysmon_pipeline() + windows_logsource_pipeline()
AUDIT = windows_audit_pipeline() + windows_logsource_pipeline()
AUDITED = {"process_creation", "registry_event", "registry_set", "registry_add"}


def row_of(event: Event) -> dict[str, str]:
    """What a Windows event's record says, by the names of its own log."""
    winlog = event.ecs["winlog"]
    row: dict[str, Any] = {**winlog.get("user_data", {}), **winlog.get("event_data", {})}
    row |= {"EventID": event.ecs["event"]["code"], "Channel": winlog.get("channel")}
    row["Provider_Name"] = winlog.get("provider_name")
    params = [row[name] for name in row if re.fullmatch(r"param\d+", name)]
    row.setdefault("Data", "\n".join(map(text, params)) if params else None)
    return {
        name: text(value) for name, value in row.items() if value is not None and not isinstance(value, dict | list)
    }


def text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class Table:
    """Rows in memory, which a rule's SQL can be asked of."""

    def __init__(self, rows: Sequence[dict[str, str]]) -> None:
        self._rows = rows
        self._names = {name.casefold(): name for row in rows for name in row}
        self._database = sqlite3.connect(":memory:")
        self._database.create_function("REGEXP", 2, _regexp, deterministic=True)
        self._database.execute("PRAGMA case_sensitive_like = OFF")
        columns = ", ".join(f"`{name}` TEXT COLLATE NOCASE" for name in self._names.values())
        self._database.execute(f"CREATE TABLE logs (place INTEGER PRIMARY KEY, {columns})")
        for place, row in enumerate(rows):
            found = {self._names[name.casefold()]: value for name, value in row.items()}
            names, marks = ", ".join(f"`{name}`" for name in found), ", ".join("?" * len(found))
            self._database.execute(f"INSERT INTO logs (place, {names}) VALUES ({place}, {marks})", [*found.values()])

    def places(self, sql: str) -> set[int]:
        """The places of the rows that a rule's query finds; a column that no row has is empty in all."""
        while True:
            try:
                return {row[0] for row in self._database.execute(sql.replace("SELECT *", "SELECT place", 1))}
            except sqlite3.OperationalError as error:
                missing = re.fullmatch(r"no such column: (.*)", str(error))
                if missing is None:
                    raise
                self._database.execute(f"ALTER TABLE logs ADD COLUMN `{missing[1]}` TEXT COLLATE NOCASE")


def queries(content: bytes) -> list[str]:
    """A rule file's SQL, one query a log that it may mean. Raises ``SigmaError`` for what SQL cannot say."""
    found: list[str] = []
    first = _converted(content, LOGS)
    category = SigmaCollection.from_yaml(content.decode()).rules[0].logsource.category  # type: ignore[union-attr]
    found += first
    if category in AUDITED:
        try:
            found += _converted(content, AUDIT)
        except SigmaError:
            return found
    return found


def _converted(content: bytes, pipeline: ProcessingPipeline) -> list[str]:
    return list(sqliteBackend(pipeline).convert(SigmaCollection.from_yaml(content.decode())))


def _regexp(pattern: str, value: str | None) -> bool:
    return value is not None and re.search(pattern, value) is not None


def found_by(table: Table, queries: Iterable[str]) -> set[int]:
    return set().union(*map(table.places, queries))
