"""Windows logs whose events share one canonical kind: what each event code is, as data.

A file of ``logs/`` is a family. Its tables are told at the head of ``security_audit.toml``; a name that stands nowhere
is refused at import.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from connector.events.family import Family, Log
from connector.events.fields import Meta, Rules, rule


def _rules(rows: Mapping[str, str]) -> Rules:
    return tuple(rule(name, *target.split(" ")) for name, target in rows.items())


def _log(row: Mapping[str, Any], groups: Mapping[str, Rules]) -> Log:
    user_data = row.get("user_data", False)
    events = {
        code: Meta(action, category, kind, tuple(each for name in names for each in groups[name]), user_data)
        for code, (action, category, kind, *names) in row["events"].items()
    }
    return Log(frozenset(row["providers"]), frozenset(row["channels"]), events)


def _family(path: Path) -> Family:
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    groups = {name: _rules(rows) for name, rows in table.get("rules", {}).items()}
    return Family(path.stem.replace("_", "-"), logs=tuple(_log(row, groups) for row in table["logs"]))


FAMILIES: Final[tuple[Family, ...]] = tuple(
    _family(path) for path in sorted(Path(__file__).with_name("logs").glob("*.toml"))
)
"""One family a file."""
